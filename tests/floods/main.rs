//! Floods against a service that runs as a command, over loopback and with an end: it keeps its memory bounded, serves
//! requests within calls meanwhile, lets calls under way finish, and takes new ones when the flood is over.
//!
//! Three neighbours: 127.0.0.1 and 127.0.0.2 are peers, 127.0.0.3 is nobody's. The flood comes from the second or the
//! third, the calls from the first.

#[path = "../service/mod.rs"]
mod service;

#[path = "../authority/mod.rs"]
mod authority;

mod connections;
mod datagrams;
mod field;
