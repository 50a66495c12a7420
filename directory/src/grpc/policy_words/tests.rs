use super::*;

/// A policy of which no field is the default.
fn full() -> Policy {
    let json = serde_json::json!({
        "groups_enabled": false,
        "match_order": ["external_id", "user_name", "work_email", "employee_number"],
        "on_match": "merge",
        "match_deleted": true,
        "match_foreign": true,
        "never_overwrite": ["title"],
        "required_attributes": ["userName", "emails[type eq \"work\"].value"],
        "require_email": true,
        "allowed_attributes": [
            "userName", "active", "name", "title",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
        ],
        "on_other_attributes": "reject",
        "rejected_attributes": ["nickName"],
        "user_name_immutable": true,
        "emails": "primary_only",
        "phone_numbers": "primary_or_single",
        "lookups": {"title": ["Engineer", ""], "userType": ["Employee"]},
        "mirror": {"displayName": "nickName", "title": "userType"},
        "default_groups": ["Everyone"],
        "create_default_groups": true,
        "on_delete": "hard",
        "on_unknown_member": "skip",
        "members_by_external_id": false,
        "credential_lifetime": "365d 1ms",
        "credential_limit": 0,
        "require_activation": true,
        "group_roles": [{"group": "Admins", "role": "owner"}, {"group": "", "role": ""}],
        "base_path": "/scim/{connection}",
        "deprovision_guard": {
            "max_users": 0, "max_percent": 7, "min_users": 3, "window": "1h", "max_hold": "500ms",
        },
        "protected_users": ["boss"],
    });
    serde_json::from_value(json).expect("a policy")
}

fn read(wire: v1::ConnectionPolicy) -> Result<Policy> {
    let mut reader = Reader::default();
    let policy = reader.policy(wire);
    reader.finish(policy)
}

