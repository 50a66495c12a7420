//! Who did what, and what was refused.

use muster_proto::v1::{
    self, AuditEntry, ErrorReason, ExportAuditEntriesRequest, ListAuditEntriesRequest,
    ListAuditEntriesResponse, ResourceType, VerifyAuditChainRequest, VerifyAuditChainResponse,
    actor::Actor,
};
use muster_tests::{
    feed::contains,
    grpc::{Grpc, identified, reason},
    runtime::wait,
    scim::{Draft, USER},
    server::Server,
    tamper,
    tenant::Tenant,
};
use prost::Message as _;
use serde_json::{Value, json};
use tonic::{Code, Status};

fn try_list(
    grpc: &Grpc,
    request: ListAuditEntriesRequest,
) -> Result<ListAuditEntriesResponse, Status> {
    Ok(wait(grpc.audit().list_audit_entries(request))?.into_inner())
}

#[track_caller]
fn list(grpc: &Grpc, request: ListAuditEntriesRequest) -> Vec<AuditEntry> {
    try_list(grpc, request).expect("entries are listed").entries
}

/// The newest entry.
#[track_caller]
fn newest(grpc: &Grpc) -> AuditEntry {
    list(grpc, ListAuditEntriesRequest::default()).remove(0)
}

/// A tenant, and somebody who reads its audit.
fn audited(server: &Server) -> (Tenant, Grpc) {
    let tenant = Tenant::create(server);
    let auditor = tenant.grpc_may(server, "audit.read");
    (tenant, auditor)
}

#[track_caller]
fn send(draft: Draft, id: &str, status: u16) {
    let _ = draft.header("x-request-id", id).send().status(status);
}

fn user(name: &str) -> Value {
    json!({"schemas": [USER], "userName": name, "title": "T"})
}

fn patch(operations: &Value) -> Value {
    json!({"schemas": [muster_tests::scim::PATCH], "Operations": operations})
}

#[test]
fn what_is_done_is_recorded_with_its_caller() {
    let (tenant, auditor) = audited(super::server());
    let scim = tenant.scim();
    let id = scim.post("/Users", &user("ada")).status(201).id();
    let path = format!("/Users/{id}");
    let edit = patch(&json!([
        {"op": "replace", "path": "title", "value": "U"},
        {"op": "replace", "path": "nickName", "value": "N"},
    ]));
    send(scim.request("PATCH", &path).json(&edit), "call-1", 200);
    let entry = newest(&auditor);
    let actor = entry.actor.and_then(|actor| actor.actor);
    assert_eq!(
        actor,
        Some(Actor::ConnectionId(tenant.connection_id.clone()))
    );
    assert_eq!(entry.credential_id, tenant.credential_id);
    assert_eq!(
        (entry.method.as_str(), entry.outcome.as_str()),
        ("PatchUser", "OK")
    );
    assert_eq!(entry.resource_id, id);
    assert_eq!(entry.resource_type, i32::from(ResourceType::User));
    assert_eq!(entry.reason, i32::from(ErrorReason::Unspecified));
    let mut changed = entry.changed_attributes.clone();
    changed.sort();
    assert_eq!(changed, ["nickName", "title"]);
    assert_eq!(entry.request_id, "call-1");
    assert_eq!(entry.hash.len(), 32);
    assert!(entry.time.is_some_and(|time| time.seconds > 1_700_000_000));
    let _ = scim.delete(&path).status(204);
    let methods: Vec<_> = list(&auditor, about(&id))
        .into_iter()
        .map(|e| e.method)
        .collect();
    assert_eq!(methods, ["DeleteUser", "PatchUser", "CreateUser"]);
}

fn about(resource_id: &str) -> ListAuditEntriesRequest {
    ListAuditEntriesRequest {
        resource_id: resource_id.to_owned(),
        ..Default::default()
    }
}

#[test]
fn the_revision_of_an_entry_is_the_tenants_afterwards() {
    let tenant = super::tenant();
    let grpc = tenant.grpc_full(super::server());
    let request = v1::CreateUserRequest {
        options: None,
        user: Some(v1::User {
            user_name: "ada".to_owned(),
            ..Default::default()
        }),
    };
    let answer = wait(grpc.users().create_user(request)).expect("created");
    let written = answer.into_inner().written_at;
    assert_eq!(newest(&grpc).revision, written);
}

