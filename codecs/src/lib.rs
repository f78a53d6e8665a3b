//! Speech codecs whose encoder remembers what it has encoded.
//!
//! A crate of its own for two reasons. The service itself forbids `unsafe`, and AMR is only to be had as C libraries: the
//! calls into them are [`amr`], and nothing else here is unsafe. And encoding all prompts takes minutes without the
//! optimiser, which a dependency has in development builds too.
//!
//! [`g722`] is in Rust, after ITU-T G.722. AMR and AMR-WB are opencore's and VisualOn's, of 3GPP TS 26.073 and TS 26.173.

#[cfg(feature = "amr")]
pub mod amr;
pub mod g722;
