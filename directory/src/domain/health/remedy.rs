//! What to do about failures, for whoever administers the client and muster.
//!
//! The same reason may come from what a client sends or from what its connection's
//! policy makes of it: then the policy tells which.

use super::Tally;
use crate::domain::policy::{OnMatch, OnOther, OnUnknownMember, Path, Policy};

/// What to do about failures of this kind of a connection with this policy.
pub fn remedy(tally: &Tally, policy: &Policy) -> String {
    let attribute = named(tally);
    let fixed = match tally.reason.as_str() {
        "REQUIRED_ATTRIBUTE_MISSING" => {
            return format!(
                "Users come without {attribute}. In Entra, under Provisioning > Attribute \
                 mapping, map a source attribute that every user has to {attribute}, or give it \
                 a default value."
            );
        }
        "USER_NAME_TAKEN" | "VALUE_TAKEN" => return taken(attribute, policy),
        "FIELD_INVALID" => return field(tally, policy),
        "MUTABILITY" => return mutability(tally, policy),
        "PATH_INVALID" => {
            return format!(
                "There is no attribute {attribute}. Delete its mapping, or register the extension \
                 schema that has it."
            );
        }
        "DISPLAY_NAME_TAKEN" => {
            "Another group has this name (case does not count). Rename one of the two in Entra."
        }
        "EXTERNAL_ID_TAKEN" => {
            "Another one of this connection has this externalId. Map to externalId what each has \
             of its own, objectId for example, or delete the other one."
        }
        "GROUP_IN_USE" => {
            "The group is in default_groups of a connection; change that policy first."
        }
        "GROUPS_DISABLED" => {
            "This connection has groups_enabled = false. In Entra: Provisioning > Mappings > \
             Provision Microsoft Entra ID Groups > Enabled: No."
        }
        "PROTECTED_ACCOUNT" => {
            "The account is in protected_users of the policy. Take it out of scope in Entra, or \
             out of the policy."
        }
        "FILTER_INVALID" => {
            "The matching attribute cannot be searched for. In the attribute mapping, match by \
             userName or externalId."
        }
        "USER_NOT_FOUND" => {
            "The client knows a user who is not here: deleted (by this client, too), purged, or \
             from before the database was restored. Restart provisioning, so that it matches anew."
        }
        "GROUP_NOT_FOUND" => {
            "The client knows a group that is not here: deleted (by this client, too), purged, or \
             from before the database was restored. Restart provisioning, so that it matches anew."
        }
        "CONNECTION_NOT_FOUND" => {
            "The Tenant URL names another connection. Take it from `muster connection show`."
        }
        "CREDENTIAL_INVALID" => {
            "The client still uses a credential that has expired or was revoked. Make a new one \
             with `muster credential create`, put it into the client and test the connection."
        }
        "SCOPE_MISSING" => "The credential may not do this. Make one without --scopes.",
        "GROUP_CYCLE" => "A group would be in itself. Take one of the nestings away at the source.",
        "RATE_LIMITED" => {
            "More requests than the limit allows. Raise rate_limits, or let fewer jobs run at \
             once; Entra tries again by itself."
        }
        _ => return by_status(tally),
    };
    fixed.to_owned()
}

fn named(tally: &Tally) -> &str {
    match tally.attribute.as_str() {
        "" => "the attribute that the detail names",
        name => name,
    }
}

/// Somebody has the value, and it depends on the policy who may be taken over.
fn taken(attribute: &str, policy: &Policy) -> String {
    let cause = match (policy.match_order.is_empty(), policy.on_match) {
        (true, _) => "The policy has no match_order, so that nobody who exists is taken over",
        (_, OnMatch::Conflict) => "With on_match = \"conflict\" nobody who exists is taken over",
        _ if policy.match_foreign => {
            "He has another externalId here, or is found by no key of match_order"
        }
        _ => {
            "He has another externalId here, is found by no key of match_order, or is another \
             connection's user while match_foreign is false"
        }
    };
    format!(
        "Somebody else here has this {attribute} already. {cause}. Look for him, then change one \
         of the two, or the policy."
    )
}

