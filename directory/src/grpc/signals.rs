//! `SignalService`: decode, follow the feed, encode.

use std::sync::Arc;

use muster_proto::v1::{self, signal_service_server::SignalService};
use prost::Message as _;
use tonic::{Request, Response, Status};

use super::{
    caller, encode,
    following::{
        Follower, MESSAGE_BYTES, Patience, follow, gather, list_size, list_start, stream_start,
    },
    status::status,
    stream::{Lease, Outgoing, stopped},
};
use crate::{
    auth::Caller,
    domain::{
        history::Position,
        signal::{SignalKind, Subject},
    },
    error::{Error, Result},
    service::{
        Directory, Feed, Poll, Start, Step, Told, Transaction, count_signals, gives_events,
        signal_filter,
    },
};

/// Transactions whose signals are told after one look at their users.
const TOLD_AT_ONCE: usize = 50;

pub(super) struct Signals(pub(super) Directory);

#[tonic::async_trait]
impl SignalService for Signals {
    type WatchSignalsStream = Outgoing<v1::WatchSignalsResponse>;

    async fn watch_signals(
        &self,
        request: Request<v1::WatchSignalsRequest>,
    ) -> Result<Response<Self::WatchSignalsStream>, Status> {
        let caller = caller(&request)?;
        let lease = Lease::of(&request).map_err(status)?;
        let watching = self.watch(caller, request.into_inner(), lease);
        Ok(Response::new(watching.await.map_err(status)?))
    }

    async fn list_signals(
        &self,
        request: Request<v1::ListSignalsRequest>,
    ) -> Result<Response<v1::ListSignalsResponse>, Status> {
        let caller = caller(&request)?;
        let lease = Lease::of(&request).map_err(status)?;
        let listing = self.list(caller, request.into_inner(), &lease);
        Ok(Response::new(listing.await.map_err(status)?))
    }

    async fn poll_security_event_tokens(
        &self,
        request: Request<v1::PollSecurityEventTokensRequest>,
    ) -> Result<Response<v1::PollSecurityEventTokensResponse>, Status> {
        let caller = caller(&request)?;
        let lease = Lease::of(&request).map_err(status)?;
        let polling = self.poll(&caller, request.into_inner(), &lease);
        Ok(Response::new(polling.await.map_err(status)?))
    }
}

impl Signals {
    async fn watch(
        &self,
        caller: Caller,
        request: v1::WatchSignalsRequest,
        lease: Lease,
    ) -> Result<Outgoing<v1::WatchSignalsResponse>> {
        use v1::watch_signals_request::Start as Asked;
        let kinds = kinds(&request.types)?;
        let start = match &request.start {
            Some(Asked::After(after)) => (Some(after), false),
            Some(Asked::FromNow(from_now)) => (None, *from_now),
            None => (None, false),
        };
        let start = stream_start(&self.0, &caller, start)?;
        let announce = start == Start::Now;
        let feed = self.0.feed(&caller, start, signal_filter()).await?;
        let watch = Encoder {
            directory: self.0.clone(),
            caller,
            kinds,
        };
        follow(&self.0, lease, (feed, announce), request.heartbeat, watch)
    }

    async fn list(
        &self,
        caller: Caller,
        request: v1::ListSignalsRequest,
        lease: &Lease,
    ) -> Result<v1::ListSignalsResponse> {
        let kinds = kinds(&request.types)?;
        let start = list_start(&self.0, &caller, request.after.as_ref())?;
        let most = list_size("max_signals", request.max_signals)?;
        let patience = Patience::asked(request.wait, lease)?;
        let mut feed = self.0.feed(&caller, start, signal_filter()).await?;
        let from = feed.through();
        let weigh = |transaction: &Transaction| match count_signals(transaction, &kinds) {
            // Its end is to be seen, where it comes in parts.
            0 if transaction.is_complete => None,
            count => Some(count),
        };
        let gathering = gather(&self.0, lease, &mut feed, (most, patience), weigh);
        let (found, caught_up) = gathering.await?;
        let encoder = Encoder {
            directory: self.0.clone(),
            caller,
            kinds,
        };
        let mut parts = Parts::from(from);
        for some in found.chunks(TOLD_AT_ONCE) {
            encoder.tell(some, &mut parts).await?;
            if parts.is_enough() {
                break;
            }
        }
        let mut parts = parts.parts.into_iter().peekable();
        let mut signals = Vec::new();
        let mut through = feed.through();
        for part in parts.by_ref() {
            signals.extend(part.signals);
            if part.is_whole {
                through = part.through;
                break;
            }
        }
        // What does not fit is asked for again.
        let is_all = parts.peek().is_none();
        if is_all {
            through = feed.through();
        }
        Ok(v1::ListSignalsResponse {
            signals,
            through: Some(encoder.revision(&through)),
            caught_up: caught_up && is_all,
        })
    }

