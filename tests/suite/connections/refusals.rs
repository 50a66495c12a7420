//! What is refused of connections and their policies.

use super::*;

#[test]
fn everything_that_contradicts_is_told_and_nothing_is_written() {
    let (_tenant, admin) = world();
    let made = create(&admin, "a", ConnectionPolicy::default());
    let contradicting = ConnectionPolicy {
        on_match: MatchAction::Adopt.into(),
        never_overwrite: texts(&["title"]),
        allowed_attributes: texts(&["userName"]),
        required_attributes: texts(&["nickName"]),
        credential_limit: Some(0),
        deprovision_guard: Some(v1::DeprovisionGuard {
            window: Some(Duration {
                seconds: 60,
                nanos: 0,
            }),
            ..Default::default()
        }),
        base_path: "scim".to_owned(),
        ..Default::default()
    };
    let unreadable = ConnectionPolicy {
        match_order: vec![99],
        on_delete: 99,
        rejected_attributes: texts(&["a b"]),
        credential_lifetime: Some(Duration {
            seconds: -1,
            nanos: 0,
        }),
        ..Default::default()
    };
    let long = ConnectionPolicy {
        allowed_attributes: vec!["title".to_owned(); 100_000],
        default_groups: vec![String::new(); 100_000],
        ..Default::default()
    };
    let values = (0..100_000).map(|at| at.to_string()).collect();
    let listed = ConnectionPolicy {
        lookups: vec![v1::AttributeLookup {
            attribute: "title".to_owned(),
            values,
        }],
        ..Default::default()
    };
    for (policy, fields) in [
        (
            contradicting,
            &[
                "allowed_attributes",
                "base_path",
                "credential_limit",
                "deprovision_guard",
                "never_overwrite",
                "on_match",
                "required_attributes",
            ][..],
        ),
        (
            unreadable,
            &[
                "credential_lifetime",
                "match_order",
                "on_delete",
                "rejected_attributes",
            ],
        ),
        (long, &["allowed_attributes", "default_groups"]),
        (listed, &["lookups.title", "policy"]),
    ] {
        let status = try_create(&admin, named("b", policy.clone()));
        let status = refused(status, Code::InvalidArgument, "FIELD_INVALID");
        assert_eq!(faults(&status), fields);
        let wanted = v1::Connection {
            id: made.id.clone(),
            ..named("b", policy)
        };
        let status = try_update(&admin, request(wanted, ""));
        let status = refused(status, Code::InvalidArgument, "FIELD_INVALID");
        assert_eq!(faults(&status), fields);
    }
    let odd = v1::Connection {
        flavor: 99,
        ..named("b", ConnectionPolicy::default())
    };
    let status = refused(
        try_create(&admin, odd),
        Code::InvalidArgument,
        "FIELD_INVALID",
    );
    assert_eq!(faults(&status), ["flavor"]);
    assert_eq!(get(&admin, &made.id), made);
    assert_eq!(all(&admin, 0).0.len(), 2, "no further connection");
}

#[test]
fn another_tenants_connection_is_not_found() {
    let ((_ours, admin), (theirs, owner)) = (world(), world());
    let before = get(&owner, &theirs.connection_id);
    let wanted = v1::Connection {
        id: theirs.connection_id.clone(),
        display_name: "ours".to_owned(),
        ..Default::default()
    };
    for mask in ["", "display_name", "policy"] {
        let answer = try_update(&admin, request(wanted.clone(), mask));
        let _ = refused(answer, Code::NotFound, "CONNECTION_NOT_FOUND");
    }
    let answer = try_get(&admin, &theirs.connection_id);
    let _ = refused(answer, Code::NotFound, "CONNECTION_NOT_FOUND");
    let theirs = |found: &v1::Connection| found.id == theirs.connection_id;
    assert!(!all(&admin, 0).0.iter().any(theirs));
    assert_eq!(get(&owner, &before.id), before);
    // Their groups are no default groups of ours.
    let policy = ConnectionPolicy {
        protected_users: vec![before.id],
        ..Default::default()
    };
    let answer = try_create(&admin, named("b", policy));
    let status = refused(answer, Code::InvalidArgument, "FIELD_INVALID");
    assert_eq!(faults(&status), ["protected_users"]);
}

#[test]
fn what_was_done_and_refused_is_in_the_audit() {
    let (tenant, admin) = world();
    let reader = Service::create(super::super::server(), &tenant, "provisioning.read").grpc();
    let made = create(&admin, "a", ConnectionPolicy::default());
    let renamed = v1::Connection {
        display_name: "b".to_owned(),
        ..made.clone()
    };
    update(&admin, renamed.clone(), "");
    // It is that already.
    update(&admin, renamed.clone(), "");
    let taken = named("entra", ConnectionPolicy::default());
    let _ = refused(
        try_create(&admin, taken),
        Code::AlreadyExists,
        "DISPLAY_NAME_TAKEN",
    );
    let odd = v1::Connection {
        flavor: 99,
        ..made.clone()
    };
    let answer = try_update(&admin, request(odd, "flavor"));
    let _ = refused(answer, Code::InvalidArgument, "FIELD_INVALID");
    let answer = try_update(&reader, request(renamed, ""));
    let _ = refused(answer, Code::PermissionDenied, "SCOPE_MISSING");
    let answer = try_create(&reader, named("c", ConnectionPolicy::default()));
    let _ = refused(answer, Code::PermissionDenied, "SCOPE_MISSING");
    let entries = wait(
        admin
            .audit()
            .list_audit_entries(ListAuditEntriesRequest::default()),
    );
    let entries = entries.expect("entries are listed").into_inner().entries;
    let told: Vec<_> = entries
        .iter()
        .map(|e| {
            (
                e.method.as_str(),
                e.outcome.as_str(),
                e.resource_id.as_str(),
            )
        })
        .take(6)
        .collect();
    let id = made.id.as_str();
    let expected = [
        ("CreateConnection", "PERMISSION_DENIED", ""),
        ("UpdateConnection", "PERMISSION_DENIED", ""),
        ("UpdateConnection", "INVALID_ARGUMENT", id),
        ("CreateConnection", "ALREADY_EXISTS", ""),
        ("UpdateConnection", "OK", id),
        ("CreateConnection", "OK", id),
    ];
    assert_eq!(told, expected);
}
