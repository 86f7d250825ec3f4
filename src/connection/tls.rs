//! TLS for the connection to PostgreSQL, with the certificate checks of libpq's `sslmode`.

use crate::error::{self, Error, Kind};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{ring, verify_tls12_signature, verify_tls13_signature, CryptoProvider};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

/// Encryption of a connection.
#[derive(Debug, Clone, PartialEq)]
pub struct Encryption {
    /// Whether the connection is encrypted: never, if the server can, or always.
    pub mode: SslMode,
    /// Which server certificates are accepted.
    pub trust: Trust,
}

/// Which server certificates are accepted.
#[derive(Debug, Clone, PartialEq)]
pub enum Trust {
    /// Any: protects against eavesdroppers, not against impostors (`prefer`, `require`).
    Anyone,
    /// Those signed by an authority in this PEM file (`verify-ca`).
    Authority(PathBuf),
    /// Those signed by an authority in this PEM file for the host name in use (`verify-full`).
    Host(PathBuf),
}

/// The TLS connector for tokio-postgres.
///
/// # Errors
/// [`Kind::Io`] and [`Kind::InvalidParameter`] for a file of root certificates that cannot be read or has none.
pub fn connector(trust: &Trust) -> error::Result<MakeRustlsConnect> {
    let provider = Arc::new(ring::default_provider());
    let chain = match trust {
        Trust::Anyone => None,
        Trust::Authority(path) | Trust::Host(path) => {
            let verifier =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots(path)?), Arc::clone(&provider));
            Some(verifier.build().map_err(|e| unusable(path, &e.to_string()))?)
        }
    };
    let verifier =
        Verifier { provider: Arc::clone(&provider), chain, any_host: !matches!(trust, Trust::Host(_)) };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::new(Kind::Internal, format!("TLS: {e}")))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn roots(path: &Path) -> error::Result<RootCertStore> {
    let pem = std::fs::read(path).map_err(|e| Error::io("read", path, &e))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|e| unusable(path, &e.to_string()))?;
        roots.add(certificate).map_err(|e| unusable(path, &e.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable(path, "it has no certificate"));
    }
    Ok(roots)
}

fn unusable(path: &Path, why: &str) -> Error {
    Error::new(
        Kind::InvalidParameter,
        format!("\"{}\" is not a usable file of root certificates", path.display()),
    )
    .detail(format!("{why}."))
}

/// Checks certificates as far as [`Trust`] asks. In every mode the server proves, in the handshake, that it owns its certificate.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// Checks the chain and the host name; `None` accepts any certificate.
    chain: Option<Arc<WebPkiServerVerifier>>,
    /// Whether a certificate for another host is accepted.
    any_host: bool,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        use CertificateError::{NotValidForName, NotValidForNameContext};
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp, now) {
            // The host name is checked last, so this error means that the chain is valid.
            Err(rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }))
                if self.any_host =>
            {
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