    async fn poll(
        &self,
        caller: &Caller,
        request: v1::PollSecurityEventTokensRequest,
        lease: &Lease,
    ) -> Result<v1::PollSecurityEventTokensResponse> {
        let most = request.max_events.map(usize::try_from).transpose();
        let failed = request.error_by_jti.len();
        let mut poll = Poll {
            stream_id: request.stream_id,
            most: most.map_err(|_| Error::invalid("max_events", "must not be negative"))?,
            acks: request.ack_jtis,
            failed,
            begins_anew: request.begin_anew,
        };
        poll.acks.extend(request.error_by_jti.into_keys());
        let end = Patience::longest(lease).end;
        // Before the first look, so that nothing comes between.
        let mut feed = self.0.signal_feed(caller).await?;
        let mut stopping = self.0.stopping();
        loop {
            let polled = self.0.poll_events(caller, &poll).await?;
            let is_due = tokio::time::Instant::now() >= end;
            if !polled.sets.is_empty()
                || polled.has_more
                || request.return_immediately
                || poll.most == Some(0)
                || is_due
            {
                return Ok(v1::PollSecurityEventTokensResponse {
                    sets: polled.sets.into_iter().collect(),
                    more_available: polled.has_more,
                });
            }
            (poll.acks, poll.failed) = (Vec::new(), 0);
            tokio::select! {
                ready = event(&mut feed) => {
                    ready?;
                    lease.renew(&self.0).await?;
                }
                () = tokio::time::sleep_until(end) => {}
                () = stopped(&mut stopping) => return Err(Error::Draining),
            }
        }
    }
}

/// Waits until there is something that is polled for.
async fn event(feed: &mut Feed) -> Result<()> {
    loop {
        feed.ready().await?;
        let mut is_there = false;
        while feed.is_behind() {
            let step = feed.take().await?;
            let mut found = step.iter().flat_map(|step| &step.transactions);
            is_there = is_there || found.any(|one| gives_events(one));
        }
        if is_there {
            return Ok(());
        }
    }
}

/// Which kinds are wanted; none mean all.
fn kinds(types: &[i32]) -> Result<Vec<SignalKind>> {
    use v1::SignalType as Type;
    let kind = |number: &i32| match Type::try_from(*number) {
        Ok(Type::AccountDisabled) => Ok(SignalKind::AccountDisabled),
        Ok(Type::AccountEnabled) => Ok(SignalKind::AccountEnabled),
        Ok(Type::AccountPurged) => Ok(SignalKind::AccountPurged),
        Ok(Type::SessionsRevoked) => Ok(SignalKind::SessionsRevoked),
        Ok(Type::ClaimsChanged) => Ok(SignalKind::ClaimsChanged),
        Ok(Type::CredentialChanged) => Ok(SignalKind::CredentialChanged),
        Ok(Type::IdentifierChanged) => Ok(SignalKind::IdentifierChanged),
        Ok(Type::FederationChanged) => Ok(SignalKind::FederationChanged),
        Ok(Type::SigningKeyRevoked) => Ok(SignalKind::SigningKeyRevoked),
        Ok(Type::Unspecified) | Err(_) => Err(Error::invalid("types", "has an unknown type")),
    };
    types.iter().map(kind).collect()
}

/// What fits a message, where its receiver may resume, and whether it ends with a
/// transaction.
struct Part {
    signals: Vec<v1::Signal>,
    through: Position,
    is_whole: bool,
}

/// Makes messages of signals.
struct Encoder {
    directory: Directory,
    caller: Caller,
    kinds: Vec<SignalKind>,
}

