//! Digest authentication against the examples of its RFCs and independent computations.

mod digest;
mod server;
