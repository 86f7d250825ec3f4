# The demo of emoji: what its page says of the images, the columns of its answers, and its queries; sourced by demo.sh.
ABOUT="Emoji by several designers, whose names and licences are in src/demo/emoji/gallery/README.md. The model was trained on none of these emoji."
COLUMNS='name, designer, category'
CAPTION="name || ', ' || designer"

queries() {
  local ball="(SELECT emb FROM products WHERE id = 41)"
  answer "This very thing, by another designer (instance)" "emb <-> $ball" 41
  answer "Anything with this attribute value" "emb <-> coop_attr_query('hue', 'green')"
  answer "Anything of this category" "emb <-> coop_category_query('transport-ground')"
  answer "The same hue as this one, nothing else matters" "emb <-> coop_like($ball, 'hue')" 41
  answer "Several at once, weighted" "emb <-> coop_attr_query('gender', 'woman') + 2 * coop_attr_query('skin_tone', '5')"
  tags "What the model sees in an image" 41
}
