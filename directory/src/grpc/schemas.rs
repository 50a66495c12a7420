//! `SchemaService`: decode, call the service, encode.

use muster_proto::{
    schema::{Definition, Extends},
    v1::{self, schema_service_server::SchemaService},
};
use tonic::{Request, Response, Status};

use super::{
    audited::{Call, audited},
    caller, encode, once,
    status::status,
};
use crate::{
    auth::Caller,
    domain::history::ResourceType,
    error::{Error, Result, Violation},
    service::{Directory, SchemaEditor},
};

pub(super) struct Schemas(pub(super) Directory);

#[tonic::async_trait]
impl SchemaService for Schemas {
    async fn list_schemas(
        &self,
        request: Request<v1::ListSchemasRequest>,
    ) -> Result<Response<v1::ListSchemasResponse>, Status> {
        let caller = caller(&request)?;
        let found = self.0.list_schemas(&caller.tenant_id).await;
        let schemas = found.map_err(status)?.into_iter().map(encode::schema);
        Ok(Response::new(v1::ListSchemasResponse {
            schemas: schemas.collect(),
        }))
    }

    async fn get_schema(
        &self,
        request: Request<v1::GetSchemaRequest>,
    ) -> Result<Response<v1::GetSchemaResponse>, Status> {
        let caller = caller(&request)?;
        let urn = request.into_inner().urn;
        let found = self.0.find_schema(&caller.tenant_id, &urn).await;
        Ok(Response::new(v1::GetSchemaResponse {
            schema: Some(encode::schema(found.map_err(status)?)),
        }))
    }

    async fn put_schema(
        &self,
        request: Request<v1::PutSchemaRequest>,
    ) -> Result<Response<v1::PutSchemaResponse>, Status> {
        let caller = once::caller(&request)?;
        let request = request.into_inner();
        let call = Call::new("PutSchema", ResourceType::Schema, "");
        audited(&self.0, &caller, call, self.put(&caller, request)).await
    }

    async fn delete_schema(
        &self,
        request: Request<v1::DeleteSchemaRequest>,
    ) -> Result<Response<v1::DeleteSchemaResponse>, Status> {
        let caller = once::caller(&request)?;
        let request = request.into_inner();
        let call = Call::new("DeleteSchema", ResourceType::Schema, "");
        audited(&self.0, &caller, call, self.delete(&caller, request)).await
    }
}

impl Schemas {
    async fn put(
        &self,
        caller: &Caller,
        request: v1::PutSchemaRequest,
    ) -> Result<v1::PutSchemaResponse> {
        let schema = request.schema;
        let schema = schema.ok_or_else(|| Error::invalid("schema", "is required"))?;
        let extends = extends(&schema)?;
        let editor = SchemaEditor::caller(caller);
        let putting = self.0.put_schema(editor, extends, Definition::from(schema));
        let written = putting.await?;
        let at = written.position.as_ref();
        Ok(v1::PutSchemaResponse {
            changed: at.is_some(),
            written_at: at.map(|at| encode::revision(&self.0, caller, at)),
            schema: written.schema.map(encode::schema),
        })
    }

    async fn delete(
        &self,
        caller: &Caller,
        request: v1::DeleteSchemaRequest,
    ) -> Result<v1::DeleteSchemaResponse> {
        let editor = SchemaEditor::caller(caller);
        let (urn, allow_missing) = (&request.urn, request.allow_missing);
        let written = self.0.delete_schema(editor, urn, allow_missing).await?;
        let at = written.position.as_ref();
        Ok(v1::DeleteSchemaResponse {
            changed: at.is_some(),
            written_at: at.map(|at| encode::revision(&self.0, caller, at)),
        })
    }
}

fn extends(schema: &v1::ExtensionSchema) -> Result<Extends> {
    match schema.resource_type() {
        v1::ResourceType::User => Ok(Extends::User),
        v1::ResourceType::Group => Ok(Extends::Group),
        _ => {
            let rule = "must be that of users or groups";
            let broken = vec![Violation::new("resource_type", rule)];
            Err(Error::SchemaInvalid(broken))
        }
    }
}
