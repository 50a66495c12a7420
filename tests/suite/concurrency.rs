//! Requests that meet.

use muster_tests::{
    runtime::at_once,
    scim::{Draft, Reply, Scim, USER},
    server::Server,
    tenant::Tenant,
    witness::{Ending, Witness},
};
use serde_json::{Value, json};

fn users(scim: &Scim, label: &str, count: usize) -> Vec<String> {
    (0..count)
        .map(|n| scim.user(&format!("user-{label}-{n}")))
        .collect()
}

#[test]
fn concurrent_patches_of_one_group_all_land() {
    let scim = super::tenant().scim();
    for round in 0..4 {
        let mut ids: Vec<String> = (0..5)
            .map(|n| scim.user(&format!("u-{round}-{n}")))
            .collect();
        let group = scim.group(&format!("G{round}"), &[]);
        let path = format!("/Groups/{group}");
        let codes = at_once(ids.clone(), |id| {
            let add = json!([{"op": "Add", "path": "members", "value": [{"value": id}]}]);
            scim.patch(&path, &add).code()
        });
        assert_eq!(codes, [200; 5]);
        ids.sort();
        assert_eq!(scim.members(&group), ids);
    }
}

#[test]
fn concurrent_adds_and_removes_each_have_their_effect() {
    let scim = super::tenant().scim();
    let ids = users(&scim, "u", 16);
    let (leaving, coming) = ids.split_at(8);
    let members: Vec<&str> = leaving.iter().map(String::as_str).collect();
    let group = scim.group("G", &members);
    let path = format!("/Groups/{group}");
    let operations: Vec<_> = leaving
        .iter()
        .map(|id| json!([{"op": "remove", "path": format!("members[value eq \"{id}\"]")}]))
        .chain(
            coming
                .iter()
                .map(|id| json!([{"op": "add", "path": "members", "value": [{"value": id}]}])),
        )
        .collect();
    let codes = at_once(operations, |operations| {
        scim.patch(&path, &operations).code()
    });
    assert_eq!(codes, [200; 16]);
    let mut expected = coming.to_vec();
    expected.sort();
    assert_eq!(scim.members(&group), expected);
}

/// Two servers on one database and a client of each, in one tenant.
struct Pair {
    servers: [Server; 2],
    scims: [Scim; 2],
    tenant: Tenant,
}

impl Pair {
    #[track_caller]
    fn start() -> Self {
        let launch = super::launch();
        let servers = [launch.start(), launch.start()];
        let tenant = Tenant::create(&servers[0]);
        let scims = servers
            .each_ref()
            .map(|server| Scim::new(server.scim_url(), &tenant.token));
        Self {
            servers,
            scims,
            tenant,
        }
    }

    /// The client of one server or the other in turn.
    fn scim(&self, turn: usize) -> &Scim {
        &self.scims[turn % 2]
    }
}

#[test]
fn of_64_creates_of_one_name_one_wins() {
    let scim = super::tenant().scim();
    let replies = at_once((0..64).collect(), |_: usize| {
        scim.post("/Users", &json!({"schemas": [USER], "userName": "ada"}))
    });
    one_wins(replies);
    assert_eq!(scim.found("userName eq \"ada\""), ["ada"]);
}

#[test]
fn of_64_creates_of_one_name_over_two_processes_one_wins() {
    let pair = Pair::start();
    for name in ["ada", "bob", "eve"] {
        let replies = at_once((0..64).collect(), |turn| {
            let body = json!({"schemas": [USER], "userName": name, "externalId": name});
            pair.scim(turn).post("/Users", &body)
        });
        one_wins(replies);
        for scim in &pair.scims {
            assert_eq!(scim.found(&format!("userName eq \"{name}\"")), [name]);
        }
    }
}

#[track_caller]
fn one_wins(replies: Vec<Reply>) {
    let (won, lost): (Vec<_>, Vec<_>) = replies.into_iter().partition(|r| r.code() == 201);
    assert_eq!(won.len(), 1, "{won:?}");
    for reply in lost {
        let _ = reply.scim_error(409, "uniqueness");
    }
}

#[test]
fn patches_of_one_group_over_two_processes_all_land() {
    let pair = Pair::start();
    let group = pair.scim(0).group("G", &[]);
    let path = format!("/Groups/{group}");
    let mut all = Vec::new();
    for round in 0..6 {
        let ids: Vec<_> = (0..5)
            .map(|n| pair.scim(n).user(&format!("u-{round}-{n}")))
            .collect();
        let codes = at_once(ids.iter().enumerate().collect(), |(turn, id)| {
            let add = json!([{"op": "Add", "path": "members", "value": [{"value": id}]}]);
            pair.scim(turn).patch(&path, &add).code()
        });
        assert_eq!(codes, [200; 5]);
        all.extend(ids);
    }
    all.sort();
    for scim in &pair.scims {
        assert_eq!(scim.members(&group), all);
    }
}

