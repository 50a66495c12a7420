//! The order of lists, and of users and groups together.

use std::collections::BTreeSet;

use muster_proto::v1;
use muster_tests::{
    grpc::{Grpc, reason},
    runtime::wait,
};
use tonic::{Code, Status};

fn by(attribute: &str, sub: &str, descending: bool) -> v1::SortOrder {
    v1::SortOrder {
        path: Some(v1::AttributePath {
            attribute: attribute.to_owned(),
            sub_attribute: sub.to_owned(),
            ..Default::default()
        }),
        descending,
    }
}

fn create(grpc: &Grpc, name: &str, title: &str) -> String {
    let user = v1::User {
        user_name: name.to_owned(),
        title: title.to_owned(),
        ..Default::default()
    };
    let request = v1::CreateUserRequest {
        user: Some(user),
        options: None,
    };
    let answer = wait(grpc.users().create_user(request)).expect("created");
    answer.into_inner().user.expect("the created user").id
}

fn delete(grpc: &Grpc, id: &str) {
    let request = v1::DeleteUserRequest {
        id: id.to_owned(),
        ..Default::default()
    };
    wait(grpc.users().delete_user(request)).expect("deleted");
}

fn page(
    grpc: &Grpc,
    sort: v1::SortOrder,
    page: v1::PageRequest,
) -> Result<(Vec<String>, String), Status> {
    let request = v1::ListUsersRequest {
        sort: Some(sort),
        page: Some(page),
        ..Default::default()
    };
    let answer = wait(grpc.users().list_users(request))?.into_inner();
    let names = answer.users.into_iter().map(|user| user.user_name);
    let next = answer.page.expect("page information").next_page_token;
    Ok((names.collect(), next))
}

fn of(page_size: i32, page_token: &str, skip: i64) -> v1::PageRequest {
    v1::PageRequest {
        page_size,
        page_token: page_token.to_owned(),
        skip,
        ..Default::default()
    }
}

#[test]
fn without_a_value_is_last_or_first() {
    let grpc = super::tenant().grpc();
    for (name, title) in [("a", "Z"), ("b", ""), ("c", "ä"), ("d", "z"), ("e", "B")] {
        create(&grpc, name, title);
    }
    for (descending, expected) in [
        (false, ["e", "a", "d", "c", "b"]),
        (true, ["b", "c", "a", "d", "e"]),
    ] {
        let sort = by("title", "", descending);
        let (names, next) = page(&grpc, sort.clone(), of(0, "", 0)).expect("a page");
        assert_eq!(names, expected);
        assert_eq!(next, "");
        // By index, and by token from any place.
        for at in 0..5 {
            let skip = i64::try_from(at).expect("small");
            let (names, next) = page(&grpc, sort.clone(), of(2, "", skip)).expect("a page");
            assert_eq!(names, expected[at..expected.len().min(at + 2)]);
            if !next.is_empty() {
                let (names, _) = page(&grpc, sort.clone(), of(9, &next, 0)).expect("a page");
                assert_eq!(names, expected[at + 2..]);
            }
        }
    }
}

#[test]
fn whoever_is_there_all_the_time_is_shown_once() {
    let grpc = super::tenant().grpc();
    for descending in [false, true] {
        let prefix = if descending { "d" } else { "a" };
        let mut stay = BTreeSet::new();
        let mut go = Vec::new();
        for number in 0..60 {
            let name = format!("{prefix}-{number}");
            let title = ["", "x", "y", "Y"][number % 4];
            let id = create(&grpc, &name, title);
            if number % 3 == 0 {
                go.push(id);
            } else {
                stay.insert(name);
            }
        }
        let (mut seen, mut token, mut round) = (Vec::new(), String::new(), 0);
        loop {
            let sort = by("title", "", descending);
            let (names, next) = page(&grpc, sort, of(7, &token, 0)).expect("a page");
            seen.extend(names);
            if next.is_empty() {
                break;
            }
            token = next;
            if let Some(id) = go.pop() {
                delete(&grpc, &id);
            }
            round += 1;
            create(
                &grpc,
                &format!("new-{prefix}-{round}"),
                ["", "w", "y", "z"][round % 4],
            );
        }
        let shown: Vec<_> = seen.iter().filter(|name| stay.contains(*name)).collect();
        let once: BTreeSet<_> = shown.iter().copied().collect();
        assert_eq!(shown.len(), once.len(), "somebody was shown twice");
        assert_eq!(once.len(), stay.len(), "somebody was left out");
    }
}

#[test]
fn what_has_no_order_is_an_invalid_path() {
    let grpc = super::tenant().grpc();
    for (attribute, sub) in [("name", ""), ("shoeSize", ""), ("name", "nick"), ("", "")] {
        let sort = by(attribute, sub, false);
        let status = page(&grpc, sort, of(0, "", 0)).expect_err("refused");
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(reason(&status), "PATH_INVALID", "{attribute}.{sub}");
    }
}

