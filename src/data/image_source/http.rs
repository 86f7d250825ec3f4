//! Images by their URLs.

use super::files::too_large;
use super::host_rules::{HostRules, Refused};
use super::ImageSource;
use crate::error::{abridged, Error, Kind, Result};
use rand::Rng as _;
use rustls::crypto::ring;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::{header, Response, StatusCode};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body};

/// The wait before the first retry; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The longest wait, also if a server asks for more.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Limits on a request.
#[derive(Debug, Clone, Copy)]
pub struct HttpLimits {
    /// Most bytes of an image.
    pub max_bytes: u64,
    /// The time for an image, with redirects and without retries.
    pub timeout: Duration,
    /// Most redirects to follow.
    pub redirects: u32,
    /// How often to ask again after a failure that may pass.
    pub retries: u32,
}

/// Fetches images. It sends no cookies and no credentials but those in a URL, and ignores proxies that the environment names: a proxy would
/// look names up itself, past the rules on addresses.
pub struct Http {
    agent: Agent,
    limits: HttpLimits,
}

impl Http {
    /// Certificates are checked against the authorities that the system trusts (or `SSL_CERT_FILE`, `SSL_CERT_DIR`).
    pub fn new(rules: HostRules, limits: HttpLimits) -> Self {
        let roots: Vec<_> = rustls_native_certs::load_native_certs().certs;
        let roots: Vec<_> = roots.iter().map(|c| Certificate::from_der(c).to_owned()).collect();
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
            .root_certs(RootCerts::new_with_certs(&roots))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .proxy(None)
            .user_agent(concat!("coopembed/", env!("CARGO_PKG_VERSION")))
            .accept("image/*, */*;q=0.1")
            .http_status_as_error(false)
            .max_redirects(limits.redirects)
            .timeout_global(Some(limits.timeout))
            .max_idle_connections_per_host(32)
            .max_idle_connections(64)
            .build();
        Self { agent: Agent::with_parts(config, DefaultConnector::default(), rules), limits }
    }

    fn get(&self, url: &str) -> std::result::Result<Vec<u8>, Failure> {
        let mut response = self.agent.get(url).call().map_err(|e| self.failure(url, e))?;
        if !response.status().is_success() {
            return Err(status_failure(url, &response));
        }
        if response.body().content_length().is_some_and(|length| length > self.limits.max_bytes) {
            return Err(Failure::lasting(too_large(url, self.limits.max_bytes)));
        }
        // One more than allowed: what has exactly the limit is read to its end.
        let body = response.body_mut().with_config().limit(self.limits.max_bytes + 1).read_to_vec();
        let bytes = body.map_err(|e| self.failure(url, e))?;
        if bytes.len() as u64 > self.limits.max_bytes {
            return Err(Failure::lasting(too_large(url, self.limits.max_bytes)));
        }
        Ok(bytes)
    }

    fn failure(&self, url: &str, e: ureq::Error) -> Failure {
        let shown = abridged(url);
        let error =
            |why: &dyn std::fmt::Display| Error::new(Kind::Io, format!("could not fetch \"{shown}\": {why}"));
        match e {
            ureq::Error::Other(inner) => match inner.downcast::<Refused>() {
                Ok(refused) => Failure::lasting(Error {
                    message: format!("{}: \"{shown}\"", refused.0.message),
                    ..refused.0
                }),
                Err(inner) => Failure::passing(error(&inner)),
            },
            ureq::Error::BodyExceedsLimit(_) => Failure::lasting(too_large(url, self.limits.max_bytes)),
            ureq::Error::Timeout(_) => Failure::passing(
                error(&format!("no answer in {} s", self.limits.timeout.as_secs()))
                    .hint("Allow more with --timeout."),
            ),
            ureq::Error::TooManyRedirects | ureq::Error::RedirectFailed => Failure::lasting(
                error(&format!("more than {} redirects", self.limits.redirects))
                    .hint("Allow more with --redirects."),
            ),
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => Failure::lasting(Error::new(
                Kind::InvalidParameter,
                format!("\"{shown}\" is not a URL of http or https"),
            )),
            ureq::Error::Rustls(e) => Failure::lasting(error(&e)),
            e => Failure::passing(error(&e)),
        }
    }
}

impl ImageSource for Http {
    fn read(&self, name: &str) -> Result<Vec<u8>> {
        if !name.starts_with("http://") && !name.starts_with("https://") {
            return Err(Error::new(
                Kind::InvalidParameter,
                format!("\"{}\" is not a URL of http or https", abridged(name)),
            ));
        }
        let mut wait = FIRST_WAIT;
        for tries_left in (0..=self.limits.retries).rev() {
            let failure = match self.get(name) {
                Ok(bytes) => return Ok(bytes),
                Err(failure) => failure,
            };
            if !failure.may_pass || tries_left == 0 {
                return Err(failure.error);
            }
            // Somewhere between half and all of it, so that workers do not come back all at once.
            let jittered = wait.mul_f64(rand::rng().random_range(0.5..1.0));
            std::thread::sleep(failure.retry_after.unwrap_or(jittered).min(LONGEST_WAIT));
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        Err(Error::new(Kind::Internal, "no request was made"))
    }
}

/// Why a request failed.
struct Failure {
    error: Error,
    /// Whether another try may succeed.
    may_pass: bool,
    /// When the server asks to come back.
    retry_after: Option<Duration>,
}

impl Failure {
    fn lasting(error: Error) -> Self {
        Self { error, may_pass: false, retry_after: None }
    }

    fn passing(error: Error) -> Self {
        Self { error, may_pass: true, retry_after: None }
    }
}

fn status_failure(url: &str, response: &Response<Body>) -> Failure {
    let status = response.status();
    let error = Error::new(Kind::Io, format!("could not fetch \"{}\": status {status}", abridged(url)));
    let may_pass = status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
        );
    let seconds = response.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
    Failure { error, may_pass, retry_after: seconds.map(Duration::from_secs) }
}
