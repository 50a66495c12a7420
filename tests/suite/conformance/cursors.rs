//! RFC 9865: pages by cursor.

use std::collections::BTreeSet;

use muster_tests::{
    scim::{Scim, USER},
    soon::wait_until,
};
use serde_json::{Value, json};

use super::{SEARCH, ask, both, column, create, list, refused, resources, tenant};

fn people(scim: &Scim, range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| scim.user(&format!("user-{n:02}"))).collect()
}

/// All pages from the first, of names.
#[track_caller]
fn walk(scim: &Scim, path: &str, parameters: &[(&str, &str)]) -> Vec<Vec<String>> {
    let mut cursor = String::new();
    let mut pages = Vec::new();
    loop {
        let mut with_cursor = parameters.to_vec();
        with_cursor.push(("cursor", &cursor));
        let page = list(scim, path, &with_cursor);
        pages.push(column(&page, "userName"));
        let Some(next) = next(&page) else {
            return pages;
        };
        assert!(pages.len() < 100, "the pages have no end");
        cursor = next;
    }
}

fn next(page: &Value) -> Option<String> {
    page["nextCursor"].as_str().map(str::to_owned)
}

#[test]
fn cursors_lead_through_everything_once() {
    let scim = tenant().scim();
    people(&scim, 0..10);
    let pages = walk(&scim, "/Users", &[("count", "3")]);
    let sizes: Vec<usize> = pages.iter().map(Vec::len).collect();
    assert!(sizes.iter().all(|size| *size <= 3), "{sizes:?}");
    let names = pages.concat();
    let expected: Vec<String> = (0..10).map(|n| format!("user-{n:02}")).collect();
    assert_eq!(names, expected);
    // A single page needs no other.
    let pages = walk(&scim, "/Users", &[("count", "10")]);
    assert_eq!(pages.concat(), expected);
    let one = list(&scim, "/Users", &[("cursor", ""), ("count", "1000")]);
    assert!(next(&one).is_none(), "{one}");
    let none = list(
        &scim,
        "/Users",
        &[("cursor", ""), ("filter", "userName eq \"x\"")],
    );
    assert!(
        next(&none).is_none() && resources(&none).is_empty(),
        "{none}"
    );
}

#[test]
fn a_page_by_cursor_says_how_much_there_is() {
    let clients = both();
    people(&clients[0], 0..3);
    for scim in clients {
        // A parameter without a value is an empty cursor as well.
        for first in ["cursor", "cursor="] {
            let page = scim
                .get(&format!("/Users?{first}&count=2"))
                .status(200)
                .json();
            assert_eq!(page["totalResults"], 3, "{page}");
            assert_eq!(page["itemsPerPage"], 2, "{page}");
            assert_eq!(resources(&page).len(), 2);
            assert!(
                page.get("previousCursor").is_none(),
                "nothing is before: {page}"
            );
            let cursor = next(&page).expect("there is more");
            let unreserved = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
            assert!(cursor.chars().all(unreserved), "{cursor}");
        }
    }
}

#[test]
fn cursors_keep_filter_and_order() {
    let scim = tenant().scim();
    for (name, title) in [
        ("e", "B"),
        ("d", ""),
        ("c", "a"),
        ("b", "B"),
        ("a", ""),
        ("f", "c"),
        ("x", "skip"),
    ] {
        let mut user = json!({"schemas": [USER], "userName": name});
        if !title.is_empty() {
            user["title"] = json!(title);
        }
        create(&scim, "/Users", &user);
    }
    let filter = ("filter", "userName ne \"x\"");
    let sorted = [filter, ("sortBy", "title"), ("count", "2")];
    assert_eq!(
        walk(&scim, "/Users", &sorted).concat(),
        ["c", "e", "b", "f", "d", "a"]
    );
    let descending = [
        filter,
        ("sortBy", "title"),
        ("sortOrder", "descending"),
        ("count", "1"),
    ];
    let names = walk(&scim, "/Users", &descending).concat();
    assert_eq!(names.len(), 6);
    assert_eq!(names[..2].iter().collect::<BTreeSet<_>>().len(), 2);
    assert!(
        names[..2]
            .iter()
            .all(|name| ["a", "d"].contains(&name.as_str())),
        "{names:?}"
    );
    assert_eq!(
        (names[2].as_str(), names[5].as_str()),
        ("f", "c"),
        "{names:?}"
    );
    let projected = [
        ("attributes", "userName"),
        ("sortBy", "userName"),
        ("count", "4"),
    ];
    let names = walk(&scim, "/Users", &projected).concat();
    assert_eq!(names, ["a", "b", "c", "d", "e", "f", "x"]);
}

