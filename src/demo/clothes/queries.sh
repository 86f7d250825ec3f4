# The demo of clothes: what its page says of the images, the columns of its answers, and its queries; sourced by demo.sh.
ABOUT='Garments drawn by "coopembed data garments". The model was trained on none of them.'
[ -z "${photos:-}" ] || ABOUT="Photographs by people of whom the model has seen none (github.com/alexeygrigorev/clothing-dataset, CC0)."
COLUMNS='name'
CAPTION="name"

queries() {
  # A striped polo. Of the photographs, a striped garment with short sleeves of which there are two.
  local id=195 garment
  [ -z "${photos:-}" ] || id=$(psql_ -Atc "SELECT min(id) FROM products WHERE pattern = 'striped' AND sleeves = 'short'
    AND garment IN (SELECT garment FROM products GROUP BY garment HAVING count(*) > 1)")
  garment="(SELECT emb FROM products WHERE id = $id)"
  answer "This very garment (instance)" "emb <-> $garment" "$id"
  answer "Anything with a v-neck (attribute)" "emb <-> coop_attr_query('neckline', 'v-neck')"
  answer "Any dress (category)" "emb <-> coop_category_query('dress')"
  answer "This one, but with long sleeves" \
    "emb <-> (SELECT coop_like(r) + 4 * coop_like(r, 'sleeves') FROM coop_replace($garment, 'sleeves', 'long') r)" "$id"
  answer "Floral and of knee length, weighted" "emb <-> coop_attr_query('pattern', 'floral') + 2 * coop_attr_query('length', 'knee')"
  tags "What the model sees in an image" "$id"
}
