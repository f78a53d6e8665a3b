//! One call.

pub mod saying;
