//! How far a connection's client deviates from the RFCs, as named rules.
//!
//! A connection has a [`Flavor`]; the flavor has a set of [`Accents`]. Code asks
//! for the accent, never for the flavor, so that `docs/conformance.md` can list
//! what each flavor answers differently. Two habits that look like accents are
//! none, because RFC 7643 allows them: base64 without padding (section 2.3.6),
//! and times without an offset (section 2.3.5 takes `xsd:dateTime`).
//!
//! Whoever asks for an accent has met the deviation that it is about, so asking
//! is noted in [`Met`]: code looks first whether a rule of the RFCs is kept, and
//! asks only when it is not.

use std::sync::atomic::{AtomicU64, Ordering};

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
    /// Every flavor.
    pub const ALL: [Self; 3] = [Self::Entra, Self::Okta, Self::Strict];

    /// Name in documents, which is also what commands call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Entra => "entra",
            Self::Okta => "okta",
            Self::Strict => "strict",
        }
    }

    /// The accents that it understands.
    pub fn accents(self) -> Accents<'static> {
        match self {
            Self::Entra => Accents::of(&Accent::ALL),
            Self::Okta => Accents::of(OKTA),
            Self::Strict => Accents::default(),
        }
    }
}

/// What Okta sends, and what its administrators' mappings make of it.
const OKTA: &[Accent] = &[
    // Mappings are expressions, and most of those give text.
    Accent::BooleansAsText,
    Accent::NumbersAsText,
    Accent::NumbersForText,
    Accent::EmptyClears,
    Accent::UnknownAttributes,
    // Okta's SCIM guide says that attributes of an application's own stand
    // below a URN that the administrator chooses.
    Accent::UnregisteredExtensions,
    // Okta's SCIM guide says that passwords are synchronised by PATCH.
    Accent::PasswordIgnored,
    // Okta's SCIM guide says that a group is renamed by a replace without a
    // path, whose value repeats the group's id.
    Accent::ReadOnlyInPatch,
    Accent::MemberTypeIgnored,
    // What Okta asks to take away may have gone by another hand.
    Accent::RemoveOfNothing,
    Accent::ComparisonBehindBrackets,
];

macro_rules! accents {
    ($($(#[doc = $doc:literal])+ $name:ident = $wire:literal,)+) => {
        /// A deviation from the RFCs that is understood, not refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Accent {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Accent {
            /// Every accent.
            pub const ALL: [Self; [$($wire),+].len()] = [$(Self::$name),+];

            /// Name in documents and tests.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $wire,)+
                }
            }
        }
    };
}

