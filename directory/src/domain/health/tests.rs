use super::*;

const NOW: i64 = 1_800_000_000_000;

fn tally(failed: bool, count: i64) -> Tally {
    Tally {
        failed,
        status: if failed { 400 } else { 200 },
        count,
        ..Tally::default()
    }
}

fn seen(tallies: &[Tally]) -> Seen<'_> {
    let last = Last {
        at: NOW - 1,
        status: 200,
    };
    Seen {
        name: "entra",
        tallies,
        last: Some(last),
        access: &Access::Good,
        held: 0,
    }
}

fn judge(tallies: &[Tally]) -> Verdict {
    seen(tallies).verdict(NOW).0
}

fn lookup(tally: Tally, status: u16) -> Tally {
    Tally {
        is_lookup: true,
        status,
        ..tally
    }
}

#[test]
fn what_nearly_always_succeeds_is_healthy() {
    assert_eq!(judge(&[tally(false, 1)]), Verdict::Healthy);
    assert_eq!(
        judge(&[tally(false, 90), tally(true, 10)]),
        Verdict::Healthy
    );
    assert_eq!(
        judge(&[tally(false, 89), tally(true, 11)]),
        Verdict::Failing
    );
    assert_eq!(judge(&[tally(true, 1)]), Verdict::Failing);
}

#[test]
fn who_has_not_come_for_a_day_is_quiet() {
    let never = Seen {
        last: None,
        ..seen(&[])
    };
    assert_eq!(never.verdict(NOW).0, Verdict::Quiet);
    let at = |at| {
        let last = Some(Last { at, status: 200 });
        let tallies = [tally(false, 1)];
        let seen = Seen {
            last,
            ..seen(&tallies)
        };
        seen.verdict(NOW).0
    };
    assert_eq!(at(NOW - WINDOW_MS), Verdict::Quiet);
    assert_eq!(at(NOW - WINDOW_MS + 1), Verdict::Healthy);
}

#[test]
fn who_has_nothing_to_come_with_is_at_risk_also_when_nobody_comes() {
    let told = |last, access: &Access| {
        let seen = Seen {
            last,
            access,
            ..seen(&[])
        };
        seen.verdict(NOW)
    };
    let ended = Access::Ended("entra-2026".to_owned());
    let long_ago = Last {
        at: NOW - 10 * WINDOW_MS,
        status: 200,
    };
    for last in [None, Some(long_ago)] {
        let (verdict, why) = told(last, &ended);
        assert_eq!(verdict, Verdict::QuarantineRisk);
        assert!(why.contains("entra-2026") && why.contains("credential create"));
    }
    let (verdict, why) = told(None, &Access::Never);
    assert_eq!(verdict, Verdict::Quiet);
    assert!(why.contains("no credential yet"), "{why}");
}

#[test]
fn what_waits_is_told_whatever_the_verdict() {
    let tallies = [tally(false, 1)];
    let why = |held| {
        let seen = Seen {
            held,
            ..seen(&tallies)
        };
        let (verdict, why) = seen.verdict(NOW);
        assert_eq!(verdict, Verdict::Healthy);
        why
    };
    assert_eq!(why(0), "");
    assert!(why(1).starts_with("1 deactivation waits"));
    assert!(why(2).contains("muster held list --connection entra"));
}

#[test]
fn half_of_what_leads_into_quarantine_is_a_risk() {
    let risk = Verdict::QuarantineRisk;
    assert_eq!(judge(&[tally(true, 2_499)]), Verdict::Failing);
    assert_eq!(judge(&[tally(true, 2_500)]), risk);
    let share = |of: i64| judge(&[tally(true, 4_000), tally(false, of)]);
    assert_eq!(
        share(16_000),
        Verdict::Failing,
        "20 % are not more than 20 %"
    );
    assert_eq!(share(15_999), risk);
    let many = |failures: i64| judge(&[tally(true, failures), tally(false, 1_000_000)]);
    assert_eq!(many(20_000), Verdict::Healthy);
    assert_eq!(many(20_001), risk);
    let references = |failures: i64| {
        let reference = Tally {
            attribute: "members".to_owned(),
            ..tally(true, failures)
        };
        judge(&[reference, tally(false, 1_000_000)])
    };
    assert_eq!(references(30_000), Verdict::Healthy);
    assert_eq!(references(30_001), risk);
}

