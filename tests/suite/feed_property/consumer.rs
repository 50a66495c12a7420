//! Those who follow the feed, and are interrupted.

use std::sync::OnceLock;

use muster_proto::v1::{
    ChangeBatch, ChangeFilter, ListChangesRequest, Revision, StreamSnapshotRequest,
    stream_snapshot_response::Item,
};
use muster_tests::{
    cache::Cache,
    feed::{Watch, try_list},
    grpc::Grpc,
    runtime::wait,
};
use proptest::prelude::*;

/// What a consumer does next.
#[derive(Debug, Clone)]
pub(super) struct Habit {
    /// At which process.
    process: usize,
    /// What he begins with.
    how: How,
    /// After how many messages he loses his stream.
    patience: usize,
}

#[derive(Debug, Clone, Copy)]
enum How {
    /// A stream of changes.
    Watch,
    /// One list of changes after the other, of about so many changes.
    List(i32),
    /// Forgets all, and takes a snapshot.
    Snapshot,
}

pub(super) fn habits() -> impl Strategy<Value = Vec<Habit>> {
    let how = prop_oneof![
        5 => Just(How::Watch),
        3 => (1..20).prop_map(How::List),
        2 => Just(How::Snapshot),
    ];
    let habit = (0..2_usize, how, 1..8_usize).prop_map(|(process, how, patience)| Habit {
        process,
        how,
        patience,
    });
    prop::collection::vec(habit, 40)
}

/// A cache, and up to where it is true.
pub(super) struct Consumer {
    processes: [Grpc; 2],
    cache: Cache,
    through: Option<Revision>,
}

impl Consumer {
    pub(super) fn new(processes: [Grpc; 2]) -> Self {
        Self {
            processes,
            cache: Cache::default(),
            through: None,
        }
    }

    /// Follows until the revision at which nobody writes any more.
    pub(super) fn follow(mut self, habits: &[Habit], end: &OnceLock<Revision>) -> Cache {
        for habit in habits.iter().cycle() {
            if self.through.is_some() && self.through.as_ref() == end.get() {
                break;
            }
            match habit.how {
                How::Snapshot => self.begin(habit),
                _ if self.through.is_none() => self.begin(habit),
                How::Watch => self.watch(habit, end),
                How::List(most) => self.list(habit, most),
            }
        }
        self.cache
    }

    fn begin(&mut self, habit: &Habit) {
        self.cache = Cache::default();
        let mut resume_token = String::new();
        let mut process = habit.process;
        self.through = loop {
            let (token, done) = self.fill(process, resume_token, habit.patience);
            if done.is_some() {
                break done;
            }
            // The stream is lost; the next one is elsewhere.
            resume_token = token;
            process = 1 - process;
        };
    }

    /// Some pages, and where to go on; the second is where the changes begin.
    fn fill(
        &mut self,
        process: usize,
        resume_token: String,
        patience: usize,
    ) -> (String, Option<Revision>) {
        let request = StreamSnapshotRequest {
            filter: None,
            resume_token: resume_token.clone(),
            page_size: 7,
        };
        let changes = self.processes[process].changes();
        wait(async {
            let answer = changes.clone().stream_snapshot(request).await;
            let mut pages = answer.expect("the stream opens").into_inner();
            let mut token = resume_token;
            for _ in 0..patience {
                let message = pages.message().await.expect("the stream goes on");
                let message = message.expect("the end is told");
                token = message.resume_token;
                match message.item.expect("an item") {
                    Item::Page(page) => self.cache.fill(page),
                    Item::Complete(end) => return (token, end.replay_from),
                }
            }
            (token, None)
        })
    }

    fn watch(&mut self, habit: &Habit, end: &OnceLock<Revision>) {
        let after = self.through.clone().expect("it has begun");
        let grpc = &self.processes[habit.process];
        let mut watch = Watch::after(grpc, after, ChangeFilter::default());
        for _ in 0..habit.patience {
            if self.through.as_ref() == end.get() {
                break;
            }
            let message = watch.message();
            self.take(message.batches, message.through);
        }
    }

    fn list(&mut self, habit: &Habit, most: i32) {
        let grpc = self.processes[habit.process].clone();
        for _ in 0..habit.patience {
            let request = ListChangesRequest {
                after: self.through.clone(),
                max_changes: most,
                ..Default::default()
            };
            let answer = try_list(&grpc, request).expect("changes are listed");
            self.take(answer.batches, answer.through);
        }
    }

    fn take(&mut self, batches: Vec<ChangeBatch>, through: Option<Revision>) {
        for change in batches.iter().flat_map(|batch| &batch.changes) {
            self.cache.apply(change);
        }
        self.through = through;
    }
}
