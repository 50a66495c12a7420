//! Requests that no endpoint takes, on the URL that WeftID's clients know.

use muster_tests::{scim::Scim, tenant::Tenant};
use serde_json::json;

use super::World;

#[test]
fn unknown_paths_below_a_base_path_with_the_connection_are_in_the_log() {
    let paths = "[\"/scim/v2/inbound/{connection}\"]";
    let server = super::super::launch()
        .env("MUSTER_BASE_PATHS", paths)
        .start();
    let world = World::on(&server);
    let Tenant {
        connection_id,
        token,
        ..
    } = &world.tenant;
    let base = format!("{}/scim/v2/inbound/{connection_id}", server.http());
    let scim = Scim::new(&base, token);
    let _ = scim.get("/Userz").status(404);
    let draft = scim.request("POST", "/Schemas").json(&json!({}));
    let _ = draft.send().status(405);
    let _ = scim.get("/Users").status(200);
    let events = world.events(3);
    let told: Vec<_> = events.iter().map(|event| event.http_status).collect();
    assert_eq!(told, [404, 405, 200]);
    assert!(events.iter().all(|e| e.connection_id == *connection_id));
    // Nobody's is nobody's.
    let _ = world.scim.get("/Userz").status(404);
    let _ = scim.get("/Users").status(200);
    assert_eq!(world.events(4)[3].http_status, 200);
}
