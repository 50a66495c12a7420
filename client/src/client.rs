//! The client: the directory's services, and the flows that most callers want.

use std::{sync::Arc, time::Duration};

use muster_proto::v1::{
    AccessStatus, BatchGetUserStatusRequest, CheckMembershipRequest, ErrorReason, ExternalKey,
    FederatedIdentity, FederatedKey, GroupExpansion, GroupRef, IntrospectTokenRequest,
    IntrospectTokenResponse, IssueUserTokenRequest, IssueUserTokenResponse,
    LinkFederatedIdentityRequest, ResolveUserRequest, ResolveUserResponse, Revision, User, UserKey,
    admin_service_client::AdminServiceClient, audit_service_client::AuditServiceClient,
    change_service_client::ChangeServiceClient,
    directory_lookup_service_client::DirectoryLookupServiceClient,
    group_service_client::GroupServiceClient,
    provisioning_service_client::ProvisioningServiceClient,
    schema_service_client::SchemaServiceClient, search_service_client::SearchServiceClient,
    signal_service_client::SignalServiceClient,
    signing_key_service_client::SigningKeyServiceClient, token_service_client::TokenServiceClient,
    user_key::Key, user_service_client::UserServiceClient,
};

use crate::{
    builder::Builder,
    cache::{self, Verdict},
    clock::Clock,
    error::{Error, Refused, Result},
    key,
    transport::Transport,
};

/// The largest answer that is taken, in bytes: a transaction of the feed comes whole.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;

/// The directory, for one service. Clones share connections, tokens and the budget of
/// repetitions; make one, and clone it.
#[derive(Debug, Clone)]
pub struct Client {
    transport: Transport,
    clock: Arc<dyn Clock>,
}

