//! RFC 7644 section 3.4.2.4: pages by index.

use muster_tests::scim::{Scim, USER};
use serde_json::{Value, json};

use super::{BULK, ask, both, column, list, resources, tenant};

fn ten() -> Scim {
    let scim = tenant().scim();
    for number in 0..10 {
        scim.user(&format!("user-{number}"));
    }
    scim
}

/// This many users, in one request.
pub(super) fn crowd(scim: &Scim, prefix: &str, size: usize) -> Vec<String> {
    let operation = |number: usize| {
        json!({"method": "POST", "path": "/Users", "bulkId": format!("b{number}"),
            "data": {"schemas": [USER], "userName": format!("{prefix}-{number:04}")}})
    };
    let operations: Vec<Value> = (0..size).map(operation).collect();
    let body = json!({"schemas": [BULK], "Operations": operations});
    let answer = scim.post("/Bulk", &body).status(200).json();
    let id = |operation: &Value| {
        assert_eq!(operation["status"], "201", "{operation}");
        let location = operation["location"].as_str().expect("a location");
        location.rsplit('/').next().unwrap_or_default().to_owned()
    };
    let operations = answer["Operations"].as_array().expect("a list");
    operations.iter().map(id).collect()
}

#[test]
fn a_page_says_where_it_is() {
    let scim = ten();
    let page = list(&scim, "/Users", &[("startIndex", "4"), ("count", "3")]);
    assert_eq!(page["totalResults"], 10);
    assert_eq!(page["startIndex"], 4);
    assert_eq!(page["itemsPerPage"], 3);
    assert_eq!(column(&page, "userName"), ["user-3", "user-4", "user-5"]);
    let last = list(&scim, "/Users", &[("startIndex", "9"), ("count", "5")]);
    assert_eq!(last["itemsPerPage"], 2);
    assert_eq!(last["totalResults"], 10);
    assert_eq!(column(&last, "userName"), ["user-8", "user-9"]);
}

#[test]
fn numbers_out_of_range_are_read_as_the_nearest() {
    let scim = ten();
    for start in ["1", "0", "-1", "-2147483649"] {
        let page = list(&scim, "/Users", &[("startIndex", start), ("count", "1")]);
        assert_eq!(column(&page, "userName"), ["user-0"], "{start}");
        assert_eq!(page["startIndex"], 1, "{start}");
    }
    for count in ["0", "-1", "-2147483649"] {
        let page = list(&scim, "/Users", &[("count", count)]);
        assert_eq!(page["totalResults"], 10, "{count}");
        assert!(resources(&page).is_empty(), "{count}: {page}");
        assert_eq!(page["itemsPerPage"], 0, "{count}");
    }
    for start in ["11", "1000000", "4294967296"] {
        let page = list(&scim, "/Users", &[("startIndex", start)]);
        assert_eq!(page["totalResults"], 10, "{start}");
        assert!(resources(&page).is_empty(), "{start}: {page}");
    }
}

#[test]
fn filters_page_and_count_what_they_match() {
    let scim = ten();
    let filter = ("filter", "userName ge \"user-4\"");
    let page = list(
        &scim,
        "/Users",
        &[filter, ("startIndex", "2"), ("count", "2")],
    );
    assert_eq!(page["totalResults"], 6);
    assert_eq!(column(&page, "userName"), ["user-5", "user-6"]);
    let none = list(&scim, "/Users", &[("filter", "userName eq \"nobody\"")]);
    assert_eq!(none["totalResults"], 0);
    assert!(resources(&none).is_empty());
    let count = list(&scim, "/Users", &[filter, ("count", "0")]);
    assert_eq!(count["totalResults"], 6);
}

#[test]
fn indexes_give_no_cursors() {
    let clients = both();
    clients[0].user("a");
    clients[0].user("b");
    for scim in clients {
        let page = list(&scim, "/Users", &[("startIndex", "1"), ("count", "1")]);
        assert!(page.get("nextCursor").is_none(), "{page}");
        // Index paging is the default that the provider announces.
        let page = list(&scim, "/Users", &[("count", "1")]);
        assert!(page.get("nextCursor").is_none(), "{page}");
        assert_eq!(page["startIndex"], 1, "{page}");
    }
}

#[test]
fn what_is_no_number_is_an_invalid_value() {
    let scim = ten();
    for (name, value) in [("startIndex", "one"), ("count", "ten"), ("count", "1.5")] {
        let reply = ask(&scim, "/Users", &[(name, value)]);
        super::refused(&reply, 400, &["invalidValue"]);
    }
}

#[test]
fn the_maximum_of_the_provider_is_never_exceeded() {
    let scim = tenant().scim();
    crowd(&scim, "crowd", 1000);
    for number in 0..5 {
        scim.user(&format!("late-{number}"));
    }
    let config = scim.get("/ServiceProviderConfig").status(200).json();
    assert_eq!(config["filter"]["maxResults"], 1000);
    let page = list(
        &scim,
        "/Users",
        &[("count", "5000"), ("attributes", "userName")],
    );
    assert_eq!(page["totalResults"], 1005);
    assert_eq!(page["itemsPerPage"], 1000);
    assert_eq!(resources(&page).len(), 1000);
    let page = list(
        &scim,
        "/Users",
        &[("startIndex", "1001"), ("attributes", "userName")],
    );
    assert_eq!(column(&page, "userName").len(), 5);
    // Without a count, a page has the size that is announced as the default.
    let page = list(&scim, "/Users", &[("attributes", "userName")]);
    assert_eq!(resources(&page).len(), 100);
    let page = list(
        &scim,
        "/Users",
        &[("cursor", ""), ("attributes", "userName")],
    );
    assert_eq!(resources(&page).len(), 100);
    assert!(page["nextCursor"].is_string());
}
