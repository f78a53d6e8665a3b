//! The `klikon` command.
#![forbid(unsafe_code)]

fn main() {}
