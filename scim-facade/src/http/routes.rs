//! Which endpoints there are below a base path, and what each method of them
//! does. The router, bulk and the description of the interface read this table.

use axum::http::Method;

use super::{
    App, bulk, discovery,
    exchange::{Answer, Exchange},
    groups,
    list::{self, Of},
    query::Query,
    users,
};
use crate::scim::{discovery::MAX_PAYLOAD, error::ScimError};

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Users(Verb),
    Groups(Verb),
    /// The user in whose name the token speaks (RFC 7644 section 3.11).
    Me(Verb),
    List(Of),
    Search(Of),
    Bulk,
    ResourceTypes,
    ResourceType,
    Schemas,
    Schema,
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
        path: "/Bulk",
        methods: &[(Method::POST, O::Bulk)],
    },
    Route {
        path: "/Me",
        methods: &[
            (Method::GET, O::Me(V::Get)),
            (Method::POST, O::Me(V::Create)),
            (Method::PUT, O::Me(V::Replace)),
            (Method::PATCH, O::Me(V::Patch)),
            (Method::DELETE, O::Me(V::Delete)),
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

impl Operation {
    /// Longest body of a request, in bytes.
    pub(super) fn body_limit(self, app: &App) -> usize {
        let limit = app.config.body_limit;
        match self {
            O::Bulk | O::Groups(V::Create | V::Replace | V::Patch) => limit.max(MAX_PAYLOAD),
            _ => limit,
        }
    }
}

/// Does it.
pub(super) async fn run(operation: Operation, exchange: &Exchange) -> Answer {
    match operation {
        O::Users(verb) => run_users(verb, exchange).await,
        O::Groups(verb) => run_groups(verb, exchange).await,
        O::Me(verb) => me(verb, exchange).await,
        O::List(of) => list::answer(exchange, of, exchange.query()?).await,
        O::Search(of) => {
            let query = Query::read(exchange.object()?, exchange.accents())?;
            list::answer(exchange, of, query).await
        }
        O::Bulk => bulk::run(exchange).await,
        O::ResourceTypes => discovery::resource_types(exchange).await,
        O::ResourceType => discovery::resource_type(exchange).await,
        O::Schemas => discovery::schemas(exchange).await,
        O::Schema => discovery::schema(exchange).await,
    }
}

/// Does something with a user.
pub(super) async fn run_users(verb: Verb, exchange: &Exchange) -> Answer {
    match verb {
        V::Create => users::create(exchange).await,
        V::Get => users::get(exchange).await,
        V::Replace => users::replace(exchange).await,
        V::Patch => users::patch(exchange).await,
        V::Delete => users::delete(exchange).await,
    }
}

/// Does something with a group.
pub(super) async fn run_groups(verb: Verb, exchange: &Exchange) -> Answer {
    match verb {
        V::Create => groups::create(exchange).await,
        V::Get => groups::get(exchange).await,
        V::Replace => groups::replace(exchange).await,
        V::Patch => groups::patch(exchange).await,
        V::Delete => groups::delete(exchange).await,
    }
}

/// The user's own resource, under its own location. A token is of a user who
/// is there already, so none is created.
async fn me(verb: Verb, exchange: &Exchange) -> Answer {
    match (&exchange.profile.user_id, verb) {
        (Some(_), Verb::Create) => {
            let detail = "The user of the token is there already.";
            Err(ScimError::new(403, detail).into())
        }
        (Some(id), verb) => {
            let own = exchange.about(id);
            Box::pin(run(Operation::Users(verb), &own)).await
        }
        (None, _) => {
            let detail = "The token speaks for a client, not for a user.";
            Err(ScimError::new(501, detail).into())
        }
    }
}
