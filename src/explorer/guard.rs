//! Who may ask: pages of this server only. A page from elsewhere could otherwise read the table through its visitor's
//! browser, by pointing a name of its own at this address (DNS rebinding) or by sending forms.

use super::http_error::Refusal;
use axum::extract::{Request, State};
use axum::http::{header, HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use std::net::IpAddr;
use std::sync::Arc;

/// By what names this server is called.
#[derive(Debug, Clone)]
pub struct Hosts {
    /// Besides localhost.
    pub names: Vec<String>,
    /// Whether by any address: nobody can point an address elsewhere.
    pub any_address: bool,
}

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

/// Lets through what comes from a page of this server, and tells browsers to load nothing from anywhere else.
pub async fn guard(State(hosts): State<Arc<Hosts>>, request: Request, next: Next) -> Response {
    let checked = check(&hosts, request.method(), request.headers(), request.uri().host());
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn check(hosts: &Hosts, method: &Method, headers: &HeaderMap, in_uri: Option<&str>) -> Result<(), Refusal> {
    let text = |name: HeaderName| headers.get(name).map(|v| v.to_str().unwrap_or("?"));
    let host = text(header::HOST).or(in_uri).unwrap_or_default();
    if !hosts.are_called(host) {
        return Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, "this server is not called by that name")
            .detail(format!("The request's Host is \"{}\".", crate::error::abridged(host)))
            .hint("Use localhost, or start the server with --host-name."));
    }
    if method == Method::GET || method == Method::HEAD {
        return Ok(());
    }
    let from = match text(header::ORIGIN) {
        Some(origin) => origin.split_once("://").map_or("", |(_, host)| host) == host,
        // Browsers of today always send one of the two; what sends neither is no browser.
        None => text(HeaderName::from_static("sec-fetch-site")).is_none_or(|site| site == "same-origin"),
    };
    if from {
        return Ok(());
    }
    Err(Refusal::new(StatusCode::FORBIDDEN, "the request comes from another page"))
}

impl Hosts {
    fn are_called(&self, host: &str) -> bool {
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

    fn allowed(hosts: &Hosts, method: Method, headers: &[(&'static str, &str)]) -> bool {
        let headers = headers.iter().map(|(n, v)| (HeaderName::from_static(n), v.parse().unwrap())).collect();
        check(hosts, &method, &headers, None).is_ok()
    }

    #[test]
    fn names_that_others_could_point_here_are_refused() {
        let local = Hosts { names: vec!["pictures.lan".into()], any_address: false };
        let called = |host| allowed(&local, Method::GET, &[("host", host)]);
        assert!(["localhost:8080", "LocalHost", "127.0.0.1:1", "[::1]:8080", "pictures.lan:80"]
            .into_iter()
            .all(called));
        assert!(!["evil.example:8080", "localhost.evil.example", "10.0.0.7:8080", "", "127.0.0.1.nip.io"]
            .into_iter()
            .any(called));
        let open = Hosts { names: vec![], any_address: true };
        assert!(allowed(&open, Method::GET, &[("host", "10.0.0.7:8080")]));
        assert!(!allowed(&open, Method::GET, &[("host", "evil.example:8080")]));
    }

    #[test]
    fn only_pages_of_this_server_may_post() {
        let local = Hosts { names: vec![], any_address: false };
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
