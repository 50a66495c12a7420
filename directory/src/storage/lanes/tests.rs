//! Who shares a transaction with whom.

use super::*;

fn job(pace: Pace) -> Box<dyn Job> {
    let (reply, _) = oneshot::channel();
    Box::new(Typed {
        tenant: Some("t".to_owned()),
        pace,
        name: "nothing",
        work: |_| async { Ok(()) },
        value: Mutex::new(None),
        reply,
    })
}

/// How many go together, until nobody waits.
fn batches(paces: &[Pace]) -> Vec<usize> {
    let mut queue: VecDeque<_> = paces.iter().map(|pace| job(*pace)).collect();
    let mut batches = Vec::new();
    while !queue.is_empty() {
        let count = together(&queue);
        queue.drain(..count);
        batches.push(count);
    }
    batches
}

#[test]
fn a_long_write_shares_its_transaction_with_nobody() {
    use Pace::{Long, Usual};
    assert_eq!(batches(&[Usual, Usual, Long, Usual, Usual]), [2, 1, 2]);
    assert_eq!(batches(&[Long, Long, Usual]), [1, 1, 1]);
    assert_eq!(batches(&[Usual; BATCH + 1]), [BATCH, 1]);
}

#[test]
fn what_takes_long_is_waited_for() {
    assert_eq!(pace(&[job(Pace::Usual).as_ref()]), Pace::Usual);
    let both = [job(Pace::Usual), job(Pace::Long)];
    let both: Vec<_> = both.iter().map(AsRef::as_ref).collect();
    assert_eq!(pace(&both), Pace::Long);
    assert!(Pace::Long.patience() > 10 * Pace::Usual.patience());
}
