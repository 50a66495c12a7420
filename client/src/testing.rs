//! A directory for tests of those who use the client: the real one, in this process, with
//! a port of its own on the loopback and a database that is gone when it is dropped. Its
//! answers are the product's, as it is the product.
//!
//! The database is a temporary SQLite file: the directory's pools are connections of
//! their own, which an in-memory database would each give a database of its own.
//!
//! ```
//! # #[tokio::main(flavor = "multi_thread")]
//! # async fn main() -> muster_client::Result<()> {
//! use muster_client::{key, testing::TestServer};
//!
//! let server = TestServer::start().await?;
//! let ada = server.user("ada@example.test").await?;
//! let admins = server.group("admins").await?;
//! server.add_user(admins, ada).await?;
//!
//! let cache = muster_client::cache::Cache::builder(&server.client()).start();
//! cache.ready().await?;
//! assert!(cache.check_membership(ada, admins).await?.is_member());
//! # Ok(())
//! # }
//! ```

use std::{
    fmt::{self, Display},
    net::SocketAddr,
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use muster_directory::{
    auth::{Caller, Principal},
    clock::System,
    domain::client::{Grantable, directory_audience},
    sealing::Sealing,
    server::{Server, Services},
    service::{Directory, Options, Registration},
    signing::service_key::ServiceKey,
    storage::Store,
};
use muster_proto::{
    policy::Policies,
    v1::{
        CreateGroupRequest, CreateUserRequest, DeleteGroupRequest, DeleteUserRequest, Group,
        GroupModification, IssueServiceTokenRequest, LabeledValue, ListSigningKeysRequest,
        LockUserRequest, MemberList, MemberRef, ModifyGroupRequest, Revision,
        RevokeAllUserTokensRequest, RevokeSigningKeyRequest, UndeleteUserRequest,
        UnlockUserRequest, User, group_modification::Modification, member_ref::Member,
    },
};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};
use uuid::Uuid;

use crate::{
    builder::Builder,
    client::Client,
    error::{Error, Result},
};

/// An audience that clients of the server may put into tokens of users.
pub const AUDIENCE: &str = "https://api.example.test";

/// A directory with one tenant.
pub struct TestServer {
    folder: TempDir,
    sealing: String,
    address: SocketAddr,
    tenant_id: String,
    client: Client,
    running: Option<Running>,
}

struct Running {
    directory: Directory,
    services: Services,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
    housekeeping: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.serving.abort();
        self.housekeeping.abort();
    }
}

impl fmt::Debug for TestServer {
    /// Without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestServer")
            .field("address", &self.address)
            .field("tenant_id", &self.tenant_id)
            .finish_non_exhaustive()
    }
}

fn broken(error: impl Display) -> Error {
    Error::Settings(format!("the test server: {error}"))
}

