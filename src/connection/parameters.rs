//! Connection parameters from `--db` and the environment, with the same meaning as in psql.

use super::passfile;
use super::tls::{Encryption, Trust};
use crate::error::{Error, Kind, Result};
use percent_encoding::percent_decode_str;
use regex::Regex;
use std::time::Duration;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::Config;

/// Socket folders of Debian's packages and of PostgreSQL's own builds.
const SOCKET_FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// How to connect.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Host, user, database, password and so on.
    pub config: Config,
    /// Whether to encrypt, and which certificates to accept.
    pub encryption: Encryption,
}

impl Connection {
    /// Parses `db` and takes what it leaves out from the environment (read through `variable`), the password file and psql's
    /// defaults. The server sees the connection as one of `program`, unless it names another.
    ///
    /// `sslmode`, `sslrootcert` and `passfile` are taken out first, because tokio-postgres does not know all their values.
    ///
    /// # Errors
    /// [`Kind::InvalidParameter`] for what cannot be parsed; the message never contains the password.
    pub fn new(db: Option<&str>, program: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let db = db.unwrap_or_default();
        let (db, mode) = take(db, "sslmode")?;
        let (db, root) = take(&db, "sslrootcert")?;
        let (db, passfile) = take(&db, "passfile")?;
        let is_name = !db.is_empty() && !db.contains('=') && !db.contains("://");
        let mut config =
            if is_name { Config::new() } else { db.parse::<Config>().map_err(|e| parse_error(&e))? };
        if is_name {
            config.dbname(&db);
        }
        fill(&mut config, program, variable)?;
        if config.get_password().is_none() {
            if let Some(password) =
                passfile::password(&config, passfile.or_else(|| variable("PGPASSFILE")), variable)
            {
                config.password(password);
            }
        }
        let mode = mode.or_else(|| variable("PGSSLMODE"));
        let root = root.or_else(|| variable("PGSSLROOTCERT"));
        let encryption = encryption(mode.as_deref().unwrap_or("prefer"), root)?;
        config.ssl_mode(encryption.mode);
        Ok(Self { config, encryption })
    }

    /// [`Connection::new`] with this process's environment.
    ///
    /// # Errors
    /// Those of [`Connection::new`].
    pub fn from_environment(db: Option<&str>, program: &str) -> Result<Self> {
        Self::new(db, program, &|name| std::env::var(name).ok().filter(|v| !v.is_empty()))
    }

    /// For people: `database "demo" on /tmp as alice`.
    pub fn describe(&self) -> String {
        let hosts = self.config.get_hosts().iter().map(|h| match h {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        });
        let hosts = hosts.collect::<Vec<_>>().join(", ");
        let (name, user) = (self.config.get_dbname().unwrap_or("?"), self.config.get_user().unwrap_or("?"));
        format!("database \"{name}\" on {hosts} as {user}")
    }
}

fn parse_error(e: &tokio_postgres::Error) -> Error {
    let why = std::error::Error::source(e).map_or_else(|| e.to_string(), ToString::to_string);
    Error::new(Kind::InvalidParameter, "could not parse --db")
        .detail(format!("{why}."))
        .hint("Write postgres://user@host:5432/database, or 'host=/tmp user=me dbname=shop'.")
}

/// Sets the parameters that the connection string leaves out.
fn fill(config: &mut Config, program: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<()> {
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        match variable("PGHOST") {
            Some(hosts) => hosts.split(',').for_each(|h| {
                config.host(h);
            }),
            None => {
                let port = config.get_ports().first().copied().or_else(|| variable("PGPORT")?.parse().ok());
                let socket = format!(".s.PGSQL.{}", port.unwrap_or(5432));
                let found = SOCKET_FOLDERS.iter().find(|s| std::path::Path::new(s).join(&socket).exists());
                config.host(found.copied().unwrap_or("localhost"));
            }
        }
    }
    if config.get_ports().is_empty() {
        for port in variable("PGPORT").iter().flat_map(|p| p.split(',')) {
            let wrong = || Error::new(Kind::InvalidParameter, format!("PGPORT \"{port}\" is not a port"));
            config.port(port.parse().map_err(|_| wrong())?);
        }
    }
    if config.get_user().is_none() {
        let user = variable("PGUSER").or_else(|| variable("USER")).or_else(|| variable("LOGNAME"));
        config.user(user.unwrap_or_else(|| "postgres".to_owned()));
    }
    if config.get_dbname().is_none() {
        let name = variable("PGDATABASE").or_else(|| config.get_user().map(str::to_owned));
        config.dbname(name.unwrap_or_default());
    }
    if let (None, Some(password)) = (config.get_password(), variable("PGPASSWORD")) {
        config.password(password);
    }
    if let (None, Some(options)) = (config.get_options(), variable("PGOPTIONS")) {
        config.options(options);
    }
    if config.get_application_name().is_none() {
        config.application_name(variable("PGAPPNAME").unwrap_or_else(|| program.to_owned()));
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(Duration::from_secs(10));
    }
    Ok(())
}