/// A refused call, and what its entry must say.
struct Refused {
    draft: Draft,
    status: u16,
    method: &'static str,
    resource_id: String,
    outcome: &'static str,
    reason: ErrorReason,
}

fn refused_calls(tenant: &Tenant) -> Vec<Refused> {
    let scim = tenant.scim();
    let id = scim.post("/Users", &user("ada")).status(201).id();
    let path = format!("/Users/{id}");
    let missing = "01890000-0000-7000-8000-000000000000";
    let edit = patch(&json!([{"op": "replace", "path": "title", "value": "U"}]));
    let wrong =
        patch(&json!([{"op": "replace", "path": "displayName", "value": "x".repeat(2_000)}]));
    vec![
        Refused {
            draft: scim.request("POST", "/Users").json(&user("ADA")),
            status: 409,
            method: "CreateUser",
            resource_id: String::new(),
            outcome: "ALREADY_EXISTS",
            reason: ErrorReason::UserNameTaken,
        },
        Refused {
            draft: scim
                .request("PATCH", &format!("/Users/{missing}"))
                .json(&edit),
            status: 404,
            method: "PatchUser",
            resource_id: missing.to_owned(),
            outcome: "NOT_FOUND",
            reason: ErrorReason::UserNotFound,
        },
        Refused {
            draft: scim
                .request("PATCH", &path)
                .header("if-match", "\"9\"")
                .json(&edit),
            status: 412,
            method: "PatchUser",
            resource_id: id.clone(),
            outcome: "ABORTED",
            reason: ErrorReason::EtagMismatch,
        },
        Refused {
            draft: scim.request("PATCH", &path).json(&wrong),
            status: 400,
            method: "PatchUser",
            resource_id: id,
            outcome: "INVALID_ARGUMENT",
            reason: ErrorReason::FieldInvalid,
        },
    ]
}

#[test]
fn what_is_refused_is_recorded_with_its_reason() {
    let (tenant, auditor) = audited(super::server());
    for (at, call) in refused_calls(&tenant).into_iter().enumerate() {
        let id = format!("refused-{at}");
        let before = newest(&auditor);
        send(call.draft, &id, call.status);
        let entry = newest(&auditor);
        assert_eq!(entry.sequence, before.sequence + 1, "{}", call.outcome);
        assert_eq!(
            (entry.method.as_str(), entry.outcome.as_str()),
            (call.method, call.outcome)
        );
        assert_eq!(entry.reason(), call.reason);
        assert_eq!(entry.resource_id, call.resource_id);
        assert_eq!(entry.request_id, id);
        assert_eq!(entry.credential_id, tenant.credential_id);
        assert!(entry.changed_attributes.is_empty());
        assert_eq!(entry.revision, before.revision, "nothing happened");
    }
}

#[test]
fn who_may_not_is_recorded() {
    let (tenant, auditor) = audited(super::server());
    let request = v1::PurgeUserRequest {
        id: tenant.scim().user("ada"),
        options: None,
    };
    let mut users = tenant.grpc().users();
    let call = wait(users.purge_user(identified(request, "denied-1")));
    assert_eq!(call.expect_err("he may not").code(), Code::PermissionDenied);
    let entry = newest(&auditor);
    assert_eq!(
        (entry.method.as_str(), entry.outcome.as_str()),
        ("PurgeUser", "PERMISSION_DENIED")
    );
    assert_eq!(entry.reason(), ErrorReason::ScopeMissing);
    assert_eq!(entry.request_id, "denied-1");
    // Nobody is known behind a wrong secret, so it is nobody's entry.
    let _ = tenant
        .scim_with("wrong")
        .get("/Users")
        .scim_error(401, None);
    assert_eq!(newest(&auditor).sequence, entry.sequence);
    let denied = try_list(&tenant.grpc(), ListAuditEntriesRequest::default());
    assert_eq!(reason(&denied.expect_err("he may not")), "SCOPE_MISSING");
}