#[test]
fn nobody_is_missed_or_met_twice_while_others_come_and_go() {
    let scim = tenant().scim();
    let ids = people(&scim, 0..30);
    let mut cursor = String::new();
    let (mut seen, mut round) = (Vec::new(), 0);
    loop {
        let page = list(&scim, "/Users", &[("count", "5"), ("cursor", &cursor)]);
        seen.extend(column(&page, "userName"));
        let Some(next) = next(&page) else { break };
        cursor = next;
        // One that was shown goes, one that was not goes, one comes.
        if round < 3 {
            let _ = scim.delete(&format!("/Users/{}", ids[round])).status(204);
            let _ = scim
                .delete(&format!("/Users/{}", ids[29 - round]))
                .status(204);
            scim.user(&format!("new-{round}"));
        }
        round += 1;
    }
    let distinct: BTreeSet<&String> = seen.iter().collect();
    assert_eq!(distinct.len(), seen.len(), "twice: {seen:?}");
    for number in 0..27 {
        let name = format!("user-{number:02}");
        assert!(seen.contains(&name), "{name} was missed: {seen:?}");
    }
    for number in 27..30 {
        let name = format!("user-{number:02}");
        assert!(!seen.contains(&name), "{name} was gone: {seen:?}");
    }
}

#[test]
fn every_cursor_that_is_none_gets_one_answer() {
    let (scim, stranger) = (tenant().scim(), tenant().scim());
    people(&scim, 0..3);
    people(&stranger, 0..3);
    let mine = list(&scim, "/Users", &[("cursor", ""), ("count", "2")]);
    let theirs = list(&stranger, "/Users", &[("cursor", ""), ("count", "2")]);
    let [mine, theirs] = [mine, theirs].map(|page| next(&page).expect("there is more"));
    let of_another_query = [("cursor", mine.as_str()), ("filter", "userName pr")];
    let answers = [
        ask(&scim, "/Users", &[("cursor", "AAAA")]),
        ask(&scim, "/Users", &[("cursor", &theirs)]),
        ask(&scim, "/Users", &[("cursor", &mine[1..])]),
        ask(&scim, "/Groups", &[("cursor", &mine)]),
        ask(&scim, "/Users", &of_another_query),
    ];
    for answer in &answers {
        refused(answer, 400, &["invalidCursor"]);
        assert_eq!(answer.text(), answers[0].text());
    }
}

#[test]
fn what_is_no_cursor_of_this_query_is_invalid() {
    let tenant = tenant();
    let scim = tenant.scim();
    people(&scim, 0..4);
    let filter = ("filter", "userName sw \"user\"");
    let page = list(&scim, "/Users", &[("cursor", ""), ("count", "2"), filter]);
    let cursor = next(&page).expect("there is more");
    let again = list(
        &scim,
        "/Users",
        &[("cursor", &cursor), ("count", "2"), filter],
    );
    assert_eq!(column(&again, "userName"), ["user-02", "user-03"]);

    let mut turned: Vec<char> = cursor.chars().collect();
    let middle = turned.len() / 2;
    turned[middle] = if turned[middle] == 'A' { 'B' } else { 'A' };
    let turned: String = turned.into_iter().collect();
    let cut = &cursor[..cursor.len() - 1];
    let longer = format!("{cursor}A");
    for forged in [
        "1",
        "x",
        "AAAA",
        "%00",
        "é",
        " ",
        &turned,
        cut,
        &longer,
        &"A".repeat(4000),
    ] {
        let reply = ask(
            &scim,
            "/Users",
            &[("cursor", forged), ("count", "2"), filter],
        );
        refused(&reply, 400, &["invalidCursor"]);
    }
    // The same query, or none.
    for other in [
        &[("cursor", cursor.as_str()), ("count", "2")][..],
        &[
            ("cursor", &cursor),
            ("count", "2"),
            ("filter", "userName sw \"u\""),
        ],
        &[
            ("cursor", &cursor),
            ("count", "2"),
            filter,
            ("sortBy", "userName"),
        ],
    ] {
        refused(&ask(&scim, "/Users", other), 400, &["invalidCursor"]);
    }
    let reply = ask(&scim, "/Groups", &[("cursor", &cursor), ("count", "2")]);
    refused(&reply, 400, &["invalidCursor"]);
    let stranger = super::tenant().scim();
    let reply = ask(
        &stranger,
        "/Users",
        &[("cursor", &cursor), ("count", "2"), filter],
    );
    refused(&reply, 400, &["invalidCursor"]);
    assert!(!reply.text().contains("user-"), "{reply}");
}

