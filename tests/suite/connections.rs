//! Connections and their policies over gRPC: made, listed, changed; and that clients
//! meet a new policy with their next request.

mod refusals;

use muster_proto::v1::{
    self, ConnectionPolicy, DeleteAction, KeptValues, ListAuditEntriesRequest, MatchAction,
    MatchKey, OtherAttributesAction, UnknownMemberAction,
};
use muster_tests::{
    grpc::{Grpc, reason},
    runtime::wait,
    scim::{GROUP, USER},
    service::Service,
    tenant::Tenant,
};
use prost_types::{Duration, FieldMask};
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

const SCOPES: &str = "provisioning.admin,provisioning.read,audit.read";

/// A tenant, and whoever administers its connections.
fn world() -> (Tenant, Grpc) {
    let tenant = super::tenant();
    let admin = Service::create(super::server(), &tenant, SCOPES).grpc();
    (tenant, admin)
}

fn try_create(grpc: &Grpc, connection: v1::Connection) -> Result<v1::Connection, Status> {
    let request = v1::CreateConnectionRequest {
        connection: Some(connection),
        options: None,
    };
    let answer = wait(grpc.provisioning().create_connection(request))?;
    Ok(answer.into_inner().connection.expect("the new connection"))
}

#[track_caller]
fn create(grpc: &Grpc, name: &str, policy: ConnectionPolicy) -> v1::Connection {
    try_create(grpc, named(name, policy)).expect("it is made")
}

fn named(name: &str, policy: ConnectionPolicy) -> v1::Connection {
    v1::Connection {
        display_name: name.to_owned(),
        policy: Some(policy),
        ..Default::default()
    }
}

fn try_get(grpc: &Grpc, id: &str) -> Result<v1::Connection, Status> {
    let request = v1::GetConnectionRequest { id: id.to_owned() };
    let answer = wait(grpc.provisioning().get_connection(request))?;
    Ok(answer.into_inner().connection.expect("a connection"))
}

#[track_caller]
fn get(grpc: &Grpc, id: &str) -> v1::Connection {
    try_get(grpc, id).expect("it is there")
}

/// An update of these fields, separated by commas.
fn request(connection: v1::Connection, mask: &str) -> v1::UpdateConnectionRequest {
    let paths = mask.split(',').filter(|path| !path.is_empty());
    v1::UpdateConnectionRequest {
        connection: Some(connection),
        update_mask: Some(FieldMask {
            paths: paths.map(str::to_owned).collect(),
        }),
        options: None,
    }
}

fn try_update(grpc: &Grpc, request: v1::UpdateConnectionRequest) -> Result<v1::Connection, Status> {
    let answer = wait(grpc.provisioning().update_connection(request))?;
    Ok(answer.into_inner().connection.expect("the connection"))
}

#[track_caller]
fn update(grpc: &Grpc, connection: v1::Connection, mask: &str) -> v1::Connection {
    try_update(grpc, request(connection, mask)).expect("it is changed")
}

fn list(grpc: &Grpc, size: i32, token: String) -> v1::ListConnectionsResponse {
    let page = v1::PageRequest {
        page_size: size,
        page_token: token,
        ..Default::default()
    };
    let request = v1::ListConnectionsRequest { page: Some(page) };
    let answer = wait(grpc.provisioning().list_connections(request));
    answer.expect("connections are listed").into_inner()
}

