//! The options of `coopembed serve`.

use crate::error::{Error, Kind, Result};
use std::net::{SocketAddr, ToSocketAddrs as _};

/// `coopembed serve`'s flags.
#[derive(Debug, Clone, clap::Args)]
pub struct ServeArgs {
    /// Database: postgres://user@host/name, or key=value pairs, or a name [default: as PGHOST, PGDATABASE ... say]
    #[arg(long, value_name = "URL")]
    pub db: Option<String>,
    /// Table or view with the pictures, as in SQL: products, shop.products, '"My Shop"."Products"'
    #[arg(long, value_name = "NAME")]
    pub table: String,
    /// Column that tells rows apart [default: the primary key]
    #[arg(long, value_name = "COLUMN")]
    pub id: Option<String>,
    /// Column of embeddings, of type coopvec [default: the only one]
    #[arg(long, value_name = "COLUMN")]
    pub emb: Option<String>,
    /// Column of pictures, of type bytea [default: the only one]
    #[arg(long, value_name = "COLUMN")]
    pub image: Option<String>,
    /// Column to show under each picture; may be repeated [default: the first three of text]
    #[arg(long, value_name = "COLUMN")]
    pub label: Vec<String>,
    /// Column to offer as a filter: only rows with this value
    #[arg(long, value_name = "COLUMN")]
    pub category_column: Option<String>,
    /// Model whose words are offered and that embeds dropped photos [default: the database's default]
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Address and port of the page; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// Let --listen be an address that other machines reach. Whoever reaches it sees the table, without a password
    #[arg(long)]
    pub allow_remote: bool,
    /// Name by which browsers may call this server besides localhost and --listen; may be repeated
    #[arg(long, value_name = "NAME")]
    pub host_name: Vec<String>,
    /// Pictures on a page
    #[arg(long, value_name = "COUNT", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub limit: u32,
    /// Seconds that a query may take (statement_timeout)
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub timeout: u32,
    /// Largest photo that may be dropped on the page, in megabytes
    #[arg(long, value_name = "MB", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub max_photo: u32,
}

impl ServeArgs {
    /// Where to listen, and whether other machines reach that.
    ///
    /// # Errors
    /// [`Kind::InvalidParameter`] for no address, and for one that other machines reach without `--allow-remote`.
    pub fn address(&self) -> Result<(SocketAddr, bool)> {
        let wrong = |why: String| {
            Error::new(Kind::InvalidParameter, format!("--listen \"{}\" is no address", self.listen))
                .detail(why)
                .hint("Write host and port, as in 127.0.0.1:8080 or [::1]:8080.")
        };
        let mut found = self.listen.to_socket_addrs().map_err(|e| wrong(format!("{e}.")))?;
        let address = found.next().ok_or_else(|| wrong("The name has no address.".to_owned()))?;
        let remote = !address.ip().is_loopback();
        if remote && !self.allow_remote {
            return Err(Error::new(
                Kind::InvalidParameter,
                format!("other machines would reach {address}, and the page asks for no password"),
            )
            .hint("Listen on 127.0.0.1 (from elsewhere: ssh -L), or add --allow-remote if everybody there may see the table."));
        }
        Ok((address, remote))
    }

    /// The host of `--listen` as it was written, without its port and an IPv6 address's brackets.
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
    fn the_page_is_for_this_machine_unless_said_otherwise() {
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
        assert_eq!(args(&["--listen", "pictures.lan:9"]).listen_host(), "pictures.lan");
    }

    #[test]
    fn columns_to_show_are_named_one_by_one() {
        assert_eq!(args(&["--label", "name", "--label", "a,b"]).label, ["name", "a,b"]);
        assert!(Program::try_parse_from(["serve"]).is_err(), "a table is needed");
    }
}