#[test]
fn lookups_that_are_answered_do_not_thin_failures_out() {
    let found = lookup(tally(false, 10_000), 200);
    let (failed, done) = (tally(true, 2_500), tally(false, 7_500));
    let tallies = [found.clone(), failed, done];
    let (verdict, why) = seen(&tallies).verdict(NOW);
    assert_eq!(verdict, Verdict::QuarantineRisk, "{why}");
    assert!(why.starts_with("2500 of 10000 requests failed, answered lookups aside"));
    let tallies = [found, tally(true, 11), tally(false, 89)];
    assert_eq!(judge(&tallies), Verdict::Failing);
    let refused = lookup(tally(true, 3_000), 400);
    let tallies = [lookup(tally(false, 2_000), 200), refused];
    assert_eq!(
        judge(&tallies),
        Verdict::QuarantineRisk,
        "they are failures"
    );
}

#[test]
fn lookups_that_all_fail_are_a_risk() {
    let lookups = |failed, answered| {
        judge(&[
            lookup(tally(true, failed), 404),
            lookup(tally(false, answered), 200),
        ])
    };
    assert_eq!(lookups(4, 0), Verdict::Failing, "too few to tell");
    assert_eq!(lookups(5, 0), Verdict::QuarantineRisk);
    assert_eq!(lookups(5, 1), Verdict::Failing);
}

#[test]
fn why_no_lookup_is_answered_is_taken_from_the_failures() {
    let why = |status, reason: &str, scim_type: &str| {
        let failed = Tally {
            reason: reason.to_owned(),
            scim_type: scim_type.to_owned(),
            ..lookup(tally(true, 5), status)
        };
        seen(&[failed]).verdict(NOW).1
    };
    assert!(why(404, "", "").contains("Tenant URL"));
    let filter = why(400, "", "invalidFilter");
    assert!(filter.contains("invalidFilter") && !filter.contains("Tenant URL"));
    assert!(why(404, "CONNECTION_NOT_FOUND", "").contains("CONNECTION_NOT_FOUND"));
    assert!(
        !why(404, "USER_NOT_FOUND", "").contains("No lookup"),
        "that nobody has an id is an answer"
    );
}

#[test]
fn a_credential_that_has_ended_is_a_risk() {
    let last = Last {
        at: NOW,
        status: 401,
    };
    let tallies = [tally(false, 1_000)];
    let seen = Seen {
        last: Some(last),
        ..seen(&tallies)
    };
    let (found, why) = seen.verdict(NOW);
    assert_eq!(found, Verdict::QuarantineRisk);
    assert!(why.contains("credential"), "{why}");
}

#[test]
fn failures_are_grouped_by_what_they_are() {
    let kind = |attribute: &str, is_lookup, count, latest: &str| Tally {
        attribute: attribute.to_owned(),
        is_lookup,
        latest: latest.to_owned(),
        ..tally(true, count)
    };
    let top = top(vec![
        kind("title", false, 2, "c"),
        kind("emails", false, 1, "a"),
        tally(false, 100),
        kind("emails", true, 3, "b"),
    ]);
    let told: Vec<_> = top
        .iter()
        .map(|t| (t.attribute.as_str(), t.count, t.latest.as_str()))
        .collect();
    assert_eq!(told, [("emails", 4, "b"), ("title", 2, "c")]);
}

#[test]
fn the_end_of_a_credential_is_warned_of_in_steps() {
    let days = |days: i64| threshold(NOW + days * DAY_MS, NOW);
    for (left, expected) in [
        (61, None),
        (60, Some(60)),
        (31, Some(60)),
        (30, Some(30)),
        (15, Some(30)),
        (14, Some(14)),
        (8, Some(14)),
        (7, Some(7)),
        (1, Some(7)),
        (0, None),
    ] {
        assert_eq!(days(left), expected, "{left}");
    }
    assert_eq!(threshold(NOW + 1, NOW), Some(7));
}