#[test]
fn two_processes_lose_no_write() {
    let pair = Pair::start();
    let [one, other] = &pair.servers;
    let witness = Witness::of(one, &pair.tenant);
    let load = witness.load(&[one, other], 4711, Ending::Answers);
    load.during(|load| load.wait_for(200));
    assert_eq!(load.refused(), 0, "nobody was in the way for long");
    load.compare(&witness, one);
    load.compare(&witness, other);
}

#[test]
fn an_update_meets_a_delete() {
    let pair = Pair::start();
    for round in 0..12 {
        let scim = pair.scim(round);
        let name = format!("u-{round}");
        let id = scim.user(&name);
        let group = scim.group(&format!("G-{round}"), &[&id]);
        let path = format!("/Users/{id}");
        let add = json!([{"op": "add", "path": "members", "value": [{"value": id}]}]);
        let title = json!([{"op": "replace", "path": "title", "value": "T"}]);
        let whole = json!({"schemas": [USER], "userName": name, "title": "W"});
        let group_path = format!("/Groups/{group}");
        let drafts = vec![
            pair.scim(0).patching(&path, &title),
            pair.scim(1).request("DELETE", &path),
            pair.scim(0).request("PUT", &path).json(&whole),
            pair.scim(1).patching(&path, &title),
            pair.scim(0).request("DELETE", &path),
        ];
        let codes = at_once(drafts, |draft| {
            draft.send().status_in(&[200, 204, 404]).code()
        });
        let deletes = [codes[1], codes[4]];
        assert!(
            [[204, 404], [404, 204]].contains(&deletes),
            "one of two deletes: {codes:?}"
        );
        let _ = scim.get(&path).status(404);
        assert_eq!(scim.members(&group), [""; 0]);
        assert_eq!(scim.found(&format!("userName eq \"{name}\"")), [""; 0]);
        // It is nobody by now (400), and stays nobody.
        let late = scim.patch(&group_path, &add);
        assert!((400..500).contains(&late.code()), "{late}");
        assert_ne!(scim.user(&name), id);
    }
}

#[test]
fn a_member_that_is_deleted_while_it_is_added_is_none() {
    let pair = Pair::start();
    for round in 0..12 {
        let scim = pair.scim(round);
        let id = scim.user(&format!("u-{round}"));
        let group = format!("/Groups/{}", scim.group(&format!("G-{round}"), &[]));
        let add = json!([{"op": "add", "path": "members", "value": [{"value": id}]}]);
        let drafts = vec![
            pair.scim(0).patching(&group, &add),
            pair.scim(1).request("DELETE", &format!("/Users/{id}")),
        ];
        let codes = at_once(drafts, |draft| draft.send().code());
        assert!((200..300).contains(&codes[0]) || (400..500).contains(&codes[0]));
        assert_eq!(codes[1], 204);
        let members = scim.get(&group).status(200).json();
        assert!(
            members["members"].as_array().is_none_or(Vec::is_empty),
            "{members}"
        );
    }
}

#[test]
fn swapped_names_are_never_lost_nor_doubled() {
    let pair = Pair::start();
    let (a, b) = (pair.scim(0).user("alpha"), pair.scim(0).user("beta"));
    for _ in 0..16 {
        let renames = [(0, &a), (1, &b)].map(|(turn, id)| {
            let now = name_of(pair.scim(turn), id);
            let other = if now == "alpha" { "beta" } else { "alpha" };
            let rename = json!([{"op": "replace", "path": "userName", "value": other}]);
            pair.scim(turn).patching(&format!("/Users/{id}"), &rename)
        });
        let replies = at_once(Vec::from(renames), Draft::send);
        for reply in replies {
            // Either goes first and meets the other's name.
            let _ = reply.scim_error(409, "uniqueness");
        }
        // With a third name it works; a meanwhile free name is anybody's.
        let (aside, back) = (rename_to("gamma"), rename_to("alpha"));
        let drafts = vec![
            pair.scim(0).patching(&format!("/Users/{a}"), &aside),
            pair.scim(1).patching(&format!("/Users/{b}"), &back),
        ];
        let codes = at_once(drafts, |draft| draft.send().status_in(&[200, 409]).code());
        assert_eq!(codes[0], 200, "nobody has the third name");
        let names = [name_of(pair.scim(0), &a), name_of(pair.scim(1), &b)];
        let expected = if codes[1] == 200 { "alpha" } else { "beta" };
        assert_eq!(names, ["gamma", expected]);
        for name in ["alpha", "beta", "gamma"] {
            let holders = names.iter().filter(|held| *held == name).count();
            let found = pair.scim(0).found(&format!("userName eq \"{name}\""));
            assert_eq!(found.len(), holders, "{name}: {names:?}");
        }
        restore(pair.scim(0), &b, "beta");
        restore(pair.scim(0), &a, "alpha");
    }
}

fn rename_to(name: &str) -> Value {
    json!([{"op": "replace", "path": "userName", "value": name}])
}

#[track_caller]
fn restore(scim: &Scim, id: &str, name: &str) {
    let _ = scim
        .patch(&format!("/Users/{id}"), &rename_to(name))
        .status(200);
}