accents! {
    /// `"True"` and `"false"` are booleans (RFC 7643 section 2.3.2).
    BooleansAsText = "booleans-as-text",
    /// `"7"` is a number (RFC 7643 sections 2.3.3 and 2.3.4).
    NumbersAsText = "numbers-as-text",
    /// `7` is text (RFC 7643 section 2.3.1).
    NumbersForText = "numbers-for-text",
    /// `""` clears an attribute, like null; text may be empty by RFC 7643
    /// section 2.3.1, but none is kept, so that it is refused otherwise.
    EmptyClears = "empty-clears",
    /// One element stands for a list of one (RFC 7643 section 2.4). A PATCH
    /// may add one element to a list in any flavor.
    SingleForList = "single-for-list",
    /// A list of one stands for its element: a manager, or what a path with a
    /// value filter means (RFC 7643 section 2.3.8).
    ListForSingle = "list-for-single",
    /// `"x"` stands for `{"value":"x"}`: e-mail addresses, a manager (RFC 7643
    /// section 2.3.8).
    BareValue = "bare-value",
    /// `displayName` of a list's element is its `display` (RFC 7643 section
    /// 2.4): roles as Microsoft Entra writes them.
    RoleDisplayName = "role-display-name",
    /// Attributes that nobody knows are passed over in bodies and in values
    /// (RFC 7644 section 3.12: such a body does not conform to its schema).
    UnknownAttributes = "unknown-attributes",
    /// Extensions that no schema describes are kept as they come (RFC 7643
    /// section 3: `schemas` has only URNs of the resource type).
    UnregisteredExtensions = "unregistered-extensions",
    /// A PATCH of `password` changes nothing and succeeds (RFC 7644 section
    /// 3.5.2: `invalidPath`). In POST and PUT it is passed over in any flavor:
    /// the example of a full user in RFC 7643 section 8.2 has one.
    PasswordIgnored = "password-ignored",
    /// Without a path, read-only attributes in the value are passed over (RFC
    /// 7644 section 3.5.2: `mutability`).
    ReadOnlyInPatch = "read-only-in-patch",
    /// `schemas` may be missing, empty or name other URNs (RFC 7643 section 3,
    /// RFC 7644 section 3.5.2).
    SchemasUnchecked = "schemas-unchecked",
    /// Keys of a value are paths: `name.givenName`, a URN with an attribute
    /// behind it (RFC 7644 sections 3.3 and 3.5.2.1).
    KeysAsPaths = "keys-as-paths",
    /// Such keys may have a value filter: `emails[type eq "work"].value`.
    FilterKeys = "filter-keys",
    /// `manager` without its URN is the manager of the enterprise extension
    /// (RFC 7644 section 3.10).
    ManagerAlias = "manager-alias",
    /// `"Replace"` is `"replace"` (RFC 7644 section 3.5.2).
    CapitalOps = "capital-ops",
    /// A PATCH without operations changes nothing (RFC 7644 section 3.5.2: one
    /// or more).
    EmptyOperations = "empty-operations",
    /// An empty path is no path (RFC 7644 section 3.5.2).
    EmptyPath = "empty-path",
    /// A value beside a removal says which values go, or nothing; it never
    /// means more than the path (RFC 7644 section 3.5.2.2 knows no value).
    ValueBesideRemove = "value-beside-remove",
    /// `manager[value eq "x"]` is removed when the manager is x (RFC 7644
    /// section 3.5.2: brackets choose among values).
    FilterOnSingle = "filter-on-single",
    /// A removal by a value filter that matches nothing succeeds: what is to go
    /// is gone (RFC 7644 section 3.12: `noTarget`).
    RemoveOfNothing = "remove-of-nothing",
    /// Add with a value filter that matches nothing makes what it describes
    /// (RFC 7644 section 3.12: `noTarget`).
    AddMakesElement = "add-makes-element",
    /// Replace with such a filter does, too, and what it replaces keeps what
    /// the filter demands (RFC 7644 section 3.5.2.3: `noTarget`).
    ReplaceMakesElement = "replace-makes-element",
    /// Add or replace with `members[value eq "x"]` makes x a member (RFC 7644
    /// section 3.5.2: `mutability`).
    MembersByFilter = "members-by-filter",
    /// `"x"` in a list of members stands for `{"value":"x"}` (RFC 7643 section
    /// 4.2).
    BareMembers = "bare-members",
    /// Members may be named by the connection's `externalId` (RFC 7643 section
    /// 4.2: by `id`).
    MembersByExternalId = "members-by-external-id",
    /// The `type` of a member need not fit (RFC 7643 section 4.2).
    MemberTypeIgnored = "member-type-ignored",
    /// A value of a filter needs no quotes (RFC 7644 section 3.4.2.2).
    BareLiterals = "bare-literals",
    /// A filter's value may have another type: `"True"` for a boolean, digits
    /// for text (RFC 7644 section 3.4.2.2).
    LiteralTypes = "literal-types",
    /// `emails[type eq "work"].value eq "x"`, with or without the
    /// sub-attribute, compares within the element (RFC 7644 section 3.4.2.2:
    /// nothing follows brackets).
    ComparisonBehindBrackets = "comparison-behind-brackets",
    /// Of `attributes` and `excludedAttributes` the first counts (RFC 7644
    /// section 3.9: they exclude each other).
    BothProjections = "both-projections",
    /// `attributes=emails[type eq "work"]` means all of `emails` (RFC 7644
    /// section 3.10).
    BracketsInProjection = "brackets-in-projection",
}

/// A set of accents, and where it is noted which of them were met.
#[derive(Debug, Clone, Copy, Default)]
pub struct Accents<'a> {
    set: u64,
    met: Option<&'a Met>,
}

