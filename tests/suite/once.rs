//! Requests that come again under their id (`WriteOptions.request_id`): done
//! once, and answered each time. Which RPCs there are is read from the
//! descriptor: one that is new must be known here.

mod callers;
mod cases;
mod crashes;
mod failures;
mod proxy;
mod races;
mod walk;
mod wire;

use std::collections::BTreeMap;

use muster_proto::v1::{
    self, CreateUserRequest, CreateUserResponse, ListAuditEntriesRequest, PageRequest, User,
    WriteOptions,
};
use muster_tests::{
    feed::latest,
    grpc::{Grpc, reason},
    runtime::wait,
    scim::Scim,
    server::{Launch, Server},
    service::Service,
    tenant::Tenant,
    vault,
};
use prost_reflect::DynamicMessage;
use tonic::{Code, Status};
use uuid::Uuid;

/// What a second connection of the tenant goes by: all deactivations but one wait.
const GUARD: &str = r#"
description = "one"
[policy.deprovision_guard]
max_users = 1
window = "1h"
max_hold = "72h"
"#;

/// A server of its own with a tenant and a client that may do everything.
struct World {
    server: Server,
    tenant: Tenant,
    token: String,
    grpc: Grpc,
    /// A client over a connection whose guard lets all further deactivations wait.
    guarded: Scim,
}

impl World {
    #[track_caller]
    fn new() -> Self {
        let server = vault::sealed(super::launch()).start();
        let tenant = Tenant::create(&server);
        let service = Service::full(&server, &tenant);
        let token = service.token();
        let world = Self {
            grpc: Grpc::new(server.grpc(), Some(&token)),
            guarded: guarded(&server, &tenant),
            server,
            tenant,
            token,
        };
        let path = format!("/Users/{}", world.user());
        let _ = world.guarded.delete(&path).status(204);
        world
    }

    /// The same tenant and client at another process on the same database.
    fn elsewhere(&self) -> (Server, Grpc) {
        let launch = Launch::at(&self.server.launch().database_url());
        let server = vault::sealed(launch).start();
        let grpc = Grpc::new(server.grpc(), Some(&self.token));
        (server, grpc)
    }

    /// A new user.
    #[track_caller]
    fn user(&self) -> String {
        let created = create(&self.grpc, &name("user"), "").expect("a user");
        created.user.expect("him").id
    }

    /// A new group.
    #[track_caller]
    fn group(&self) -> String {
        let request = v1::CreateGroupRequest {
            group: Some(v1::Group {
                display_name: name("group"),
                ..v1::Group::default()
            }),
            ..v1::CreateGroupRequest::default()
        };
        let made = wait(self.grpc.groups().create_group(request)).expect("a group");
        made.into_inner().group.expect("it").id
    }

    /// A new personal token: its id and its secret.
    #[track_caller]
    fn personal(&self) -> (String, String) {
        let request = cases::personal(&self.user(), "laptop");
        let made = wait(self.grpc.tokens().create_personal_access_token(request));
        let made = made.expect("a token").into_inner();
        (made.token.expect("it").id, made.secret)
    }

    #[track_caller]
    fn trace(&self) -> Trace {
        Trace::of(&self.grpc)
    }
}

#[track_caller]
fn guarded(server: &Server, tenant: &Tenant) -> Scim {
    let (connection, _, token) = tenant.connection(server, "guarded");
    let file = server.folder().join("policy.toml");
    std::fs::write(&file, GUARD).expect("a file");
    let file = file.display().to_string();
    let update = ["connection", "update", "--tenant", &tenant.id];
    let what = ["--name", &connection, "--policy", &file];
    let _ = server.admin().json(&[update, what].concat());
    tenant.scim_with(&token)
}

/// All that a tenant's requests leave behind.
#[derive(Debug, PartialEq, Eq)]
struct Trace {
    /// Where its history ends.
    latest: v1::Revision,
    /// How often each method was done, as the audit has it.
    done: BTreeMap<String, usize>,
    users: i64,
    groups: i64,
    held: usize,
    connections: usize,
    clients: usize,
    schemas: usize,
    tokens: Vec<v1::Token>,
    keys: Vec<v1::SigningKey>,
}

