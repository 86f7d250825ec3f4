//! Lets only this server's own page call it. Any other website could otherwise read the table through its visitor's browser,
//! by pointing a domain of its own at this address (DNS rebinding) or by submitting forms (cross-site request forgery).

use super::http_error::HttpError;
use axum::extract::{Request, State};
use axum::http::{header, HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use std::net::IpAddr;
use std::sync::Arc;

/// The names that the Host header may have.
#[derive(Debug, Clone)]
pub struct AllowedHosts {
    /// Besides localhost: `--listen` and `--host-name`.
    pub names: Vec<String>,
    /// Whether any IP address is allowed (`--allow-remote`): only names can be rebound.
    pub any_address: bool,
}

/// Security headers of every response: browsers load nothing from other origins, and show the page in no frame.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Middleware that refuses requests of other sites, and adds [`HEADERS`] to every response.
pub async fn guard(State(hosts): State<Arc<AllowedHosts>>, request: Request, next: Next) -> Response {
    let checked = check(&hosts, request.method(), request.headers(), request.uri().host());
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn check(
    hosts: &AllowedHosts,
    method: &Method,
    headers: &HeaderMap,
    uri_host: Option<&str>,
) -> Result<(), HttpError> {
    let text = |name: HeaderName| headers.get(name).map(|v| v.to_str().unwrap_or("?"));
    let host = text(header::HOST).or(uri_host).unwrap_or_default();
    if !hosts.allow(host) {
        return Err(HttpError::new(
            StatusCode::MISDIRECTED_REQUEST,
            "this server does not answer to that host name",
        )
        .detail(format!("The request's Host is \"{}\".", crate::error::abridged(host)))
        .hint("Use localhost, or start the server with --host-name."));
    }
    if method == Method::GET || method == Method::HEAD {
        return Ok(());
    }
    let same_origin = match text(header::ORIGIN) {
        Some(origin) => origin.split_once("://").map_or("", |(_, host)| host) == host,
        // Current browsers always send one of the two; a client that sends neither is not a browser.
        None => text(HeaderName::from_static("sec-fetch-site")).is_none_or(|site| site == "same-origin"),
    };
    if same_origin {
        return Ok(());
    }
    Err(HttpError::new(StatusCode::FORBIDDEN, "the request comes from another site"))
}

impl AllowedHosts {
    /// Whether the Host header, with or without a port, names this server.
    fn allow(&self, host: &str) -> bool {
        let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None => host.rsplit_once(':').map_or(host, |(name, _)| name),
        };
        if let Ok(address) = name.parse::<IpAddr>() {
            return self.any_address || address.is_loopback() || self.names.iter().any(|n| n == name);
        }
        let name = name.trim_end_matches('.');
        name.eq_ignore_ascii_case("localhost") || self.names.iter().any(|n| n.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(hosts: &AllowedHosts, method: Method, headers: &[(&'static str, &str)]) -> bool {
        let headers = headers.iter().map(|(n, v)| (HeaderName::from_static(n), v.parse().unwrap())).collect();
        check(hosts, &method, &headers, None).is_ok()
    }

    #[test]
    fn host_names_that_others_control_are_refused() {
        let local = AllowedHosts { names: vec!["shop.lan".into()], any_address: false };
        let accepted = |host| allowed(&local, Method::GET, &[("host", host)]);
        assert!(["localhost:8080", "LocalHost", "127.0.0.1:1", "[::1]:8080", "shop.lan:80"]
            .into_iter()
            .all(accepted));
        assert!(!["evil.example:8080", "localhost.evil.example", "10.0.0.7:8080", "", "127.0.0.1.nip.io"]
            .into_iter()
            .any(accepted));
        let open = AllowedHosts { names: vec![], any_address: true };
        assert!(allowed(&open, Method::GET, &[("host", "10.0.0.7:8080")]));
        assert!(!allowed(&open, Method::GET, &[("host", "evil.example:8080")]));
    }

    #[test]
    fn only_pages_of_this_server_may_post() {
        let local = AllowedHosts { names: vec![], any_address: false };
        let post = |headers: &[(&'static str, &str)]| {
            allowed(&local, Method::POST, &[&[("host", "localhost:8080")], headers].concat())
        };
        assert!(post(&[("origin", "http://localhost:8080")]));
        assert!(post(&[]), "curl");
        assert!(post(&[("sec-fetch-site", "same-origin")]));
        assert!(!post(&[("origin", "http://evil.example")]));
        assert!(!post(&[("origin", "http://localhost:9999")]), "another server of this machine");
        assert!(!post(&[("origin", "null")]));
        assert!(!post(&[("sec-fetch-site", "cross-site")]));
    }
}
