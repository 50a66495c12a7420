//! How many calls may be made again, so that a server in trouble is not given more to
//! do than it had before.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

/// What a call puts in, in thousandths of a repetition: one in ten.
const DEPOSIT: i64 = 100;

/// What a repetition takes out.
const PRICE: i64 = 1_000;

/// The most that is kept, and what there is at the start: who calls seldom may repeat,
/// too.
const MOST: i64 = 10 * PRICE;

/// At most 10 % of the calls, and ten.
#[derive(Debug)]
pub(super) struct Budget(AtomicI64);

impl Default for Budget {
    fn default() -> Self {
        Self(AtomicI64::new(MOST))
    }
}

impl Budget {
    /// A call is made for the first time.
    pub(super) fn deposit(&self) {
        let add = |held: i64| (held < MOST).then(|| MOST.min(held + DEPOSIT));
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Whether a call may be made again.
    pub(super) fn withdraw(&self) -> bool {
        let take = |held: i64| (held >= PRICE).then(|| held - PRICE);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long to wait before trying for the `tries`-th time again: twice as long each
/// time, and half of it by chance, so that those who failed together do not come
/// together.
pub(crate) fn pause(tries: u32) -> Duration {
    let whole = FIRST_PAUSE.saturating_mul(1 << tries.min(10));
    jittered(whole.min(LONGEST_PAUSE))
}

/// Between half of it and all of it.
pub(crate) fn jittered(whole: Duration) -> Duration {
    // Without random numbers all wait for as long.
    let chance = getrandom::u32().map_or(1.0, |n| f64::from(n) / f64::from(u32::MAX));
    whole.mul_f64(0.5 + chance / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_call_in_ten_may_be_repeated() {
        let budget = Budget::default();
        assert_eq!((0..100).filter(|_| budget.withdraw()).count(), 10);
        for _ in 0..100 {
            budget.deposit();
        }
        assert_eq!((0..100).filter(|_| budget.withdraw()).count(), 10);
        for _ in 0..1_000_000 {
            budget.deposit();
        }
        assert_eq!((0..100).filter(|_| budget.withdraw()).count(), 10);
    }

    #[test]
    fn pauses_grow_to_a_second() {
        for tries in 0..100 {
            let most = FIRST_PAUSE
                .saturating_mul(1 << tries.min(20))
                .min(LONGEST_PAUSE);
            let pause = pause(tries);
            assert!(
                pause >= most / 2 - Duration::from_micros(1) && pause <= most,
                "{pause:?}"
            );
        }
    }
}