impl Trace {
    #[track_caller]
    fn of(grpc: &Grpc) -> Self {
        let tokens = v1::ListTokensRequest {
            show_revoked: true,
            page: all(),
            ..v1::ListTokensRequest::default()
        };
        let held = v1::ListHeldOperationsRequest {
            page: all(),
            ..v1::ListHeldOperationsRequest::default()
        };
        let connections = v1::ListConnectionsRequest { page: all() };
        let clients = v1::ListServiceClientsRequest { page: all() };
        let (users, groups) = counts(grpc);
        let lists = async {
            Ok::<_, Status>(Self {
                latest: v1::Revision::default(),
                done: BTreeMap::new(),
                users,
                groups,
                held: {
                    let answer = grpc.provisioning().list_held_operations(held).await?;
                    answer.into_inner().operations.len()
                },
                connections: {
                    let answer = grpc.provisioning().list_connections(connections).await?;
                    answer.into_inner().connections.len()
                },
                clients: {
                    let answer = grpc.admin().list_service_clients(clients).await?;
                    answer.into_inner().clients.len()
                },
                schemas: {
                    let mut schemas = grpc.schemas();
                    let answer = schemas.list_schemas(v1::ListSchemasRequest {}).await?;
                    answer.into_inner().schemas.len()
                },
                tokens: {
                    let answer = grpc.tokens().list_tokens(tokens).await?;
                    let tokens = answer.into_inner().tokens.into_iter();
                    tokens.map(unused).collect()
                },
                keys: {
                    let mut keys = grpc.keys();
                    let answer = keys.list_signing_keys(v1::ListSigningKeysRequest {});
                    answer.await?.into_inner().keys
                },
            })
        };
        Self {
            latest: latest(grpc),
            done: done(grpc),
            ..wait(lists).expect("lists")
        }
    }

    /// How often this was done.
    fn count(&self, method: &str) -> usize {
        self.done.get(method).copied().unwrap_or_default()
    }
}

/// That it was used is written some time later.
fn unused(token: v1::Token) -> v1::Token {
    v1::Token {
        last_used_time: None,
        last_used_ip: String::new(),
        ..token
    }
}

fn all() -> Option<PageRequest> {
    Some(PageRequest {
        page_size: 1_000,
        ..PageRequest::default()
    })
}

/// How many users and groups there are, deleted ones with them.
#[track_caller]
fn counts(grpc: &Grpc) -> (i64, i64) {
    let page = Some(PageRequest {
        include_total_size: true,
        count_only: true,
        ..PageRequest::default()
    });
    let users = v1::ListUsersRequest {
        page: page.clone(),
        show_deleted: true,
        ..v1::ListUsersRequest::default()
    };
    let groups = v1::ListGroupsRequest {
        page,
        show_deleted: true,
        ..v1::ListGroupsRequest::default()
    };
    let users = wait(grpc.users().list_users(users)).expect("a count");
    let groups = wait(grpc.groups().list_groups(groups)).expect("a count");
    let size = |page: Option<v1::PageResponse>| page.expect("always set").total_size;
    (
        size(users.into_inner().page),
        size(groups.into_inner().page),
    )
}

/// How often each method was done, as the audit has it.
#[track_caller]
fn done(grpc: &Grpc) -> BTreeMap<String, usize> {
    let mut done = BTreeMap::new();
    let mut request = ListAuditEntriesRequest {
        page: all(),
        ..ListAuditEntriesRequest::default()
    };
    loop {
        let answer = wait(grpc.audit().list_audit_entries(request.clone()));
        let answer = answer.expect("entries").into_inner();
        for entry in answer.entries {
            if entry.outcome == "OK" {
                *done.entry(entry.method).or_default() += 1;
            }
        }
        let next = answer.page.unwrap_or_default().next_page_token;
        if next.is_empty() {
            return done;
        }
        if let Some(page) = &mut request.page {
            page.page_token = next;
        }
    }
}

/// Creates a user under this id; empty: none.
fn create(grpc: &Grpc, user_name: &str, id: &str) -> Result<CreateUserResponse, Status> {
    let request = CreateUserRequest {
        user: Some(User {
            user_name: user_name.to_owned(),
            ..User::default()
        }),
        options: options(id),
    };
    Ok(wait(grpc.users().create_user(request))?.into_inner())
}

fn options(request_id: &str) -> Option<WriteOptions> {
    Some(WriteOptions {
        request_id: request_id.to_owned(),
        ..WriteOptions::default()
    })
}

/// A name that nothing else has.
fn name(what: &str) -> String {
    format!("{what}-{}", Uuid::new_v4().simple())
}

/// An id of a request.
fn new_id() -> String {
    Uuid::new_v4().to_string()
}

/// An answer without its secrets, and these.
fn parted(mut answer: DynamicMessage) -> (DynamicMessage, Vec<String>) {
    let secrets = wire::take_secrets(&mut answer);
    (answer, secrets)
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, why: &str) -> Status {
    let status = answer.expect_err("it is refused");
    assert_eq!(status.code(), code, "{status:?}");
    assert_eq!(reason(&status), why, "{status:?}");
    status
}

#[track_caller]
fn reused<T: std::fmt::Debug>(answer: Result<T, Status>) {
    let _ = refused(answer, Code::FailedPrecondition, "REQUEST_ID_REUSED");
}
