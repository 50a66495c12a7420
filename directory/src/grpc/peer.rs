//! Who is at the other end of a call's connection: an address, and with TLS
//! perhaps a certificate.

use std::net::IpAddr;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::Extensions;
use sha2::{Digest as _, Sha256};
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};

/// The other end of a connection. A call in the same process has neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Peer {
    /// Where the connection comes from; in front of a proxy, the proxy.
    pub(crate) address: Option<IpAddr>,
    /// SHA-256 of the client's own certificate, in DER. It chained to an
    /// authority that is trusted, or there would be no connection.
    pub(crate) certificate: Option<[u8; 32]>,
}

impl Peer {
    /// What the server notes in the extensions of each request.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        let tcp = extensions.get::<TcpConnectInfo>();
        let address = tcp.and_then(TcpConnectInfo::remote_addr);
        let tls = extensions.get::<TlsConnectInfo<TcpConnectInfo>>();
        let chain = tls.and_then(TlsConnectInfo::peer_certs);
        Self {
            // A socket for both families calls 192.0.2.1 ::ffff:192.0.2.1.
            address: address.map(|address| address.ip().to_canonical()),
            certificate: chain.and_then(|chain| Some(Sha256::digest(chain.first()?).into())),
        }
    }

    /// The certificate as tokens name it: `x5t#S256` (RFC 8705 section 3.1).
    pub(crate) fn x5t_s256(&self) -> Option<String> {
        self.certificate.map(|hash| URL_SAFE_NO_PAD.encode(hash))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{Request, Response};
    use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
    use tokio::{net::TcpListener, sync::mpsc};
    use tonic::{
        body::Body,
        transport::{
            Certificate, ClientTlsConfig, Endpoint, Identity, Server, ServerTlsConfig,
            server::TcpIncoming,
        },
    };
    use tower::ServiceExt as _;

    use super::*;

    /// The peer of a call to a server on a socket, as that server sees it.
    async fn seen(server: Server, client: impl FnOnce(u16) -> Endpoint) -> Peer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (send, mut peers) = mpsc::unbounded_channel();
        let service = tower::service_fn(move |request: Request<Body>| {
            let _ = send.send(Peer::of(request.extensions()));
            async { Ok::<_, Infallible>(Response::new(Body::empty())) }
        });
        let incoming = TcpIncoming::from(listener);
        tokio::spawn(server.serve_with_incoming(service, incoming));
        let channel = client(port).connect_lazy();
        let call = Request::post("/a.B/C").body(Body::empty()).unwrap();
        let _ = channel.oneshot(call).await.unwrap();
        peers.recv().await.unwrap()
    }

    fn authority() -> CertifiedKey<KeyPair> {
        generate_simple_self_signed(["localhost".to_owned()]).unwrap()
    }

    fn identity(of: &CertifiedKey<KeyPair>) -> Identity {
        Identity::from_pem(of.cert.pem(), of.signing_key.serialize_pem())
    }

    fn trusted(certificate: &CertifiedKey<KeyPair>) -> Certificate {
        Certificate::from_pem(certificate.cert.pem())
    }

    /// A server and a client over TLS, where the client may have an identity.
    async fn seen_over_tls(client: Option<&CertifiedKey<KeyPair>>) -> Peer {
        let server = authority();
        let mut asks = ServerTlsConfig::new().identity(identity(&server));
        let mut sends = ClientTlsConfig::new().ca_certificate(trusted(&server));
        if let Some(client) = client {
            asks = asks.client_ca_root(trusted(client));
            sends = sends.identity(identity(client));
        }
        let server = Server::builder().tls_config(asks.client_auth_optional(true));
        let endpoint = |port| {
            let endpoint = Endpoint::from_shared(format!("https://localhost:{port}")).unwrap();
            endpoint.tls_config(sends).unwrap()
        };
        seen(server.unwrap(), endpoint).await
    }

    fn home() -> Option<IpAddr> {
        Some([127, 0, 0, 1].into())
    }

    #[test]
    fn a_call_in_the_same_process_has_no_peer() {
        let peer = Peer::of(&Extensions::new());
        assert_eq!(peer, Peer::default());
        assert_eq!(peer.x5t_s256(), None);
    }

    #[test]
    fn an_address_is_that_of_its_own_family() {
        let mut extensions = Extensions::new();
        extensions.insert(TcpConnectInfo {
            local_addr: None,
            remote_addr: Some("[::ffff:192.0.2.1]:50000".parse().unwrap()),
        });
        let peer = Peer::of(&extensions);
        assert_eq!(peer.address, Some([192, 0, 2, 1].into()));
    }

    #[tokio::test]
    async fn a_connection_in_clear_has_an_address() {
        let endpoint = |port| Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
        let peer = seen(Server::builder(), endpoint).await;
        assert_eq!((peer.address, peer.certificate), (home(), None));
    }

    #[tokio::test]
    async fn a_connection_over_tls_has_an_address_and_perhaps_a_certificate() {
        let peer = seen_over_tls(None).await;
        assert_eq!((peer.address, peer.certificate), (home(), None));
        let client = authority();
        let peer = seen_over_tls(Some(&client)).await;
        let hash: [u8; 32] = Sha256::digest(client.cert.der()).into();
        assert_eq!((peer.address, peer.certificate), (home(), Some(hash)));
    }

    #[test]
    fn a_certificate_is_named_as_in_rfc_8705() {
        let peer = Peer {
            address: None,
            certificate: Some(Sha256::digest("").into()),
        };
        let name = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";
        assert_eq!(peer.x5t_s256().as_deref(), Some(name));
    }
}
