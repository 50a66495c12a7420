//! Calls that came with schemas of tenants' own.

use std::collections::BTreeMap;

use muster_proto::v1;

use super::{Call, Expected, Seen};

/// The URN of the other tenant's schema.
pub(super) const THEIRS: &str = "urn:example:theirs:2.0:User";

/// A schema with one attribute.
pub(super) fn schema(urn: &str) -> v1::ExtensionSchema {
    v1::ExtensionSchema {
        urn: urn.to_owned(),
        resource_type: v1::ResourceType::User.into(),
        attributes: vec![v1::SchemaAttribute {
            name: "site".to_owned(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

pub(super) fn calls() -> BTreeMap<&'static str, (Expected, Call)> {
    use Expected::{NotFound, Nothing};
    let calls: [(&'static str, Expected, Call); 5] = [
        ("SchemaService/ListSchemas", Nothing, |g, _| {
            Box::pin(async move {
                let mut client = g.schemas();
                let found = client.list_schemas(v1::ListSchemasRequest {});
                let schemas = found.await?.into_inner().schemas;
                Ok(schemas.iter().all(|schema| schema.urn != THEIRS).into())
            })
        }),
        ("SchemaService/GetSchema", NotFound, |g, _| {
            Box::pin(async move {
                let urn = THEIRS.to_owned();
                let mut client = g.schemas();
                let found = client.get_schema(v1::GetSchemaRequest { urn });
                found.await.map(|_| Seen::Something)
            })
        }),
        ("SchemaService/PutSchema", Nothing, |g, _| {
            Box::pin(async move {
                let schema = Some(schema("urn:example:ours:2.0:User"));
                let mut client = g.schemas();
                let put = client.put_schema(v1::PutSchemaRequest {
                    schema,
                    options: None,
                });
                put.await.map(|_| Seen::Nothing)
            })
        }),
        ("SchemaService/DeleteSchema", NotFound, |g, _| {
            Box::pin(async move {
                let request = v1::DeleteSchemaRequest {
                    urn: THEIRS.to_owned(),
                    allow_missing: false,
                    options: None,
                };
                let mut client = g.schemas();
                let deleted = client.delete_schema(request);
                deleted.await.map(|_| Seen::Something)
            })
        }),
        ("ProvisioningService/GetProfile", Nothing, |g, _| {
            Box::pin(async move {
                let mut client = g.provisioning();
                let found = client.get_profile(v1::GetProfileRequest {});
                let schemas = found.await?.into_inner().schemas;
                Ok(schemas.iter().all(|schema| schema.urn != THEIRS).into())
            })
        }),
    ];
    calls
        .into_iter()
        .map(|(name, expected, call)| (name, (expected, call)))
        .collect()
}