#[test]
fn what_changes_nothing_and_what_only_reads_is_no_entry() {
    let (tenant, auditor) = audited(super::server());
    let scim = tenant.scim();
    let id = scim.post("/Users", &user("ada")).status(201).id();
    let last = newest(&auditor).sequence;
    let same = json!([{"op": "replace", "path": "title", "value": "T"}]);
    let _ = scim.patch(&format!("/Users/{id}"), &same).status(200);
    let _ = scim.get(&format!("/Users/{id}")).status(200);
    let _ = scim.get("/Users/none").scim_error(404, None);
    assert_eq!(newest(&auditor).sequence, last);
}

#[test]
fn entries_are_found_by_what_they_say() {
    let server = super::server();
    let (tenant, auditor) = audited(server);
    let (hr, credential, token) = tenant.connection(server, "hr");
    let ours = tenant.scim().user("ours");
    let theirs = tenant.scim_with(&token).user("theirs");
    let _ = tenant
        .scim()
        .post("/Users", &user("ours"))
        .scim_error(409, "uniqueness");
    let ids = |request: ListAuditEntriesRequest| {
        let entries = list(&auditor, request).into_iter();
        entries.map(|entry| entry.resource_id).collect::<Vec<_>>()
    };
    let by = |actor_id: &str| ListAuditEntriesRequest {
        actor_id: actor_id.to_owned(),
        ..Default::default()
    };
    assert_eq!(ids(by(&hr)), [theirs.as_str()]);
    assert_eq!(
        ids(by(&tenant.connection_id)),
        [String::new(), ours.clone()]
    );
    assert!(ids(by("operator")).contains(&credential));
    assert!(!ids(by("operator")).contains(&ours));
    // Names are compared whole, and nothing else is an actor.
    for nobody in [
        &hr.to_uppercase(),
        &hr[1..],
        &credential,
        "purge",
        "%",
        "connection",
        "\"",
    ] {
        assert!(ids(by(nobody)).is_empty(), "{nobody}");
    }
    let created = ListAuditEntriesRequest {
        method: "CreateUser".to_owned(),
        ..Default::default()
    };
    assert_eq!(ids(created), [String::new(), theirs, ours.clone()]);
    let refused = ListAuditEntriesRequest {
        refused_only: true,
        ..Default::default()
    };
    assert_eq!(ids(refused), [String::new()]);
    assert_eq!(ids(about(&ours)), [ours]);
}

#[test]
fn entries_are_found_by_their_time() {
    let (tenant, auditor) = audited(super::server());
    for name in ["a", "b", "c"] {
        tenant.scim().user(name);
    }
    let all = list(&auditor, ListAuditEntriesRequest::default());
    let middle = all[1].time;
    let request = |since, until| ListAuditEntriesRequest {
        since,
        until,
        ..Default::default()
    };
    let since = list(&auditor, request(middle, None));
    let until = list(&auditor, request(None, middle));
    assert!(
        since.iter().any(|entry| entry.sequence == all[1].sequence),
        "inclusive"
    );
    assert!(
        until.iter().all(|entry| entry.sequence < all[1].sequence),
        "exclusive"
    );
    assert_eq!(since.len() + until.len(), all.len());
    assert!(list(&auditor, request(middle, middle)).is_empty());
}

