//! The client against a directory: the real one, in this process.

mod cache;
mod convergence;
mod lookup;
mod transport;
mod verify;
mod world;
