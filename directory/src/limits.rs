//! How often who may call.
//!
//! Each class of calls has a rate, for one caller and for one tenant; failures
//! to authenticate have one for the address that they come from. These are
//! buckets of tokens: whoever was quiet may make two seconds' worth of calls at
//! once, and for failures a minute's worth. Calls of those who proved
//! themselves are never counted by address: behind one there may be many.
//!
//! What is counted, is counted in this process alone.
//!
//! # Memory
//! A bucket takes less than 60 bytes. It is dropped by the first [`Limits::tidy`]
//! after it is full again: for calls at most 3 seconds after the last one, for
//! failures at most 2 minutes. So there are two buckets for each class and each
//! caller who authenticated between two of these, and at most [`PLACES`]
//! buckets for addresses: failures from further ones share one.

use std::{
    collections::BTreeMap,
    fmt,
    hash::{BuildHasher as _, Hash, RandomState},
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU32,
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    state::keyed::DashMapStateStore,
};
use muster_proto::v1::RateClass;

/// Calls per second by class.
pub type Rates = BTreeMap<RateClass, NonZeroU32>;

/// How often who may call. A class that is not named has the rate of
/// [`LimitSettings::default`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitSettings {
    /// Of one caller.
    pub client: Rates,
    /// Of all callers of a tenant together.
    pub tenant: Rates,
    /// Failures to authenticate that an address may have in a minute.
    pub failures_per_minute: NonZeroU32,
}

impl Default for LimitSettings {
    /// More than two cores serve, so that this stops who runs away, and nobody
    /// else.
    fn default() -> Self {
        Self {
            client: CLASSES.map(|class| (class, of_caller(class))).into(),
            tenant: CLASSES.map(|class| (class, of_tenant(class))).into(),
            failures_per_minute: number(2_000),
        }
    }
}

/// Most addresses whose failures are counted apart.
pub const PLACES: usize = 100_000;

/// All classes, in the order of their buckets.
const CLASSES: [RateClass; 6] = [
    RateClass::HotRead,
    RateClass::Read,
    RateClass::Write,
    RateClass::Token,
    RateClass::Stream,
    RateClass::Admin,
];

fn of_caller(class: RateClass) -> NonZeroU32 {
    number(match class {
        RateClass::HotRead | RateClass::Read => 50_000,
        RateClass::Write | RateClass::Token => 10_000,
        RateClass::Stream | RateClass::Admin | RateClass::Unspecified => 1_000,
    })
}

fn of_tenant(class: RateClass) -> NonZeroU32 {
    twice(of_caller(class))
}

const fn number(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

const fn twice(rate: NonZeroU32) -> NonZeroU32 {
    rate.saturating_mul(number(2))
}

type Limiter<K, C> = RateLimiter<K, DashMapStateStore<K>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// Counts calls and failures, and says who has to wait.
pub struct Limits<C: Clock = DefaultClock> {
    callers: Buckets<C>,
    tenants: Buckets<C>,
    failures: Limiter<Place, C>,
}

impl<C: Clock> fmt::Debug for Limits<C> {
    /// Without who called: addresses are personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits").finish_non_exhaustive()
    }
}

impl Limits {
    /// By the system's monotonic clock.
    pub fn new(settings: &LimitSettings) -> Self {
        Self::with_clock(settings, &DefaultClock::default())
    }
}

impl<C: Clock + Clone> Limits<C> {
    /// By this clock.
    pub fn with_clock(settings: &LimitSettings, clock: &C) -> Self {
        let failures = Quota::per_minute(settings.failures_per_minute);
        Self {
            callers: Buckets::new(&settings.client, of_caller, clock),
            tenants: Buckets::new(&settings.tenant, of_tenant, clock),
            failures: Limiter::dashmap_with_clock(failures, clock.clone()),
        }
    }

    /// Counts a call of somebody who authenticated. Both ids must be ones that
    /// he proved, not ones that he said: there would be no end of buckets.
    ///
    /// A call for which the tenant has no room has taken its place in the
    /// caller's bucket. The other way round, one caller who runs away would
    /// leave no room to the others of his tenant.
    ///
    /// # Errors
    /// There is no room; how long it takes until there is.
    pub fn admit(
        &self,
        tenant_id: &str,
        caller_id: &str,
        class: RateClass,
    ) -> Result<(), Duration> {
        let caller = self.callers.take(caller_id, class);
        caller.and_then(|()| self.tenants.take(tenant_id, class))
    }

    /// Counts a failure to authenticate; without an address, nothing. Within
    /// the budget the failure is answered as ever.
    ///
    /// # Errors
    /// There were too many from this address; how long it takes until there is
    /// room for one.
    pub fn fail(&self, address: Option<IpAddr>) -> Result<(), Duration> {
        let Some(address) = address else {
            return Ok(());
        };
        let place = match self.failures.len() < PLACES {
            true => Place::of(address),
            false => Place::Elsewhere,
        };
        take(&self.failures, &place)
    }

    /// Drops the buckets of who was quiet. To be called once a minute or so.
    pub fn tidy(&self) {
        self.callers.tidy();
        self.tenants.tidy();
        drop_full(&self.failures);
    }
}

/// Where failures come from: whoever has one address of IPv6 has those of a /64.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Place {
    V4(Ipv4Addr),
    V6(u64),
    /// An address for which there is no bucket of its own.
    Elsewhere,
}

impl Place {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
            }
        }
    }
}

/// Buckets of one kind of ids. They go by hashes of these, with a key of this
/// process: that two ids share a bucket does not happen, and if it did, both
/// would have to wait a little earlier.
struct Buckets<C: Clock> {
    by_class: [Limiter<u64, C>; CLASSES.len()],
    hasher: RandomState,
}

impl<C: Clock + Clone> Buckets<C> {
    fn new(rates: &Rates, usual: fn(RateClass) -> NonZeroU32, clock: &C) -> Self {
        let limiter = |class| {
            let rate = rates.get(&class).copied();
            let rate = rate.unwrap_or_else(|| usual(class));
            let quota = Quota::per_second(rate).allow_burst(twice(rate));
            Limiter::dashmap_with_clock(quota, clock.clone())
        };
        Self {
            by_class: CLASSES.map(limiter),
            hasher: RandomState::new(),
        }
    }

    fn take(&self, id: &str, class: RateClass) -> Result<(), Duration> {
        let limiter = &self.by_class[place(class)];
        take(limiter, &self.hasher.hash_one(id))
    }

    fn tidy(&self) {
        self.by_class.iter().for_each(drop_full);
    }
}

/// Of [`CLASSES`].
fn place(class: RateClass) -> usize {
    match class {
        RateClass::HotRead => 0,
        RateClass::Read => 1,
        RateClass::Write => 2,
        RateClass::Token => 3,
        RateClass::Stream => 4,
        // With a policy that has no class, the server does not start.
        RateClass::Admin | RateClass::Unspecified => 5,
    }
}

fn take<K: Clone + Eq + Hash, C: Clock>(limiter: &Limiter<K, C>, key: &K) -> Result<(), Duration> {
    let taken = limiter.check_key(key);
    taken.map_err(|wait| wait.wait_time_from(limiter.clock().now()))
}

fn drop_full<K: Clone + Eq + Hash, C: Clock>(limiter: &Limiter<K, C>) {
    limiter.retain_recent();
    limiter.shrink_to_fit();
}

#[cfg(test)]
mod tests;
