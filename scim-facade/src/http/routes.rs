//! Which endpoints there are below a base path, and what each method of them
//! does. The router, bulk and the description of the interface read this table.

use axum::http::Method;

use super::{
    App, discovery,
    exchange::{Answer, Exchange},
    groups,
    list::{self, Of},
    query::Query,
    users,
};
use crate::scim::error::ScimError;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Users(Verb),
    Groups(Verb),
    List(Of),
    Search(Of),
    ResourceTypes,
    ResourceType,
    Schemas,
    Schema,
    NotImplemented,
}

/// What is done with resources of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Create,
    Get,
    Replace,
    Patch,
    Delete,
}

/// An endpoint, relative to the base path.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) path: &'static str,
    pub(super) methods: &'static [(Method, Operation)],
}

use Operation as O;
use Verb as V;

/// Every endpoint that wants a token.
pub(super) static ROUTES: &[Route] = &[
    Route {
        path: "",
        methods: &[(Method::GET, O::List(Of::Both))],
    },
    Route {
        path: "/.search",
        methods: &[(Method::POST, O::Search(Of::Both))],
    },
    Route {
        path: "/Users/.search",
        methods: &[(Method::POST, O::Search(Of::Users))],
    },
    Route {
        path: "/Groups/.search",
        methods: &[(Method::POST, O::Search(Of::Groups))],
    },
    Route {
        path: "/Users",
        methods: &[
            (Method::GET, O::List(Of::Users)),
            (Method::POST, O::Users(V::Create)),
        ],
    },
    Route {
        path: "/Users/{id}",
        methods: &[
            (Method::GET, O::Users(V::Get)),
            (Method::PUT, O::Users(V::Replace)),
            (Method::PATCH, O::Users(V::Patch)),
            (Method::DELETE, O::Users(V::Delete)),
        ],
    },
    Route {
        path: "/Groups",
        methods: &[
            (Method::GET, O::List(Of::Groups)),
            (Method::POST, O::Groups(V::Create)),
        ],
    },
    Route {
        path: "/Groups/{id}",
        methods: &[
            (Method::GET, O::Groups(V::Get)),
            (Method::PUT, O::Groups(V::Replace)),
            (Method::PATCH, O::Groups(V::Patch)),
            (Method::DELETE, O::Groups(V::Delete)),
        ],
    },
    Route {
        path: "/ResourceTypes",
        methods: &[(Method::GET, O::ResourceTypes)],
    },
    Route {
        path: "/ResourceTypes/{id}",
        methods: &[(Method::GET, O::ResourceType)],
    },
    Route {
        path: "/Schemas",
        methods: &[(Method::GET, O::Schemas)],
    },
    Route {
        path: "/Schemas/{id}",
        methods: &[(Method::GET, O::Schema)],
    },
];

/// Longest body, in bytes, of requests that may speak of very many resources.
pub(super) const LARGE_BODY: usize = 16 * 1024 * 1024;

impl Operation {
    /// Longest body of a request, in bytes.
    pub(super) fn body_limit(self, app: &App) -> usize {
        let limit = app.config.body_limit;
        match self {
            O::Groups(V::Create | V::Replace | V::Patch) => limit.max(LARGE_BODY),
            _ => limit,
        }
    }
}

/// Does it.
pub(super) async fn run(operation: Operation, exchange: &Exchange) -> Answer {
    match operation {
        O::List(of) => list::answer(exchange, of, exchange.query()?).await,
        O::Search(of) => {
            let query = Query::read(exchange.object()?)?;
            list::answer(exchange, of, query).await
        }
        O::Users(V::Create) => users::create(exchange).await,
        O::Users(V::Get) => users::get(exchange).await,
        O::Users(V::Replace) => users::replace(exchange).await,
        O::Users(V::Patch) => users::patch(exchange).await,
        O::Users(V::Delete) => users::delete(exchange).await,
        O::Groups(V::Create) => groups::create(exchange).await,
        O::Groups(V::Get) => groups::get(exchange).await,
        O::Groups(V::Replace) => groups::replace(exchange).await,
        O::Groups(V::Patch) => groups::patch(exchange).await,
        O::Groups(V::Delete) => groups::delete(exchange).await,
        O::ResourceTypes => discovery::resource_types(exchange).await,
        O::ResourceType => discovery::resource_type(exchange).await,
        O::Schemas => discovery::schemas(exchange).await,
        O::Schema => discovery::schema(exchange).await,
        O::NotImplemented => Err(ScimError::new(501, "This endpoint is not implemented.").into()),
    }
}