impl<'a> Accents<'a> {
    /// These and no others.
    pub fn of(accents: &[Accent]) -> Self {
        Self {
            set: accents.iter().fold(0, |set, accent| set | accent.bit()),
            met: None,
        }
    }

    /// The same, noted here when they are met.
    #[must_use]
    pub fn noted_in(self, met: &'a Met) -> Self {
        Self {
            met: Some(met),
            ..self
        }
    }

    /// Whether the set has this one, for what deviates so: it is met.
    pub fn has(self, accent: Accent) -> bool {
        let has = self.includes(accent);
        if let Some(met) = self.met.filter(|_| has) {
            met.0.fetch_or(accent.bit(), Ordering::Relaxed);
        }
        has
    }

    /// Whether the set has this one, where it cannot be told from here whether
    /// anything deviates.
    pub fn includes(self, accent: Accent) -> bool {
        self.set & accent.bit() != 0
    }
}

/// Which accents were met in a request.
#[derive(Debug, Default)]
pub struct Met(AtomicU64);

impl Met {
    /// They, in the order of [`Accent::ALL`].
    pub fn accents(&self) -> impl Iterator<Item = Accent> {
        let met = self.0.load(Ordering::Relaxed);
        let all = Accent::ALL.into_iter();
        all.filter(move |accent| met & accent.bit() != 0)
    }

    /// Forgets them: the request is read anew.
    pub fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

impl Accent {
    fn bit(self) -> u64 {
        1 << (self as u32)
    }
}

/// What is made with one accent, which must be the one that is met.
#[cfg(test)]
#[track_caller]
pub(crate) fn meeting<T>(accent: Accent, make: impl FnOnce(Accents<'_>) -> T) -> T {
    let met = Met::default();
    let made = make(Accents::of(&[accent]).noted_in(&met));
    assert_eq!(met.accents().collect::<Vec<_>>(), [accent]);
    made
}

/// What is made with every accent, none of which must be met.
#[cfg(test)]
#[track_caller]
pub(crate) fn meeting_none<T>(make: impl FnOnce(Accents<'_>) -> T) -> T {
    let met = Met::default();
    let made = make(Flavor::Entra.accents().noted_in(&met));
    assert_eq!(met.accents().next(), None);
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_what_was_put_in() {
        for accent in Accent::ALL {
            let alone = Accents::of(&[accent]);
            let held: Vec<_> = Accent::ALL.into_iter().filter(|a| alone.has(*a)).collect();
            assert_eq!(held, [accent]);
            assert!(Flavor::Entra.accents().has(accent), "{accent:?}");
            assert!(!Flavor::Strict.accents().has(accent), "{accent:?}");
        }
    }

    #[test]
    fn what_is_asked_for_is_met() {
        let met = Met::default();
        let accents = Accents::of(&[Accent::EmptyPath, Accent::BareValue]).noted_in(&met);
        assert!(accents.includes(Accent::EmptyPath));
        assert!(!accents.has(Accent::CapitalOps));
        assert_eq!(met.accents().next(), None);
        assert!(accents.has(Accent::EmptyPath));
        assert_eq!(met.accents().collect::<Vec<_>>(), [Accent::EmptyPath]);
        met.clear();
        assert_eq!(met.accents().next(), None);
    }

    /// Every accent has a row in the document, with the flavors that have it.
    #[test]
    fn accents_are_listed() {
        let document = include_str!("../../../docs/conformance.md");
        let listed = document.lines().filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split(" | ");
            Some((cells.next()?, cells.next()?))
        });
        let listed: std::collections::HashMap<_, _> = listed.collect();
        for accent in Accent::ALL {
            let flavors = Flavor::ALL.into_iter();
            let flavors = flavors.filter(|flavor| flavor.accents().has(accent));
            let flavors: Vec<_> = flavors.map(Flavor::as_str).collect();
            let row = listed.get(accent.as_str()).copied();
            assert_eq!(row, Some(flavors.join(", ").as_str()), "{accent:?}");
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = Accent::ALL.into_iter().map(Accent::as_str).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Accent::ALL.len());
    }
}
