//! The client against a directory: the real one, in this process.

mod cache;
mod cache_faults;
mod cache_feed;
mod convergence;
mod front;
mod lookup;
mod renewal;
mod tls;
mod transport;
mod verify;
mod world;
