//! What the database finds, and in which order, is what the rules say: random
//! people, random filters and orders, the answers of the server against the
//! pure evaluation of the same on values. What the rules refuse, the server
//! refuses.

mod asks;
mod badge;
mod dice;
mod people;

use std::cmp::Ordering;

use muster_directory::domain::{
    filter::{Filter, Subject},
    sort::{Key, Sort},
};
use muster_proto::v1;
use muster_tests::{
    grpc::{Grpc, reason},
    runtime::wait,
    tenant::Tenant,
};
use tonic::{Code, Status};

use self::{
    asks::{PATHS, decoded, filter, path},
    dice::Dice,
    people::{People, Person},
};

const PEOPLE: usize = 120;
const FILTERS: usize = 250;

/// Another number is another story; a failure names what it was about.
const SEED: u64 = 20_261_123;

#[test]
fn filters_find_whom_the_rules_say() {
    let mut dice = Dice::new(SEED);
    let tenant = badged();
    let people = People::make(&tenant.grpc(), &mut dice, PEOPLE);
    let (mut found_some, mut refused) = (0, 0);
    for _ in 0..FILTERS {
        let wire = filter(&mut dice, &people, 3);
        let Ok(meant) = decoded(&wire) else {
            assert_refused(&tenant.grpc(), wire);
            refused += 1;
            continue;
        };
        let expected = people.all.iter().filter(|p| finds(&meant, p));
        let expected: Vec<_> = expected.map(|p| p.resource.id.as_str()).collect();
        let found = list(&tenant.grpc(), Some(wire), None, 1_000);
        assert_same(&people, &found, &expected, &meant);
        found_some += usize::from(!found.is_empty() && found.len() < PEOPLE);
    }
    // A test of filters that find all or nobody would be none.
    assert!(found_some > FILTERS / 4, "{found_some}");
    assert!((1..FILTERS / 2).contains(&refused), "{refused}");
}

#[test]
fn lists_come_in_the_order_of_the_rules() {
    let mut dice = Dice::new(SEED + 1);
    let tenant = badged();
    let people = People::make(&tenant.grpc(), &mut dice, PEOPLE);
    for (schema, attribute, sub) in PATHS {
        for descending in [false, true] {
            let asked = (schema, attribute, sub);
            let Ok(sort) = Sort::find(badge::users(), asked, descending) else {
                continue;
            };
            let mut expected: Vec<_> = people.all.iter().collect();
            expected.sort_by(|a, b| order(&sort, a, b));
            let expected: Vec<_> = expected.iter().map(|p| p.resource.id.as_str()).collect();
            let order = v1::SortOrder {
                path: Some(path(schema, attribute, sub)),
                descending,
            };
            let size = 1 + dice.below(60);
            let found = list(&tenant.grpc(), None, Some(order), size);
            assert_same(&people, &found, &expected, &sort);
        }
    }
}

#[test]
fn users_say_all_groups_they_are_in() {
    let mut dice = Dice::new(SEED + 2);
    let tenant = badged();
    let grpc = tenant.grpc();
    let people = People::make(&grpc, &mut dice, 40);
    for person in &people.all {
        let request = v1::GetUserRequest {
            id: person.resource.id.clone(),
            ..Default::default()
        };
        let answer = wait(grpc.users().get_user(request)).expect("a user");
        let user = answer.into_inner().user.expect("a user");
        let shown = user.groups.iter();
        let shown: Vec<_> = shown
            .map(|g| (g.id.as_str(), g.display_name.as_str(), g.indirect))
            .collect();
        let expected = person.groups.iter();
        let expected: Vec<_> = expected
            .map(|g| (g.id.as_str(), g.display.as_str(), g.relation == "indirect"))
            .collect();
        assert_eq!(shown, expected);
    }
}

/// A fresh tenant whose users have badges.
fn badged() -> Tenant {
    let tenant = super::tenant();
    let grpc = tenant.grpc_full(super::server());
    let schema = Some(badge::schema());
    let put = wait(grpc.schemas().put_schema(v1::PutSchemaRequest {
        schema,
        options: None,
    }));
    let _ = put.expect("registered");
    tenant
}

fn subject(person: &Person) -> Subject<'_> {
    Subject {
        resource: &person.resource,
        related: &person.groups,
        manager_name: person.manager_name.as_deref(),
    }
}

fn finds(filter: &Filter, person: &Person) -> bool {
    filter.finds(&subject(person))
}

fn order(sort: &Sort, a: &Person, b: &Person) -> Ordering {
    let [x, y]: [Key; 2] = [a, b].map(|person| sort.key(&subject(person)));
    let by_key = match sort.descending {
        false => x.compare(&y),
        true => y.compare(&x),
    };
    by_key.then_with(|| a.resource.id.cmp(&b.resource.id))
}

/// The first page of so many ids.
fn request(
    filter: Option<v1::Filter>,
    sort: Option<v1::SortOrder>,
    size: usize,
) -> v1::ListUsersRequest {
    v1::ListUsersRequest {
        filter,
        sort,
        read_mask: Some(prost_types::FieldMask {
            paths: vec!["id".to_owned()],
        }),
        page: Some(v1::PageRequest {
            page_size: i32::try_from(size).expect("a small page"),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Asserts that the server takes no such filter either.
#[track_caller]
fn assert_refused(grpc: &Grpc, filter: v1::Filter) {
    let asked = request(Some(filter), None, 1_000);
    let answer = wait(grpc.users().list_users(asked.clone()));
    let status: Status = answer.map(drop).expect_err(&format!("{asked:#?}"));
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert_eq!(reason(&status), "FILTER_INVALID", "{status:?}");
}

/// All ids of a list, page by page.
fn list(
    grpc: &Grpc,
    filter: Option<v1::Filter>,
    sort: Option<v1::SortOrder>,
    size: usize,
) -> Vec<String> {
    let mut request = request(filter, sort, size);
    let mut ids = Vec::new();
    loop {
        let answer = wait(grpc.users().list_users(request.clone()));
        let answer = answer.unwrap_or_else(|s| panic!("{s:?}: {:?}", request.filter));
        let answer = answer.into_inner();
        ids.extend(answer.users.into_iter().map(|user| user.id));
        let token = answer.page.expect("page information").next_page_token;
        if token.is_empty() {
            return ids;
        }
        request.page.as_mut().expect("set above").page_token = token;
    }
}

/// Asserts that a list is the expected one, and tells about whom it is wrong.
#[track_caller]
fn assert_same(people: &People, found: &[String], expected: &[&str], what: &impl std::fmt::Debug) {
    let first = (0..found.len().max(expected.len()))
        .find(|&at| found.get(at).map(String::as_str) != expected.get(at).copied());
    let Some(at) = first else {
        return;
    };
    let show = |id: Option<&str>| {
        people
            .all
            .iter()
            .find(|p| Some(p.resource.id.as_str()) == id)
    };
    panic!(
        "{what:#?}\nat {at} of {} and {}\nfound {:#?}\nexpected {:#?}",
        found.len(),
        expected.len(),
        show(found.get(at).map(String::as_str)),
        show(expected.get(at).copied()),
    );
}
