//! The client of muster, for services in Rust that read identities.
//!
//! [`Client`] is the way to the directory: connections to all its processes, tokens for
//! the service's key, deadlines, and repetition of what may safely be repeated, under
//! clients that are generated from the contract. On top of it are a [`cache`] that
//! answers questions after memberships and states in this process, and a verifier of
//! users' tokens ([`verify`]) that needs no call for each.
//!
//! ```no_run
//! use muster_client::{Client, key};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder()
//!     .endpoint("https://directory-1.internal:7443")
//!     .endpoint("https://directory-2.internal:7443")
//!     .ca_certificates(std::fs::read_to_string("ca.pem")?)
//!     .service_key(std::fs::read_to_string("service-key.json")?)
//!     .build()?;
//! let status = client.user_status(key::user_name("ada@example.test")).await?;
//! assert!(status.effective_active);
//! # Ok(())
//! # }
//! ```
//!
//! # What is made again
//! A call that failed is made again, on another endpoint where there is one, and never
//! beyond its deadline:
//!
//! * any call, until its deadline, while nobody could be reached;
//! * reads, and what the contract calls idempotent, when the connection broke or the
//!   server was not available;
//! * writes that carry a request id, in the same cases: the client gives an id to each
//!   that has none, the same for all tries, and the server does it once;
//! * any call of which the server says that nothing happened (`WRITE_CONFLICT`,
//!   `RATE_LIMITED`, `DRAINING`), when it says.
//!
//! Three times at most, and all together at most a tenth of the calls.
//!
//! Where there are several endpoints, a read or a write with a request id does not wait for
//! a dead one until its deadline: when half of its time is over and nobody has heard from
//! the endpoint meanwhile, the call is made at another one, too, and the first answer
//! counts. An endpoint that failed rests, for a second or two at first and for half a
//! minute at last, until one call at the end of a rest is answered.
//!
//! Nothing here depends on the directory itself, but for the feature `testing`: it has a
//! directory in this process, for tests of those who use the client.

mod auth;
mod builder;
pub mod cache;
mod client;
mod clock;
mod error;
mod flight;
pub mod key;
mod service_key;
#[cfg(feature = "testing")]
pub mod testing;
mod transport;
pub mod verify;

pub use muster_proto::v1::{self, ErrorReason, RateClass};
pub use tonic;
pub use uuid::{self, Uuid};

pub use self::{
    builder::Builder,
    client::{Client, SignIn, SignedIn, TokenWish},
    clock::{Clock, System},
    error::{Error, Refused, Result, TokenFault},
    service_key::ServiceKey,
    transport::Transport,
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