fn field(tally: &Tally, policy: &Policy) -> String {
    let attribute = named(tally);
    let is_strict = policy.on_other_attributes == OnOther::Reject;
    if attribute == "members.value" && policy.on_unknown_member == OnUnknownMember::Reject {
        return "A member is not here: not provisioned yet, or deleted. Bring it into scope; Entra \
                repeats the change. Or set on_unknown_member = \"skip\"."
            .to_owned();
    }
    if is_strict && is_other(&tally.attribute, policy) {
        return format!(
            "The connection's policy does not take {attribute}. Delete its mapping, or add it to \
             allowed_attributes."
        );
    }
    format!(
        "The value of {attribute} is not one that it may have. Correct the expression of its \
         mapping, or the value at the source."
    )
}

/// Whether a policy does not allow this attribute.
fn is_other(attribute: &str, policy: &Policy) -> bool {
    let Ok(path) = Path::parse(attribute) else {
        return false;
    };
    let fits = |allowed: &Path| allowed.meets(&path);
    !policy.allowed_attributes.is_empty() && !policy.allowed_attributes.iter().any(fits)
}

fn mutability(tally: &Tally, policy: &Policy) -> String {
    let attribute = named(tally);
    let mut rejected = policy.rejected_attributes.iter();
    if rejected.any(|path| path.to_string() == tally.attribute) {
        return format!("This connection does not take {attribute}. Delete the mapping.");
    }
    if policy.user_name_immutable && attribute == "userName" {
        return "userName may not be changed. In the attribute mapping, set \"Apply this mapping\" \
                to \"Only during object creation\", or delete the mapping."
            .to_owned();
    }
    format!(
        "{attribute} may not be written, or not once it has a value. Delete the mapping, or set \
         \"Apply this mapping\" to \"Only during object creation\"."
    )
}

