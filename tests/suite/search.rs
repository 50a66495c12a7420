//! Queries by POST and across types, sorting, cursors: RFC 7644 sections
//! 3.4.2.1, 3.4.2.3 and 3.4.3, RFC 9865.

use muster_tests::scim::{LIST, Reply, Scim, query};
use serde_json::{Value, json};

const SEARCH: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";

/// Five users and two groups.
fn company() -> Scim {
    let scim = super::tenant().scim();
    for (name, title) in [("d", "T"), ("b", ""), ("e", "T"), ("a", "S"), ("c", "")] {
        let id = scim.user(name);
        if !title.is_empty() {
            let set = json!([{"op": "add", "path": "title", "value": title}]);
            let _ = scim.patch(&format!("/Users/{id}"), &set).status(200);
        }
    }
    for name in ["y", "x"] {
        scim.group(name, &[]);
    }
    scim
}

/// What the resources of a list are called.
#[track_caller]
fn names(list: &Value) -> Vec<String> {
    let resources = list["Resources"].as_array().expect("a list");
    let name = |r: &Value| {
        let name = r["userName"].as_str().or(r["displayName"].as_str());
        name.expect("a name").to_owned()
    };
    resources.iter().map(name).collect()
}

fn search(scim: &Scim, path: &str, parameters: &Value) -> Reply {
    let mut body = parameters.clone();
    body["schemas"] = json!([SEARCH]);
    scim.post(&format!("{path}/.search"), &body)
}

#[test]
fn a_search_is_a_list() {
    let scim = company();
    let parameters = json!({"filter": "title pr", "sortBy": "userName", "count": 2,
        "attributes": ["userName", "title"]});
    let posted = search(&scim, "/Users", &parameters).status(200).json();
    let got = scim.get("/Users?filter=title+pr&sortBy=userName&count=2&attributes=userName,title");
    assert_eq!(posted, got.status(200).json());
    assert_eq!(posted["schemas"], json!([LIST]));
    assert_eq!(
        (names(&posted), &posted["totalResults"]),
        (vec!["a".to_owned(), "d".to_owned()], &json!(3))
    );
    let bare = scim.post("/Groups/.search", &json!({})).status(200).json();
    assert_eq!(names(&bare), ["y", "x"]);
    let _ = scim.get("/Users/.search").status_in(&[404, 405]);
}

#[test]
fn lists_are_sorted() {
    let scim = company();
    for (query, expected) in [
        ("sortBy=userName", ["a", "b", "c", "d", "e"]),
        (
            "sortBy=userName&sortOrder=descending",
            ["e", "d", "c", "b", "a"],
        ),
        ("sortBy=title", ["a", "d", "e", "b", "c"]),
        ("sortOrder=descending", ["d", "b", "e", "a", "c"]),
    ] {
        let list = scim.get(&format!("/Users?{query}")).status(200).json();
        assert_eq!(names(&list), expected, "{query}");
    }
    for (query, scim_type) in [
        ("sortBy=shoeSize", "invalidPath"),
        ("sortBy=name", "invalidPath"),
        ("sortBy=userName&sortOrder=up", "invalidValue"),
    ] {
        let _ = scim
            .get(&format!("/Users?{query}"))
            .scim_error(400, scim_type);
    }
}

#[test]
fn users_and_groups_are_found_together() {
    let scim = company();
    let ask = |pairs: &[(&str, &str)]| scim.get(&format!("?{}", query(pairs)));
    let all = ask(&[("sortBy", "meta.created")]).status(200).json();
    assert_eq!(all["totalResults"], 7);
    for resource in all["Resources"].as_array().expect("a list") {
        let location = resource["meta"]["location"].as_str().expect("a location");
        let _ = scim.get(location).status(200);
    }
    for (filter, expected) in [
        ("userName pr", &["d", "b", "e", "a", "c"][..]),
        ("displayName eq \"X\"", &["x"]),
        ("title eq \"T\" or displayName pr", &["d", "e", "y", "x"]),
        ("not (userName pr)", &["y", "x"]),
        ("meta.resourceType eq \"Group\"", &["y", "x"]),
    ] {
        let list = ask(&[("filter", filter)]).status(200).json();
        assert_eq!(names(&list), expected, "{filter}");
        let posted = search(&scim, "", &json!({"filter": filter}));
        assert_eq!(posted.status(200).json(), list, "{filter}");
    }
    let _ = ask(&[("filter", "shoeSize pr")]).scim_error(400, "invalidFilter");
    let _ = ask(&[("sortBy", "shoeSize")]).scim_error(400, "invalidPath");
}

/// All pages by cursor.
#[track_caller]
fn pages(scim: &Scim, path: &str, rest: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let parameters = format!("{rest}&{}", query(&[("cursor", &cursor)]));
        let list = scim.get(&format!("{path}?{parameters}")).status(200).json();
        assert_eq!(list.get("startIndex"), None, "{list}");
        pages.push(names(&list));
        assert_eq!(list["itemsPerPage"], pages.last().map_or(0, Vec::len));
        match list["nextCursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return pages,
        }
    }
}

#[test]
fn cursors_lead_through_a_list() {
    let scim = company();
    assert_eq!(
        pages(&scim, "/Users", "count=2&sortBy=userName"),
        [vec!["a", "b"], vec!["c", "d"], vec!["e"]]
    );
    assert_eq!(pages(&scim, "", "count=5")[1], ["y", "x"]);
    assert_eq!(pages(&scim, "/Groups", "count=2"), [["y", "x"]]);
    let first = search(&scim, "/Users", &json!({"cursor": "", "count": 4}));
    let next = first.json()["nextCursor"].clone();
    let last = search(&scim, "/Users", &json!({"cursor": next, "count": 4}));
    assert_eq!(names(&last.json()), ["c"]);
    let next = next.as_str().expect("a cursor");
    for (query, scim_type) in [
        ("cursor=x", "invalidCursor"),
        (&format!("cursor={next}&filter=title+pr"), "invalidCursor"),
        ("cursor=&count=1001", "invalidCount"),
        ("cursor=&startIndex=1", "invalidValue"),
    ] {
        let _ = scim
            .get(&format!("/Users?{query}"))
            .scim_error(400, scim_type);
    }
}
