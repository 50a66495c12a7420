use proptest::prelude::*;

use super::{
    super::flavor::{Accent, Accents, Flavor, meeting},
    *,
};
use crate::scim::path::PatchPath;

fn entra() -> Accents<'static> {
    Flavor::Entra.accents()
}

/// The canonical text of the tree, or the offset of the error.
#[track_caller]
fn check(text: &str, expected: Result<&str, usize>) {
    let parsed = parse(text, entra());
    let printed = parsed.as_ref().map(ToString::to_string);
    let printed = printed.as_deref().map_err(|error| error.offset);
    assert_eq!(printed, expected, "{text}: {parsed:?}");
}

#[test]
fn filters_that_parse() {
    let same = [
        r#"userName eq "bjensen""#,
        r#"title pr and userType eq "Employee""#,
        r#"a pr or b pr and c pr"#,
        r#"(a pr or b pr) and c pr"#,
        r#"not (a pr) and b pr"#,
        r#"not (a pr and b pr)"#,
        r#"emails[type eq "work" and value co "@x"]"#,
        r#"emails[not (primary eq true) or type eq "home"]"#,
        r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value eq "1""#,
        r#"urn:x:custom:2.0:User:site.name sw "A""#,
        r#"meta.lastModified ge "2011-05-13T04:42:34Z""#,
        "a eq null or a eq true or a eq -1.5e3",
        r#"a eq "quote \" backslash \\ slash / tab \t""#,
        r#"a eq """#,
    ];
    for text in same {
        check(text, Ok(text));
    }
    check("a PR aNd B Co \"x\"", Ok("a pr and B co \"x\""));
    check("  a   eq\t\"x\"  ", Ok("a eq \"x\""));
    check("a eq\"x\"and b pr", Ok("a eq \"x\" and b pr"));
    check("((a pr))", Ok("a pr"));
    check("NOT(a pr)", Ok("not (a pr)"));
    check(r#"a eq "\ud83d\ude00\u00e9""#, Ok("a eq \"😀é\""));
    check("externalId eq jyoung", Ok("externalId eq \"jyoung\""));
    check(
        "id eq 54D382A4-2050-4C03 and manager eq 2819c223-7f76",
        Ok("id eq \"54D382A4-2050-4C03\" and manager eq \"2819c223-7f76\""),
    );
    check("id eq 007", Ok("id eq \"007\""));
    check("id eq 12", Ok("id eq 12"));
    check("(id eq x)", Ok("id eq \"x\""));
    check(
        r#"emails[type eq "work"].value eq "x""#,
        Ok(r#"emails[type eq "work" and value eq "x"]"#),
    );
    check(
        r#"emails[type eq "work" or type eq "home"] eq "x""#,
        Ok(r#"emails[(type eq "work" or type eq "home") and value eq "x"]"#),
    );
    check(
        r#"emails[type eq "work"].display pr and a pr"#,
        Ok(r#"emails[type eq "work" and display pr] and a pr"#),
    );
}

#[test]
fn filters_that_do_not() {
    check("", Err(0));
    check("userName", Err(8));
    check("userName eq", Err(11));
    check("userName is \"x\"", Err(9));
    check("userName eq \"x", Err(12));
    check("userName eq \"\\x\"", Err(12));
    check("userName eq \"\\ud83d\"", Err(12));
    check("userName eq \"\\u0000\"", Err(12));
    check("a pr and", Err(8));
    check("a pr b pr", Err(5));
    check("(a pr", Err(5));
    check("a pr)", Err(4));
    check("emails[type eq \"work\"", Err(21));
    check("emails[]", Err(7));
    check("emails.value[type pr]", Err(0));
    check("emails[type pr].a.b eq 1", Err(15));
    check("not a pr", Err(4));
    check("\"x\" eq a", Err(0));
    check("1a eq 1", Err(0));
    check("a eq (x)", Err(5));
}

#[test]
fn accents() {
    for (accent, text, printed) in [
        (Accent::BareLiterals, "id eq x", "id eq \"x\""),
        (
            Accent::ComparisonBehindBrackets,
            r#"emails[type eq "work"].value eq "x""#,
            r#"emails[type eq "work" and value eq "x"]"#,
        ),
        (
            Accent::ComparisonBehindBrackets,
            r#"emails[type eq "work"] eq "x""#,
            r#"emails[type eq "work" and value eq "x"]"#,
        ),
    ] {
        let parsed = |accents: Accents<'_>| parse(text, accents).map(|tree| tree.to_string()).ok();
        let with = meeting(accent, parsed);
        assert_eq!(with.as_deref(), Some(printed), "{accent:?}");
        assert_eq!(parsed(Accents::default()), None, "{accent:?}");
    }
}

#[test]
fn limits() {
    let nested = |n| format!("{}a pr{}", "(".repeat(n), ")".repeat(n));
    check(&nested(MAX_DEPTH), Ok("a pr"));
    check(&nested(MAX_DEPTH + 1), Err(MAX_DEPTH));
    check(&nested(1000), Err(MAX_DEPTH));
    let wide = |n| vec!["a pr"; n].join(" or ");
    assert!(parse(&wide(MAX_NODES - 1), entra()).is_ok());
    assert!(parse(&wide(MAX_NODES), entra()).is_err());
    let long = format!("a eq \"{}\"", "é".repeat(MAX_CHARACTERS - 7));
    assert!(parse(&long, entra()).is_ok());
    assert!(parse(&format!("{long} "), entra()).is_err());
    let not = |n| format!("{}a pr{}", "not (".repeat(n), ")".repeat(n));
    assert!(parse(&not(MAX_DEPTH - 1), entra()).is_ok());
    assert!(parse(&not(MAX_DEPTH), entra()).is_err());
}

#[test]
fn patch_paths() {
    let read = |text| {
        let PatchPath {
            path,
            filter,
            sub_attribute,
        } = parse_path(text, entra()).ok()?;
        let path = match sub_attribute {
            Some(sub) => format!("{path}.{sub}"),
            None => path.to_string(),
        };
        Some((path, filter.map(|f| f.to_string())))
    };
    let found =
        |path: &str, filter: Option<&str>| Some((path.to_owned(), filter.map(str::to_owned)));
    assert_eq!(read("name.givenName"), found("name.givenName", None));
    assert_eq!(
        read("emails[type eq \"work\"].value"),
        found("emails.value", Some("type eq \"work\""))
    );
    assert_eq!(
        read("members[value eq \"a:b\"]"),
        found("members", Some("value eq \"a:b\""))
    );
    for broken in [
        "",
        "a b",
        "emails[type]",
        "emails[type pr].",
        "emails]",
        "a[b pr]c",
        ".",
    ] {
        assert_eq!(read(broken), None, "{broken}");
    }
}

fn path() -> impl Strategy<Value = Path> {
    let schema = prop_oneof![
        Just(""),
        Just("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"),
        Just("urn:x:custom:2.0:User"),
    ];
    let sub = proptest::option::of("[a-z][A-Za-z0-9_-]{0,6}");
    (schema, "[A-Za-z][A-Za-z0-9_-]{0,8}", sub).prop_map(
        |(schema, attribute, sub_attribute)| match (schema, &sub_attribute) {
            ("", _) => Path::Plain {
                attribute,
                sub_attribute,
            },
            (schema, None) => Path::Qualified(format!("{schema}:{attribute}")),
            (schema, Some(sub)) => Path::Qualified(format!("{schema}:{attribute}.{sub}")),
        },
    )
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        Just(Literal::Null),
        any::<bool>().prop_map(Literal::Boolean),
        any::<i64>().prop_map(|n| Literal::Number(n.to_string())),
        any::<String>()
            .prop_filter("NUL is refused", |text| !text.contains('\0'))
            .prop_map(Literal::String),
    ]
}

fn tree() -> impl Strategy<Value = Filter> {
    let operator = prop::sample::select(&Operator::ALL[..]);
    let leaf = prop_oneof![
        (path(), operator, literal()).prop_map(|(p, o, l)| Filter::Compare(p, o, l)),
        path().prop_map(Filter::Present),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        let plain = path().prop_map(|path| match path {
            Path::Plain { attribute, .. } => Path::Plain {
                attribute,
                sub_attribute: None,
            },
            qualified => qualified,
        });
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::Or),
            inner.clone().prop_map(|f| Filter::Not(Box::new(f))),
            (plain, inner).prop_map(|(p, f)| Filter::Element(p, Box::new(f))),
        ]
    })
}

proptest! {
    #[test]
    fn what_was_printed_parses_to_the_same_tree(tree in tree()) {
        let text = tree.to_string();
        prop_assume!(text.chars().count() <= MAX_CHARACTERS);
        prop_assert_eq!(parse(&text, Accents::default()), Ok(tree), "{}", text);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,80}") {
        let _ = parse(&text, entra());
        let _ = parse_path(&text, entra());
    }

    #[test]
    fn no_tokens_make_the_parser_panic(
        words in prop::collection::vec(prop::sample::select(&["a", "eq", "\"x\"", "(", ")", "[", "]", "and", "or", "not", "pr", ".b", "null"][..]), 0..40)
    ) {
        let _ = parse(&words.join(" "), entra());
    }
}
