//! People who differ in all that a filter may look at, and the groups they are
//! in.

use std::collections::{BTreeMap, BTreeSet};

use muster_directory::domain::{Resource, access::Access, filter::Related, resource::ResourceKind};
use muster_proto::{
    resource::user_to_object,
    v1,
    value::{Object, Value, object_to_wire},
};
use muster_tests::{grpc::Grpc, runtime::wait};

use super::{
    badge::{self, BADGE},
    dice::Dice,
};

/// URN of an extension that nobody registered.
pub(super) const URN: &str = "urn:example:Params:2.0:User";

/// Pieces of text that databases, patterns and folding like to get wrong.
pub(super) const WORDS: [&str; 24] = [
    "Ada",
    "ada",
    "ADA",
    "ÄDA",
    "a%",
    "%",
    "_",
    "\\",
    "O'Neil",
    "\"q\"",
    "İ",
    "i\u{307}",
    "ı",
    "I",
    "ß",
    "SS",
    "straße",
    "\u{1F600}",
    "é",
    "e\u{301}",
    "Ω",
    "ﬁ",
    "10",
    "true",
];

#[derive(Debug)]
pub(super) struct Person {
    pub(super) resource: Resource,
    pub(super) groups: Vec<Related>,
    pub(super) manager_name: Option<String>,
}

#[derive(Debug)]
pub(super) struct People {
    /// In the order of their ids.
    pub(super) all: Vec<Person>,
    pub(super) group_ids: Vec<String>,
}

impl People {
    /// So many people in a new tenant that knows badges.
    pub(super) fn make(grpc: &Grpc, dice: &mut Dice, count: usize) -> Self {
        let mut users: Vec<v1::User> = Vec::with_capacity(count);
        for number in 0..count {
            let managers: Vec<_> = users.iter().map(|user| user.id.clone()).collect();
            let user = user(dice, number, &managers);
            let request = v1::CreateUserRequest {
                user: Some(user),
                options: None,
            };
            let answer = wait(grpc.users().create_user(request)).expect("created");
            users.push(answer.into_inner().user.expect("the created user"));
        }
        let ids: Vec<_> = users.iter().map(|user| user.id.as_str()).collect();
        let groups = groups(grpc, dice, &ids);
        let group_ids = groups.keys().cloned().collect();
        let names: BTreeMap<_, _> = users
            .iter()
            .map(|user| (user.id.clone(), user.display_name.clone()))
            .collect();
        let mut all: Vec<_> = users
            .into_iter()
            .map(|user| person(user, &groups, &names))
            .collect();
        all.sort_by(|a, b| a.resource.id.cmp(&b.resource.id));
        Self { all, group_ids }
    }
}

/// A group's name and the ids of its members.
type Groups = BTreeMap<String, (String, BTreeSet<String>)>;

/// Groups, each of which may contain those made before it.
fn groups(grpc: &Grpc, dice: &mut Dice, users: &[&str]) -> Groups {
    let mut groups = Groups::new();
    for number in 0..9 {
        let mut members = BTreeSet::new();
        for _ in 0..dice.below(12) {
            members.insert((*dice.one_of(users)).to_owned());
        }
        let earlier: Vec<_> = groups.keys().cloned().collect();
        if !earlier.is_empty() && !dice.one_in(3) {
            members.insert(dice.one_of(&earlier).clone());
        }
        let name = format!("{} {number}", dice.one_of(&WORDS));
        let any = |id: &String| v1::MemberRef {
            member: Some(v1::member_ref::Member::Any(id.clone())),
        };
        let request = v1::CreateGroupRequest {
            group: Some(v1::Group {
                display_name: name.clone(),
                ..Default::default()
            }),
            members: members.iter().map(any).collect(),
            ..Default::default()
        };
        let answer = wait(grpc.groups().create_group(request)).expect("created");
        let group = answer.into_inner().group.expect("the created group");
        groups.insert(group.id, (name, members));
    }
    groups
}

fn person(user: v1::User, groups: &Groups, names: &BTreeMap<String, String>) -> Person {
    let id = user.id.clone();
    let meta = user.meta.clone().expect("meta");
    let ms = |time: Option<prost_types::Timestamp>| {
        let time = time.expect("a time");
        time.seconds * 1_000 + i64::from(time.nanos) / 1_000_000
    };
    let manager = user.enterprise.as_ref().map(|e| e.manager_id.clone());
    let manager_name = manager.and_then(|id| names.get(&id).cloned());
    let resource = Resource {
        kind: ResourceKind::User,
        id: id.clone(),
        attributes: user_to_object(user),
        version: meta.version,
        created_at: ms(meta.create_time),
        updated_at: ms(meta.update_time),
        deleted_at: None,
        owner: None,
        access: Access::default(),
    };
    Person {
        groups: groups_of(&id, groups),
        manager_name: manager_name.filter(|name| !name.is_empty()),
        resource,
    }
}

