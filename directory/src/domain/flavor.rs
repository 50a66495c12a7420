//! How far the client of a connection deviates from the standard. What follows
//! from it is the facade's to say.

/// A kind of client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Flavor {
    /// Microsoft Entra, and whoever sends what it sends.
    #[default]
    Entra,
    /// Okta.
    Okta,
    /// One that keeps to the letter.
    Strict,
}

impl Flavor {
    /// Its name in the database and for operators.
    pub fn name(self) -> &'static str {
        match self {
            Self::Entra => "entra",
            Self::Okta => "okta",
            Self::Strict => "strict",
        }
    }

    /// The flavor of this name.
    pub fn of(name: &str) -> Option<Self> {
        [Self::Entra, Self::Okta, Self::Strict]
            .into_iter()
            .find(|flavor| flavor.name() == name)
    }
}
