//! Bulk requests without a directory: who is done when.

use super::{super::json, *};

fn request(operations: &str, fail_on_errors: &str) -> Request {
    let body = format!("{{\"Operations\":[{operations}]{fail_on_errors}}}");
    read(
        json::parse_object(body.as_bytes()).expect("an object"),
        crate::scim::flavor::Flavor::Entra.accents(),
    )
    .expect("a bulk")
}

fn post(name: &str, data: &str) -> String {
    format!(r#"{{"method":"post","path":"/Users","bulkId":"{name}","data":{{{data}}}}}"#)
}

/// Does everything; `refused` operations fail. Each step in words.
fn steps(request: &Request, refused: &[usize]) -> Vec<String> {
    let mut plan = Plan::new(request, &[]);
    let mut steps = Vec::new();
    while let Some(step) = plan.next_step() {
        steps.push(match step {
            Step::Do(operations) => {
                let show = |(index, path, data): &(usize, String, Members)| {
                    format!("{index} {path} {}", Json::Object(data.clone()))
                };
                for (index, ..) in &operations {
                    match refused.contains(index) {
                        true => plan.failed(*index),
                        false => plan.made(*index, &format!("id{index}")),
                    }
                }
                operations.iter().map(show).collect::<Vec<_>>().join(" & ")
            }
            Step::Refuse(index, error) => format!("{index} {}", error.status()),
            Step::Add(index, body) => {
                let Some(Json::Array(operations)) = body.get("Operations") else {
                    panic!("a patch");
                };
                format!("{index} + {}", operations[0])
            }
        });
    }
    steps
}

#[track_caller]
fn check(operations: &[String], refused: &[usize], expected: &[&str]) {
    assert_eq!(
        steps(&request(&operations.join(","), ""), refused),
        expected
    );
}

#[test]
fn independent_creations_go_together() {
    let delete = r#"{"method":"DELETE","path":"/Users/1"}"#.to_owned();
    let all = [
        post("a", r#""userName":"a""#),
        post("b", r#""userName":"b""#),
        post("c", r#""userName":"A""#),
        delete,
        post("d", ""),
    ];
    check(
        &all,
        &[],
        &[
            r#"0 /Users {"userName":"a"} & 1 /Users {"userName":"b"}"#,
            r#"2 /Users {"userName":"A"}"#,
            "3 /Users/1 {}",
            "4 /Users {}",
        ],
    );
    let careful = request(&all[..2].join(","), ",\"failOnErrors\":1");
    assert_eq!(steps(&careful, &[]).len(), 2);
}

#[test]
fn references_wait_for_what_they_name() {
    let put = r#"{"method":"PUT","path":"/Users/bulkId:b","data":{"x":["bulkId:a"]}}"#.to_owned();
    let all = [post("a", r#""manager":"bulkId:b""#), put, post("b", "")];
    check(
        &all,
        &[],
        &[
            "2 /Users {}",
            r#"0 /Users {"manager":"id2"}"#,
            r#"1 /Users/id2 {"x":["id0"]}"#,
        ],
    );
    check(&all, &[2], &["2 /Users {}", "0 409", "1 409"]);
    check(&[post("a", r#""x":"bulkId:none""#)], &[], &["0 409"]);
}

/// Whatever the order: a group that is made without its members would be there
/// when its operation has failed.
#[test]
fn groups_in_each_other_are_not_begun() {
    let group = |name: &str, member: &str| {
        post(
            name,
            &format!(r#""members":[{{"value":"bulkId:{member}"}}]"#),
        )
    };
    check(
        &[group("a", "a"), group("b", "a")],
        &[],
        &["0 409", "1 409"],
    );
    check(
        &[group("a", "b"), group("b", "a")],
        &[],
        &["0 409", "1 409"],
    );
    // The user is cut, whose manager comes later.
    let user = post("a", r#""manager":"bulkId:b""#);
    check(
        &[group("b", "a"), user],
        &[],
        &[
            "1 /Users {}",
            r#"0 /Users {"members":[{"value":"id1"}]}"#,
            r#"1 + {"op":"add","value":{"manager":"id0"}}"#,
        ],
    );
}

#[test]
fn circles_are_made_in_two_steps() {
    let all = [
        post(
            "a",
            r#""n":1,"urn:x":{"y":2,"manager":{"value":"bulkId:b"}}"#,
        ),
        post("b", r#""members":[{"value":"bulkId:a"},{"value":"c"}]"#),
        post("c", r#""manager":"bulkId:a""#),
        post("d", r#""manager":"bulkId:d""#),
    ];
    check(
        &all,
        &[],
        &[
            r#"0 /Users {"n":1,"urn:x":{"y":2}}"#,
            r#"1 /Users {"members":[{"value":"id0"},{"value":"c"}]} & 2 /Users {"manager":"id0"}"#,
            "3 /Users {}",
            r#"0 + {"op":"add","value":{"urn:x":{"manager":{"value":"id1"}}}}"#,
            r#"3 + {"op":"add","value":{"manager":"id3"}}"#,
        ],
    );
    check(
        &all[..2],
        &[1],
        &[
            r#"0 /Users {"n":1,"urn:x":{"y":2}}"#,
            r#"1 /Users {"members":[{"value":"id0"},{"value":"c"}]}"#,
            "0 409",
        ],
    );
}

#[test]
fn what_is_wrong_with_one_is_kept_with_it() {
    let all = request(
        r#"1,{"method":"GET","path":"/Users"},{"method":"POST","path":"/Users"},
        {"method":"PUT","path":7},{"method":"PUT","path":"/Users/1","data":[]},
        {"method":"POST","path":"/Users","bulkId":"a"},{"method":"POST","path":"/Users","bulkId":"a"}"#,
        "",
    );
    let faults: Vec<_> = all.operations.iter().map(|o| o.fault.is_some()).collect();
    assert_eq!(faults, [true, true, true, true, true, false, true]);
    let read = |body: &str| {
        read(
            json::parse_object(body.as_bytes()).expect("an object"),
            crate::scim::flavor::Flavor::Entra.accents(),
        )
    };
    for odd in [
        "{}",
        r#"{"Operations":{}}"#,
        r#"{"Operations":[],"failOnErrors":-1}"#,
    ] {
        assert_eq!(read(odd).map_err(|e| e.status()), Err(400), "{odd}");
    }
    let many = format!(
        "{{\"Operations\":[{}]}}",
        vec!["1"; MAX_OPERATIONS + 1].join(",")
    );
    assert_eq!(read(&many).map_err(|e| e.status()), Err(413));
}

#[test]
fn answers() {
    let request = request(&[post("a", ""), post("b", ""), post("c", "")].join(","), "");
    let made = Done {
        status: 201,
        location: Some("l".to_owned()),
        version: Some("v".to_owned()),
        error: None,
    };
    let failed = Done::failed(ScimError::new(409, "no"), None);
    let answer = render(&request.operations, vec![Some(made), Some(failed), None]);
    assert_eq!(
        answer.to_string(),
        r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkResponse"],"Operations":[{"method":"POST","bulkId":"a","version":"v","location":"l","status":"201"},{"method":"POST","bulkId":"b","status":"409","response":{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"409","detail":"no"}}]}"#
    );
}

#[test]
fn a_stop_leaves_nothing_half_done() {
    let all = [
        post("a", r#""n":1,"manager":"bulkId:b""#),
        post("b", r#""manager":"bulkId:c""#),
        post("c", r#""manager":"bulkId:a""#),
    ];
    let request = request(&all.join(","), ",\"failOnErrors\":1");
    let mut plan = Plan::new(&request, &[]);
    assert!(matches!(plan.next_step(), Some(Step::Do(given)) if given[0].0 == 0));
    plan.made(0, "id0");
    assert!(matches!(plan.next_step(), Some(Step::Do(given)) if given[0].0 == 2));
    plan.failed(2);
    plan.stop();
    assert!(matches!(plan.next_step(), Some(Step::Refuse(0, error)) if error.status() == 409));
    assert_eq!(plan.next_step(), None);

    let own = [post("a", r#""n":1,"manager":"bulkId:a""#), post("b", "")];
    let request = self::request(&own.join(","), ",\"failOnErrors\":1");
    let mut plan = Plan::new(&request, &[]);
    for index in [1, 0] {
        assert!(matches!(plan.next_step(), Some(Step::Do(given)) if given[0].0 == index));
        match index {
            1 => plan.failed(index),
            _ => plan.made(index, "id0"),
        }
    }
    plan.stop();
    assert!(matches!(plan.next_step(), Some(Step::Add(0, _))));
    assert_eq!(plan.next_step(), None);
}

/// Each names all that come later, and the last two each other.
fn tower(height: usize) -> Request {
    let floor = |index: usize| {
        let names = match index + 1 == height {
            true => vec![index - 1],
            false => (index + 1..height).collect(),
        };
        let names = names.iter().map(|n| Json::from(format!("bulkId:{n}")));
        let mut data = Members::default();
        data.push("x", names.collect::<Vec<_>>());
        Operation {
            method: "POST".to_owned(),
            bulk_id: Some(index.to_string()),
            path: "/Users".to_owned(),
            data,
            ..Operation::default()
        }
    };
    Request {
        fail_on_errors: None,
        operations: (0..height).map(floor).collect(),
    }
}

#[test]
fn many_references_cost_little() {
    let request = tower(MAX_OPERATIONS);
    let mut plan = Plan::new(&request, &[]);
    let mut order = Vec::new();
    while let Some(step) = plan.next_step() {
        match step {
            Step::Do(given) => given.into_iter().for_each(|(index, ..)| {
                plan.made(index, "id");
                order.push(index);
            }),
            Step::Add(index, _) => assert_eq!(index, MAX_OPERATIONS - 2),
            Step::Refuse(index, error) => panic!("{index} {}", error.detail()),
        }
    }
    // One that walked the graph for each operation would take minutes to get here.
    assert_eq!(order.len(), MAX_OPERATIONS);
}

#[test]
fn references_are_counted() {
    let names = |count: usize| {
        let one = post(
            "a",
            &format!("\"x\":[{}]", vec!["\"bulkId:b\""; count].join(",")),
        );
        let body = format!("{{\"Operations\":[{one},{}]}}", post("b", ""));
        let body = json::parse_object(body.as_bytes()).expect("an object");
        read(body, crate::scim::flavor::Flavor::Entra.accents()).map_err(|e| e.status())
    };
    assert!(names(MAX_REFERENCES).is_ok());
    assert_eq!(names(MAX_REFERENCES + 1), Err(413));
}

#[test]
fn an_order_that_decides_is_kept() {
    // Members may be what was just made, by a client that knew its id.
    let all = [
        post("a", r#""userName":"a""#),
        post("b", r#""displayName":"b","members":[{"value":"1"}]"#),
        post("c", r#""displayName":"c","members":[]"#),
    ];
    let request = request(&all.join(","), "");
    let mut plan = Plan::new(&request, &[]);
    assert_eq!(together(&mut plan), [0]);
    assert_eq!(together(&mut plan), [1, 2]);

    // Of two equal values of a unique attribute, the first gets it.
    let badge =
        |name: &str, badge: &str| post(name, &format!(r#""urn:x:Badge":{{"NUMBER":"{badge}"}}"#));
    let all = [badge("a", "7k"), badge("b", "8"), badge("c", "7K")];
    let request = self::request(&all.join(","), "");
    let mut unique = Unique {
        urn: "urn:x:Badge",
        name: "number",
        is_text: true,
    };
    let plain = [unique];
    let mut plan = Plan::new(&request, &plain);
    assert_eq!(together(&mut plan), [0, 1]);
    assert_eq!(together(&mut plan), [2]);
    // Of numbers nobody can tell here which are equal.
    unique.is_text = false;
    let numbers = [unique];
    let mut plan = Plan::new(&request, &numbers);
    for index in 0..3 {
        assert_eq!(together(&mut plan), [index]);
    }
}

/// Users share names that are shown; if they waited for each other, each would
/// be a transaction of its own.
#[test]
fn what_may_be_equal_decides_nothing() {
    let user =
        |id: &str, name: &str| post(id, &format!(r#""userName":"{name}","displayName":"Ada""#));
    let all = [user("a", "ada"), user("b", "ann"), user("c", "ADA")];
    let request = request(&all.join(","), "");
    let mut plan = Plan::new(&request, &[]);
    assert_eq!(together(&mut plan), [0, 1]);
    assert_eq!(together(&mut plan), [2]);
    let group = |id: &str, name: &str| {
        post(id, &format!(r#""displayName":"{name}""#)).replace("/Users", "/Groups")
    };
    let all = [group("a", "Ada"), group("b", "Bob"), group("c", "ada")];
    let request = self::request(&all.join(","), "");
    let mut plan = Plan::new(&request, &[]);
    assert_eq!(together(&mut plan), [0, 1]);
    assert_eq!(together(&mut plan), [2]);
}

/// Who is done in the next step, which succeeds.
#[track_caller]
fn together(plan: &mut Plan<'_>) -> Vec<usize> {
    let Some(Step::Do(operations)) = plan.next_step() else {
        panic!("nothing to do");
    };
    let indices: Vec<_> = operations.iter().map(|(index, ..)| *index).collect();
    for index in &indices {
        plan.made(*index, &format!("id{index}"));
    }
    indices
}
