//! Service clients: what may be registered.

use super::fold::fold;

/// Most audiences or scopes of a kind.
const NAMES: usize = 100;

/// Longest name of an audience or a scope, in bytes.
const NAME_LIMIT: usize = 500;

/// What all audiences of the directory itself begin with. No token of a user
/// names one.
const OWN: &str = "muster:";

/// Scopes over what belongs to the server and to no tenant: operators alone give
/// them.
pub const SERVER_SCOPES: [&str; 3] = ["keys.admin", "server.admin", "server.read"];

/// Audience of tokens of service clients, and of their assertions.
pub fn directory_audience(tenant_id: &str) -> String {
    format!("{OWN}directory:{tenant_id}")
}

/// Audience of access tokens of connections.
pub fn connection_audience(tenant_id: &str) -> String {
    format!("{OWN}scim:{tenant_id}")
}

/// What a service client may put into tokens of users.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grantable {
    /// Audiences.
    pub audiences: Vec<String>,
    /// Scopes; `None` for any.
    pub scopes: Option<Vec<String>>,
}

impl Grantable {
    /// The first audience or scope of these that is not grantable.
    pub fn excess<'a>(&self, audiences: &'a [String], scopes: &'a [String]) -> Option<&'a str> {
        let mut foreign = audiences.iter().filter(|a| !self.audiences.contains(a));
        let beyond = |scope: &&String| {
            let granted = self.scopes.as_ref();
            granted.is_some_and(|granted| !granted.contains(scope))
        };
        let mut beyond = scopes.iter().filter(beyond);
        let first = foreign.next().or_else(|| beyond.next());
        first.map(String::as_str)
    }
}

/// Audiences of others than the directory itself.
///
/// # Errors
/// The rule that they break.
pub fn checked_audiences(audiences: &[String]) -> Result<Vec<String>, String> {
    let sound = |audience: &String| {
        let plain = |c: char| !c.is_control() && !c.is_whitespace();
        (1..=NAME_LIMIT).contains(&audience.len()) && audience.chars().all(plain)
    };
    if audiences.len() > NAMES {
        return Err(format!("must name at most {NAMES}"));
    }
    if !audiences.iter().all(sound) {
        return Err(format!(
            "must have 1 to {NAME_LIMIT} bytes each, without spaces"
        ));
    }
    match audiences
        .iter()
        .find(|audience| fold(audience).starts_with(OWN))
    {
        Some(_) => Err(format!("must not name the directory itself ({OWN}...)")),
        None => Ok(unique(audiences)),
    }
}

/// Scopes in the syntax of RFC 6749 section 3.3.
///
/// # Errors
/// The rule that they break.
pub fn checked_scope_names(scopes: &[String]) -> Result<Vec<String>, String> {
    let plain = |b: u8| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    let sound =
        |scope: &String| (1..=NAME_LIMIT).contains(&scope.len()) && scope.bytes().all(plain);
    if scopes.len() > NAMES {
        return Err(format!("must name at most {NAMES}"));
    }
    match scopes.iter().all(sound) {
        true => Ok(unique(scopes)),
        false => Err("must have printable ASCII characters alone, without spaces".to_owned()),
    }
}

/// Each once, in the order given.
fn unique(names: &[String]) -> Vec<String> {
    let mut seen: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        if !seen.contains(name) {
            seen.push(name.clone());
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn audiences_are_those_of_others() {
        let fine = names(&[
            "https://api.example.test",
            "urn:x",
            "https://api.example.test",
        ]);
        assert_eq!(checked_audiences(&fine).unwrap(), fine[..2]);
        for wrong in ["", "a b", "muster:directory:x", "MUSTER:scim:x", "a\u{7}"] {
            assert!(checked_audiences(&names(&[wrong])).is_err(), "{wrong}");
        }
        assert!(checked_audiences(&vec!["a".to_owned(); 101]).is_err());
    }

    #[test]
    fn scopes_are_what_oauth_calls_so() {
        assert!(checked_scope_names(&names(&["read", "https://x/y.z"])).is_ok());
        for wrong in ["", "a b", "\"", "\\", "\u{e9}"] {
            assert!(checked_scope_names(&names(&[wrong])).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_registered_is_not_granted() {
        let any = Grantable {
            audiences: names(&["a"]),
            scopes: None,
        };
        assert_eq!(any.excess(&names(&["a"]), &names(&["x"])), None);
        assert_eq!(any.excess(&names(&["a", "b"]), &[]), Some("b"));
        let some = Grantable {
            scopes: Some(names(&["x"])),
            ..any
        };
        assert_eq!(some.excess(&names(&["a"]), &names(&["x", "y"])), Some("y"));
    }
}
