//! A service that does nothing: what tonic, HTTP/2 and the client cost alone.
//!
//! It is this binary again, as a process of its own with a runtime and a server
//! set up as muster's. It answers every `GetUser` with the same message, so that
//! the client's work is the same as with muster.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, Command, Stdio},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use muster_proto::v1::{
    CreateUserRequest, CreateUserResponse, DeleteUserRequest, DeleteUserResponse, GetUserRequest,
    GetUserResponse, LinkFederatedIdentityRequest, LinkFederatedIdentityResponse, ListUsersRequest,
    ListUsersResponse, LockUserRequest, LockUserResponse, PatchUserRequest, PatchUserResponse,
    PurgeUserRequest, PurgeUserResponse, ReplaceUserRequest, ReplaceUserResponse,
    UndeleteUserRequest, UndeleteUserResponse, UnlinkFederatedIdentityRequest,
    UnlinkFederatedIdentityResponse, UnlockUserRequest, UnlockUserResponse,
    user_service_server::{UserService, UserServiceServer},
};
use prost::Message as _;
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    transport::server::{Server, TcpIncoming},
};

/// What makes this binary the service. The answer follows in Base64.
pub(crate) const ARGUMENT: &str = "--echo";

/// The running service; dropping it ends it.
pub(crate) struct Echo {
    child: Child,
    pub(crate) url: String,
}

impl Echo {
    /// Starts a service with this answer.
    pub(crate) fn start(answer: &GetUserResponse) -> Self {
        let binary = std::env::current_exe().expect("a process knows its binary");
        let mut child = Command::new(binary)
            .arg(ARGUMENT)
            .arg(STANDARD.encode(answer.encode_to_vec()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts again");
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut address = String::new();
        let read = BufReader::new(stdout).read_line(&mut address);
        read.expect("the service says where it listens");
        let url = format!("http://{}", address.trim());
        Self { child, url }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Is the service, until standard input ends: with whoever started it.
pub(crate) fn serve(answer: &str) {
    let answer = STANDARD.decode(answer).expect("an answer in Base64");
    let answer = GetUserResponse::decode(&*answer).expect("an answer");
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime needs threads only");
    runtime.block_on(listen(Canned(answer)));
}

async fn listen(canned: Canned) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("a bound socket");
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{address}").expect("somebody reads");
    drop(stdout);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let served = Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(20)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .add_service(UserServiceServer::new(canned))
        .serve_with_incoming(incoming);
    served.await.expect("an open socket");
}

/// Always the same answer.
struct Canned(GetUserResponse);

/// The other calls, which nobody makes.
macro_rules! unimplemented {
    ($($name:ident: $request:ty => $response:ty),* $(,)?) => {
        #[tonic::async_trait]
        impl UserService for Canned {
            async fn get_user(
                &self,
                _: Request<GetUserRequest>,
            ) -> Result<Response<GetUserResponse>, Status> {
                Ok(Response::new(self.0.clone()))
            }

            $(async fn $name(&self, _: Request<$request>) -> Result<Response<$response>, Status> {
                Err(Status::unimplemented(stringify!($name)))
            })*
        }
    };
}

unimplemented! {
    create_user: CreateUserRequest => CreateUserResponse,
    list_users: ListUsersRequest => ListUsersResponse,
    patch_user: PatchUserRequest => PatchUserResponse,
    replace_user: ReplaceUserRequest => ReplaceUserResponse,
    lock_user: LockUserRequest => LockUserResponse,
    unlock_user: UnlockUserRequest => UnlockUserResponse,
    delete_user: DeleteUserRequest => DeleteUserResponse,
    undelete_user: UndeleteUserRequest => UndeleteUserResponse,
    purge_user: PurgeUserRequest => PurgeUserResponse,
    link_federated_identity: LinkFederatedIdentityRequest => LinkFederatedIdentityResponse,
    unlink_federated_identity: UnlinkFederatedIdentityRequest => UnlinkFederatedIdentityResponse,
}
