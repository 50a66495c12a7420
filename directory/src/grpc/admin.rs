//! `AdminService`: decode, call the service, encode.

use muster_proto::v1::{self, admin_service_server::AdminService};
use tonic::{Request, Response, Status};

use super::{
    audited::{Call, audited},
    caller, decode, once,
    status::status,
    token_words::{client, registration, wire_length},
    tokens::list_name,
};
use crate::{
    auth::Caller,
    domain::{history::ResourceType, page::Place},
    error::{Error, Result},
    service::Directory,
};

pub(super) struct Admin(pub(super) Directory);

#[tonic::async_trait]
impl AdminService for Admin {
    async fn create_service_client(
        &self,
        request: Request<v1::CreateServiceClientRequest>,
    ) -> Result<Response<v1::CreateServiceClientResponse>, Status> {
        let caller = once::caller(&request)?;
        let request = request.into_inner();
        let call = Call::new("CreateServiceClient", ResourceType::Client, "");
        audited(&self.0, &caller, call, self.create(&caller, request)).await
    }

    async fn list_service_clients(
        &self,
        request: Request<v1::ListServiceClientsRequest>,
    ) -> Result<Response<v1::ListServiceClientsResponse>, Status> {
        let caller = caller(&request)?;
        let answer = self.list(&caller, request.into_inner()).await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn disable_service_client(
        &self,
        request: Request<v1::DisableServiceClientRequest>,
    ) -> Result<Response<v1::DisableServiceClientResponse>, Status> {
        let caller = once::caller(&request)?;
        let v1::DisableServiceClientRequest { id, reason, .. } = request.into_inner();
        let call = Call::new("DisableServiceClient", ResourceType::Client, &id);
        let work = async {
            let disabled = self.0.set_client_disabled(&caller, &id, Some(&reason));
            let (disabled, changed) = disabled.await?;
            Ok(v1::DisableServiceClientResponse {
                client: Some(client(disabled)),
                changed,
            })
        };
        audited(&self.0, &caller, call, work).await
    }

    async fn enable_service_client(
        &self,
        request: Request<v1::EnableServiceClientRequest>,
    ) -> Result<Response<v1::EnableServiceClientResponse>, Status> {
        let caller = once::caller(&request)?;
        let id = request.into_inner().id;
        let call = Call::new("EnableServiceClient", ResourceType::Client, &id);
        let work = async {
            let enabled = self.0.set_client_disabled(&caller, &id, None);
            let (enabled, changed) = enabled.await?;
            Ok(v1::EnableServiceClientResponse {
                client: Some(client(enabled)),
                changed,
            })
        };
        audited(&self.0, &caller, call, work).await
    }

    async fn issue_service_token(
        &self,
        request: Request<v1::IssueServiceTokenRequest>,
    ) -> Result<Response<v1::IssueServiceTokenResponse>, Status> {
        let request = request.into_inner();
        let (assertion, scopes) = (&request.client_assertion, &request.scopes);
        let issued = self.0.issue_service_token(assertion, scopes).await;
        let issued = issued.map_err(status)?;
        Ok(Response::new(v1::IssueServiceTokenResponse {
            access_token: issued.token,
            expires_in: Some(wire_length(issued.expires_in)),
            scopes: issued.scopes,
        }))
    }
}

impl Admin {
    async fn create(
        &self,
        caller: &Caller,
        request: v1::CreateServiceClientRequest,
    ) -> Result<v1::CreateServiceClientResponse> {
        let registration = registration(request.client)?;
        let created = self.0.create_client(caller, registration).await?;
        Ok(v1::CreateServiceClientResponse {
            client: Some(client(created)),
        })
    }

    async fn list(
        &self,
        caller: &Caller,
        request: v1::ListServiceClientsRequest,
    ) -> Result<v1::ListServiceClientsResponse> {
        let list = list_name(caller, "clients", &[]);
        let page = decode::page(&self.0, &list, request.page)?;
        if page.skip > 0 || page.count || page.count_only {
            return Err(Error::invalid("page", "can only be a size and a token"));
        }
        let after = page.after.map(|place| place.id).unwrap_or_default();
        let found = self
            .0
            .list_clients(&caller.tenant_id, &after, page.size + 1);
        let mut found = found.await?;
        let more = found.len() > page.size;
        found.truncate(page.size);
        let next = found.last().filter(|_| more).map(|last| {
            let place = Place::of(last.id.clone());
            self.0.cursors().page(&list, &place, self.0.now_ms())
        });
        Ok(v1::ListServiceClientsResponse {
            clients: found.into_iter().map(client).collect(),
            page: Some(v1::PageResponse {
                next_page_token: next.unwrap_or_default(),
                total_size: 0,
            }),
        })
    }
}
