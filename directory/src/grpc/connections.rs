//! What `ProvisioningService` says of connections.

use muster_proto::v1;
use prost::Message as _;

use super::{decode, policy_words, provisioning::Provisioning, tokens::list_name};
use crate::{
    auth::Caller,
    domain::page::Place,
    error::{Error, Result},
};

/// How many connections are read at once: each may have half a megabyte of policy.
const BATCH: usize = 20;

/// Most bytes in a page: clients take messages of 4 MiB.
const ROOM: usize = 1024 * 1024;

impl Provisioning {
    pub(super) async fn connect(
        &self,
        caller: &Caller,
        request: v1::CreateConnectionRequest,
    ) -> Result<v1::CreateConnectionResponse> {
        let (name, edit) = policy_words::new_connection(request.connection)?;
        let created = self.0.create_connection(caller, &name, edit).await?;
        Ok(v1::CreateConnectionResponse {
            connection: Some(policy_words::connection(created)),
        })
    }

    pub(super) async fn reconnect(
        &self,
        caller: &Caller,
        request: v1::UpdateConnectionRequest,
    ) -> Result<v1::UpdateConnectionResponse> {
        let (id, edit) = policy_words::update(request)?;
        let updated = self.0.update_connection(caller, &id, edit).await?;
        Ok(v1::UpdateConnectionResponse {
            connection: Some(policy_words::connection(updated)),
        })
    }

    pub(super) async fn connections(
        &self,
        caller: &Caller,
        request: v1::ListConnectionsRequest,
    ) -> Result<v1::ListConnectionsResponse> {
        let list = list_name(caller, "connections", &[]);
        let page = decode::page(&self.0, &list, request.page)?;
        if page.skip > 0 || page.count || page.count_only {
            return Err(Error::invalid("page", "can only be a size and a token"));
        }
        let after = page.after.map(|place| place.id).unwrap_or_default();
        let (connections, more) = match caller.connection() {
            // A provisioning client knows its own alone.
            Some(own) if own > after.as_str() => {
                let own = self.0.connection(&caller.tenant_id, own).await?;
                (vec![policy_words::connection(own)], false)
            }
            Some(_) => (Vec::new(), false),
            None => self.connections_of(caller, after, page.size).await?,
        };
        let next = connections.last().filter(|_| more).map(|last| {
            let place = Place::of(last.id.clone());
            self.0.cursors().page(&list, &place, self.0.now_ms())
        });
        Ok(v1::ListConnectionsResponse {
            connections,
            page: Some(v1::PageResponse {
                next_page_token: next.unwrap_or_default(),
                total_size: 0,
            }),
        })
    }

    /// The connections behind this id that make a page, and whether there are more.
    async fn connections_of(
        &self,
        caller: &Caller,
        mut after: String,
        size: usize,
    ) -> Result<(Vec<v1::Connection>, bool)> {
        let mut page: Vec<v1::Connection> = Vec::new();
        let mut room = ROOM;
        loop {
            let batch = self.0.connections_after(&caller.tenant_id, &after, BATCH);
            let batch = batch.await?;
            let is_last = batch.len() < BATCH;
            for found in batch {
                let found = policy_words::connection(found);
                let bytes = found.encoded_len();
                if page.len() == size || (bytes > room && !page.is_empty()) {
                    return Ok((page, true));
                }
                room = room.saturating_sub(bytes);
                after.clone_from(&found.id);
                page.push(found);
            }
            if is_last {
                return Ok((page, false));
            }
        }
    }
}