#[test]
fn a_token_goes_on_in_its_own_order_only() {
    let grpc = super::tenant().grpc();
    for name in ["a", "b", "c"] {
        create(&grpc, name, "t");
    }
    let (_, token) = page(&grpc, by("title", "", false), of(1, "", 0)).expect("a page");
    let unreserved = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    assert!(token.chars().all(unreserved), "{token}");
    for other in [by("title", "", true), by("userName", "", false)] {
        let status = page(&grpc, other, of(1, &token, 0)).expect_err("refused");
        assert_eq!(reason(&status), "PAGE_TOKEN_INVALID");
    }
}

fn target(kind: v1::ResourceType, sort: Option<v1::SortOrder>) -> v1::Target {
    v1::Target {
        r#type: kind.into(),
        sort,
        ..Default::default()
    }
}

/// Names of all results, page by page, and how many there are.
fn search(grpc: &Grpc, targets: &[v1::Target], size: i32) -> Result<(Vec<String>, i64), Status> {
    let mut request = v1::SearchResourcesRequest {
        targets: targets.to_vec(),
        page: Some(v1::PageRequest {
            include_total_size: true,
            ..of(size, "", 0)
        }),
        ..Default::default()
    };
    let mut names = Vec::new();
    loop {
        let answer = wait(grpc.search().search_resources(request.clone()))?.into_inner();
        for found in answer.resources {
            names.push(match found.resource.expect("a user or a group") {
                v1::resource::Resource::User(user) => user.user_name,
                v1::resource::Resource::Group(group) => group.display_name,
            });
        }
        let next = answer.page.expect("page information");
        if next.next_page_token.is_empty() {
            return Ok((names, next.total_size));
        }
        request.page.as_mut().expect("set above").page_token = next.next_page_token;
    }
}

#[test]
fn users_and_groups_are_listed_together() {
    let tenant = super::tenant();
    let (grpc, scim) = (tenant.grpc(), tenant.scim());
    for name in ["m", "c", "x"] {
        create(&grpc, name, "");
    }
    for name in ["N", "B", "Y"] {
        scim.group(name, &[]);
    }
    let (users, groups) = (v1::ResourceType::User, v1::ResourceType::Group);
    let asked = |user: &str, group: &str, descending| {
        let sort = |name: &str| (!name.is_empty()).then(|| by(name, "", descending));
        [target(users, sort(user)), target(groups, sort(group))]
    };
    for size in 1..=7 {
        for (targets, expected) in [
            (asked("", "", false), ["m", "c", "x", "N", "B", "Y"]),
            (
                asked("userName", "displayName", false),
                ["B", "c", "m", "N", "x", "Y"],
            ),
            (
                asked("userName", "displayName", true),
                ["Y", "x", "N", "m", "c", "B"],
            ),
            // Groups have nothing to sort by.
            (asked("userName", "", false), ["c", "m", "x", "N", "B", "Y"]),
            (asked("userName", "", true), ["N", "B", "Y", "x", "m", "c"]),
            // Truth comes before text.
            (
                asked("active", "displayName", false),
                ["m", "c", "x", "B", "N", "Y"],
            ),
        ] {
            let found = search(&grpc, &targets, size).expect("a page");
            assert_eq!(found, (expected.map(str::to_owned).to_vec(), 6), "{size}");
        }
    }
    let mut narrow = asked("userName", "displayName", false);
    let filter = v1::filter::Node::Present(Box::new(v1::AttributePath {
        attribute: "title".to_owned(),
        ..Default::default()
    }));
    narrow[0].filter = Some(v1::Filter { node: Some(filter) });
    let (found, total) = search(&grpc, &narrow, 2).expect("a page");
    assert_eq!((found.join(" "), total), ("B N Y".to_owned(), 3));
}

#[test]
fn a_search_names_each_type_once_and_needs_its_scope() {
    let tenant = super::tenant();
    let (users, groups) = (v1::ResourceType::User, v1::ResourceType::Group);
    let both = [target(users, None), target(groups, None)];
    let grpc = tenant.grpc();
    for wrong in [
        vec![],
        vec![target(users, None), target(users, None)],
        vec![target(v1::ResourceType::Membership, None)],
        vec![
            target(users, Some(by("userName", "", true))),
            target(groups, Some(by("displayName", "", false))),
        ],
    ] {
        let status = search(&grpc, &wrong, 1).expect_err("refused");
        assert_eq!(reason(&status), "FIELD_INVALID");
    }
    for (scope, other) in [("users.list", groups), ("groups.read", users)] {
        let narrow = tenant.grpc_may(super::server(), scope);
        for targets in [&both[..], &[target(other, None)]] {
            let status = search(&narrow, targets, 1).expect_err("refused");
            assert_eq!(reason(&status), "SCOPE_MISSING");
        }
        let own = if other == users { groups } else { users };
        assert!(search(&narrow, &[target(own, None)], 1).is_ok());
    }
}
