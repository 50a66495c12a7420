//! Keeps somebody following the feed for as long as the cache lives.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;

use super::{Builder, follow::Follower, over::pause, state::State};

/// The cache is told when nobody keeps it any more.
struct Kept(Arc<State>);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.stops();
    }
}

/// Follows, and begins anew should the one who follows fall: what he held may be half
/// of something. Readers keep what they see until it is too old. Runs until it is
/// dropped; then the cache is stopped.
pub(super) async fn keep(builder: Builder, state: Arc<State>) {
    let kept = Kept(state);
    let mut falls = 0_u32;
    let mut last = kept.0.clock.elapsed();
    loop {
        let follower = Follower::new(&builder, Arc::clone(&kept.0));
        // Dropped, a set ends what is in it.
        let mut tasks = JoinSet::new();
        tasks.spawn(follower.run());
        let _ = tasks.join_next().await;
        let now = kept.0.clock.elapsed();
        falls = match now.saturating_sub(last) > Duration::from_secs(60) {
            true => 0,
            false => falls.saturating_add(1),
        };
        last = now;
        tracing::error!(falls, "following the feed broke down and begins anew");
        kept.0.fails(None);
        tokio::time::sleep(pause(falls, (builder.chance)())).await;
    }
}
