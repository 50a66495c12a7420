//! What is remembered, for how long, and what is not.

use muster_proto::v1::{DeleteUserRequest, GetUserRequest};
use muster_tests::{runtime::wait, service::Service, tamper};
use tonic::{Code, Status};
use uuid::Uuid;

use super::{create, name, new_id, options, refused, reused};
use muster_tests::grpc::Grpc;

fn delete(grpc: &Grpc, user: &str, if_match: &str, id: &str) -> Result<bool, Status> {
    let mut options = options(id).expect("some");
    options.if_match = if_match.to_owned();
    let request = DeleteUserRequest {
        id: user.to_owned(),
        allow_missing: false,
        options: Some(options),
    };
    let deleted = wait(grpc.users().delete_user(request))?;
    Ok(deleted.into_inner().changed)
}

fn grpc() -> Grpc {
    let tenant = super::super::tenant();
    Service::full(super::super::server(), &tenant).grpc()
}

#[test]
fn a_call_that_failed_is_not_remembered() {
    let grpc = grpc();
    let (id, ada) = (new_id(), name("ada"));
    let holder = create(&grpc, &ada, "").expect("created").user.expect("her");
    for _ in 0..2 {
        let answer = create(&grpc, &ada, &id);
        let _ = refused(answer, Code::AlreadyExists, "USER_NAME_TAKEN");
    }
    // Its id is good for another request, and for the same once it can be done.
    let conflict = delete(&grpc, &holder.id, "\"x\"", &id);
    let _ = refused(conflict, Code::Aborted, "ETAG_MISMATCH");
    assert!(delete(&grpc, &holder.id, "", "").expect("deleted"));
    let created = create(&grpc, &ada, &id).expect("created");
    assert_ne!(created.user.as_ref().expect("her").id, holder.id);
    assert_eq!(create(&grpc, &ada, &id).expect("as before"), created);
    reused(delete(&grpc, &holder.id, "\"x\"", &id));
}

#[test]
fn a_precondition_is_part_of_the_request_and_not_looked_at_again() {
    let grpc = grpc();
    let created = create(&grpc, &name("user"), "").expect("created");
    let user = created.user.expect("him");
    let etag = user.meta.expect("always set").etag;
    let id = new_id();
    assert!(delete(&grpc, &user.id, &etag, &id).expect("deleted"));
    assert!(delete(&grpc, &user.id, &etag, &id).expect("as before"));
    reused(delete(&grpc, &user.id, "*", &id));
    let gone = delete(&grpc, &user.id, &etag, &new_id());
    let _ = refused(gone, Code::NotFound, "USER_NOT_FOUND");
}

#[test]
fn what_was_done_is_told_with_the_resource_as_it_is_now() {
    let grpc = grpc();
    let (id, ada) = (new_id(), name("ada"));
    let first = create(&grpc, &ada, &id).expect("created");
    let user = first.user.clone().expect("her").id;
    let lock = muster_proto::v1::LockUserRequest {
        id: user.clone(),
        ..Default::default()
    };
    wait(grpc.users().lock_user(lock)).expect("locked");
    let again = create(&grpc, &ada, &id).expect("as before");
    assert_eq!(
        (&again.written_at, &again.report),
        (&first.written_at, &first.report)
    );
    let read = GetUserRequest {
        id: user.clone(),
        ..Default::default()
    };
    let now = wait(grpc.users().get_user(read)).expect("her").into_inner();
    assert_eq!(again.user, now.user);
    assert!(!again.user.expect("her").effective_active);
    assert!(delete(&grpc, &user, "", "").expect("deleted"));
    let gone = create(&grpc, &ada, &id);
    let _ = refused(gone, Code::NotFound, "USER_NOT_FOUND");
}

/// In milliseconds.
const DAY: i64 = 24 * 60 * 60 * 1_000;

#[test]
fn an_id_is_known_for_a_day() {
    let server = super::super::server();
    let grpc = grpc();
    let (id, ada, bob) = (new_id(), name("ada"), name("bob"));
    let _ = create(&grpc, &ada, &id).expect("created");
    let lives = format!("request_ids WHERE request_id = '{id}'");
    let ends = tamper::texts(
        server,
        &format!("SELECT CAST(expires_at AS TEXT) FROM {lives}"),
    );
    let [ends] = ends.as_slice() else {
        panic!("{ends:?}");
    };
    let now = i64::try_from(muster_tests::issuer::now_s() * 1_000).expect("a time");
    let left = ends.parse::<i64>().expect("a time") - now;
    assert!((DAY - 60_000..=DAY + 1_000).contains(&left), "{left}");
    let age = |by: i64| {
        let statement = format!("UPDATE request_ids SET expires_at = expires_at - {by}");
        let changed = tamper::edit(server, &format!("{statement} WHERE request_id = '{id}'"));
        assert_eq!(changed, 1);
    };
    age(DAY - 60_000);
    reused(create(&grpc, &bob, &id));
    age(60_000);
    let created = create(&grpc, &bob, &id).expect("a day is over");
    assert_eq!(create(&grpc, &bob, &id).expect("as before"), created);
    reused(create(&grpc, &ada, &id));
}

#[test]
fn an_id_is_known_in_each_of_its_spellings() {
    let grpc = grpc();
    let (id, user) = (Uuid::new_v4(), name("user"));
    let first = create(&grpc, &user, &id.to_string()).expect("created");
    for spelling in [
        id.to_string().to_uppercase(),
        id.simple().to_string(),
        id.urn().to_string(),
    ] {
        assert_eq!(create(&grpc, &user, &spelling).expect("as before"), first);
    }
}
