//! The password file, `~/.pgpass`. Each line is `host:port:database:user:password`; `*` matches anything, and `\` escapes `:`
//! and `\`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tokio_postgres::config::Host;
use tokio_postgres::Config;

/// The password for a connection, from `file` or else `~/.pgpass`. As in libpq, a file that others may read is not used.
pub fn password(
    config: &Config,
    file: Option<String>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Option<String> {
    let path = file.map(PathBuf::from).or_else(|| Some(PathBuf::from(variable("HOME")?).join(".pgpass")))?;
    let text = std::fs::read_to_string(&path).ok()?;
    if readable_by_others(&path) {
        eprintln!("WARNING:  password file \"{}\" has group or world access and is not used", path.display());
        return None;
    }
    let host = match config.get_hosts().first()? {
        Host::Tcp(name) => name.clone(),
        Host::Unix(_) => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432).to_string();
    find(&text, &[&host, &port, config.get_dbname()?, config.get_user()?])
}

fn readable_by_others(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o077 != 0)
}

fn find(text: &str, wanted: &[&str; 4]) -> Option<String> {
    text.lines().filter(|line| !line.starts_with('#')).map(fields).find_map(|mut fields| {
        let matches = fields.len() == 5
            && fields.iter().zip(wanted).all(|(field, wanted)| field == "*" || field == wanted);
        if matches {
            fields.pop()
        } else {
            None
        }
    })
}

fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut letters) = (vec![String::new()], line.chars());
    while let Some(letter) = letters.next() {
        match letter {
            ':' if fields.len() < 5 => fields.push(String::new()),
            letter => {
                let letter = if letter == '\\' { letters.next() } else { Some(letter) };
                fields.last_mut().into_iter().for_each(|field| field.extend(letter));
            }
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_matching_line_has_the_password() {
        let text = "# mine\nother:5432:*:*:no\nlocalhost:*:shop:alice:p\\:w\\\\1:2\n*:*:*:*:any\n";
        assert_eq!(find(text, &["localhost", "6000", "shop", "alice"]).unwrap(), "p:w\\1:2");
        assert_eq!(find(text, &["localhost", "6000", "shop", "bob"]).unwrap(), "any");
        assert_eq!(find("a:1:b:c\n", &["a", "1", "b", "c"]), None, "a line without a password");
    }
}
