//! Fetches npm packages, once each, with `npm pack`, and unpacks them into a cache.

use crate::error::{Error, Kind, Result};
use std::fs;
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

/// A folder of fetched packages: `name-version.tgz`, and unpacked `x/name-version/`.
///
/// A file or folder with its final name is complete, because everything is written under a temporary name first.
#[derive(Debug)]
pub struct PackageCache {
    folder: PathBuf,
    /// The npm program.
    npm: PathBuf,
}

impl PackageCache {
    /// Opens the cache in `folder`, by default `coopembed/npm` in the user's cache folder, and creates it if needed.
    ///
    /// # Errors
    /// [`Kind::Io`] if it cannot be created, [`Kind::InvalidParameter`] if neither `XDG_CACHE_HOME` nor `HOME` is set.
    pub fn open(folder: Option<&Path>) -> Result<Self> {
        let folder = match folder {
            Some(folder) => folder.to_owned(),
            None => default_folder()?,
        };
        let unpacked = folder.join("x");
        fs::create_dir_all(&unpacked).map_err(|e| Error::io("create", &unpacked, &e))?;
        // Absolute, because npm runs in another folder.
        let folder = folder.canonicalize().map_err(|e| Error::io("open", &folder, &e))?;
        Ok(Self { folder, npm: PathBuf::from("npm") })
    }

    /// The folder with the unpacked `package` at `version`; fetches it if needed. Unpacks only its licence and the files `needed`: names,
    /// folders that end in `/`, or prefixes that end in `*`.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] if npm is missing or fails, [`Kind::InvalidData`] if the package cannot be unpacked,
    /// [`Kind::Io`].
    pub fn package(&self, package: &str, version: &str, needed: &[&str]) -> Result<PathBuf> {
        let name = format!("{}-{version}", package.trim_start_matches('@').replace('/', "-"));
        let folder = self.folder.join("x").join(&name);
        if !folder.is_dir() {
            let tarball = self.folder.join(format!("{name}.tgz"));
            if !tarball.is_file() {
                self.pack(&format!("{package}@{version}"), &tarball)?;
            }
            unpack(&tarball, &folder, needed)?;
        }
        Ok(folder)
    }

    /// Runs npm to fetch the tarball of `specification` (`name@version`).
    fn pack(&self, specification: &str, tarball: &Path) -> Result<()> {
        eprintln!("fetching {specification}");
        let work = temporary_folder(&self.folder.join("pack"))?;
        let run = Command::new(&self.npm)
            .args(["pack", "--loglevel=error", specification])
            .current_dir(&work)
            .output();
        let output = run.map_err(|e| {
            Error::new(Kind::Unavailable, format!("could not start npm: {e}"))
                .detail(format!(
                    "The set is built from npm packages; \"{specification}\" is not in the cache."
                ))
                .hint("Install npm (it comes with Node.js), or give --cache a folder that has the packages.")
        })?;
        let packed = fs::read_dir(&work)
            .map_err(|e| Error::io("read", &work, &e))?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|e| e == "tgz"));
        let result = match packed {
            Some(packed) if output.status.success() => {
                fs::rename(&packed, tarball).map_err(|e| Error::io("rename", &packed, &e))
            }
            _ => Err(Error::new(Kind::Unavailable, format!("npm could not pack \"{specification}\""))
                .detail(npm_failure(&output))
                .hint("Check that the npm registry can be reached (npm ping), then run this again.")),
        };
        remove_folder(&work)?;
        result
    }
}

/// Reads a file of an unpacked package.
///
/// # Errors
/// [`Kind::InvalidData`] if it cannot be read, with a hint to fetch the package again.
pub fn read(folder: &Path, file: &str) -> Result<String> {
    let path = folder.join(file);
    fs::read_to_string(&path).map_err(|e| {
        Error::new(Kind::InvalidData, format!("could not read \"{}\": {e}", path.display()))
            .hint(format!("Remove \"{}\" and run this again.", folder.display()))
    })
}

/// Reads a JSON file of an unpacked package.
///
/// # Errors
/// [`Kind::InvalidData`] if it cannot be read or parsed.
pub fn read_json<T: serde::de::DeserializeOwned>(folder: &Path, file: &str) -> Result<T> {
    serde_json::from_str(&read(folder, file)?).map_err(|e| {
        Error::new(Kind::InvalidData, format!("\"{}\" is not as expected: {e}", folder.join(file).display()))
            .hint(format!("Remove \"{}\" and its tarball and run this again.", folder.display()))
    })
}

