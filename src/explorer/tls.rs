//! Encryption of the connection to PostgreSQL, with libpq's promises about who is at the other end.

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

/// Whether a connection is encrypted, and who may answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Encryption {
    /// Whether.
    pub mode: SslMode,
    /// Who.
    pub trust: Trust,
}

/// Whose certificate is good.
#[derive(Debug, Clone, PartialEq)]
pub enum Trust {
    /// Anybody's: eavesdroppers are kept out, impostors are not.
    Anyone,
    /// One that the authorities in a PEM file signed.
    Authority(PathBuf),
    /// One that they signed for the host that was asked for.
    Host(PathBuf),
}

/// What connections are encrypted with.
///
/// # Errors
/// [`Kind::Io`] and [`Kind::InvalidParameter`] for a file of root certificates that is none.
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
        return Err(unusable(path, "there is no certificate in it"));
    }
    Ok(roots)
}

fn unusable(path: &Path, why: &str) -> Error {
    Error::new(Kind::InvalidParameter, format!("\"{}\" is no file of root certificates", path.display()))
        .detail(format!("{why}."))
}

/// As much of a check as was asked for; the other end always has to show that its certificate is its own.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    chain: Option<Arc<WebPkiServerVerifier>>,
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
            // The name comes after the chain.
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