#[test]
fn a_count_of_nothing_asks_how_much_there_is() {
    let scim = tenant().scim();
    people(&scim, 0..3);
    for count in ["0", "-1"] {
        let reply = ask(&scim, "/Users", &[("cursor", ""), ("count", count)]);
        let body = reply.status(200).json();
        assert!(resources(&body).is_empty(), "{count}: {body}");
        assert_eq!(body["totalResults"], 3, "{body}");
        assert_eq!(next(&body), None, "{body}");
    }
}

#[test]
fn counts_out_of_range_are_refused() {
    let scim = tenant().scim();
    people(&scim, 0..3);
    let reply = ask(&scim, "/Users", &[("cursor", ""), ("count", "1001")]);
    refused(&reply, 400, &["invalidCount"]);
    let reply = ask(&scim, "/Users", &[("cursor", ""), ("count", "many")]);
    refused(&reply, 400, &["invalidCount", "invalidValue"]);
    // What two methods at once mean is nobody's word.
    let reply = ask(&scim, "/Users", &[("cursor", ""), ("startIndex", "2")]);
    let _ = reply.status_in(&[200, 400]);
}

#[test]
fn searches_by_post_have_cursors_too() {
    let scim = tenant().scim();
    people(&scim, 0..5);
    let mut names = Vec::new();
    let mut cursor = String::new();
    for _ in 0..10 {
        let body = json!({"schemas": [SEARCH], "filter": "userName sw \"user\"",
            "attributes": ["userName"], "sortBy": "userName", "sortOrder": "descending",
            "cursor": cursor, "count": 2});
        let page = scim.post("/Users/.search", &body).status(200).json();
        assert_eq!(page["totalResults"], 5, "{page}");
        names.extend(column(&page, "userName"));
        let Some(next) = next(&page) else { break };
        cursor = next;
    }
    assert_eq!(
        names,
        ["user-04", "user-03", "user-02", "user-01", "user-00"]
    );
    let body = json!({"schemas": [SEARCH], "cursor": "nonsense"});
    refused(&scim.post("/Users/.search", &body), 400, &["invalidCursor"]);
}

#[test]
fn groups_and_the_root_have_cursors_too() {
    let scim = tenant().scim();
    let ids = people(&scim, 0..3);
    for (number, id) in ids.iter().enumerate() {
        scim.group(&format!("g{number}"), &[id]);
    }
    for (path, expected) in [("/Groups", 3), ("/", 6)] {
        let mut seen = BTreeSet::new();
        let mut cursor = String::new();
        for _ in 0..10 {
            let page = list(&scim, path, &[("count", "2"), ("cursor", &cursor)]);
            assert_eq!(page["totalResults"], expected, "{page}");
            for id in column(&page, "id") {
                assert!(seen.insert(id), "twice: {page}");
            }
            let Some(next) = next(&page) else { break };
            cursor = next;
        }
        assert_eq!(seen.len(), expected, "{path}");
    }
}

#[test]
fn a_cursor_is_no_credential() {
    let tenant = tenant();
    let scim = tenant.scim();
    people(&scim, 0..3);
    let page = list(&scim, "/Users", &[("cursor", ""), ("count", "1")]);
    let cursor = next(&page).expect("there is more");
    let anyone = Scim::anonymous(scim.base());
    let reply = ask(&anyone, "/Users", &[("cursor", &cursor), ("count", "1")]);
    let _ = reply.scim_error(401, None);
    // A credential that is taken back takes its cursors along.
    let (id, token) = tenant.credential(super::server(), "entra", &[]);
    let other = tenant.scim_with(&token);
    let page = list(&other, "/Users", &[("cursor", ""), ("count", "1")]);
    let cursor = next(&page).expect("there is more");
    let revoke = ["credential", "revoke", "--tenant", &tenant.id, "--id", &id];
    let _ = super::server().admin().run(&revoke).code(0);
    let again = || ask(&other, "/Users", &[("cursor", &cursor), ("count", "1")]);
    // A command is another process, of which the server hears within a second.
    wait_until("the end of the credential", || again().code() == 401);
    let _ = again().scim_error(401, None);
}
