//! How far a connection's client deviates from the RFCs, as named rules.
//!
//! A connection has a [`Flavor`]; the flavor has a set of [`Accents`]. Code asks
//! for the accent, never for the flavor, so that `docs/conformance.md` can list
//! what each flavor answers differently.

/// What kind of client a connection serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Flavor {
    /// Microsoft Entra, and whoever sends what it sends: every accent that
    /// does no harm.
    #[default]
    Entra,
    /// Okta.
    Okta,
    /// RFC 7643 and RFC 7644 to the letter.
    Strict,
}

impl Flavor {
    /// The accents that it understands.
    pub fn accents(self) -> Accents {
        Accents(self)
    }
}

/// A set of accents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accents(Flavor);