fn default_folder() -> Result<PathBuf> {
    let folder_in = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let base = folder_in("XDG_CACHE_HOME").or_else(|| Some(folder_in("HOME")?.join(".cache")));
    base.map(|base| base.join("coopembed/npm")).ok_or_else(|| {
        Error::new(Kind::InvalidParameter, "there is no folder for the package cache")
            .detail("Neither XDG_CACHE_HOME nor HOME is set.")
            .hint("Name a folder with --cache.")
    })
}

/// Describes why npm failed: its exit status and the first lines of its output.
fn npm_failure(output: &std::process::Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    format!("npm ended with {}: {}", output.status, lines[..lines.len().min(4)].join(" / "))
}

/// Creates an empty folder beside `path`, whose name no other process uses, for files that are not complete yet.
fn temporary_folder(path: &Path) -> Result<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".partial-{}", std::process::id()));
    let folder = PathBuf::from(name);
    remove_folder(&folder)?;
    fs::create_dir_all(&folder).map_err(|e| Error::io("create", &folder, &e))?;
    Ok(folder)
}

/// Removes `folder` with everything in it, if it exists.
///
/// # Errors
/// [`Kind::Io`].
pub fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", folder, &e)),
        _ => Ok(()),
    }
}

/// Unpacks the files `needed` of `tarball` to `folder`, which does not exist until it is complete.
fn unpack(tarball: &Path, folder: &Path, needed: &[&str]) -> Result<()> {
    let work = temporary_folder(folder)?;
    let result = unpack_into(tarball, &work, needed)
        .and_then(|()| fs::rename(&work, folder).map_err(|e| Error::io("rename", &work, &e)));
    if result.is_err() {
        remove_folder(&work)?;
    }
    result
}

fn unpack_into(tarball: &Path, folder: &Path, needed: &[&str]) -> Result<()> {
    let unpack_error = |e: std::io::Error| {
        Error::new(Kind::InvalidData, format!("could not unpack \"{}\": {e}", tarball.display()))
            .hint("Remove the file and run this again.")
    };
    let file = fs::File::open(tarball).map_err(|e| Error::io("open", tarball, &e))?;
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    for entry in archive.entries().map_err(unpack_error)? {
        let mut entry = entry.map_err(unpack_error)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path().map_err(unpack_error)?.into_owned();
        let inner = inner_path(&path).ok_or_else(|| {
            Error::new(Kind::InvalidData, format!("\"{}\" contains an unsafe path", tarball.display()))
                .detail(format!("\"{}\" would be written outside the package's folder.", path.display()))
                .hint("Do not use this file; remove it.")
        })?;
        if !is_needed(&inner, needed) {
            continue;
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(unpack_error)?;
        let target = folder.join(&inner);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(|e| Error::io("create", parent, &e))?;
        }
        fs::write(&target, bytes).map_err(|e| Error::io("write", &target, &e))?;
    }
    Ok(())
}

/// The path inside the folder that every npm tarball has (`package/`); `None` for a path that leads elsewhere.
fn inner_path(path: &Path) -> Option<PathBuf> {
    let parts: Vec<Component> = path.components().collect();
    let safe = parts.iter().all(|c| matches!(c, Component::Normal(_)));
    (safe && parts.len() > 1).then(|| parts[1..].iter().collect())
}

