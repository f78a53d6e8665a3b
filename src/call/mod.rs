//! call

pub mod saying;
