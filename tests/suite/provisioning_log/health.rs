//! How connections fare.

use muster_proto::v1::{
    ErrorReason, GetConnectionHealthRequest, GetConnectionHealthResponse as Health,
    get_connection_health_response::Verdict,
};
use muster_tests::{grpc::reason, runtime::wait, scim::USER, soon::wait_until};
use serde_json::json;

use super::{World, world};

impl World {
    #[track_caller]
    pub(super) fn health(&self) -> Health {
        let request = GetConnectionHealthRequest {
            connection_id: self.tenant.connection_id.clone(),
        };
        let answer = wait(self.grpc.provisioning().get_connection_health(request));
        answer.expect("its health").into_inner()
    }

    /// Its health when it has so many requests.
    #[track_caller]
    pub(super) fn health_after(&self, requests: i64) -> Health {
        let mut health = Health::default();
        wait_until("the requests to be counted", || {
            health = self.health();
            health.requests_24h >= requests
        });
        health
    }
}

#[test]
fn a_connection_without_requests_is_quiet_and_one_that_works_is_healthy() {
    let world = world();
    let quiet = world.health();
    assert_eq!(quiet.verdict(), Verdict::Quiet);
    assert_eq!((quiet.requests_24h, quiet.failures_24h), (0, 0));
    assert!(quiet.last_success_time.is_none() && quiet.expected_next_cycle_time.is_none());
    let _ = world.scim.user("ada");
    let _ = world.scim.get("/Users").status(200);
    let healthy = world.health_after(2);
    assert_eq!(healthy.verdict(), Verdict::Healthy, "{healthy:?}");
    assert_eq!(healthy.verdict_reason, "");
    assert_eq!((healthy.failures_24h, healthy.failure_ratio_24h), (0, 0.0));
    assert!(healthy.top_failures.is_empty());
    let last = healthy.last_request_time.expect("there was one");
    assert_eq!(healthy.last_success_time, Some(last));
    let next = healthy.expected_next_cycle_time.expect("it comes again");
    assert_eq!(next.seconds - last.seconds, 40 * 60);
}

#[test]
fn failures_come_with_what_to_do_about_them() {
    let world = world();
    let person = |name: &str| json!({"schemas": [USER], "userName": "ada", "externalId": name});
    let _ = world.scim.post("/Users", &person("x-1")).status(201);
    for name in ["x-2", "x-3"] {
        let _ = world.scim.post("/Users", &person(name)).status(409);
    }
    let _ = world
        .scim
        .post("/Users", &json!({"schemas": [USER]}))
        .status(400);
    let health = world.health_after(4);
    assert_eq!(health.verdict(), Verdict::Failing);
    assert_eq!(health.verdict_reason, "3 of 4 requests failed.");
    assert_eq!(health.failures_24h, 3);
    assert_eq!(health.failure_ratio_24h, 0.75);
    let [taken, missing] = health.top_failures.as_slice() else {
        panic!("two kinds: {health:?}");
    };
    assert_eq!(taken.reason(), ErrorReason::UserNameTaken);
    assert_eq!((taken.count, taken.attribute.as_str()), (2, "userName"));
    assert_eq!(taken.example_external_id, "x-3");
    assert_eq!(missing.reason(), ErrorReason::RequiredAttributeMissing);
    assert!(
        missing.remedy.contains("map a source attribute"),
        "{missing:?}"
    );
}

#[test]
fn lookups_that_nobody_answers_lead_into_quarantine() {
    let world = world();
    for _ in 0..5 {
        let _ = world.scim.get("/v2/Users").status(404);
    }
    let health = world.health_after(5);
    assert_eq!(health.verdict(), Verdict::QuarantineRisk);
    assert!(health.verdict_reason.contains("Tenant URL"), "{health:?}");
    assert!(health.top_failures[0].remedy.contains("Tenant URL"));
}

#[test]
fn lookups_that_cannot_be_read_are_no_wrong_address() {
    let world = world();
    for _ in 0..5 {
        let _ = world.scim.find("/Users", "userName eq").status(400);
    }
    let health = world.health_after(5);
    assert_eq!(health.verdict(), Verdict::QuarantineRisk);
    let reason = &health.verdict_reason;
    assert!(reason.contains("invalidFilter"), "{reason}");
    assert!(!reason.contains("Tenant URL"), "{reason}");
}

