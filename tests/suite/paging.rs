//! Lists by index: RFC 7644 section 3.4.2.4.

use muster_tests::scim::{LIST, Scim};

fn seven() -> Scim {
    let scim = super::tenant().scim();
    for n in 0..7 {
        scim.user(&format!("user-{n}"));
    }
    scim
}

#[track_caller]
fn page(scim: &Scim, query: &str) -> (u64, u64, u64, Vec<String>) {
    let body = scim.get(&format!("/Users?{query}")).status(200).json();
    assert_eq!(body["schemas"][0], LIST);
    let number = |name: &str| body[name].as_u64().expect("a number");
    let names = body["Resources"].as_array().expect("a list");
    let names: Vec<String> = names
        .iter()
        .map(|u| u["userName"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(number("itemsPerPage"), names.len() as u64, "{body}");
    (
        number("totalResults"),
        number("startIndex"),
        number("itemsPerPage"),
        names,
    )
}

#[test]
fn pages_follow_each_other_without_gap_or_overlap() {
    let scim = seven();
    let mut all = Vec::new();
    for start in [1, 4, 7] {
        let (total, index, _, names) = page(&scim, &format!("startIndex={start}&count=3"));
        assert_eq!((total, index), (7, start));
        all.extend(names);
    }
    let expected: Vec<String> = (0..7).map(|n| format!("user-{n}")).collect();
    assert_eq!(all, expected, "in the order of creation");
}

#[test]
fn a_list_without_paging_starts_at_one() {
    let (total, index, items, _) = page(&seven(), "");
    assert_eq!((total, index, items), (7, 1, 7));
}

#[test]
fn count_zero_counts_only() {
    let (total, _, items, _) = page(&seven(), "count=0");
    assert_eq!((total, items), (7, 0));
}

#[test]
fn numbers_below_their_range_are_its_start() {
    let scim = seven();
    for query in ["startIndex=0&count=2", "startIndex=-5&count=2"] {
        let (_, index, _, names) = page(&scim, query);
        assert_eq!((index, names.len()), (1, 2), "{query}");
    }
    let (total, _, items, _) = page(&scim, "count=-3");
    assert_eq!((total, items), (7, 0));
}

#[test]
fn numbers_beyond_the_end_are_an_empty_page() {
    let scim = seven();
    for start in ["8", "2147483648", "9223372036854775807"] {
        let (total, _, items, _) = page(&scim, &format!("startIndex={start}"));
        assert_eq!((total, items), (7, 0), "{start}");
    }
    for count in ["1000000", "2147483648", "9223372036854775807"] {
        let (total, _, items, _) = page(&scim, &format!("count={count}"));
        assert_eq!((total, items), (7, 7), "{count}");
    }
}

#[test]
fn what_is_no_number_is_refused() {
    let scim = seven();
    for query in ["startIndex=one", "count=1e3", "count=1.5", "startIndex=0x1"] {
        let reply = scim.get(&format!("/Users?{query}"));
        let _ = reply.scim_error(400, "invalidValue");
    }
}

#[test]
fn the_order_holds_while_users_change() {
    let scim = seven();
    let (.., before) = page(&scim, "");
    let body = scim.find("/Users", "userName eq \"user-2\"").json();
    let id = body["Resources"][0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let operations = serde_json::json!([{"op": "add", "path": "title", "value": "T"}]);
    let _ = scim.patch(&format!("/Users/{id}"), &operations).status(200);
    let (.., after) = page(&scim, "");
    assert_eq!(before, after);
}

#[test]
fn filters_page_too() {
    let scim = seven();
    let query = "filter=userName+ne+%22user-0%22&startIndex=6&count=5";
    let (total, index, _, names) = page(&scim, query);
    assert_eq!((total, index, names), (6, 6, vec!["user-6".to_owned()]));
}