/// What the directory did not say a reason for.
fn by_status(tally: &Tally) -> String {
    let fixed = match (tally.status, tally.scim_type.as_str()) {
        (404, _) => {
            "There is nothing at this address. Compare the client's Tenant URL with that of \
             `muster connection show`."
        }
        (405, _) => {
            "The address does not have this method: the Tenant URL may have a part too many or \
             too few. Compare it with that of `muster connection show`."
        }
        (499, _) => {
            "The client did not wait for the answer; Entra waits for a minute. Look at latency in \
             the log, and at what the database is busy with."
        }
        (501, _) => "The client asks for what is not offered. Turn that off in the client.",
        (409, _) => "A value is taken. Change one of the two who have it.",
        (412, _) => "Somebody else changed it meanwhile. The client reads it anew by itself.",
        (406 | 415, _) => "The client must send and take application/scim+json.",
        (413, _) => "The request is too large. Raise body_limit, or let the client send less.",
        (429, _) => "More requests than the limit allows. Raise rate_limits.",
        (_, "invalidSyntax") => {
            "The body is not what SCIM asks for. Compare the connection's flavor with its client."
        }
        (_, "invalidFilter") => "The filter cannot be read. Match by userName or externalId.",
        (_, "invalidPath") => "A mapping names an attribute that there is not. Delete it.",
        (_, "invalidValue") => {
            return format!(
                "The value of {} is not one that it may have. Correct its mapping.",
                named(tally)
            );
        }
        (_, "mutability") => "A mapping writes what may not be written. Delete it.",
        (500.., _) => {
            "The server could not do it. Its log has the cause, under the event's request id."
        }
        _ => "The detail of the latest event says what was wrong.",
    };
    fixed.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::MatchKey;

    fn failed(reason: &str, attribute: &str) -> Tally {
        Tally {
            failed: true,
            status: 400,
            reason: reason.to_owned(),
            attribute: attribute.to_owned(),
            count: 1,
            ..Tally::default()
        }
    }

    #[track_caller]
    fn check(reason: &str, attribute: &str, policy: &Policy, parts: &[&str]) {
        let told = remedy(&failed(reason, attribute), policy);
        for part in parts {
            assert!(told.contains(part), "{part}: {told}");
        }
    }

    fn paths(paths: &[&str]) -> Vec<Path> {
        let parsed = paths.iter().map(|path| Path::parse(path));
        parsed.collect::<Result<_, _>>().expect("paths")
    }

    #[test]
    fn every_remedy_says_something_to_do() {
        let plain = Policy::default();
        check(
            "REQUIRED_ATTRIBUTE_MISSING",
            "name.familyName",
            &plain,
            &["name.familyName", "Attribute mapping"],
        );
        for status in [
            400, 401, 404, 405, 406, 409, 412, 413, 415, 429, 499, 500, 501, 503,
        ] {
            let failure = Tally {
                status,
                ..failed("", "")
            };
            assert!(remedy(&failure, &plain).ends_with('.'), "{status}");
        }
        check("GROUPS_DISABLED", "", &plain, &["Enabled: No"]);
        check("PROTECTED_ACCOUNT", "", &plain, &["protected_users"]);
        check("GROUP_IN_USE", "", &plain, &["default_groups"]);
        check("DISPLAY_NAME_TAKEN", "displayName", &plain, &["group"]);
        check("GROUP_NOT_FOUND", "", &plain, &["group", "by this client"]);
        let dead = remedy(&failed("CREDENTIAL_INVALID", ""), &plain);
        assert!(
            dead.contains("create") && !dead.contains("rotate"),
            "{dead}"
        );
    }

    #[test]
    fn what_the_policy_rejects_is_told_from_what_may_not_change() {
        let policy = Policy {
            rejected_attributes: paths(&["roles"]),
            user_name_immutable: true,
            ..Policy::default()
        };
        let told = remedy(&failed("MUTABILITY", "roles"), &policy);
        assert_eq!(
            told,
            "This connection does not take roles. Delete the mapping."
        );
        check("MUTABILITY", "userName", &policy, &["Only during object"]);
        check("MUTABILITY", "title", &policy, &["title may not be"]);
    }

    #[test]
    fn what_the_policy_does_not_take_is_told_from_wrong_values() {
        let policy = Policy {
            allowed_attributes: paths(&["userName", "name.givenName", "emails[type eq \"work\"]"]),
            on_other_attributes: OnOther::Reject,
            ..Policy::default()
        };
        for other in ["nickName", "name.familyName", "emails[type eq \"home\"]"] {
            check(
                "FIELD_INVALID",
                other,
                &policy,
                &[other, "allowed_attributes"],
            );
        }
        for wrong in ["userName", "emails.value", "name.givenName", ""] {
            check("FIELD_INVALID", wrong, &policy, &["is not one that it may"]);
        }
        check(
            "FIELD_INVALID",
            "nickName",
            &Policy::default(),
            &["may have"],
        );
    }

    #[test]
    fn unknown_members_are_no_wrong_values() {
        let policy = Policy::default();
        let parts = ["into scope", "on_unknown_member"];
        check("FIELD_INVALID", "members.value", &policy, &parts);
    }

    #[test]
    fn why_a_value_is_taken_depends_on_the_policy() {
        let none = Policy::default();
        check("USER_NAME_TAKEN", "userName", &none, &["no match_order"]);
        let refused = Policy {
            match_order: vec![MatchKey::UserName],
            ..Policy::default()
        };
        check("USER_NAME_TAKEN", "userName", &refused, &["on_match ="]);
        let own = Policy {
            on_match: OnMatch::Merge,
            ..refused
        };
        check(
            "USER_NAME_TAKEN",
            "userName",
            &own,
            &["another externalId", "match_foreign"],
        );
        let told = remedy(&failed("USER_NAME_TAKEN", "userName"), &own);
        assert!(!told.contains("no match_order"), "{told}");
    }
}
