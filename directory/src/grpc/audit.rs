//! `AuditService`: decode, call the service, encode.

use muster_proto::v1::{self, audit_service_server::AuditService};
use tonic::{Request, Response, Status};

use super::{
    caller, decode, encode,
    status::status,
    stream::{Lease, Outgoing, Sender, interrupted},
    wanted,
};
use crate::{
    auth::Caller,
    domain::{history::hex, page::Place},
    error::{Error, Result},
    service::Directory,
};

pub(super) struct Audit(pub(super) Directory);

#[tonic::async_trait]
impl AuditService for Audit {
    type ExportAuditEntriesStream = Outgoing<v1::ExportAuditEntriesResponse>;

    async fn list_audit_entries(
        &self,
        request: Request<v1::ListAuditEntriesRequest>,
    ) -> Result<Response<v1::ListAuditEntriesResponse>, Status> {
        let caller = caller(&request)?;
        let answer = self.list(&caller, request.into_inner()).await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn export_audit_entries(
        &self,
        request: Request<v1::ExportAuditEntriesRequest>,
    ) -> Result<Response<Self::ExportAuditEntriesStream>, Status> {
        let caller = caller(&request)?;
        let lease = Lease::of(&request).map_err(status)?;
        let range = request.into_inner();
        let (sender, outgoing) = Outgoing::new();
        let directory = self.0.clone();
        tokio::spawn(async move {
            let ended = tokio::select! {
                ended = export(&directory, &caller, range, &sender) => ended,
                error = interrupted(&directory, &lease) => Err(error),
                () = sender.closed() => Ok(()),
            };
            sender.end(ended.err().map(status));
        });
        Ok(Response::new(outgoing))
    }

    async fn verify_audit_chain(
        &self,
        request: Request<v1::VerifyAuditChainRequest>,
    ) -> Result<Response<v1::VerifyAuditChainResponse>, Status> {
        let caller = caller(&request)?;
        let answer = self.verify(&caller, request.into_inner()).await;
        Ok(Response::new(answer.map_err(status)?))
    }
}

impl Audit {
    async fn list(
        &self,
        caller: &Caller,
        request: v1::ListAuditEntriesRequest,
    ) -> Result<v1::ListAuditEntriesResponse> {
        let list = wanted::audit_identity(&caller.tenant_id, &request);
        let page = decode::page(&self.0, &list, request.page.clone())?;
        if page.skip > 0 || page.count || page.count_only {
            return Err(Error::invalid("page", "can only be a size and a token"));
        }
        let mut wanted = wanted::audit_query(request)?;
        let below = page.after.map(|after| after.id.parse());
        wanted.below = below.transpose().map_err(|_| Error::PageTokenInvalid)?;
        let found = self.0.list_audit(caller, &wanted, page.size).await?;
        let epoch = self.0.epoch(caller).await?;
        let next = found.next.map(|next| {
            let place = Place::of(next.to_string());
            self.0.cursors().page(&list, &place, self.0.now_ms())
        });
        let entry = |entry| encode::audit_entry(&self.0, caller, &epoch, entry);
        Ok(v1::ListAuditEntriesResponse {
            entries: found.entries.into_iter().map(entry).collect(),
            page: Some(v1::PageResponse {
                next_page_token: next.unwrap_or_default(),
                total_size: 0,
            }),
        })
    }

    async fn verify(
        &self,
        caller: &Caller,
        request: v1::VerifyAuditChainRequest,
    ) -> Result<v1::VerifyAuditChainResponse> {
        let (from, through) = (request.from_sequence, request.through_sequence);
        check_range(from, through)?;
        let expected = Some(hex(&request.expected_head)).filter(|hash| !hash.is_empty());
        let checking = self
            .0
            .verify_audit(&caller.tenant_id, from, through, expected.as_deref());
        let verdict = checking.await?;
        Ok(v1::VerifyAuditChainResponse {
            intact: verdict.broken.is_none(),
            checked_entries: verdict.checked,
            first_broken_sequence: verdict.broken.unwrap_or_default(),
            head: encode::unhex(&verdict.head),
            head_sequence: verdict.head_sequence,
        })
    }
}

fn check_range(from: i64, through: i64) -> Result<()> {
    if from < 0 || through < 0 {
        return Err(Error::invalid("through_sequence", "must not be negative"));
    }
    Ok(())
}

async fn export(
    directory: &Directory,
    caller: &Caller,
    range: v1::ExportAuditEntriesRequest,
    sender: &Sender<v1::ExportAuditEntriesResponse>,
) -> Result<()> {
    check_range(range.after_sequence, range.through_sequence)?;
    let through = match range.through_sequence {
        0 => i64::MAX,
        through => through,
    };
    let epoch = directory.epoch(caller).await?;
    let mut after = range.after_sequence;
    loop {
        let found = directory.audit_after(caller, after, through).await?;
        let Some(last) = found.last() else {
            return Ok(());
        };
        after = last.sequence;
        let entry = |entry| encode::audit_entry(directory, caller, &epoch, entry);
        let entries = found.into_iter().map(entry).collect();
        sender
            .send(v1::ExportAuditEntriesResponse { entries })
            .await?;
    }
}