/// The fields that are found wrong, each once.
fn faults(wire: v1::ConnectionPolicy) -> Vec<String> {
    match read(wire) {
        Err(Error::Invalid(violations)) => {
            let mut fields: Vec<_> = violations.into_iter().map(|v| v.field).collect();
            fields.dedup();
            fields
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_policy_is_read_as_it_was_written() {
    let policy = full();
    let (written, default) = (
        serde_json::to_value(&policy).expect("JSON"),
        serde_json::to_value(Policy::default()).expect("JSON"),
    );
    for (field, value) in written.as_object().expect("an object") {
        assert_ne!(value, &default[field], "{field} is not tried");
    }
    assert_eq!(read(super::policy(policy.clone())).expect("it is"), policy);
}

#[test]
fn every_choice_is_read_as_it_was_written() {
    let choices = [
        (OnMatch::Conflict, Kept::All, OnDelete::Soft),
        (OnMatch::Adopt, Kept::PrimaryOnly, OnDelete::Deactivate),
        (OnMatch::Merge, Kept::PrimaryOrSingle, OnDelete::Hard),
    ];
    for (on_match, emails, on_delete) in choices {
        for on_other_attributes in [OnOther::Ignore, OnOther::Reject] {
            for on_unknown_member in [OnUnknownMember::Reject, OnUnknownMember::Skip] {
                let policy = Policy {
                    on_match,
                    emails,
                    phone_numbers: emails,
                    on_delete,
                    on_other_attributes,
                    on_unknown_member,
                    ..Policy::default()
                };
                assert_eq!(read(super::policy(policy.clone())).expect("it is"), policy);
            }
        }
    }
}

#[test]
fn what_is_not_said_is_the_default() {
    let empty = v1::ConnectionPolicy::default();
    assert_eq!(read(empty).expect("nothing is wrong"), Policy::default());
    let guard = v1::DeprovisionGuard {
        max_users: Some(5),
        window: Some(Duration {
            seconds: 60,
            nanos: 0,
        }),
        ..Default::default()
    };
    let wire = v1::ConnectionPolicy {
        deprovision_guard: Some(guard),
        ..Default::default()
    };
    let guard = read(wire).expect("nothing is wrong").deprovision_guard;
    let file = r#"{"max_users": 5, "window": "1m"}"#;
    assert_eq!(guard, serde_json::from_str(file).expect("a guard"));
}

#[test]
fn everything_that_cannot_be_read_is_told() {
    let wire = v1::ConnectionPolicy {
        match_order: vec![0, 99],
        on_match: 99,
        never_overwrite: vec!["a b".to_owned()],
        on_other_attributes: 99,
        emails: -1,
        phone_numbers: 99,
        lookups: vec![
            v1::AttributeLookup {
                attribute: "title".to_owned(),
                values: vec!["x".to_owned()],
            };
            2
        ],
        mirror: vec![v1::AttributeMirror::default()],
        on_delete: 99,
        on_unknown_member: 99,
        credential_lifetime: Some(Duration::default()),
        deprovision_guard: Some(v1::DeprovisionGuard::default()),
        ..Default::default()
    };
    let told = [
        "match_order",
        "on_match",
        "never_overwrite",
        "on_other_attributes",
        "emails",
        "phone_numbers",
        "lookups",
        "mirror",
        "on_delete",
        "on_unknown_member",
        "credential_lifetime",
        "deprovision_guard.window",
    ];
    assert_eq!(faults(wire), told);
}

#[test]
fn a_long_list_is_not_read() {
    let many = vec!["title".to_owned(); LIST_LIMIT + 1];
    let wire = v1::ConnectionPolicy {
        match_order: vec![1; LIST_LIMIT + 1],
        required_attributes: many.clone(),
        lookups: vec![v1::AttributeLookup::default(); LIST_LIMIT + 1],
        mirror: vec![v1::AttributeMirror::default(); LIST_LIMIT + 1],
        default_groups: many.clone(),
        group_roles: vec![v1::GroupRole::default(); LIST_LIMIT + 1],
        protected_users: many,
        ..Default::default()
    };
    let told = [
        "match_order",
        "required_attributes",
        "lookups",
        "mirror",
        "default_groups",
        "group_roles",
        "protected_users",
    ];
    assert_eq!(faults(wire), told);
}

#[test]
fn spans_are_whole_milliseconds_within_bounds() {
    let year = 31_556_952;
    for (seconds, nanos, ms) in [
        (1, 500_000_000, Some(1_500)),
        (0, 1_000_000, Some(1)),
        (0, 0, None),
        (0, 1, None),
        (-1, 0, None),
        (1, -1_000_000, None),
        (0, 1_000_000_000, None),
        (1_000 * year, 0, Some(1_000_000 * year)),
        (1_000 * year, 1_000_000, None),
        (i64::MAX, 0, None),
    ] {
        let span = Some(Duration { seconds, nanos });
        let mut reader = Reader::default();
        let read = reader.lifetime("credential_lifetime", span);
        assert_eq!(read.map(Lifetime::ms), ms, "{span:?}");
        assert_eq!(reader.0.is_empty(), ms.is_some(), "{span:?}");
    }
}

#[test]
fn a_mask_says_what_changes() {
    let request = |paths: &[&str], connection: v1::Connection| v1::UpdateConnectionRequest {
        connection: Some(connection),
        update_mask: Some(prost_types::FieldMask {
            paths: paths.iter().map(ToString::to_string).collect(),
        }),
        options: None,
    };
    let set = v1::Connection {
        id: "c1".to_owned(),
        display_name: "entra".to_owned(),
        policy: Some(v1::ConnectionPolicy::default()),
        ..Default::default()
    };
    let (id, edit) = update(request(&[], set.clone())).expect("what is set");
    assert_eq!((id.as_str(), edit.name.as_deref()), ("c1", Some("entra")));
    assert!(edit.flavor.is_none() && edit.policy.is_some());
    let (_, edit) = update(request(&["flavor"], set.clone())).expect("what is named");
    assert_eq!((edit.name, edit.policy), (None, None));
    assert_eq!(edit.flavor, Some(Flavor::default()));
    for unknown in ["id", "meta", "policy.emails", "*", ""] {
        assert!(
            update(request(&[unknown], set.clone())).is_err(),
            "{unknown}"
        );
    }
    let odd = v1::Connection { flavor: 99, ..set };
    assert!(update(request(&[], odd)).is_err());
}