/// Whether a file is to be unpacked: it is among `needed`, or a licence.
fn is_needed(inner: &Path, needed: &[&str]) -> bool {
    let matches = |name: &&str| match (name.strip_suffix('/'), name.strip_suffix('*')) {
        (Some(folder), _) => inner.starts_with(folder),
        (_, Some(start)) => inner.to_string_lossy().starts_with(start),
        _ => inner == Path::new(name),
    };
    needed.iter().any(matches) || inner.to_string_lossy().to_uppercase().starts_with("LICEN")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a gzipped tar with these files, without checking their paths.
    fn tarball(path: &Path, files: &[(&str, &str)]) {
        let gz = flate2::write::GzEncoder::new(fs::File::create(path).unwrap(), flate2::Compression::fast());
        let mut tar = tar::Builder::new(gz);
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            tar.append(&header, content.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap();
    }

    /// A cache whose npm program is this shell script.
    #[cfg(unix)]
    fn cache_with_npm(folder: &Path, script: &str) -> PackageCache {
        use std::os::unix::fs::PermissionsExt;
        let npm = folder.join("npm");
        fs::write(&npm, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&npm, fs::Permissions::from_mode(0o755)).unwrap();
        PackageCache { npm, ..PackageCache::open(Some(&folder.join("cache"))).unwrap() }
    }

    #[test]
    fn needed_files_and_the_licence_are_unpacked() {
        let folder = tempfile::tempdir().unwrap();
        let (tgz, target) = (folder.path().join("p.tgz"), folder.path().join("p"));
        tarball(
            &tgz,
            &[
                ("package/icons.json", "{}"),
                ("package/assets/1f600.webp", "w"),
                ("package/files/a-latin.woff2", "f"),
                ("package/files/a-greek.woff2", "f"),
                ("package/LICENSE", "l"),
                ("package/index.js", "j"),
            ],
        );
        unpack(&tgz, &target, &["icons.json", "assets/", "files/a-la*"]).unwrap();
        for (file, there) in [
            ("icons.json", true),
            ("assets/1f600.webp", true),
            ("files/a-latin.woff2", true),
            ("files/a-greek.woff2", false),
            ("LICENSE", true),
            ("index.js", false),
        ] {
            assert_eq!(target.join(file).exists(), there, "{file}");
        }
        assert_eq!(read(&target, "icons.json").unwrap(), "{}");
    }

    #[test]
    fn a_tarball_with_paths_outside_its_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["package/../../icons.json", "/icons.json", "../icons.json", "package/../icons.json"] {
            let (tgz, target) = (folder.path().join("p.tgz"), folder.path().join("x/p"));
            tarball(&tgz, &[("package/icons.json", "{}"), (path, "evil")]);
            let e = unpack(&tgz, &target, &["icons.json"]).unwrap_err();
            assert_eq!(e.kind, Kind::InvalidData, "{path}");
            assert!(e.message.contains("unsafe path"), "{}", e.message);
            let left: Vec<_> = fs::read_dir(folder.path().join("x")).unwrap().flatten().collect();
            assert!(left.is_empty() && !folder.path().join("icons.json").exists(), "{path}: {left:?}");
        }
    }

    #[test]
    fn a_truncated_tarball_is_an_error_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let cache = PackageCache::open(Some(folder.path())).unwrap();
        let tgz = folder.path().join("some-package-1.0.0.tgz");
        tarball(&tgz, &[("package/icons.json", &"{\"icons\": 1}".repeat(9999))]);
        let bytes = fs::read(&tgz).unwrap();
        fs::write(&tgz, &bytes[..bytes.len() / 2]).unwrap();
        let e = cache.package("@some/package", "1.0.0", &["icons.json"]).unwrap_err();
        assert_eq!(e.kind, Kind::InvalidData);
        assert!(e.hint.unwrap().contains("Remove the file"));
        assert_eq!(fs::read_dir(folder.path().join("x")).unwrap().count(), 0);
    }

    #[test]
    fn a_missing_npm_is_an_error_that_says_what_to_install() {
        let folder = tempfile::tempdir().unwrap();
        let cache = PackageCache {
            npm: folder.path().join("no-npm"),
            ..PackageCache::open(Some(folder.path())).unwrap()
        };
        let e = cache.package("@some/package", "1.0.0", &["icons.json"]).unwrap_err();
        assert_eq!(e.kind, Kind::Unavailable);
        assert!(e.hint.unwrap().contains("Install npm"));
    }

    #[cfg(unix)]
    #[test]
    fn a_failing_npm_is_quoted_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache_with_npm(
            folder.path(),
            "echo half > some-package-1.0.0.tgz; echo 'npm error 404' >&2; exit 1",
        );
        let e = cache.package("@some/package", "1.0.0", &["icons.json"]).unwrap_err();
        assert_eq!(e.kind, Kind::Unavailable);
        assert!(e.detail.unwrap().contains("npm error 404"));
        let left: Vec<_> =
            fs::read_dir(folder.path().join("cache")).unwrap().flatten().map(|f| f.file_name()).collect();
        assert_eq!(left, ["x"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_package_is_fetched_once() {
        let folder = tempfile::tempdir().unwrap();
        let made = folder.path().join("made.tgz");
        tarball(&made, &[("package/icons.json", "{}")]);
        let script =
            format!("test \"$3\" = @some/package@1.0.0 && cp '{}' some-package-1.0.0.tgz", made.display());
        let mut cache = cache_with_npm(folder.path(), &script);
        let first = cache.package("@some/package", "1.0.0", &["icons.json"]).unwrap();
        assert_eq!(read(&first, "icons.json").unwrap(), "{}");
        cache.npm = folder.path().join("no-npm");
        assert_eq!(cache.package("@some/package", "1.0.0", &["icons.json"]).unwrap(), first);
    }
}
