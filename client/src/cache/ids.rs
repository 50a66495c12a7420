//! Ids as numbers, and how they are hashed.

use std::hash::{BuildHasherDefault, Hasher};

use uuid::Uuid;

/// Builds hashes of ids.
pub(super) type Ids = BuildHasherDefault<IdHasher>;

/// Hashes ids. The directory makes them, and most of their bits are random: nobody
/// outside can choose some that collide, and two multiplications spread them.
#[derive(Default)]
pub(super) struct IdHasher(u64);

const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        let mixed = (self.0.rotate_left(23) ^ number).wrapping_mul(SPREAD);
        self.0 = mixed ^ (mixed >> 32);
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "both halves are taken, one after the other"
    )]
    fn write_u128(&mut self, number: u128) {
        self.write_u64(number as u64);
        self.write_u64((number >> 64) as u64);
    }
}

/// An id as the feed spells it; `None` for what is none.
pub(super) fn read(id: &str) -> Option<u128> {
    Uuid::try_parse(id).ok().map(|id| id.as_u128())
}

/// A sorted list with this number in it.
pub(super) fn with(list: &[u32], number: u32) -> Option<Box<[u32]>> {
    let at = list.binary_search(&number).err()?;
    let (before, behind) = list.split_at(at);
    Some([before, &[number], behind].concat().into_boxed_slice())
}

/// A sorted list without this number.
pub(super) fn without(list: &[u32], number: u32) -> Option<Box<[u32]>> {
    let at = list.binary_search(&number).ok()?;
    let (before, from) = list.split_at(at);
    let behind = from.get(1..).unwrap_or_default();
    Some([before, behind].concat().into_boxed_slice())
}

/// Whether two sorted lists share a number; costs the shorter one.
pub(super) fn meet(one: &[u32], other: &[u32]) -> bool {
    let (short, long) = match one.len() <= other.len() {
        true => (one, other),
        false => (other, one),
    };
    short
        .iter()
        .any(|number| long.binary_search(number).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_stay_sorted_and_have_each_number_once() {
        let one = with(&[], 5).unwrap();
        let two = with(&one, 3).unwrap();
        assert_eq!(&*two, &[3, 5]);
        assert_eq!(with(&two, 5), None);
        assert_eq!(&*without(&two, 3).unwrap(), &[5]);
        assert_eq!(without(&two, 4), None);
        assert!(meet(&two, &[1, 2, 5]) && !meet(&two, &[1, 4]) && !meet(&[], &two));
    }
}