/// Removes a parameter from a URL or from key=value pairs; returns the rest and the parameter's value.
fn take(db: &str, key: &str) -> Result<(String, Option<String>)> {
    let bug = |e: regex::Error| Error::new(Kind::Internal, format!("regular expression: {e}"));
    if db.contains("://") {
        let pair = Regex::new(&format!("([?&]){key}=([^&]*)(&?)")).map_err(bug)?;
        let Some(found) = pair.captures(db) else { return Ok((db.to_owned(), None)) };
        let value = percent_decode_str(&found[2]).decode_utf8_lossy().into_owned();
        let kept = if found[3].is_empty() { "" } else { &found[1] };
        let rest = format!(
            "{}{kept}{}",
            &db[..found.get(0).map_or(0, |m| m.start())],
            &db[found.get(0).map_or(0, |m| m.end())..]
        );
        return Ok((rest, Some(value)));
    }
    let pair = Regex::new(&format!(r"(^|\s){key}\s*=\s*(?:'((?:[^'\\]|\\.)*)'|(\S+))")).map_err(bug)?;
    let Some(found) = pair.captures(db) else { return Ok((db.to_owned(), None)) };
    let value = found.get(2).or_else(|| found.get(3)).map_or("", |m| m.as_str());
    let unescaped = Regex::new(r"\\(.)").map_err(bug)?.replace_all(value, "$1").into_owned();
    Ok((pair.replace(db, "$1").trim().to_owned(), Some(unescaped)))
}

/// What an `sslmode` of libpq asks for.
fn encryption(mode: &str, root: Option<String>) -> Result<Encryption> {
    let (mode, trust) = match (mode, root) {
        ("disable", _) => (SslMode::Disable, Trust::Anyone),
        // Neither checks who answers.
        ("allow" | "prefer", _) => (SslMode::Prefer, Trust::Anyone),
        // As in libpq, a root certificate is used if there is one.
        ("require", None) => (SslMode::Require, Trust::Anyone),
        ("require" | "verify-ca", Some(root)) => (SslMode::Require, Trust::Authority(root.into())),
        ("verify-full", Some(root)) => (SslMode::Require, Trust::Host(root.into())),
        ("verify-ca" | "verify-full", None) => {
            return Err(Error::new(Kind::InvalidParameter, format!("sslmode={mode} needs a root certificate")).hint(
                "Add sslrootcert=FILE: your own authority's, or the system's such as /etc/ssl/certs/ca-certificates.crt.",
            ))
        }
        _ => {
            let modes = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
            return Err(Error::unknown("sslmode", mode, modes));
        }
    };
    Ok(Encryption { mode, trust })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(db: &str, variables: &[(&str, &str)]) -> Result<Connection> {
        let read = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        Connection::new(Some(db).filter(|d| !d.is_empty()), "coopembed serve", &read)
    }

    #[test]
    fn the_environment_fills_what_the_string_leaves_open() {
        let env = [
            ("PGHOST", "/tmp/x"),
            ("PGPORT", "6000"),
            ("PGUSER", "alice"),
            ("PGPASSWORD", "secret"),
            ("PGDATABASE", "shop"),
        ];
        let c = connection("", &env).unwrap();
        assert_eq!(c.describe(), "database \"shop\" on /tmp/x as alice");
        assert_eq!((c.config.get_ports(), c.config.get_password()), (&[6000][..], Some(&b"secret"[..])));
        let c = connection("postgres://bob:pw@db.lan:7000/other", &env).unwrap();
        assert_eq!(c.describe(), "database \"other\" on db.lan as bob");
        assert_eq!((c.config.get_ports(), c.config.get_password()), (&[7000][..], Some(&b"pw"[..])));
        assert_eq!(connection("other", &env).unwrap().describe(), "database \"other\" on /tmp/x as alice");
        let c = connection("host=h user=u", &[("USER", "me")]).unwrap();
        assert_eq!(c.describe(), "database \"u\" on h as u", "as psql: the user's name");
    }

    #[test]
    fn encryption_means_what_it_means_in_psql() {
        let of =
            |db: &str| connection(db, &[]).map(|c| (c.config.get_dbname().unwrap().to_owned(), c.encryption));
        let expected = |mode, trust| ("d".to_owned(), Encryption { mode, trust });
        assert_eq!(of("postgres://u@h/d").unwrap(), expected(SslMode::Prefer, Trust::Anyone));
        let full = expected(SslMode::Require, Trust::Host("/a b/ca.crt".into()));
        assert_eq!(of("postgres://u@h/d?sslmode=verify-full&sslrootcert=%2Fa%20b%2Fca.crt").unwrap(), full);
        assert_eq!(
            of("host=h sslrootcert='/a b/ca.crt' dbname=d user=u sslmode = verify-full").unwrap(),
            full
        );
        let ca = expected(SslMode::Require, Trust::Authority("r".into()));
        assert_eq!(of("postgres://u@h/d?connect_timeout=3&sslrootcert=r&sslmode=require").unwrap(), ca);
        assert!(of("postgres://u@h/d?sslmode=verify-full")
            .unwrap_err()
            .hint
            .unwrap()
            .contains("sslrootcert"));
        assert!(of("postgres://u@h/d?sslmode=yes").unwrap_err().hint.unwrap().contains("verify-full"));
    }

    #[test]
    fn errors_do_not_show_the_password() {
        let e = connection("postgres://u:geheim@h/d?colour=red", &[]).unwrap_err().report();
        assert!(e.contains("colour") && !e.contains("geheim"), "{e}");
    }
}
