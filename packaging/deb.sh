#!/usr/bin/env bash
# Makes a Debian package of what has been built. The same files give the same bytes: times are SOURCE_DATE_EPOCH, or that of the last commit.
# usage: deb.sh extension MAJOR FOLDER OUT   (FOLDER has coopembed.so, coopembed.control and coopembed--*.sql for PostgreSQL MAJOR)
#        deb.sh program PROGRAM OUT
# COMPRESS (default xz), DEBFULLNAME and DEBEMAIL are as for Debian's own tools.
set -euo pipefail
umask 022
release=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$release")
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -1)
maintainer="${DEBFULLNAME:-coopembed maintainers} <${DEBEMAIL:-coopembed@localhost}>"
architecture=$(dpkg --print-architecture)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct)}
export SOURCE_DATE_EPOCH

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree

# copied MODE FILE TO: puts a file into the package; TO is an absolute path there.
copied() { install -D -m "$1" "$2" "$tree$3"; }

stripped() { strip --strip-unneeded --remove-section=.comment --remove-section=.note "$1"; }

# Prints the packages of the C libraries that a file needs, with their versions.
libraries() {
  mkdir -p "$work/shlibs/debian"
  echo "Source: coopembed" >"$work/shlibs/debian/control"
  (cd "$work/shlibs" && dpkg-shlibdeps -O --ignore-missing-info "$1" 2>/dev/null) | sed -n 's/^shlibs:Depends=//p'
}

# The README and the guides and images that it links to, uncompressed so that the links work.
readable() {
  echo README.md
  grep -oE '\]\([^):#]+' "$root/README.md" | cut -c3- | grep -v '^http' | LC_ALL=C sort -u
}

documents() { # PACKAGE
  local doc=/usr/share/doc/$1 file
  copied 644 "$release/copyright" "$doc/copyright"
  copied 644 "$release/THIRD-PARTY.txt" "$doc/THIRD-PARTY.txt"
  copied 644 "$root/CHANGELOG.md" "$doc/changelog"
  for file in $(readable); do copied 644 "$root/$file" "$doc/$file"; done
  cat >"$work/changelog" <<END
coopembed ($version-1) unstable; urgency=medium

  * Version $version: see changelog.gz.

 -- $maintainer  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
END
  copied 644 "$work/changelog" "$doc/changelog.Debian"
  gzip -9n "$tree$doc"/{THIRD-PARTY.txt,changelog,changelog.Debian}
}

# package NAME SECTION DEPENDS OUT: builds it, with the description on standard input, whose first line is the short one.
package() {
  mkdir "$tree/DEBIAN"
  (cd "$tree" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
  {
    echo "Package: $1"
    echo "Version: $version-1"
    echo "Architecture: $architecture"
    echo "Maintainer: $maintainer"
    echo "Installed-Size: $(du -k --apparent-size -s "$tree/usr" | cut -f1)"
    echo "Depends: $3"
    echo "Section: $2"
    echo "Priority: optional"
    sed -e '1s/^/Description: /' -e '2,$s/^$/./' -e '2,$s/^/ /'
  } >"$tree/DEBIAN/control"
  find "$tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
  mkdir -p "$4"
  dpkg-deb --root-owner-group "-Z${COMPRESS:-xz}" --build "$tree" "$4/$1_$version-1_$architecture.deb"
}

extension() { # MAJOR FOLDER OUT
  local name=postgresql-$1-coopembed lib=/usr/lib/postgresql/$1/lib share=/usr/share/postgresql/$1 file
  copied 644 "$2/coopembed.so" "$lib/coopembed.so"
  stripped "$tree$lib/coopembed.so"
  for file in "$2"/coopembed.control "$2"/coopembed--*.sql; do
    copied 644 "$file" "$share/extension/$(basename "$file")"
  done
  for file in {clothes,emoji}/{config.json,model.safetensors,README.md}; do
    copied 644 "$root/model/$file" "$share/coopembed/$file"
  done
  documents "$name"
  package "$name" database "postgresql-$1, $(libraries "$tree$lib/coopembed.so")" "$3" <<END
cooperative embeddings of images for PostgreSQL $1
coopembed holds a trained cooperative embedding model inside the server, embeds
images in SQL, and answers "this very product", "anything with a v-neck",
"any blouse" and any weighted mix of them from one vector column and one index.

After CREATE EXTENSION coopembed, the model of clothes that comes with it is loaded by
SELECT coop_load_model('clothes', '$share/coopembed/clothes').
END
}

program() { # PROGRAM OUT
  copied 755 "$1" /usr/bin/coopembed
  stripped "$tree/usr/bin/coopembed"
  documents coopembed
  package coopembed science "$(libraries "$tree/usr/bin/coopembed")" "$2" <<END
trains and evaluates cooperative embedding models
Prepares data sets of labelled images, trains cooperative embedding models on
them, evaluates and reports what they retrieve, and shows a table of images in
PostgreSQL as a web page ("coopembed serve"). The models are for the
extension coopembed of PostgreSQL.
END
}

case ${1:-} in
  extension) extension "$2" "$3" "$4" ;;
  program) program "$2" "$3" ;;
  *) sed -n '2,5s/^# \?//p' "${BASH_SOURCE[0]}" >&2; exit 1 ;;
esac
