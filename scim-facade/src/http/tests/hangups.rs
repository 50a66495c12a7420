//! Requests that end before their answer.

use muster_proto::v1::{ProvisioningEvent, ProvisioningOperation as Kind};
use tokio::sync::{Mutex, Notify, mpsc};

use super::*;

/// Somebody waits for [`never`].
static REACHED: Notify = Notify::const_new();

/// Tests that wait for it take turns.
static TURN: Mutex<()> = Mutex::const_new(());

/// Tells that it is asked for, and does not come.
pub(super) async fn never<T>() -> T {
    REACHED.notify_one();
    std::future::pending().await
}

/// What is told of a request whose client hangs up once the directory is at it.
async fn hung_up(path: &str, body: &str, count: usize) -> Vec<ProvisioningEvent> {
    let _turn = TURN.lock().await;
    let (told, mut events) = mpsc::unbounded_channel();
    let request = request("POST", path, "good", body);
    let call = answer(Groups(&[]), Doorkeeper(Some(told)), request);
    tokio::select! {
        response = call => panic!("it is answered with {}", response.status()),
        () = REACHED.notified() => {}
    }
    let mut found = Vec::new();
    for _ in 0..count {
        found.push(events.recv().await.expect("an event"));
    }
    assert!(events.recv().await.is_none(), "no more");
    found
}

#[tokio::test]
async fn who_hangs_up_is_told_of() {
    let body = r#"{"displayName":"busy","externalId":"x-1"}"#;
    let events = hung_up("/scim/v2/Groups", body, 1).await;
    let [event] = events.as_slice() else {
        panic!("one: {events:?}");
    };
    assert_eq!((event.http_status, event.operation()), (499, Kind::Create));
    assert_eq!(event.external_id, "x-1");
    assert!(event.detail.contains("hung up"), "{event:?}");
}

#[tokio::test]
async fn who_hangs_up_during_a_bulk_is_told_of_with_its_parts() {
    let body = r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations":[{"method":"POST","path":"/Groups","bulkId":"g",
        "data":{"displayName":"busy"}},{"method":"POST","path":"/Nowhere","bulkId":"n"}]}"#;
    let events = hung_up("/scim/v2/Bulk", body, 3).await;
    let mut told: Vec<_> = events
        .iter()
        .map(|e| (e.http_status, e.operation()))
        .collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            (404, Kind::Unspecified),
            (499, Kind::Unspecified),
            (499, Kind::Create)
        ]
    );
}

#[tokio::test]
async fn a_panic_is_told_of() {
    let (told, mut events) = mpsc::unbounded_channel();
    let body = r#"{"displayName":"broken"}"#;
    let request = request("POST", "/scim/v2/Groups", "good", body);
    let response = answer(Groups(&[]), Doorkeeper(Some(told)), request).await;
    assert_eq!(response.status(), 500);
    let event = events.recv().await.expect("an event");
    assert_eq!((event.http_status, event.operation()), (500, Kind::Create));
}

#[tokio::test]
async fn who_was_not_let_in_is_not_told_of() {
    let (told, mut events) = mpsc::unbounded_channel();
    let request = request("POST", "/scim/v2/Groups", "bad", "{}");
    let response = answer(Groups(&[]), Doorkeeper(Some(told)), request).await;
    assert_eq!(response.status(), 401);
    assert!(events.recv().await.is_none());
}
