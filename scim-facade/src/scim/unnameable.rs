//! Attributes of users that the requests of a connection may not even name.
//!
//! `groups` and `password` are kept of no user, and otherwise passed over (RFC 7643
//! sections 4.1.2 and 7). Where a connection's policy rejects them, whoever sends one
//! learns that nothing comes of it.

use muster_proto::{reason, schema::USER, v1::ErrorReason};

use super::{
    error::ScimError,
    json::{Json, Members},
};

/// Their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unnameable(pub Vec<String>);

impl Unnameable {
    /// Looks at a user of POST or PUT.
    ///
    /// # Errors
    /// `mutability` for an attribute that may not be named and has a value.
    pub fn check(&self, user: &Members) -> Result<(), ScimError> {
        let has_value = |json: &Json| match json {
            // RFC 7643 section 2.5: both are the same as not being there.
            Json::Null => false,
            Json::Array(elements) => !elements.is_empty(),
            _ => true,
        };
        let Members(members) = user;
        let mut named = members.iter().filter(|(_, json)| has_value(json));
        named.try_for_each(|(key, _)| self.check_name(key))
    }

    /// Looks at a PATCH body.
    ///
    /// # Errors
    /// `mutability`, as for [`check`](Self::check).
    pub fn check_patch(&self, body: &Members) -> Result<(), ScimError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let Some(Json::Array(operations)) = body.get("Operations") else {
            return Ok(());
        };
        for operation in operations {
            let Json::Object(operation) = operation else {
                continue;
            };
            let path = operation.get("path").and_then(Json::as_str);
            match (path.unwrap_or_default(), operation.get("value")) {
                ("", Some(Json::Object(user))) => self.check(user)?,
                (path, _) => self.check_name(path)?,
            }
        }
        Ok(())
    }

    fn check_name(&self, path: &str) -> Result<(), ScimError> {
        let core = USER.core.urn;
        let urn_and_rest = path.split_at_checked(core.len());
        let name = match urn_and_rest {
            Some((urn, rest)) if urn.eq_ignore_ascii_case(core) => rest.trim_start_matches(':'),
            _ => path,
        };
        let name = name.split(['.', '[']).next().unwrap_or_default().trim();
        match self.0.iter().find(|one| one.eq_ignore_ascii_case(name)) {
            Some(name) => {
                let error =
                    ScimError::mutability(format!("{name} is not for this client to write."));
                Err(error.because(reason::name(ErrorReason::Mutability), name))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(json: &str) -> Members {
        super::super::json::parse_object(json.as_bytes()).expect("an object")
    }

    fn both() -> Unnameable {
        Unnameable(vec!["groups".to_owned(), "password".to_owned()])
    }

    #[test]
    fn whatever_names_one_is_refused() {
        for user in [
            r#"{"password": "x"}"#,
            r#"{"Groups": [{"value": "g"}]}"#,
            r#"{"urn:ietf:params:scim:schemas:core:2.0:User:password": ""}"#,
        ] {
            let told = both().check(&members(user)).expect_err(user);
            assert_eq!(told.status(), 400, "{user}");
            assert_eq!(Unnameable::default().check(&members(user)), Ok(()));
            let patch = format!(r#"{{"Operations": [{{"op": "add", "value": {user}}}]}}"#);
            assert!(both().check_patch(&members(&patch)).is_err(), "{user}");
        }
        for path in [
            "password",
            r#"groups[value eq \"g\"]"#,
            "GROUPS.value",
            "urn:ietf:params:scim:schemas:core:2.0:user:groups",
        ] {
            let patch = format!(r#"{{"Operations": [{{"op": "remove", "path": "{path}"}}]}}"#);
            assert!(both().check_patch(&members(&patch)).is_err(), "{path}");
        }
    }

    #[test]
    fn what_has_no_value_or_another_name_is_none() {
        for user in [
            r#"{"groups": [], "password": null}"#,
            r#"{"passwords": "x", "urn:acme:2.0:User:password": "x"}"#,
        ] {
            assert_eq!(both().check(&members(user)), Ok(()), "{user}");
        }
        for patch in [
            r#"{"Operations": "none"}"#,
            r#"{"Operations": [1, {"path": "title", "value": "groups"}]}"#,
        ] {
            assert_eq!(both().check_patch(&members(patch)), Ok(()), "{patch}");
        }
    }
}