macro_rules! services {
    ($($(#[$doc:meta])* $name:ident: $client:ident;)*) => {
        impl Client {
            $($(#[$doc])*
            pub fn $name(&self) -> $client<Transport> {
                $client::new(self.transport()).max_decoding_message_size(ANSWER_LIMIT)
            })*
        }
    };
}

services! {
    /// Users: read, listed, written.
    users: UserServiceClient;
    /// Groups and their members.
    groups: GroupServiceClient;
    /// Point reads on the sign-in path.
    lookup: DirectoryLookupServiceClient;
    /// Tokens of users: issued, introspected, revoked.
    tokens: TokenServiceClient;
    /// The feed of changes.
    changes: ChangeServiceClient;
    /// What ends or changes access, for those who keep people signed in.
    signals: SignalServiceClient;
    /// The keys that sign tokens.
    signing_keys: SigningKeyServiceClient;
    /// Service clients, and the server itself.
    admin: AdminServiceClient;
    /// Connections, their credentials and their log.
    provisioning: ProvisioningServiceClient;
    /// Who did what.
    audit: AuditServiceClient;
    /// A tenant's own schemas.
    schemas: SchemaServiceClient;
    /// Users and groups in one list.
    search: SearchServiceClient;
}

/// Who signs in.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// What the identity provider calls him: its claims `iss` and `sub`.
    pub identity: FederatedKey,
    /// By what he is found the first time: a connection and its `externalId`, which the
    /// identity provider must have told, too. `None`: only who is linked is found.
    pub fallback: Option<ExternalKey>,
    /// Which of his groups are told.
    pub groups: Option<GroupExpansion>,
}

/// Who signed in.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The user, who may act.
    pub user: User,
    /// What a caller needs to refuse him later.
    pub access: AccessStatus,
    /// His groups, as asked for.
    pub groups: Vec<GroupRef>,
    /// When the answer was true.
    pub read_at: Option<Revision>,
    /// Whether he was found by the fallback and linked now.
    pub linked: bool,
}

/// A token that a user's application is to have.
#[derive(Debug, Clone, Default)]
pub struct TokenWish {
    /// For whom it is meant.
    pub audiences: Vec<String>,
    /// What it is good for there.
    pub scopes: Vec<String>,
    /// How long it lives; five minutes unless asked otherwise.
    pub lifetime: Option<Duration>,
    /// Which groups are named in it.
    pub groups: Option<GroupExpansion>,
}

impl Client {
    /// Sets up a client.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(transport: Transport, clock: Arc<dyn Clock>) -> Self {
        Self { transport, clock }
    }

    /// The way to the directory, for generated clients of one's own.
    pub fn transport(&self) -> Transport {
        self.transport.clone()
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// Finds who signs in: by his identity, and the first time by the fallback, after
    /// which he is linked. Nobody is ever found by his address: whoever may choose his own
    /// would be somebody else. Needs the scopes `users.read.basic`, `users.resolve` and,
    /// with a fallback, `users.link`.
    ///
    /// # Errors
    /// [`ErrorReason::UserNotFound`]; [`ErrorReason::UserInactive`] for one who may not
    /// act; [`ErrorReason::FederatedIdentityTaken`] when somebody else was linked
    /// meanwhile.
    pub async fn sign_in(&self, who: SignIn) -> Result<SignedIn> {
        let SignIn {
            identity,
            fallback,
            groups,
        } = who;
        let federated = UserKey {
            key: Some(Key::Federated(identity.clone())),
        };
        let found = self.resolve(federated, groups.clone()).await;
        match (found, fallback) {
            (Err(error), Some(external)) if error.is(ErrorReason::UserNotFound) => {
                let external = UserKey {
                    key: Some(Key::External(external)),
                };
                let found = self.resolve(external, groups).await?;
                let id = found.user.as_ref().map(|user| user.id.clone());
                let linked = self.link(id.unwrap_or_default(), identity).await?;
                signed_in(found, linked)
            }
            (found, _) => signed_in(found?, false),
        }
    }

    async fn resolve(
        &self,
        key: UserKey,
        groups: Option<GroupExpansion>,
    ) -> Result<ResolveUserResponse> {
        let request = ResolveUserRequest {
            key: Some(key),
            groups,
            ..Default::default()
        };
        Ok(self.lookup().resolve_user(request).await?.into_inner())
    }

    /// Links an identity to a user; whether it was not.
    async fn link(&self, user_id: String, identity: FederatedKey) -> Result<bool> {
        let request = LinkFederatedIdentityRequest {
            user_id,
            identity: Some(FederatedIdentity {
                issuer: identity.issuer,
                subject: identity.subject,
                link_time: None,
            }),
            options: None,
        };
        let answer = self.users().link_federated_identity(request).await?;
        Ok(answer.into_inner().changed)
    }

    /// Whether a user is in a group, and may act. Needs the scope `groups.check`.
    ///
    /// # Errors
    /// [`ErrorReason::UserNotFound`], [`ErrorReason::GroupNotFound`].
    pub async fn check_membership(&self, user: UserKey, group_id: &str) -> Result<Verdict> {
        let request = CheckMembershipRequest {
            user: Some(user),
            groups: vec![key::group(group_id)],
            ..Default::default()
        };
        let answer = self.lookup().check_membership(request).await?.into_inner();
        let result = answer.results.into_iter().next();
        cache::verdict(&result.ok_or(Error::GroupNotFound)?)
    }

    /// Whether a user may act now. Needs the scope `users.read.status`.
    ///
    /// # Errors
    /// [`ErrorReason::UserNotFound`], [`ErrorReason::AmbiguousKey`].
    pub async fn user_status(&self, user: UserKey) -> Result<AccessStatus> {
        let request = BatchGetUserStatusRequest {
            keys: vec![user],
            ..Default::default()
        };
        let answer = self.lookup().batch_get_user_status(request).await?;
        let result = answer.into_inner().results.into_iter().next();
        let result = result.ok_or(Error::UserNotFound)?;
        match result.error {
            Some(error) => Err(Error::Refused(Box::new(Refused::from_rpc(&error)))),
            None => result.status.ok_or(Error::UserNotFound),
        }
    }

    /// A signed access token for a user who may act. Needs the scope `tokens.issue`.
    ///
    /// # Errors
    /// [`ErrorReason::UserInactive`]; [`ErrorReason::ScopeMissing`] for an audience or a
    /// scope that the client may not grant.
    pub async fn issue_token(
        &self,
        user: UserKey,
        wish: TokenWish,
    ) -> Result<IssueUserTokenResponse> {
        let lifetime = wish.lifetime.map(prost_types::Duration::try_from);
        let lifetime = lifetime.transpose();
        let request = IssueUserTokenRequest {
            user: Some(user),
            audiences: wish.audiences,
            scopes: wish.scopes,
            lifetime: lifetime
                .map_err(|_| Error::Settings("the lifetime is too long".to_owned()))?,
            groups: wish.groups,
            ..Default::default()
        };
        Ok(self.tokens().issue_user_token(request).await?.into_inner())
    }

    /// What a token is good for now; one that is good for nothing is `active = false` and
    /// no error. Needs the scope `tokens.introspect`.
    ///
    /// # Errors
    /// When the directory cannot be asked.
    pub async fn introspect(&self, token: &str, audience: &str) -> Result<IntrospectTokenResponse> {
        let request = IntrospectTokenRequest {
            token: token.to_owned(),
            expected_audience: audience.to_owned(),
            required_scopes: Vec::new(),
        };
        Ok(self.tokens().introspect_token(request).await?.into_inner())
    }
}

fn signed_in(found: ResolveUserResponse, linked: bool) -> Result<SignedIn> {
    Ok(SignedIn {
        user: found.user.ok_or(Error::UserNotFound)?,
        access: found.access.unwrap_or_default(),
        groups: found.groups,
        read_at: found.read_at,
        linked,
    })
}