impl Follower for Encoder {
    type Message = v1::WatchSignalsResponse;

    async fn messages(&self, step: Step) -> Result<Vec<Self::Message>> {
        let mut parts = Parts::from(step.from);
        for some in step.transactions.chunks(TOLD_AT_ONCE) {
            self.tell(some, &mut parts).await?;
        }
        let mut parts = parts.parts;
        if let Some(last) = parts.last_mut() {
            last.through = step.through;
        }
        let message = |part: Part| v1::WatchSignalsResponse {
            through: Some(self.revision(&part.through)),
            signals: part.signals,
        };
        Ok(parts.into_iter().map(message).collect())
    }

    fn beat(&self, feed: &Feed) -> Self::Message {
        v1::WatchSignalsResponse {
            through: Some(self.revision(&feed.through())),
            signals: Vec::new(),
        }
    }
}

impl Encoder {
    fn revision(&self, at: &Position) -> v1::Revision {
        encode::revision(&self.directory, &self.caller, at)
    }

    /// Adds the signals of transactions.
    async fn tell(&self, found: &[Arc<Transaction>], parts: &mut Parts) -> Result<()> {
        let epoch = parts.through.epoch.clone();
        let telling = self
            .directory
            .signals_of(&self.caller, &epoch, found, &self.kinds);
        let mut told = telling.await?.into_iter().peekable();
        for (place, transaction) in found.iter().enumerate() {
            while let Some((_, one)) = told.next_if(|(of, _)| *of == place) {
                parts.add(signal(&self.caller, one));
            }
            if transaction.is_complete {
                parts.complete(transaction.revision);
            }
        }
        Ok(())
    }
}

/// Signals in messages that their receiver can take.
struct Parts {
    parts: Vec<Part>,
    /// Of the last one.
    bytes: usize,
    /// Where the receiver may resume.
    through: Position,
}

impl Parts {
    /// None yet; `through` is where the receiver may resume before the first
    /// transaction is complete.
    fn from(through: Position) -> Self {
        Self {
            parts: Vec::new(),
            bytes: 0,
            through,
        }
    }

    fn add(&mut self, signal: v1::Signal) {
        let bytes = signal.encoded_len();
        self.bytes += bytes;
        match self.parts.last_mut() {
            Some(part) if self.bytes <= MESSAGE_BYTES => {
                part.signals.push(signal);
                part.is_whole = false;
            }
            _ => {
                self.bytes = bytes;
                self.parts.push(Part {
                    signals: vec![signal],
                    through: self.through.clone(),
                    is_whole: false,
                });
            }
        }
    }

    /// All signals of the transaction with this revision were added.
    fn complete(&mut self, revision: i64) {
        self.through.revision = revision;
        if let Some(part) = self.parts.last_mut() {
            part.through = self.through.clone();
            part.is_whole = true;
        }
    }

    /// Whether there is more than one answer holds.
    fn is_enough(&self) -> bool {
        let before_last = self.parts.split_last().map(|(_, before)| before);
        before_last.is_some_and(|before| before.iter().any(|part| part.is_whole))
    }
}

fn signal(caller: &Caller, told: Told) -> v1::Signal {
    let signal = told.signal;
    let user_id = signal.user_id().unwrap_or_default().to_owned();
    let (group_id, token_id) = match signal.subject {
        Subject::User(_) => (String::new(), String::new()),
        Subject::Group(id) => (id, String::new()),
        Subject::Token(id, _) | Subject::Key(id) => (String::new(), id),
    };
    let subjects = told.subjects.into_iter();
    let subjects = subjects.map(|identity| v1::FederatedIdentity {
        issuer: identity.issuer,
        subject: identity.subject,
        link_time: None,
    });
    v1::Signal {
        id: told.id,
        r#type: signal.kind as i32,
        user_id,
        subjects: subjects.collect(),
        event_time: Some(encode::timestamp(told.committed_at)),
        tokens_valid_after: signal.tokens_valid_after.map(encode::timestamp),
        inactive_reason: encode::reason_for(caller, signal.inactive).into(),
        actor: Some(encode::actor(&told.actor)),
        transaction_id: told.transaction_id,
        token_id,
        group_id,
    }
}