#[test]
fn pages_hold_each_entry_once() {
    let (tenant, auditor) = audited(super::server());
    for name in ["a", "b", "c", "d"] {
        tenant.scim().user(name);
    }
    let all = list(&auditor, ListAuditEntriesRequest::default());
    let sequences: Vec<_> = all.iter().map(|entry| entry.sequence).collect();
    assert!(sequences.is_sorted_by(|a, b| *a == b + 1), "{sequences:?}");
    assert_eq!(sequences.last(), Some(&1));
    let page = |page_token: String| ListAuditEntriesRequest {
        page: Some(v1::PageRequest {
            page_size: 3,
            page_token,
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut found = Vec::new();
    let mut token = String::new();
    loop {
        let answer = try_list(&auditor, page(token)).expect("entries are listed");
        assert!(answer.entries.len() <= 3);
        found.extend(answer.entries);
        // What is done meanwhile is on no later page.
        tenant.scim().user(&format!("meanwhile-{}", found.len()));
        token = answer.page.expect("a page").next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(found, all);
    let first = try_list(&auditor, page(String::new())).expect("entries are listed");
    let mut other = page(first.page.expect("a page").next_page_token);
    other.method = "CreateUser".to_owned();
    let status = try_list(&auditor, other).expect_err("of another list");
    assert_eq!(reason(&status), "PAGE_TOKEN_INVALID");
}

#[test]
fn pages_are_only_sizes_and_tokens() {
    let (_tenant, auditor) = audited(super::server());
    for page in [
        v1::PageRequest {
            skip: 1,
            ..Default::default()
        },
        v1::PageRequest {
            include_total_size: true,
            ..Default::default()
        },
        v1::PageRequest {
            count_only: true,
            ..Default::default()
        },
        v1::PageRequest {
            page_size: -1,
            ..Default::default()
        },
    ] {
        let request = ListAuditEntriesRequest {
            page: Some(page),
            ..Default::default()
        };
        let status = try_list(&auditor, request).expect_err("it is refused");
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    }
}

#[test]
fn no_entry_has_a_value_in_it() {
    const NEEDLE: &str = "needle-4711";
    let (tenant, auditor) = audited(super::server());
    let scim = tenant.scim();
    let body = json!({
        "schemas": [USER], "userName": NEEDLE, "externalId": NEEDLE,
        "emails": [{"value": format!("{NEEDLE}@example.test")}],
    });
    let id = scim.post("/Users", &body).status(201).id();
    let _ = scim.post("/Users", &body).scim_error(409, "uniqueness");
    let edit = json!([{"op": "replace", "path": format!("emails[type eq \"{NEEDLE}\"].value"),
        "value": NEEDLE}]);
    let _ = scim
        .patch(&format!("/Users/{NEEDLE}@x"), &edit)
        .scim_error(404, None);
    let _ = scim.patch(&format!("/Users/{id}"), &edit);
    let unknown = json!([{"op": "replace", "path": NEEDLE.replace('-', ""), "value": NEEDLE}]);
    let _ = scim.patch(&format!("/Users/{id}"), &unknown);
    let group = scim.group(NEEDLE, &[&id]);
    let _ = scim.delete(&format!("/Groups/{group}")).status(204);
    let entries = list(&auditor, ListAuditEntriesRequest::default());
    assert!(entries.len() >= 8);
    for entry in entries {
        let bytes = entry.encode_to_vec();
        for secret in [
            NEEDLE,
            &NEEDLE.replace('-', ""),
            &tenant.token,
            &tenant.token[5..20],
        ] {
            assert!(!contains(&bytes, secret), "{entry:?}");
        }
    }
}

fn export(grpc: &Grpc, after_sequence: i64, through_sequence: i64) -> Vec<AuditEntry> {
    let request = ExportAuditEntriesRequest {
        after_sequence,
        through_sequence,
    };
    wait(async {
        let mut entries = Vec::new();
        let answer = grpc.audit().export_audit_entries(request).await;
        let mut parts = answer.expect("the stream opens").into_inner();
        while let Some(part) = parts.message().await.expect("the stream goes on") {
            entries.extend(part.entries);
        }
        entries
    })
}

#[test]
fn an_export_has_every_entry_in_order() {
    let (tenant, auditor) = audited(super::server());
    for name in ["a", "b", "c"] {
        tenant.scim().user(name);
    }
    let mut all = list(&auditor, ListAuditEntriesRequest::default());
    all.reverse();
    assert_eq!(export(&auditor, 0, 0), all);
    assert_eq!(export(&auditor, 2, 4), all[2..4]);
    assert!(export(&auditor, i64::try_from(all.len()).unwrap(), 0).is_empty());
}

#[track_caller]
fn verify(grpc: &Grpc, request: VerifyAuditChainRequest) -> VerifyAuditChainResponse {
    let answer = wait(grpc.audit().verify_audit_chain(request));
    answer.expect("the chain is checked").into_inner()
}

fn noted(expected_head: &[u8]) -> VerifyAuditChainRequest {
    VerifyAuditChainRequest {
        expected_head: expected_head.to_vec(),
        ..Default::default()
    }
}

/// A tenant with entries, refused ones among them, on a server of its own.
fn chained() -> (Server, Tenant, Grpc, i64) {
    let server = super::launch().start();
    let (tenant, auditor) = audited(&server);
    for name in ["a", "b", "c", "a", "d"] {
        let _ = tenant.scim().post("/Users", &user(name));
    }
    let last = newest(&auditor).sequence;
    (server, tenant, auditor, last)
}

#[test]
fn a_chain_that_nobody_touched_is_intact() {
    let (_server, tenant, auditor, last) = chained();
    let whole = verify(&auditor, noted(&[]));
    assert!(whole.intact && whole.first_broken_sequence == 0);
    assert_eq!((whole.checked_entries, whole.head_sequence), (last, last));
    assert_eq!(whole.head, newest(&auditor).hash);
    tenant.scim().user("later");
    // A head that was noted is still in the chain.
    assert!(verify(&auditor, noted(&whole.head)).intact);
    assert!(!verify(&auditor, noted(&[7; 32])).intact);
    let part = verify(
        &auditor,
        VerifyAuditChainRequest {
            from_sequence: 3,
            through_sequence: 5,
            ..Default::default()
        },
    );
    assert!(part.intact);
    assert_eq!((part.checked_entries, part.head_sequence), (3, 5));
}

#[test]
fn a_changed_entry_breaks_the_chain() {
    let (server, tenant, auditor, last) = chained();
    let sequence = last - 2;
    for change in [
        "method = 'GetUser'",
        "actor = '{\"kind\":\"operator\"}'",
        "outcome = 'NOT_FOUND'",
        "recorded_at = recorded_at + 1",
        "request_id = 'x'",
        "reason = 'x'",
        "changed_attributes = '[\"x\"]'",
        "resource_id = 'x'",
        "hash = 'x'",
    ] {
        let of = format!(
            "WHERE tenant_id = '{}' AND sequence = {sequence}",
            tenant.id
        );
        let (column, _) = change.split_once(' ').expect("a column");
        let keep = format!("CREATE TABLE kept AS SELECT {column} AS v FROM audit_entries {of}");
        tamper::edit(&server, &keep);
        let edit = format!("UPDATE audit_entries SET {change} {of}");
        assert_eq!(tamper::edit(&server, &edit), 1);
        let verdict = verify(&auditor, noted(&[]));
        assert!(!verdict.intact, "{change}");
        assert_eq!(verdict.first_broken_sequence, sequence, "{change}");
        let undo = format!("UPDATE audit_entries SET {column} = (SELECT v FROM kept) {of}");
        tamper::edit(&server, &undo);
        tamper::edit(&server, "DROP TABLE kept");
        assert!(verify(&auditor, noted(&[])).intact, "put back");
    }
}

fn delete_entries(server: &Server, tenant: &Tenant, which: &str) {
    let delete = "DELETE FROM audit_entries WHERE tenant_id";
    let deleted = tamper::edit(server, &format!("{delete} = '{}' AND {which}", tenant.id));
    assert!(deleted > 0);
}

#[test]
fn a_missing_entry_breaks_the_chain() {
    let (server, tenant, auditor, last) = chained();
    delete_entries(&server, &tenant, &format!("sequence = {}", last - 2));
    let verdict = verify(&auditor, noted(&[]));
    assert_eq!(
        (verdict.intact, verdict.first_broken_sequence),
        (false, last - 2)
    );
}

#[test]
fn a_missing_end_breaks_the_chain() {
    let (server, tenant, auditor, last) = chained();
    delete_entries(&server, &tenant, &format!("sequence > {}", last - 2));
    let verdict = verify(&auditor, noted(&[]));
    assert_eq!(
        (verdict.intact, verdict.first_broken_sequence),
        (false, last - 1)
    );
}

#[test]
fn only_a_noted_head_tells_of_an_end_that_was_cut_with_care() {
    let (server, tenant, auditor, last) = chained();
    let head = verify(&auditor, noted(&[])).head;
    delete_entries(&server, &tenant, &format!("sequence > {}", last - 2));
    let entries = format!("FROM audit_entries WHERE tenant_id = '{}'", tenant.id);
    let forge = format!(
        "UPDATE directory_heads SET audit_sequence = {0}, \
         audit_hash = (SELECT hash {entries} AND sequence = {0}) WHERE tenant_id = '{1}'",
        last - 2,
        tenant.id
    );
    assert_eq!(tamper::edit(&server, &forge), 1);
    assert!(
        verify(&auditor, noted(&[])).intact,
        "nothing is left that tells"
    );
    let verdict = verify(&auditor, noted(&head));
    assert_eq!(
        (verdict.intact, verdict.first_broken_sequence),
        (false, last - 1)
    );
}