impl TestServer {
    /// A new directory with an empty tenant.
    ///
    /// # Errors
    /// [`Error::Settings`] with the reason.
    pub async fn start() -> Result<Self> {
        let folder = tempfile::tempdir().map_err(broken)?;
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(broken)?;
        let sealing = STANDARD.encode(key);
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let (running, address) = run(&folder, &sealing, anywhere).await?;
        let tenant = running.directory.create_tenant("test").await;
        let tenant_id = tenant.map_err(broken)?.id;
        let scopes = Policies::load().map_err(broken)?;
        let scopes: Vec<_> = scopes.scopes().into_iter().collect();
        let key = register(&running.directory, &tenant_id, &scopes).await?;
        let client = at(address).service_key(key).build()?;
        Ok(Self {
            folder,
            sealing,
            address,
            tenant_id,
            client,
            running: Some(running),
        })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The id of its tenant.
    pub fn tenant_id(&self) -> &str {
        &self.tenant_id
    }

    /// A client that may do everything.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// A new client that has these scopes alone.
    ///
    /// # Errors
    /// [`Error::Settings`] for unknown ones.
    pub async fn client_with(&self, scopes: &[&str]) -> Result<Client> {
        let key = self.service_key(scopes).await?;
        self.builder().service_key(key).build()
    }

    /// The text of the key file of a new service client with these scopes, which may make
    /// tokens for [`AUDIENCE`].
    ///
    /// # Errors
    /// [`Error::Settings`] for unknown ones, and while the server is stopped.
    pub async fn service_key(&self, scopes: &[&str]) -> Result<String> {
        let running = self
            .running
            .as_ref()
            .ok_or_else(|| broken("it is stopped"))?;
        register(&running.directory, &self.tenant_id, scopes).await
    }

    /// A token of a new service client with these scopes, for who makes calls of his own.
    ///
    /// # Errors
    /// As [`service_key`](Self::service_key).
    pub async fn service_token(&self, scopes: &[&str]) -> Result<String> {
        let key = crate::ServiceKey::read(&self.service_key(scopes).await?)?;
        let request = IssueServiceTokenRequest {
            client_assertion: key.assertion(self.client.clock().unix().as_secs())?,
            scopes: Vec::new(),
        };
        let answer = self.client.admin().issue_service_token(request).await?;
        Ok(answer.into_inner().access_token)
    }

    /// Ends all keys that sign, and with them all tokens; another key signs from now on.
    ///
    /// # Errors
    /// As the directory answers.
    pub async fn revoke_signing_keys(&self) -> Result<()> {
        let mut keys = self.client.signing_keys();
        let listed = keys.list_signing_keys(ListSigningKeysRequest {}).await?;
        for key in listed.into_inner().keys {
            let request = RevokeSigningKeyRequest {
                kid: key.kid,
                ..Default::default()
            };
            keys.revoke_signing_key(request).await?;
        }
        Ok(())
    }

    /// A builder of clients of this server, without a credential.
    pub fn builder(&self) -> Builder {
        at(self.address)
    }

    /// Stops it as an operator does: streams are told to go elsewhere, calls are answered.
    pub async fn stop(&mut self) {
        let Some(mut running) = self.running.take() else {
            return;
        };
        running.services.stop().await;
        if let Some(stop) = running.stop.take() {
            let _ = stop.send(());
        }
        // Whoever holds his connection does not hold up the test.
        let patience = std::time::Duration::from_secs(2);
        let _ = tokio::time::timeout(patience, &mut running.serving).await;
        running.housekeeping.abort();
        let directory = running.directory.clone();
        drop(running);
        let _ = tokio::time::timeout(patience, directory.close()).await;
    }

    /// Starts it again: the same database, the same port.
    ///
    /// # Errors
    /// [`Error::Settings`] with the reason.
    pub async fn start_again(&mut self) -> Result<()> {
        self.stop().await;
        let (running, _) = run(&self.folder, &self.sealing, self.address).await?;
        self.running = Some(running);
        Ok(())
    }

    /// As if the database had been restored: every revision from before is refused.
    ///
    /// # Errors
    /// [`Error::Settings`] with the reason.
    pub async fn renew_epoch(&self) -> Result<()> {
        let running = self
            .running
            .as_ref()
            .ok_or_else(|| broken("it is stopped"))?;
        running.directory.renew_epoch().await.map_err(broken)?;
        Ok(())
    }

    /// A new user of this name, who has it as his address, too.
    ///
    /// # Errors
    /// As the directory answers.
    pub async fn user(&self, name: &str) -> Result<Uuid> {
        let user = User {
            user_name: name.to_owned(),
            emails: vec![LabeledValue {
                value: name.to_owned(),
                ..Default::default()
            }],
            ..Default::default()
        };
        id(&self.user_like(user).await?.id)
    }

    /// A new user like this.
    ///
    /// # Errors
    /// As the directory answers.
    #[allow(
        clippy::needless_update,
        reason = "requests get more fields as the contract grows"
    )]
    pub async fn user_like(&self, user: User) -> Result<User> {
        let request = CreateUserRequest {
            user: Some(user),
            ..Default::default()
        };
        let answer = self.client.users().create_user(request).await?;
        answer.into_inner().user.ok_or_else(|| broken("no user"))
    }

    /// A new group.
    ///
    /// # Errors
    /// As the directory answers.
    pub async fn group(&self, name: &str) -> Result<Uuid> {
        let request = CreateGroupRequest {
            group: Some(Group {
                display_name: name.to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let answer = self.client.groups().create_group(request).await?;
        let group = answer
            .into_inner()
            .group
            .ok_or_else(|| broken("no group"))?;
        id(&group.id)
    }

    /// Puts a user into a group; when that was, unless he was in it.
    ///
    /// # Errors
    /// As the directory answers.
    pub async fn add_user(&self, group: Uuid, user: Uuid) -> Result<Option<Revision>> {
        let list = members(Member::UserId(user.to_string()));
        self.modify(group, Modification::AddMembers(list)).await
    }

    /// Takes a user out of a group; when that was, unless he was not in it.
    ///
    /// # Errors
    /// As the directory answers.
    pub async fn remove_user(&self, group: Uuid, user: Uuid) -> Result<Option<Revision>> {
        let list = members(Member::UserId(user.to_string()));
        self.modify(group, Modification::RemoveMembers(list)).await
    }

    /// Puts a group into a group; when that was, unless it was in it.
    ///
    /// # Errors
    /// As the directory answers.
    pub async fn add_group(&self, group: Uuid, child: Uuid) -> Result<Option<Revision>> {
        let list = members(Member::GroupId(child.to_string()));
        self.modify(group, Modification::AddMembers(list)).await
    }

    /// Takes a group out of a group; when that was, unless it was not in it.
    ///
    /// # Errors
    /// As the directory answers.
    pub async fn remove_group(&self, group: Uuid, child: Uuid) -> Result<Option<Revision>> {
        let list = members(Member::GroupId(child.to_string()));
        self.modify(group, Modification::RemoveMembers(list)).await
    }

    async fn modify(&self, group: Uuid, what: Modification) -> Result<Option<Revision>> {
        let request = ModifyGroupRequest {
            id: group.to_string(),
            modifications: vec![GroupModification {
                modification: Some(what),
                ..Default::default()
            }],
            ..Default::default()
        };
        let answer = self.client.groups().modify_group(request).await?;
        Ok(answer.into_inner().written_at)
    }

    /// Locks a user, as an operator does.
    ///
    /// # Errors
    /// As the directory answers.
    pub async fn lock(&self, user: Uuid) -> Result<Option<Revision>> {
        let request = LockUserRequest {
            id: user.to_string(),
            ..Default::default()
        };
        let answer = self.client.users().lock_user(request).await?;
        Ok(answer.into_inner().written_at)
    }

    /// Lifts the lock.
    ///
    /// # Errors
    /// As the directory answers.
    pub async fn unlock(&self, user: Uuid) -> Result<Option<Revision>> {
        let request = UnlockUserRequest {
            id: user.to_string(),
            ..Default::default()
        };
        let answer = self.client.users().unlock_user(request).await?;
        Ok(answer.into_inner().written_at)
    }

    /// Signs a user out everywhere.
    ///
    /// # Errors
    /// As the directory answers.
    pub async fn sign_out(&self, user: Uuid) -> Result<Option<Revision>> {
        let request = RevokeAllUserTokensRequest {
            user_id: user.to_string(),
            ..Default::default()
        };
        let answer = self.client.tokens().revoke_all_user_tokens(request).await?;
        Ok(answer.into_inner().written_at)
    }

    /// Deletes a user.
    ///
    /// # Errors
    /// As the directory answers.
    pub async fn delete_user(&self, user: Uuid) -> Result<Option<Revision>> {
        let request = DeleteUserRequest {
            id: user.to_string(),
            ..Default::default()
        };
        let answer = self.client.users().delete_user(request).await?;
        Ok(answer.into_inner().written_at)
    }

    /// Brings a deleted user back.
    ///
    /// # Errors
    /// As the directory answers.
    pub async fn undelete_user(&self, user: Uuid) -> Result<Option<Revision>> {
        let request = UndeleteUserRequest {
            id: user.to_string(),
            ..Default::default()
        };
        let answer = self.client.users().undelete_user(request).await?;
        Ok(answer.into_inner().written_at)
    }

    /// Deletes a group.
    ///
    /// # Errors
    /// As the directory answers.
    pub async fn delete_group(&self, group: Uuid) -> Result<Option<Revision>> {
        let request = DeleteGroupRequest {
            id: group.to_string(),
            ..Default::default()
        };
        let answer = self.client.groups().delete_group(request).await?;
        Ok(answer.into_inner().written_at)
    }
}

fn at(address: SocketAddr) -> Builder {
    Client::builder().endpoint(format!("http://{address}"))
}

fn members(member: Member) -> MemberList {
    MemberList {
        members: vec![MemberRef {
            member: Some(member),
        }],
    }
}

fn id(text: &str) -> Result<Uuid> {
    Uuid::try_parse(text).map_err(broken)
}

async fn run(
    folder: &TempDir,
    sealing: &str,
    address: SocketAddr,
) -> Result<(Running, SocketAddr)> {
    let url = format!("sqlite://{}/muster.db", folder.path().display());
    let store = Store::open(&url).await.map_err(broken)?;
    store.migrate().await.map_err(broken)?;
    let options = Options {
        sealing: Some(Sealing::new(sealing).map_err(broken)?),
        ..Options::default()
    };
    let directory = Directory::open_with(store, Arc::new(System), options).await;
    let directory = directory.map_err(broken)?;
    let services = Services::new(directory.clone()).map_err(broken)?;
    let server = Server::bind(address, services.clone(), None).await;
    let server = server.map_err(broken)?;
    let address = server.local_addr();
    let issuer = format!("http://{address}");
    directory.take_issuer(&issuer).await.map_err(broken)?;
    directory.prepare_keys().await.map_err(broken)?;
    let (stop, stopped) = oneshot::channel();
    let serving = tokio::spawn(async move {
        let _ = server.run(async { drop(stopped.await) }).await;
    });
    let house = services.clone();
    let housekeeping = tokio::spawn(async move {
        tokio::join!(house.watch_health(), house.keep_house());
    });
    let running = Running {
        directory,
        services,
        stop: Some(stop),
        serving,
        housekeeping,
    };
    Ok((running, address))
}

async fn register(directory: &Directory, tenant_id: &str, scopes: &[&str]) -> Result<String> {
    let key = ServiceKey::generate().map_err(broken)?;
    let operator = Caller::inside(tenant_id, Principal::Operator);
    let registration = Registration {
        name: Uuid::new_v4().to_string(),
        scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
        grantable: Grantable {
            audiences: vec![AUDIENCE.to_owned()],
            scopes: None,
        },
        keys: key.public_set().map_err(broken)?,
        certificate: None,
    };
    let client = directory.create_client(&operator, registration).await;
    let client = client.map_err(broken)?;
    let audience = directory_audience(tenant_id);
    key.file(&client.id, &audience).map_err(broken)
}
