//! The command line of `coopembed serve`.

use crate::error::{Error, Kind, Result};
use std::net::{SocketAddr, ToSocketAddrs as _};

/// `coopembed serve`'s flags.
#[derive(Debug, Clone, clap::Args)]
pub struct ServeArgs {
    /// Database: postgres://user@host/name, key=value pairs, or a name [default: from PGHOST, PGDATABASE and so on]
    #[arg(long, value_name = "URL")]
    pub db: Option<String>,
    /// Table or view to explore, written as in SQL: products, shop.products, '"My Shop"."Products"'
    #[arg(long, value_name = "NAME")]
    pub table: String,
    /// Column that identifies a row [default: the primary key]
    #[arg(long, value_name = "COLUMN")]
    pub id: Option<String>,
    /// Column of embeddings, of type coopvec [default: the only one of that type]
    #[arg(long, value_name = "COLUMN")]
    pub emb: Option<String>,
    /// Column of images, of type bytea [default: the only one of that type]
    #[arg(long, value_name = "COLUMN")]
    pub image: Option<String>,
    /// Column to show under each image; may be repeated [default: the first three text columns]
    #[arg(long, value_name = "COLUMN")]
    pub label: Vec<String>,
    /// Column to offer as a filter
    #[arg(long, value_name = "COLUMN")]
    pub category_column: Option<String>,
    /// Model whose vocabulary is offered and that embeds dropped images [default: the database's default model]
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Address and port to listen on; port 0 picks a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// Allow --listen to be an address that other machines can reach: anyone who can reach it can read the table without a password
    #[arg(long)]
    pub allow_remote: bool,
    /// Host name that browsers may use for this server, besides localhost and the one in --listen; may be repeated
    #[arg(long, value_name = "NAME")]
    pub host_name: Vec<String>,
    /// Images per page
    #[arg(long, value_name = "COUNT", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub limit: u32,
    /// Most seconds that a query may take (statement_timeout)
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub timeout: u32,
    /// Largest image that may be dropped on the page, in megabytes
    #[arg(long, alias = "max-photo", value_name = "MB", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub max_upload: u32,
}

impl ServeArgs {
    /// The socket address to listen on, and whether other machines can reach it.
    ///
    /// # Errors
    /// [`Kind::InvalidParameter`] for what is not an address, and for one that other machines can reach without `--allow-remote`.
    pub fn address(&self) -> Result<(SocketAddr, bool)> {
        let invalid = |why: String| {
            Error::new(Kind::InvalidParameter, format!("--listen \"{}\" is not an address", self.listen))
                .detail(why)
                .hint("Write host and port, as in 127.0.0.1:8080 or [::1]:8080.")
        };
        let mut found = self.listen.to_socket_addrs().map_err(|e| invalid(format!("{e}.")))?;
        let address = found.next().ok_or_else(|| invalid("The name has no address.".to_owned()))?;
        let remote = !address.ip().is_loopback();
        if remote && !self.allow_remote {
            return Err(Error::new(
                Kind::InvalidParameter,
                format!("other machines could reach {address}, and the page has no password"),
            )
            .hint("Listen on 127.0.0.1 and reach it through \"ssh -L\", or add --allow-remote if everyone on that network may read the table."));
        }
        Ok((address, remote))
    }

    /// The host in `--listen`, without its port and without the brackets of an IPv6 address.
    pub fn listen_host(&self) -> &str {
        let host = self.listen.rsplit_once(':').map_or(self.listen.as_str(), |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        args: ServeArgs,
    }

    fn args(flags: &[&str]) -> ServeArgs {
        Program::parse_from(["serve", "--table", "t"].iter().chain(flags)).args
    }

    #[test]
    fn only_this_machine_can_reach_the_page_by_default() {
        assert_eq!(args(&[]).address().unwrap(), ("127.0.0.1:8080".parse().unwrap(), false));
        assert_eq!(args(&["--listen", "[::1]:0"]).address().unwrap(), ("[::1]:0".parse().unwrap(), false));
        let e = args(&["--listen", "0.0.0.0:80"]).address().unwrap_err();
        assert!(e.message.contains("0.0.0.0:80") && e.hint.unwrap().contains("--allow-remote"));
        let open = args(&["--listen", "0.0.0.0:80", "--allow-remote"]).address().unwrap();
        assert_eq!(open, ("0.0.0.0:80".parse().unwrap(), true));
    }

    #[test]
    fn an_address_needs_a_port() {
        assert!(args(&["--listen", "127.0.0.1"])
            .address()
            .unwrap_err()
            .hint
            .unwrap()
            .contains("127.0.0.1:8080"));
        assert_eq!(args(&["--listen", "[::1]:9"]).listen_host(), "::1");
        assert_eq!(args(&["--listen", "shop.lan:9"]).listen_host(), "shop.lan");
    }

    #[test]
    fn each_label_flag_names_one_column() {
        assert_eq!(args(&["--label", "name", "--label", "a,b"]).label, ["name", "a,b"]);
        assert!(Program::try_parse_from(["serve"]).is_err(), "a table is needed");
    }
}
