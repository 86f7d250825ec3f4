#!/usr/bin/env bash
# The demo, in a PostgreSQL cluster of its own: loads a shipped model, embeds a gallery of images in SQL, answers a few queries, and writes
# target/demo/index.html with the images of the answers.
# usage: demo.sh [--photos DIR] [stop]
#   MODEL=emoji     the emoji instead of the clothes
#   --photos DIR    the photographs of the clothes set's test half, from a checkout of their repository (see "coopembed data clothes --help")
source "$(dirname "$0")/../../tests/tools/lib.sh"
find_postgres

MODEL=${MODEL:-clothes}
here=$ROOT/src/demo/$MODEL
[ -d "$here" ] || die "there is no demo of \"$MODEL\"; there is one of clothes and one of emoji"
source "$here/queries.sh"
photos=
if [ "${1:-}" = --photos ]; then
  photos=${2:?--photos needs a folder}
  shift 2
  [ "$MODEL" = clothes ] || die "--photos is for clothes"
fi

# Outside the checkout, which may lie where the server's user cannot read.
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

gallery=$here/gallery
if [ -n "$photos" ]; then
  say "preparing the photographs"
  make -C "$ROOT" cli
  "$TARGET/release/coopembed" data clothes --photos "$photos" --out "$TARGET/demo/gallery" >/dev/null
  gallery=$TARGET/demo/gallery # not "clothes", which is the name of the model's folder
  # What photographs are called: their colour, pattern and category.
  awk -F, -v OFS=, '
    NR == 1 { print "id,garment,name,category,neckline,sleeves,pattern,closure,length,colour,material,path"; next }
    $4 != "train" {
      pattern = $8 == "plain" || $8 == "other" ? "" : " " $8
      print ++id, $2, $11 pattern " " $3, $3, $6, $7, $8, $9, $10, $11, $12, $1
    }' "$gallery/images.csv" >"$gallery/products.csv"
fi

products=$gallery/products.csv
say "starting a cluster of its own in $DEMO"
mkdir -p "$DEMO"
chmod 755 "$DEMO"
if [ -f "$DEMO/data/postmaster.pid" ]; then stop_cluster "$DEMO"; fi # a running one still has the old library
start_cluster "$DEMO"
gallery=$(for_server "$DEMO" "$gallery")
model=$(for_server "$DEMO" "$ROOT/model/$MODEL")
database=$MODEL${photos:+_photos}
# A database that an earlier run made of another model or gallery would answer with both.
made_of=$(cat "$ROOT/model/$MODEL"/{config.json,model.safetensors} "$here/load.sql" "$products" | sha256sum)
if [ "$(cat "$DEMO/$database.made-of" 2>/dev/null)" != "$made_of" ]; then
  "$BIN/dropdb" --if-exists --force "$database"
  "$BIN/createdb" "$database"
  echo "$made_of" >"$DEMO/$database.made-of"
fi
export PGDATABASE=$database PGOPTIONS="-c client_min_messages=warning"

psql_ -v gallery="$gallery" -v model="$model" -f "$here/load.sql"

total=$(psql_ -Atc "SELECT count(*) FROM products")
say "embedding $total images: CALL coop_embed_table('products', 'image', 'emb')"
PGOPTIONS="-c client_min_messages=notice" psql_ -c "CALL coop_embed_table('products', 'image', 'emb')"

html() { sed 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g' <<<"$1"; }

mkdir -p "$ROOT/target/demo"
page=$ROOT/target/demo/index.html
cat >"$page" <<'HTML'
<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>coopembed demo</title>
<style>
body { font: 16px/1.45 system-ui, sans-serif; margin: 0 auto; padding: 24px; max-width: 1240px; color: #1b2330; background: #f6f7f9 }
h1 { font-size: 26px; margin: 0 0 4px } h2 { font-size: 19px; margin: 0 }
section { background: #fff; border: 1px solid #d9dee6; border-radius: 12px; padding: 16px 20px; margin: 18px 0 }
pre { background: #e8ecf2; border-radius: 8px; padding: 10px 12px; margin: 8px 0 12px; font: 13px/1.5 ui-monospace, Menlo, Consolas, monospace; white-space: pre-wrap }
.row { display: grid; grid-template-columns: repeat(auto-fill, minmax(112px, 1fr)); gap: 10px }
figure { margin: 0; font-size: 12.5px; line-height: 1.3; color: #5a6577 } table { grid-column: span 4 }
img { width: 100%; aspect-ratio: 1; object-fit: cover; border-radius: 8px; display: block; margin-bottom: 4px; background: #fff }
.query img { outline: 3px solid #2f5fb3; outline-offset: -3px } td { padding: 1px 14px 1px 0; font-size: 14px }
</style><h1>One column, every question</h1>
HTML
printf '<p>%s</p>\n' "$(html "$ABOUT")" >>"$page"

# answer TITLE ORDER [ID]: prints the answer to a query and adds its images to the page; ID is the image that the query is made of.
answer() {
  local query="SELECT id, $COLUMNS FROM products ORDER BY $2 LIMIT 8"
  say "$1"
  printf '%s;\n' "$query"
  psql_ -P footer=off -c "$query"
  printf '<section><h2>%s</h2><pre>%s;</pre><div class="row">\n' "$(html "$1")" "$(html "$query")" >>"$page"
  [ -z "${3:-}" ] || images "SELECT * FROM products WHERE id = $3" query
  images "SELECT * FROM products ORDER BY $2 LIMIT 8" answer
  echo '</div></section>' >>"$page"
}

# tags TITLE ID: prints what the model says about an image, and adds it to the page.
tags() {
  local query="SELECT attribute, tag ->> 'value' AS value, round((tag ->> 'probability')::numeric, 2) AS probability
FROM products, coop_tags(emb) tags,
     jsonb_each(jsonb_build_object('category', tags -> 'category') || (tags -> 'attributes')) AS t(attribute, tag)
WHERE id = $2 AND tag ->> 'value' IS NOT NULL ORDER BY probability DESC"
  say "$1"
  printf '%s;\n' "$query"
  psql_ -P footer=off -c "$query"
  printf '<section><h2>%s</h2><pre>%s;</pre><div class="row">\n' "$(html "$1")" "$(html "$query")" >>"$page"
  images "SELECT * FROM products WHERE id = $2" query
  { psql_ -P footer=off -Hc "$query" | sed 's/ border="1"//'; echo '</div></section>'; } >>"$page"
}

# images QUERY CLASS: adds the images of a query's rows to the page.
images() {
  psql_ -Atc "SELECT format('<figure class=%s><img alt=\"\" src=\"data:%s;base64,%s\">%s</figure>', '$2',
    CASE WHEN substr(image, 1, 2) = '\xffd8' THEN 'image/jpeg' ELSE 'image/png' END,
    translate(encode(image, 'base64'), E'\n', ''), $CAPTION) FROM ($1) p" >>"$page"
}
queries

cat <<EOF

The images of each answer, in rank order:  $page
Run queries of your own:                   $BIN/psql -h $DEMO -U postgres $database
Search in a browser (after "make cli"):    $TARGET/release/coopembed serve --db "host=$DEMO user=postgres dbname=$database" --table products
Stop and remove its cluster:               make demo-stop
EOF