/// All connections, and how many pages they make.
fn all(grpc: &Grpc, size: i32) -> (Vec<v1::Connection>, usize) {
    let (mut found, mut token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = list(grpc, size, token);
        found.extend(page.connections);
        pages += 1;
        token = page.page.expect("where it goes on").next_page_token;
        if token.is_empty() {
            return (found, pages);
        }
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, why: &str) -> Status {
    let status = answer.expect_err(why);
    assert_eq!(status.code(), code, "{status:?}");
    assert_eq!(reason(&status), why, "{status:?}");
    status
}

/// The fields that are told to be wrong, each once.
fn faults(status: &Status) -> Vec<String> {
    let details = status.get_details_bad_request().expect("fields are named");
    let fields = details.field_violations.into_iter().map(|v| v.field);
    let mut fields: Vec<_> = fields.collect();
    fields.sort();
    fields.dedup();
    fields
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

/// A policy that says everything, of a tenant with this group and user.
fn full(group: &str, user: &str) -> ConnectionPolicy {
    let span = |seconds| Some(Duration { seconds, nanos: 0 });
    let department = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department";
    ConnectionPolicy {
        groups_enabled: Some(false),
        match_order: vec![MatchKey::WorkEmail.into(), MatchKey::UserName.into()],
        on_match: MatchAction::Merge.into(),
        match_deleted: true,
        match_foreign: true,
        never_overwrite: texts(&["title"]),
        required_attributes: texts(&["userName", "emails[type eq \"work\"].value"]),
        allowed_attributes: texts(&[
            "userName",
            "active",
            "title",
            "emails",
            "displayName",
            "nickName",
            department,
        ]),
        require_email: true,
        on_other_attributes: OtherAttributesAction::Reject.into(),
        rejected_attributes: texts(&["locale"]),
        user_name_immutable: true,
        emails: KeptValues::PrimaryOrSingle.into(),
        phone_numbers: KeptValues::PrimaryOnly.into(),
        lookups: vec![v1::AttributeLookup {
            attribute: department.to_owned(),
            values: texts(&["Engines", "Sales"]),
        }],
        mirror: vec![v1::AttributeMirror {
            from: "displayName".to_owned(),
            to: "nickName".to_owned(),
        }],
        default_groups: texts(&[group]),
        create_default_groups: true,
        on_delete: DeleteAction::HardDelete.into(),
        on_unknown_member: UnknownMemberAction::Skip.into(),
        members_by_external_id: Some(false),
        credential_lifetime: span(365 * 86_400),
        credential_limit: Some(2),
        require_activation: true,
        group_roles: vec![v1::GroupRole {
            group: "Admins".to_owned(),
            role: "owner".to_owned(),
        }],
        base_path: "/scim/{connection}".to_owned(),
        deprovision_guard: Some(v1::DeprovisionGuard {
            max_users: Some(0),
            max_percent: Some(5),
            min_users: Some(3),
            window: span(3_600),
            max_hold: span(7_200),
        }),
        protected_users: texts(&[user]),
    }
}

#[test]
fn a_policy_is_read_back_as_it_was_set() {
    let (tenant, admin) = world();
    let scim = tenant.scim();
    let (group, user) = (scim.group("Everyone", &[]), scim.user("boss"));
    // Groups and users may be named; answers have their ids.
    let made = create(&admin, "full", full("everyone", "BOSS"));
    assert_eq!(made.policy, Some(full(&group, &user)));
    assert_eq!(made.flavor(), v1::Flavor::Entra);
    assert_eq!(get(&admin, &made.id), made);
    // What was read can be sent.
    assert_eq!(update(&admin, made.clone(), ""), made);
    let other = create(&admin, "again", full(&group, &user));
    assert_eq!(other.policy, made.policy);
    let plain = create(&admin, "plain", ConnectionPolicy::default());
    let own = get(&admin, &tenant.connection_id);
    assert_eq!(plain.policy, own.policy, "what the command makes");
    assert_eq!(update(&admin, plain.clone(), "policy"), plain);
}

#[test]
fn a_default_group_can_come_with_the_policy() {
    let (tenant, admin) = world();
    let mut policy = ConnectionPolicy {
        default_groups: texts(&["Everyone"]),
        ..Default::default()
    };
    let answer = try_create(&admin, named("a", policy.clone()));
    let status = refused(answer, Code::InvalidArgument, "FIELD_INVALID");
    assert_eq!(faults(&status), ["default_groups"]);
    policy.create_default_groups = true;
    let made = create(&admin, "a", policy);
    let groups = made.policy.expect("a policy").default_groups;
    let [group] = groups.as_slice() else {
        panic!("{groups:?}");
    };
    let read = tenant.scim().get(&format!("/Groups/{group}")).status(200);
    assert_eq!(read.json()["displayName"], "Everyone");
}

#[test]
fn every_preset_is_the_same_over_grpc() {
    let (tenant, admin) = world();
    let cli = super::server().admin();
    for preset in [
        "entra-default",
        "okta",
        "wintro",
        "weftid",
        "generic",
        "configcat",
        "ultimo",
    ] {
        let arguments = [
            "connection",
            "create",
            "--tenant",
            &tenant.id,
            "--name",
            preset,
        ];
        let made: Value = cli.json(&[&arguments[..], &["--preset", preset]].concat());
        let made = get(&admin, made["id"].as_str().expect("its id"));
        let copy = v1::Connection {
            display_name: format!("{preset} again"),
            ..made.clone()
        };
        let copy = try_create(&admin, copy).expect(preset);
        assert_ne!(copy.id, made.id);
        assert_eq!((copy.policy, copy.flavor), (made.policy, made.flavor));
    }
}

#[test]
fn connections_are_listed_in_pages() {
    let (tenant, admin) = world();
    for name in ["a", "b", "c", "d"] {
        create(&admin, name, ConnectionPolicy::default());
    }
    let (found, pages) = all(&admin, 2);
    let names: Vec<_> = found.iter().map(|c| c.display_name.as_str()).collect();
    assert_eq!((names, pages), (vec!["entra", "a", "b", "c", "d"], 3));
    assert_eq!(found[0], get(&admin, &tenant.connection_id));
    assert_eq!(all(&admin, 5), (found.clone(), 1), "no empty page behind");
    assert_eq!(all(&admin, 0).0, found);
    let own = tenant.grpc_may(super::server(), "provisioning.read");
    assert_eq!(
        all(&own, 0),
        (found[..1].to_vec(), 1),
        "a client's own alone"
    );
    let page = v1::PageRequest {
        skip: 1,
        ..Default::default()
    };
    let request = v1::ListConnectionsRequest { page: Some(page) };
    let answer = wait(admin.provisioning().list_connections(request));
    let _ = refused(answer, Code::InvalidArgument, "FIELD_INVALID");
}

#[test]
fn a_page_of_large_policies_ends_early() {
    let (_tenant, admin) = world();
    let values = (0..9_000).map(|at| format!("{at:050}")).collect();
    let large = ConnectionPolicy {
        lookups: vec![v1::AttributeLookup {
            attribute: "title".to_owned(),
            values,
        }],
        ..Default::default()
    };
    for name in ["a", "b", "c", "d"] {
        create(&admin, name, large.clone());
    }
    let (found, pages) = all(&admin, 0);
    assert_eq!((found.len(), pages), (5, 2));
}

#[test]
fn a_connection_is_renamed() {
    let (tenant, admin) = world();
    let scim = tenant.scim();
    let made = create(&admin, "hr", ConnectionPolicy::default());
    let rename = |id: &str, name: &str| {
        let connection = v1::Connection {
            id: id.to_owned(),
            display_name: name.to_owned(),
            ..Default::default()
        };
        try_update(&admin, request(connection, "display_name"))
    };
    for taken in ["entra", "ENTRA"] {
        let _ = refused(
            rename(&made.id, taken),
            Code::AlreadyExists,
            "DISPLAY_NAME_TAKEN",
        );
    }
    for wrong in ["", " ", "a\nb", &"x".repeat(201)] {
        let status = refused(
            rename(&made.id, wrong),
            Code::InvalidArgument,
            "FIELD_INVALID",
        );
        assert_eq!(faults(&status), ["display_name"]);
    }
    assert_eq!(get(&admin, &made.id), made);
    let renamed = rename(&made.id, "HR").expect("it differs in case alone");
    assert_eq!(renamed.display_name, "HR");
    assert_eq!(renamed.policy, made.policy);
    let (before, after) = (made.meta.expect("meta"), renamed.meta.expect("meta"));
    assert_eq!((before.version, after.version), (1, 2));
    assert_ne!(before.etag, after.etag);
    // A name is no id, and the client keeps its credential.
    let _ = refused(rename("entra", "x"), Code::NotFound, "CONNECTION_NOT_FOUND");
    rename(&tenant.connection_id, "Entra of Acme").expect("it is renamed");
    assert_eq!(scim.get("/Users").total(), 0);
    let _ = create(&admin, "entra", ConnectionPolicy::default());
}

#[test]
fn an_update_changes_what_the_mask_names() {
    let (_tenant, admin) = world();
    let policy = ConnectionPolicy {
        on_delete: DeleteAction::Deactivate.into(),
        ..Default::default()
    };
    let made = create(&admin, "a", policy);
    let wanted = v1::Connection {
        flavor: v1::Flavor::Okta.into(),
        display_name: "b".to_owned(),
        policy: None,
        ..made.clone()
    };
    let flavored = update(&admin, wanted.clone(), "flavor");
    assert_eq!(flavored.flavor(), v1::Flavor::Okta);
    assert_eq!(
        (flavored.display_name.as_str(), &flavored.policy),
        ("a", &made.policy)
    );
    // Without a mask: what is set.
    let named = update(&admin, wanted.clone(), "");
    assert_eq!(
        (named.display_name.as_str(), &named.policy),
        ("b", &made.policy)
    );
    // What is named and not set is the default.
    let reset = update(&admin, wanted.clone(), "policy");
    let policy = reset.policy.expect("a policy");
    assert_eq!(policy.on_delete(), DeleteAction::SoftDelete);
    for mask in ["id", "policy.on_delete", "display_name,colour"] {
        let answer = try_update(&admin, request(wanted.clone(), mask));
        let status = refused(answer, Code::InvalidArgument, "FIELD_INVALID");
        assert_eq!(faults(&status), ["update_mask"]);
    }
    let nothing = v1::UpdateConnectionRequest::default();
    let answer = try_update(&admin, nothing);
    let _ = refused(answer, Code::InvalidArgument, "REQUIRED_ATTRIBUTE_MISSING");
}

#[test]
fn an_update_of_another_version_is_refused() {
    let (_tenant, admin) = world();
    let made = create(&admin, "a", ConnectionPolicy::default());
    let renaming = |name: &str, if_match: &str| {
        let connection = v1::Connection {
            display_name: name.to_owned(),
            ..made.clone()
        };
        let options = v1::WriteOptions {
            if_match: if_match.to_owned(),
            ..Default::default()
        };
        let request = v1::UpdateConnectionRequest {
            options: Some(options),
            ..request(connection, "display_name")
        };
        try_update(&admin, request)
    };
    let first = made.meta.clone().expect("meta").etag;
    renaming("b", &first).expect("it is the current one");
    let _ = refused(renaming("c", &first), Code::Aborted, "ETAG_MISMATCH");
    assert_eq!(get(&admin, &made.id).display_name, "b");
    renaming("c", "*").expect("any");
}

#[test]
fn a_new_policy_counts_with_the_next_request() {
    let (tenant, admin) = world();
    let scim = tenant.scim();
    let body = |name: &str| json!({"schemas": [GROUP], "displayName": name});
    scim.group("before", &[]);
    assert_eq!(scim.get("/Groups").total(), 1);
    let mut own = get(&admin, &tenant.connection_id);
    for (enabled, groups, status) in [(false, 0, 501), (true, 1, 201), (false, 0, 501)] {
        let policy = own.policy.as_mut().expect("a policy");
        policy.groups_enabled = Some(enabled);
        policy.required_attributes = texts(if enabled { &["title"] } else { &[] });
        own = update(&admin, own, "policy");
        assert_eq!(scim.get("/Groups").total(), groups);
        let name = uuid::Uuid::new_v4().to_string();
        let reply = scim.post("/Groups", &body(&name)).status(status);
        if enabled {
            let made = format!("/Groups/{}", reply.id());
            let _ = scim.delete(&made).status(204);
            let user = json!({"schemas": [USER], "userName": "ada"});
            let told = scim.post("/Users", &user).scim_error(400, "invalidValue");
            assert!(told.contains("title"), "{told}");
        }
    }
}

#[test]
fn a_client_sees_its_policy_but_for_what_guards_against_it() {
    let (tenant, admin) = world();
    let user = tenant.scim().user("boss");
    let own = get(&admin, &tenant.connection_id);
    let policy = full(&tenant.scim().group("Everyone", &[]), &user);
    let wanted = v1::Connection {
        policy: Some(ConnectionPolicy {
            required_attributes: Vec::new(),
            ..policy
        }),
        ..own
    };
    let whole = update(&admin, wanted, "policy");
    let mut told = whole.clone();
    let policy = told.policy.as_mut().expect("a policy");
    policy.protected_users.clear();
    policy.deprovision_guard = None;
    assert_eq!(get(&tenant.grpc(), ""), told);
    let reader = tenant.grpc_may(super::server(), "provisioning.read");
    assert_eq!(get(&reader, ""), whole);
}