#[track_caller]
fn name_of(scim: &Scim, id: &str) -> String {
    let user = scim.get(&format!("/Users/{id}")).status(200).json();
    user["userName"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn members_in_opposite_orders_block_nobody() {
    let pair = Pair::start();
    let scim = pair.scim(0);
    for round in 0..6 {
        let mut ids = users(scim, &format!("r{round}"), 8);
        ids.sort();
        let groups: Vec<_> = (0..2)
            .map(|n| scim.group(&format!("G-{round}-{n}"), &[]))
            .collect();
        at_once(groups.iter().enumerate().collect(), |(turn, group)| {
            let mut order = ids.clone();
            if turn == 1 {
                order.reverse();
            }
            for id in order {
                let add = json!([{"op": "add", "path": "members", "value": [{"value": id}]}]);
                let reply = pair.scim(turn).patch(&format!("/Groups/{group}"), &add);
                let _ = reply.status(200);
            }
        });
        for group in &groups {
            assert_eq!(scim.members(group), ids);
        }
    }
}

#[test]
fn of_groups_nested_into_each_other_at_once_one_is_refused() {
    let pair = Pair::start();
    let scim = pair.scim(0);
    for round in 0..12 {
        let [one, other] = [0, 1].map(|n| scim.group(&format!("G-{round}-{n}"), &[]));
        let into = vec![(0, &one, &other), (1, &other, &one)];
        let codes = at_once(into, |(turn, group, member)| {
            let add = json!([{"op": "add", "path": "members", "value": [{"value": member}]}]);
            pair.scim(turn)
                .patch(&format!("/Groups/{group}"), &add)
                .code()
        });
        let mut sorted = codes.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [200, 400], "{codes:?}");
        let sizes = [scim.members(&one).len(), scim.members(&other).len()];
        let expected = if codes[0] == 200 { [1, 0] } else { [0, 1] };
        assert_eq!(sizes, expected);
    }
}

#[test]
fn of_two_processes_with_one_tag_one_wins() {
    let pair = Pair::start();
    let path = format!("/Users/{}", pair.scim(0).user("a"));
    for round in 0..12 {
        let tag = pair.scim(round).get(&path).status(200).etag();
        let titles = vec![(0, format!("one {round}")), (1, format!("two {round}"))];
        let codes = at_once(titles.clone(), |(turn, title)| {
            let set = json!([{"op": "replace", "path": "title", "value": title}]);
            let draft = pair.scim(turn).patching(&path, &set);
            draft.header("if-match", &tag).send().code()
        });
        let won = codes
            .iter()
            .position(|code| *code == 200)
            .expect("one wins");
        assert_eq!(codes[1 - won], 412, "{codes:?}");
        let user = pair.scim(round).get(&path).status(200).json();
        assert_eq!(user["title"], titles[won].1.as_str());
    }
}

#[test]
fn of_many_creates_of_one_name_one_wins() {
    let scim = super::tenant().scim();
    let bodies = (0..32).map(|n| {
        let name = if n % 2 == 0 {
            "ada@example.test"
        } else {
            "ADA@EXAMPLE.TEST"
        };
        json!({"schemas": [USER], "userName": name, "externalId": format!("e-{n}")})
    });
    let replies = at_once(bodies.collect(), |body| scim.post("/Users", &body));
    let (won, lost): (Vec<_>, Vec<_>) = replies.into_iter().partition(|r| r.code() == 201);
    assert_eq!(won.len(), 1);
    for reply in lost {
        let _ = reply.scim_error(409, "uniqueness");
    }
    assert_eq!(scim.get("/Users").total(), 1);
}

#[test]
fn of_many_writes_with_one_tag_one_wins() {
    let scim = super::tenant().scim();
    let body = json!({"schemas": [USER], "userName": "a"});
    let created = scim.post("/Users", &body).status(201);
    let path = format!("/Users/{}", created.id());
    let tag = created.etag();
    let codes = at_once((0..16).collect(), |n| {
        let body = json!({"schemas": [USER], "userName": "a", "title": format!("T{n}")});
        let draft = scim.request("PUT", &path).json(&body);
        draft.header("if-match", &tag).send().code()
    });
    let won = codes.iter().filter(|c| **c == 200).count();
    let lost = codes.iter().filter(|c| **c == 412).count();
    assert_eq!((won, lost), (1, 15), "{codes:?}");
}

#[test]
fn concurrent_patches_of_one_user_all_land() {
    let scim = super::tenant().scim();
    let path = format!("/Users/{}", scim.user("a"));
    let attributes = [
        "title",
        "nickName",
        "locale",
        "timezone",
        "userType",
        "displayName",
    ];
    let codes = at_once(attributes.to_vec(), |name| {
        let operations = json!([{"op": "replace", "path": name, "value": "x"}]);
        scim.patch(&path, &operations).code()
    });
    assert_eq!(codes, [200; 6]);
    let user = scim.get(&path).json();
    for name in attributes {
        assert_eq!(user[name], "x", "{user}");
    }
}
