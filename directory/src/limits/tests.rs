use governor::clock::FakeRelativeClock;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// One caller may write once a second, a tenant twice; an address may fail
/// three times a minute.
fn limits() -> (Limits<FakeRelativeClock>, FakeRelativeClock) {
    let clock = FakeRelativeClock::default();
    let settings = LimitSettings {
        client: Rates::from([(RateClass::Write, number(1))]),
        tenant: Rates::from([(RateClass::Write, number(2))]),
        failures_per_minute: number(3),
    };
    (Limits::with_clock(&settings, &clock), clock)
}

/// How many calls in a row are admitted, of at most 100.
fn admitted(limits: &Limits<FakeRelativeClock>, tenant: &str, caller: &str) -> usize {
    let calls = (0..100).map(|_| limits.admit(tenant, caller, RateClass::Write));
    calls.take_while(Result::is_ok).count()
}

fn failed(limits: &Limits<FakeRelativeClock>, address: &str) -> usize {
    let address = address.parse().expect("an address");
    let failures = (0..100).map(|_| limits.fail(Some(address)));
    failures.take_while(Result::is_ok).count()
}

#[test]
fn a_caller_has_two_seconds_worth_and_then_his_rate() {
    let (limits, clock) = limits();
    assert_eq!(admitted(&limits, "t", "a"), 2);
    let write = || limits.admit("t", "a", RateClass::Write);
    assert_eq!(write(), Err(SECOND));
    clock.advance(SECOND / 4);
    assert_eq!(write(), Err(SECOND * 3 / 4));
    clock.advance(SECOND * 3 / 4);
    assert_eq!(write(), Ok(()));
    assert_eq!(write(), Err(SECOND));
    clock.advance(SECOND * 1_000);
    assert_eq!(admitted(&limits, "t", "a"), 2);
}

#[test]
fn callers_have_buckets_of_their_own_and_tenants_one_for_all() {
    let (limits, clock) = limits();
    for (caller, expected) in [("a", 2), ("b", 2), ("c", 0)] {
        assert_eq!(admitted(&limits, "t", caller), expected, "{caller}");
    }
    assert_eq!(admitted(&limits, "another", "d"), 2);
    clock.advance(SECOND);
    assert_eq!(admitted(&limits, "t", "a"), 1);
    assert_eq!(admitted(&limits, "t", "b"), 1);
}

#[test]
fn whoever_runs_away_leaves_room_to_others_of_his_tenant() {
    let (limits, _) = limits();
    for _ in 0..100 {
        let _ = limits.admit("t", "a", RateClass::Write);
    }
    assert_eq!(admitted(&limits, "t", "b"), 2);
}

#[test]
fn classes_do_not_touch_each_other() {
    let (limits, _) = limits();
    assert_eq!(admitted(&limits, "t", "a"), 2);
    for class in CLASSES {
        let is_free = class != RateClass::Write;
        assert_eq!(limits.admit("t", "a", class).is_ok(), is_free, "{class:?}");
    }
}

#[test]
fn classes_that_are_not_named_have_the_usual_rate() {
    let (limits, _) = limits();
    let admin = |tenant: &str, caller: &str| limits.admit(tenant, caller, RateClass::Admin);
    for _ in 0..2_000 {
        assert_eq!(admin("t", "a"), Ok(()));
        assert_eq!(admin("t", "b"), Ok(()));
    }
    assert!(admin("t", "a").is_err());
    assert!(admin("t", "c").is_err(), "the tenant's");
    let usual = LimitSettings::default();
    assert_eq!(usual.client.len(), CLASSES.len());
    for (class, rate) in usual.client {
        assert_eq!(usual.tenant[&class], twice(rate), "{class:?}");
    }
}

#[test]
fn failures_are_counted_by_address() {
    let (limits, clock) = limits();
    assert_eq!(failed(&limits, "192.0.2.1"), 3);
    assert_eq!(failed(&limits, "192.0.2.2"), 3);
    assert_eq!(failed(&limits, "::ffff:192.0.2.1"), 0, "the same in IPv6");
    clock.advance(SECOND * 20);
    assert_eq!(failed(&limits, "192.0.2.1"), 1);
    let again = limits.fail("192.0.2.1".parse().ok());
    assert_eq!(again, Err(SECOND * 20));
    // A /64 is one customer's.
    assert_eq!(failed(&limits, "2001:db8:0:1::1"), 3);
    assert_eq!(failed(&limits, "2001:db8:0:1:ffff::2"), 0);
    assert_eq!(failed(&limits, "2001:db8:0:2::1"), 3);
}

#[test]
fn without_an_address_no_failure_is_counted() {
    let (limits, _) = limits();
    assert!((0..100).all(|_| limits.fail(None).is_ok()));
    assert!(limits.failures.is_empty());
}

#[test]
fn the_buckets_of_who_is_quiet_are_dropped() {
    let (limits, clock) = limits();
    admitted(&limits, "t", "a");
    failed(&limits, "192.0.2.1");
    let write = place(RateClass::Write);
    let kept = || {
        limits.tidy();
        let [callers, tenants] = [&limits.callers, &limits.tenants];
        let calls = callers.by_class[write].len() + tenants.by_class[write].len();
        (calls, limits.failures.len())
    };
    assert_eq!(kept(), (2, 1));
    assert_eq!(admitted(&limits, "t", "a"), 0, "they are kept as they are");
    clock.advance(SECOND * 3 + SECOND / 1_000);
    assert_eq!(kept(), (0, 1));
    clock.advance(SECOND * 120);
    assert_eq!(kept(), (0, 0));
}

#[test]
fn addresses_without_end_share_a_bucket() {
    let (limits, clock) = limits();
    for n in 0..PLACES {
        let address = Ipv4Addr::from(u32::try_from(n).expect("small"));
        assert!(limits.fail(Some(address.into())).is_ok());
    }
    assert_eq!(failed(&limits, "198.51.100.1"), 3);
    assert_eq!(failed(&limits, "198.51.100.2"), 0);
    assert_eq!(limits.failures.len(), PLACES + 1);
    clock.advance(SECOND * 120);
    limits.tidy();
    assert_eq!(failed(&limits, "198.51.100.2"), 3);
    assert_eq!(limits.failures.len(), 1);
}
