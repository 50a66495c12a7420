//! Calls of the RPCs that may show personal data.

use muster_proto::v1::{
    AttributePath, BatchGetUsersRequest, ChangeFilter, Filter, GetUserRequest, GetUserResponse,
    ListChangesRequest, ListUsersRequest, PageRequest, ResolveUserRequest, ResourceType,
    SearchResourcesRequest, SortOrder, StreamSnapshotRequest, Target, UserKey, WatchChangesRequest,
    filter::Node, user_key::Key, watch_changes_request::Start,
};
use muster_tests::{
    feed::{self, PATIENCE},
    grpc::Grpc,
    runtime::wait,
};
use prost_types::FieldMask;
use tonic::Status;

use super::World;

/// What is asked for.
pub(super) enum Ask {
    /// Nothing by name.
    Nothing,
    /// These fields of users.
    Plain(Vec<&'static str>),
    /// This one, which is personal data.
    Personal(String),
}

impl Ask {
    fn mask(&self) -> Option<FieldMask> {
        let paths = match self {
            Self::Nothing => return None,
            Self::Plain(names) => names.iter().map(ToString::to_string).collect(),
            Self::Personal(name) => vec!["id".to_owned(), name.clone()],
        };
        Some(FieldMask { paths })
    }

    /// Of changes all values are asked for, or none.
    fn values(&self) -> Option<ChangeFilter> {
        Some(ChangeFilter {
            types: vec![ResourceType::User.into()],
            include_resource: matches!(self, Self::Personal(_)),
            ..ChangeFilter::default()
        })
    }
}

/// An RPC, and how it is asked about the user of a world.
pub(super) struct Case {
    pub(super) method: &'static str,
    /// The answer, in words.
    pub(super) ask: fn(&World, &Grpc, &Ask) -> Result<String, Status>,
    /// Whether fields of users can be asked for by name.
    pub(super) masked: bool,
}

pub(super) const CASES: &[Case] = &[
    Case {
        method: "GetUser",
        ask: |world, grpc, ask| {
            let request = GetUserRequest {
                id: world.user.clone(),
                read_mask: ask.mask(),
                ..Default::default()
            };
            let answer = wait(grpc.users().get_user(request))?;
            Ok(format!("{answer:?}"))
        },
        masked: true,
    },
    Case {
        method: "ListUsers",
        ask: |_, grpc, ask| {
            list(
                grpc,
                Target {
                    read_mask: ask.mask(),
                    ..Target::default()
                },
            )
        },
        masked: true,
    },
    Case {
        method: "SearchResources",
        ask: |_, grpc, ask| {
            search(
                grpc,
                Target {
                    read_mask: ask.mask(),
                    ..Target::default()
                },
            )
        },
        masked: true,
    },
    Case {
        method: "ResolveUser",
        ask: |world, grpc, ask| {
            let request = ResolveUserRequest {
                key: Some(key(world)),
                read_mask: ask.mask(),
                ..Default::default()
            };
            let answer = wait(grpc.lookup().resolve_user(request))?;
            Ok(format!("{answer:?}"))
        },
        masked: true,
    },
    Case {
        method: "BatchGetUsers",
        ask: |world, grpc, ask| {
            let request = BatchGetUsersRequest {
                keys: vec![key(world)],
                read_mask: ask.mask(),
                ..Default::default()
            };
            let answer = wait(grpc.lookup().batch_get_users(request))?;
            Ok(format!("{answer:?}"))
        },
        masked: true,
    },
    Case {
        method: "ListChanges",
        ask: |_, grpc, ask| {
            let request = ListChangesRequest {
                filter: ask.values(),
                ..Default::default()
            };
            Ok(format!("{:?}", feed::try_list(grpc, request)?))
        },
        masked: false,
    },
    Case {
        method: "WatchChanges",
        ask: |_, grpc, ask| watch(grpc, ask),
        masked: false,
    },
    Case {
        method: "StreamSnapshot",
        ask: |_, grpc, ask| snapshot(grpc, ask),
        masked: false,
    },
];

fn key(world: &World) -> UserKey {
    UserKey {
        key: Some(Key::Id(world.user.clone())),
    }
}

/// The first message with changes.
fn watch(grpc: &Grpc, ask: &Ask) -> Result<String, Status> {
    let earliest = feed::bounds(grpc).earliest.expect("always set");
    let request = WatchChangesRequest {
        start: Some(Start::After(earliest)),
        filter: ask.values(),
        heartbeat: None,
    };
    wait(async {
        let mut stream = grpc.changes().watch_changes(request).await?.into_inner();
        loop {
            let next = tokio::time::timeout(PATIENCE, stream.message()).await;
            let message = next.expect("the stream is silent")?.expect("it goes on");
            if !message.batches.is_empty() {
                return Ok(format!("{message:?}"));
            }
        }
    })
}

/// All messages.
fn snapshot(grpc: &Grpc, ask: &Ask) -> Result<String, Status> {
    let request = StreamSnapshotRequest {
        filter: ask.values(),
        ..Default::default()
    };
    wait(async {
        let mut stream = grpc.changes().stream_snapshot(request).await?.into_inner();
        let mut told = String::new();
        while let Some(message) = stream.message().await? {
            told.push_str(&format!("{message:?}"));
        }
        Ok(told)
    })
}

/// `GetUser` with a mask; nothing in it: none.
pub(super) fn get(grpc: &Grpc, user: &str, paths: &[&str]) -> Result<GetUserResponse, Status> {
    let paths: Vec<_> = paths.iter().map(ToString::to_string).collect();
    let request = GetUserRequest {
        id: user.to_owned(),
        read_mask: Some(paths)
            .filter(|paths| !paths.is_empty())
            .map(|paths| FieldMask { paths }),
        ..Default::default()
    };
    Ok(wait(grpc.users().get_user(request))?.into_inner())
}

/// `ListUsers` of what a target means.
pub(super) fn list(grpc: &Grpc, target: Target) -> Result<String, Status> {
    let request = ListUsersRequest {
        filter: target.filter,
        sort: target.sort,
        read_mask: target.read_mask,
        ..Default::default()
    };
    let answer = wait(grpc.users().list_users(request))?;
    Ok(format!("{answer:?}"))
}

/// `SearchResources` of users.
pub(super) fn search(grpc: &Grpc, target: Target) -> Result<String, Status> {
    let request = SearchResourcesRequest {
        targets: vec![Target {
            r#type: ResourceType::User.into(),
            ..target
        }],
        page: Some(PageRequest::default()),
        ..Default::default()
    };
    let answer = wait(grpc.search().search_resources(request))?;
    Ok(format!("{answer:?}"))
}

/// An attribute and its sub-attribute; empty: none.
type Path = (&'static str, &'static str);

fn path((attribute, sub_attribute): Path) -> AttributePath {
    AttributePath {
        attribute: attribute.to_owned(),
        sub_attribute: sub_attribute.to_owned(),
        ..Default::default()
    }
}

/// Who has this attribute.
pub(super) fn filtered(attribute: Path) -> Target {
    Target {
        filter: Some(Filter {
            node: Some(Node::Present(Box::new(path(attribute)))),
        }),
        ..Default::default()
    }
}

/// In the order of this attribute.
pub(super) fn sorted(attribute: Path) -> Target {
    Target {
        sort: Some(SortOrder {
            path: Some(path(attribute)),
            descending: false,
        }),
        ..Default::default()
    }
}
