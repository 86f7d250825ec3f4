//! Which hosts and addresses may be asked for images. The rules hold for each redirect, too, and for the very addresses that are connected to:
//! a name that means another address the next time gains nothing.

use super::public_address::is_public;
use crate::error::{Error, Kind};
use std::fmt;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Which hosts and addresses may be asked.
#[derive(Debug, Clone, Default)]
pub struct HostRules {
    /// Hosts, `*.name` for all below a name; empty for any.
    pub hosts: Vec<String>,
    /// Whether addresses may be of this machine or a private network.
    pub allow_private: bool,
}

impl HostRules {
    fn allows(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let matches = |rule: &String| {
            let rule = rule.trim_end_matches('.').to_ascii_lowercase();
            match rule.strip_prefix("*.") {
                Some(parent) => {
                    host.strip_suffix(parent).is_some_and(|sub| sub.len() > 1 && sub.ends_with('.'))
                }
                None => host == rule,
            }
        };
        self.hosts.is_empty() || self.hosts.iter().any(matches)
    }
}

/// Why an address is not asked.
#[derive(Debug)]
pub struct Refused(pub Error);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Refused {}

fn refused(error: Error) -> ureq::Error {
    ureq::Error::Other(Box::new(Refused(error)))
}

impl Resolver for HostRules {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().unwrap_or_default();
        if !self.allows(host) {
            return Err(refused(
                Error::new(Kind::InvalidParameter, format!("host \"{host}\" is not allowed"))
                    .hint("Allow it with --allow-host."),
            ));
        }
        let found = DefaultResolver::default().resolve(uri, config, timeout)?;
        if self.allow_private {
            return Ok(found);
        }
        let mut public = self.empty();
        found.iter().filter(|address| is_public(address.ip())).for_each(|address| public.push(*address));
        if public.is_empty() {
            let addresses: Vec<String> = found.iter().map(|a| a.ip().to_string()).collect();
            return Err(refused(
                Error::new(Kind::InvalidParameter, format!("host \"{host}\" is not on the public Internet"))
                    .detail(format!("Its address is {}.", addresses.join(", ")))
                    .hint("If it may be asked, add --allow-private, and name the hosts with --allow-host."),
            ));
        }
        Ok(public)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_compared_whole_and_without_case() {
        let rules = |hosts: &[&str]| HostRules {
            hosts: hosts.iter().map(|h| (*h).to_owned()).collect(),
            allow_private: false,
        };
        assert!(rules(&[]).allows("any.example"));
        let some = rules(&["images.shop.com", "*.cdn.net"]);
        for host in ["images.shop.com", "IMAGES.shop.com.", "a.cdn.net", "a.b.cdn.net"] {
            assert!(some.allows(host), "{host}");
        }
        for host in [
            "shop.com",
            "x.images.shop.com",
            "images.shop.com.evil.net",
            "cdn.net",
            "evilcdn.net",
            ".cdn.net",
            "",
        ] {
            assert!(!some.allows(host), "{host}");
        }
    }
}
