//! TLS for the socket: what operators have as PEM, looked at before anything is
//! served with it.
//!
//! The files themselves, and the settings that name them, are the caller's.

use std::{fmt, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rustls::{
    RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use sha2::{Digest as _, Sha256};
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

/// How long a handshake may take: whoever connects and says nothing must not
/// hold a socket for good.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);

/// Why something cannot be used for TLS. Never has a word of a key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Text that holds no certificate.
    #[error("has no certificate in PEM form")]
    NoCertificate,
    /// Text that holds no private key, or an encrypted one.
    #[error("has no unencrypted private key in PEM form")]
    NoKey,
    /// A key of a kind that TLS does not know.
    #[error("has a key that cannot be used for TLS")]
    UnusableKey,
    /// The key of another certificate.
    #[error("the key is not that of the certificate")]
    NotTogether,
}

/// Certificates as PEM, at least one: a chain that begins with the server's
/// own, or authorities that are trusted.
#[derive(Clone)]
pub struct Certificates(Vec<u8>);

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificates")
    }
}

impl Certificates {
    /// Reads PEM; what it holds beside certificates is passed over.
    ///
    /// # Errors
    /// [`Error::NoCertificate`].
    pub fn parse(pem: Vec<u8>) -> Result<Self, Error> {
        let certificates = Self(pem);
        // Trusting nobody would show with the first connection only.
        let (read, _) = RootCertStore::empty().add_parsable_certificates(certificates.der()?);
        match read {
            0 => Err(Error::NoCertificate),
            _ => Ok(certificates),
        }
    }

    /// The same PEM.
    pub fn pem(&self) -> &[u8] {
        &self.0
    }

    /// The first one as tokens name it: `x5t#S256` (RFC 8705 section 3.1).
    ///
    /// # Errors
    /// [`Error::NoCertificate`].
    pub fn x5t_s256(&self) -> Result<String, Error> {
        let certificates = self.der()?;
        let first = certificates.first().ok_or(Error::NoCertificate)?;
        Ok(URL_SAFE_NO_PAD.encode(Sha256::digest(first)))
    }

    fn der(&self) -> Result<Vec<CertificateDer<'static>>, Error> {
        let each = CertificateDer::pem_slice_iter(&self.0);
        each.collect::<Result<_, _>>()
            .map_err(|_| Error::NoCertificate)
    }
}

/// A private key as PEM.
pub struct Key(Vec<u8>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// Reads PEM; what it holds beside the first key is passed over.
    ///
    /// # Errors
    /// [`Error::NoKey`], [`Error::UnusableKey`].
    pub fn parse(pem: Vec<u8>) -> Result<Self, Error> {
        let key = Self(pem);
        aws_lc_rs::sign::any_supported_type(&key.der()?).map_err(|_| Error::UnusableKey)?;
        Ok(key)
    }

    fn der(&self) -> Result<PrivateKeyDer<'static>, Error> {
        PrivateKeyDer::from_pem_slice(&self.0).map_err(|_| Error::NoKey)
    }
}

/// How the socket speaks TLS.
#[derive(Debug, Clone)]
pub struct Tls(ServerTlsConfig);

impl Tls {
    /// With the server's chain and the key of its first certificate.
    ///
    /// # Errors
    /// [`Error::NotTogether`].
    pub fn new(chain: &Certificates, key: &Key) -> Result<Self, Error> {
        let provider = aws_lc_rs::default_provider();
        CertifiedKey::from_der(chain.der()?, key.der()?, &provider)
            .map_err(|_| Error::NotTogether)?;
        let identity = Identity::from_pem(&chain.0, &key.0);
        let config = ServerTlsConfig::new().timeout(HANDSHAKE_PATIENCE);
        Ok(Self(config.identity(identity)))
    }

    /// Asks clients for a certificate. None need send one; who does must have it
    /// from one of these authorities.
    pub fn asking(self, authorities: &Certificates) -> Self {
        let authorities = Certificate::from_pem(&authorities.0);
        let config = self.0.client_ca_root(authorities);
        Self(config.client_auth_optional(true))
    }

    pub(super) fn into_config(self) -> ServerTlsConfig {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};

    use super::*;

    fn pair() -> (Vec<u8>, Vec<u8>) {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (cert.pem().into(), signing_key.serialize_pem().into())
    }

    #[test]
    fn a_certificate_and_its_key_fit_and_others_do_not() {
        let ((certificate, key), (_, other)) = (pair(), pair());
        let chain = Certificates::parse(certificate).unwrap();
        let key = Key::parse(key).unwrap();
        let tls = Tls::new(&chain, &key).unwrap().asking(&chain);
        assert!(!format!("{tls:?}{key:?}").contains("PRIVATE"));
        let other = Key::parse(other).unwrap();
        let refused = Tls::new(&chain, &other);
        assert!(matches!(refused, Err(Error::NotTogether)), "{refused:?}");
    }

    #[test]
    fn one_file_may_hold_the_chain_and_the_key() {
        let (certificate, key) = pair();
        let both = [key, certificate].concat();
        let chain = Certificates::parse(both.clone()).unwrap();
        assert!(Tls::new(&chain, &Key::parse(both).unwrap()).is_ok());
    }

    #[test]
    fn what_is_not_there_or_not_readable_is_refused() {
        let (certificate, key) = pair();
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for pem in [&b""[..], b"text", &key, broken, &certificate[..100]] {
            let refused = Certificates::parse(pem.to_vec());
            assert!(matches!(refused, Err(Error::NoCertificate)), "{refused:?}");
        }
        for pem in [&b""[..], b"text", &certificate, &key[..60]] {
            let refused = Key::parse(pem.to_vec());
            assert!(matches!(refused, Err(Error::NoKey)), "{refused:?}");
        }
        let broken = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let refused = Key::parse(broken.into());
        assert!(matches!(refused, Err(Error::UnusableKey)), "{refused:?}");
    }
}
