//! Every mutation of the contract, each with a request that changes something
//! and another that it could be taken for.

mod others;
mod people;
mod tokens;

pub(super) use tokens::personal;

use prost::Message;

use super::World;

/// Two requests of one method.
pub(super) struct Requests {
    /// It changes something.
    pub(super) one: Vec<u8>,
    /// The same caller could mean it, too.
    pub(super) other: Vec<u8>,
}

impl Requests {
    fn of<M: Message>(one: &M, other: &M) -> Self {
        Self {
            one: one.encode_to_vec(),
            other: other.encode_to_vec(),
        }
    }
}

/// A mutation and how it is called.
pub(super) struct Case {
    /// Its name.
    pub(super) method: &'static str,
    /// Makes what it is about, and requests.
    pub(super) prepare: fn(&World) -> Requests,
}

/// All of them.
pub(super) fn cases() -> Vec<Case> {
    let all = [people::CASES, tokens::CASES, others::CASES].concat();
    let all = all.into_iter();
    all.map(|(method, prepare)| Case { method, prepare })
        .collect()
}

/// Cases of one file.
type Cases = &'static [(&'static str, fn(&World) -> Requests)];
