#!/usr/bin/env bash
# The demo, in a PostgreSQL cluster of its own: loads the shipped model, embeds the bundled gallery in SQL, answers one query of each kind, and writes
# target/demo/index.html with the images of the answers. usage: demo.sh [stop]
source "$(dirname "$0")/../../tests/tools/lib.sh"
find_postgres

# Outside the checkout, which may lie where the server's user cannot read.
DEMO_ID=41 # a pool ball
DEMO=${COOPEMBED_DEMO:-/var/tmp/coopembed-demo-$(id -un)}
if [ "${1:-}" = stop ]; then
  [ -d "$DEMO/data" ] || die "there is no demo in $DEMO"
  stop_cluster "$DEMO"
  rm -rf "$DEMO"
  echo "stopped, and removed $DEMO"
  exit
fi

say "building and installing the extension (release; minutes the first time)"
install_extension --release

say "starting a cluster of its own in $DEMO"
mkdir -p "$DEMO"
chmod 755 "$DEMO"
if [ -f "$DEMO/data/postmaster.pid" ]; then stop_cluster "$DEMO"; fi # a running one still has the old library
start_cluster "$DEMO"
gallery=$(for_server "$DEMO" "$ROOT/src/demo/gallery")
model=$(for_server "$DEMO" "$ROOT/model/emoji")
psql_ -d postgres -Atc "SELECT 1 FROM pg_database WHERE datname = 'demo'" | grep -q 1 || "$BIN/createdb" demo
export PGDATABASE=demo PGOPTIONS="-c client_min_messages=warning"

psql_ -v gallery="$gallery" -v model="$model" -f "$ROOT/src/demo/load.sql"

total=$(psql_ -Atc "SELECT count(*) FROM products")
say "embedding $total images: CALL coop_embed_table('products', 'image', 'emb')"
PGOPTIONS="-c client_min_messages=notice" psql_ -c "CALL coop_embed_table('products', 'image', 'emb')"

mkdir -p "$ROOT/target/demo"
page=$ROOT/target/demo/index.html
cat >"$page" <<'HTML'
<!doctype html><meta charset="utf-8"><title>coopembed demo</title>
<style>body{font:16px/1.4 sans-serif;margin:2em;color:#222}h2{margin:1.6em 0 .2em}code{background:#f3f3f3;padding:.2em .4em}
figure{display:inline-block;margin:.6em .6em 0 0;width:128px;vertical-align:top;font-size:12px}img{width:128px;height:128px}
.query img{outline:3px solid #36c}</style><h1>One column, every question</h1>
<p>Answers in rank order from the bundled gallery. Designers and licences of the images: src/demo/gallery/README.md.</p>
HTML

# answer TITLE ORDER [ID]: prints the answer to a query and adds its images to the page; ID is the image that the query is made of.
answer() {
  local query="SELECT id, name, designer, category FROM products ORDER BY $2 LIMIT 8"
  say "$1"
  printf '%s;\n' "$query"
  psql_ -P footer=off -c "$query"
  printf '<h2>%s</h2><p><code>%s</code></p>\n' "$1" "$(sed 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g' <<<"$query")" >>"$page"
  [ -z "${3:-}" ] || images "SELECT * FROM products WHERE id = $3" query
  images "SELECT * FROM products ORDER BY $2 LIMIT 8" answer
}
images() {
  psql_ -Atc "SELECT format('<figure class=%s><img src=\"data:image/png;base64,%s\">%s<br>%s</figure>', '$2',
    translate(encode(image, 'base64'), E'\n', ''), name, designer) FROM ($1) p" >>"$page"
}
one="(SELECT emb FROM products WHERE id = $DEMO_ID)"
answer "This very thing, by another designer (instance)" "emb <-> $one" "$DEMO_ID"
answer "Anything with this attribute value" "emb <-> coop_attr_query('hue', 'green')"
answer "Anything of this category" "emb <-> coop_category_query('transport-ground')"
answer "The same hue as this one, nothing else matters" "emb <-> coop_like($one, 'hue')" "$DEMO_ID"
answer "Several at once, weighted" "emb <-> coop_attr_query('gender', 'woman') + 2 * coop_attr_query('skin_tone', '5')"

cat <<EOF

The images of each answer, in rank order:  $page
Run queries of your own:                   $BIN/psql -h $DEMO -U postgres demo
Search in a browser (after "make cli"):    $ROOT/target/release/coopembed serve --db "host=$DEMO user=postgres dbname=demo" --table products
Stop and remove its cluster:               make demo-stop
EOF