#[test]
fn whoever_has_nothing_to_come_with_is_told_so_without_a_request() {
    let world = world();
    let admin = super::super::server().admin();
    let (tenant, id) = (&world.tenant.id, &world.tenant.credential_id);
    let make = ["connection", "create", "--tenant", tenant, "--name", "new"];
    let _ = admin.json(&make);
    let ask = ["connection", "health", "--tenant", tenant, "--connection"];
    let new = admin.json(&[&ask[..], &["new"]].concat());
    assert_eq!(new["verdict"], "quiet");
    let why = new["why"].as_str().expect("a text");
    assert!(why.contains("no credential yet"), "{why}");

    let _ = admin.json(&["credential", "revoke", "--tenant", tenant, "--id", id]);
    let health = world.health();
    assert_eq!(health.verdict(), Verdict::QuarantineRisk);
    let reason = &health.verdict_reason;
    assert!(reason.contains("muster credential create"), "{reason}");
    let [ended] = health.expiring_credentials.as_slice() else {
        panic!("the last one: {health:?}");
    };
    assert_eq!((&ended.credential_id, ended.threshold_days), (id, 0));
    let text = admin.run(&[&ask[..], &["entra"]].concat()).code(0).stdout();
    assert!(text.contains(&format!("({id}) ended at ")), "{text}");

    // With another one all is well again.
    let _ = world
        .tenant
        .credential(super::super::server(), "entra", &[]);
    assert_eq!(world.health().verdict(), Verdict::Quiet);
}

#[test]
fn a_dead_credential_leads_into_quarantine() {
    let world = world();
    let server = super::super::server();
    let _ = world.scim.user("ada");
    let _ = world.health_after(1);
    let (tenant, id) = (&world.tenant.id, &world.tenant.credential_id);
    let _ = server
        .admin()
        .json(&["credential", "revoke", "--tenant", tenant, "--id", id]);
    let mut health = Health::default();
    wait_until("the refused request", || {
        let _ = world.scim.get("/Users");
        health = world.health();
        health.failures_24h > 0
    });
    assert_eq!(health.verdict(), Verdict::QuarantineRisk);
    let dead = health.top_failures.iter();
    let dead = dead.filter(|failure| failure.reason() == ErrorReason::CredentialInvalid);
    let remedies: Vec<_> = dead.map(|failure| failure.remedy.as_str()).collect();
    assert_eq!(remedies.len(), 1, "{health:?}");
    let credential = &health.top_failures[0].example_credential_id;
    assert_eq!((credential, health.top_failures[0].http_status), (id, 401));
    assert!(remedies[0].contains("muster credential"), "{remedies:?}");
}

#[test]
fn the_ends_of_credentials_are_told_before_they_come() {
    let world = world();
    let server = super::super::server();
    let mut expected = Vec::new();
    for (life, threshold) in [("6d", 7), ("13d", 14), ("29d", 30), ("59d", 60)] {
        let options = ["--expires-in", life, "--name", life];
        let (id, _) = world.tenant.credential(server, "entra", &options);
        expected.push((id, life.to_owned(), threshold));
    }
    let _ = world
        .tenant
        .credential(server, "entra", &["--expires-in", "61d"]);
    let (revoked, _) = world
        .tenant
        .credential(server, "entra", &["--expires-in", "5d"]);
    let tenant = &world.tenant.id;
    let _ = server
        .admin()
        .json(&["credential", "revoke", "--tenant", tenant, "--id", &revoked]);
    let health = world.health();
    let told = health.expiring_credentials.into_iter();
    let told: Vec<_> = told
        .map(|expiry| (expiry.credential_id, expiry.name, expiry.threshold_days))
        .collect();
    assert_eq!(told, expected);
}

#[test]
fn the_health_of_others_is_not_told() {
    let (ours, theirs) = (world(), world());
    let server = super::super::server();
    let ask = |grpc: &muster_tests::grpc::Grpc, id: &str| {
        let request = GetConnectionHealthRequest {
            connection_id: id.to_owned(),
        };
        wait(grpc.provisioning().get_connection_health(request))
    };
    for id in [theirs.tenant.connection_id.as_str(), "nobody", ""] {
        let status = ask(&ours.grpc, id).expect_err("it is not ours");
        assert_eq!(reason(&status), "CONNECTION_NOT_FOUND", "{id}");
    }
    let client = ours.tenant.grpc_full(server);
    assert!(ask(&client, "").is_ok(), "its own");
    let (other, ..) = ours.tenant.connection(server, "other");
    let status = ask(&client, &other).expect_err("another's");
    assert_eq!(reason(&status), "CONNECTION_NOT_FOUND");
}