/// The groups of somebody: his own, then theirs.
fn groups_of(id: &str, groups: &Groups) -> Vec<Related> {
    let within = |id: &str| {
        let holders = groups
            .iter()
            .filter(|(_, (_, members))| members.contains(id));
        holders.map(|(id, _)| id.clone()).collect::<Vec<_>>()
    };
    let direct: BTreeSet<_> = within(id).into_iter().collect();
    let mut known = direct.clone();
    let mut open: Vec<_> = direct.iter().cloned().collect();
    while let Some(group) = open.pop() {
        for above in within(&group) {
            if known.insert(above.clone()) {
                open.push(above);
            }
        }
    }
    let related = |id: String| Related {
        display: groups[&id].0.clone(),
        relation: if direct.contains(&id) {
            "direct"
        } else {
            "indirect"
        },
        id,
    };
    known.into_iter().map(related).collect()
}

/// A word or two; now and then a long one.
pub(super) fn text(dice: &mut Dice) -> String {
    let words = |dice: &mut Dice| (*dice.one_of(&WORDS)).to_owned();
    match dice.below(12) {
        0 => words(dice).repeat(300),
        1..=5 => format!("{}{}", words(dice), words(dice)),
        _ => words(dice),
    }
}

fn maybe(dice: &mut Dice) -> String {
    if dice.one_in(3) {
        String::new()
    } else {
        text(dice)
    }
}

fn user(dice: &mut Dice, number: usize, managers: &[String]) -> v1::User {
    let emails = (0..dice.below(4)).map(|_| labeled(dice)).collect();
    let manager_id = match managers.is_empty() || dice.one_in(2) {
        true => String::new(),
        false => dice.one_of(managers).clone(),
    };
    let mut user = v1::User {
        // Short: texts of names are bounded.
        user_name: format!("{}{number}", dice.one_of(&WORDS)),
        display_name: maybe(dice).chars().take(40).collect(),
        title: maybe(dice),
        nick_name: maybe(dice),
        locale: maybe(dice),
        profile_url: maybe(dice),
        name: Some(v1::PersonName {
            family_name: maybe(dice),
            given_name: maybe(dice),
            ..Default::default()
        }),
        emails,
        roles: (0..dice.below(3)).map(|_| labeled(dice)).collect(),
        active: Some(!dice.one_in(3)),
        enterprise: Some(v1::EnterpriseUser {
            employee_number: maybe(dice),
            department: maybe(dice),
            manager_id,
            ..Default::default()
        }),
        ..Default::default()
    };
    if dice.one_in(2) {
        user.external_id = format!("{number}-{}", dice.one_of(&WORDS));
    }
    one_primary(&mut user.emails);
    one_primary(&mut user.roles);
    if !dice.one_in(4) {
        user.extensions
            .insert(URN.to_owned(), object_to_wire(extension(dice)));
    }
    if !dice.one_in(4) {
        let badge = badge::badge(dice, number);
        user.extensions
            .insert(BADGE.to_owned(), object_to_wire(badge));
    }
    user
}

fn labeled(dice: &mut Dice) -> v1::LabeledValue {
    v1::LabeledValue {
        value: maybe(dice),
        display: maybe(dice),
        r#type: (*dice.one_of(&["work", "home", "Work", ""])).to_owned(),
        primary: *dice.one_of(&[None, Some(true), Some(false)]),
    }
}

/// A list has one primary element at most.
fn one_primary(list: &mut [v1::LabeledValue]) {
    let mut seen = false;
    for element in list {
        if element.primary == Some(true) && std::mem::replace(&mut seen, true) {
            element.primary = None;
        }
    }
}

fn extension(dice: &mut Dice) -> Object {
    let mut object = Object::new();
    for name in ["Mixed", "Many", "Parts", "Whole"] {
        if dice.one_in(4) {
            continue;
        }
        let value = match name {
            "Mixed" => simple(dice),
            "Many" => Value::List((0..=dice.below(4)).map(|_| simple(dice)).collect()),
            "Parts" => Value::List((0..=dice.below(3)).map(|_| parts(dice)).collect()),
            _ => parts(dice),
        };
        object.insert(name.to_owned(), value);
    }
    object
}

fn parts(dice: &mut Dice) -> Value {
    let mut object = Object::new();
    for name in ["Value", "Note"] {
        if !dice.one_in(3) {
            object.insert(name.to_owned(), simple(dice));
        }
    }
    if dice.one_in(3) {
        object.insert("primary".to_owned(), Value::Boolean(dice.one_in(2)));
    }
    Value::Complex(object)
}

/// Numbers of both types, near and far.
pub(super) const NUMBERS: [f64; 10] = [
    0.0,
    -1.5,
    0.1,
    2.0,
    10.0,
    2.5,
    1e300,
    -1e-7,
    9_007_199_254_740_993.0,
    1e19,
];

/// A value of any simple type.
pub(super) fn simple(dice: &mut Dice) -> Value {
    match dice.below(8) {
        0 | 1 => Value::Boolean(dice.one_in(2)),
        2 => Value::Integer(*dice.one_of(&[0, 2, 10, -3, i64::MAX, 9_007_199_254_740_993])),
        3 | 4 => Value::Decimal(*dice.one_of(&NUMBERS)),
        _ => text(dice).into(),
    }
}
