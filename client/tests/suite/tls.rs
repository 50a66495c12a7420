//! Certificates: the directory's, and the client's own.

use muster_client::{
    Builder, Client, Error, key,
    testing::TestServer,
    tonic::{
        Code,
        transport::{Certificate, Identity, ServerTlsConfig},
    },
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::front::Front;

/// An authority that exists for one test.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for this name, and its key.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }
}

struct World {
    server: TestServer,
    authority: Authority,
    token: String,
}

impl World {
    async fn new() -> Self {
        let server = TestServer::start().await.expect("it starts");
        let token = server.service_token(&["users.read.status"]).await;
        Self {
            token: token.expect("a token"),
            authority: Authority::new(),
            server,
        }
    }

    /// The directory behind a certificate for this name.
    fn front(&self, name: &str, clients: Option<&Authority>) -> Front {
        let (certificate, key) = self.authority.issue(name);
        let tls = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
        let tls = match clients {
            Some(clients) => tls.client_ca_root(Certificate::from_pem(clients.pem())),
            None => tls,
        };
        Front::with_tls(&self.server.url(), tls)
    }

    fn client(&self, front: &Front) -> Builder {
        let url = format!("https://{}", front.address);
        Client::builder().endpoint(url).bearer(&self.token)
    }
}

/// Whether the directory answers: nobody has this name.
async fn reaches(client: Builder) -> bool {
    let client = client.build().expect("a client");
    let status = client.user_status(key::id(uuid::Uuid::nil().to_string()));
    let error: Error = status.await.expect_err("nobody has this id");
    match error.code() {
        Some(Code::NotFound) => true,
        // A server that refuses a certificate says so after the handshake (TLS 1.3), as a
        // connection that ends.
        Some(Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown) => false,
        _ => unreachable!("{error:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_must_have_a_certificate_of_the_authority() {
    let world = World::new().await;
    let front = world.front("127.0.0.1", None);
    let client = || world.client(&front);
    assert!(reaches(client().ca_certificates(world.authority.pem())).await);
    let another = Authority::new().pem();
    assert!(!reaches(client().ca_certificates(another)).await);
    // Without: the machine's, which do not know this one.
    assert!(!reaches(client()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_looked_at_by_the_name_that_is_said() {
    let world = World::new().await;
    let front = world.front("directory.internal", None);
    let client = || world.client(&front).ca_certificates(world.authority.pem());
    assert!(!reaches(client()).await, "it is not that of the address");
    assert!(reaches(client().server_name("directory.internal")).await);
    assert!(!reaches(client().server_name("other.internal")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_proves_itself_with_its_certificate() {
    let world = World::new().await;
    let clients = Authority::new();
    let front = world.front("127.0.0.1", Some(&clients));
    let client = || world.client(&front).ca_certificates(world.authority.pem());
    assert!(!reaches(client()).await, "it has none");
    let (certificate, key) = clients.issue("my-service");
    assert!(reaches(client().client_certificate(certificate, key)).await);
    let (certificate, key) = Authority::new().issue("my-service");
    assert!(!reaches(client().client_certificate(certificate, key)).await);
}
