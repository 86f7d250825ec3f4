// The search box: a description ("floral dress, long sleeves, not black") is one term of the search. The server reads it (coop_query); what
// it understood is shown below the box, with what can be chosen where a phrase means several things or nothing.
import { button, byId, el, errorBox, request } from "./dom.js";
import { setDescription } from "./query_terms.js";

// Most names that are offered for a word that means nothing.
const MAX_OFFERED = 8;

let page, entries, asked;
const box = byId("words");

// `vocabulary` lists the entries that can be searched for, each with its term and name.
export function init(state, vocabulary) {
  [page, entries] = [state, vocabulary];
  byId("word-search").hidden = !page.about.has_descriptions;
  byId("words-list").replaceChildren(...[...new Set(entries.map(e => e.name))].map(value => el("option", { value })));
  box.placeholder = example();
  byId("word-search").addEventListener("submit", event => { event.preventDefault(); submit(box.value.trim()); });
  draw();
}

// Shows what the search holds: after Back, a bookmark, or the removal of the term, the box has another text.
export function draw() {
  const text = page.terms.find(term => term.kind === "description")?.text ?? "";
  if (!page.about.has_descriptions || text === asked) return;
  // Words that mean nothing are no term, and stay for mending.
  if (text || asked) box.value = text;
  asked = text;
  if (text) explain(text);
  else byId("words-answer").replaceChildren();
}

// Searches for a description, as far as it means something.
async function submit(text) {
  asked = text;
  byId("words-answer").replaceChildren();
  const meanings = text ? await explain(text) : [];
  if (!meanings || asked !== text) return;
  if (!meanings.length) asked = "";
  setDescription(meanings.length ? text : "");
  box.focus();
}

// Asks what is understood of a text and shows it. Null if the server failed.
async function explain(text) {
  try {
    const { meanings, unknown } = await request(`/api/description?text=${encodeURIComponent(text)}`);
    const phrases = [...new Set(meanings.map(m => m.phrase))];
    const nodes = phrases.map(phrase => phraseNode(phrase, meanings.filter(m => m.phrase === phrase)));
    byId("words-answer").replaceChildren(nodes.length ? el("ul", null, nodes) : "", ...unknown.map(unknownNode));
    return meanings;
  } catch (error) {
    byId("words-answer").replaceChildren(errorBox(error));
    return null;
  }
}

const title = ({ attribute, value, category }) => (category != null ? `category: ${category}` : value != null ? `${attribute}: ${value}` : `no ${attribute}`);

// What a phrase means, with its weight; if that is several things, buttons that say which.
function phraseNode(phrase, meanings) {
  const titles = [...new Set(meanings.map(title))];
  const { negated, weight } = meanings[0];
  const said = `${negated ? "not " : ""}${titles.join(" and ")}`;
  const weighted = weight === 1 ? said : `${said} (× ${+weight.toFixed(2)})`;
  if (titles.length === 1) return el("li", null, weighted);
  const choose = meaning => replaceWords(phrase, `${phrase} ${meaning.attribute ?? "category"}`);
  const chips = titles.map(t => button(t, () => choose(meanings.find(m => title(m) === t)), { class: "chip" }));
  return el("li", { class: "offer" }, el("p", null, `“${phrase}” means each of these: which one?`),
    el("div", { class: "chips", role: "group", "aria-label": `Meanings of ${phrase}` }, chips));
}

// Names that resemble a word that means nothing.
function unknownNode(word) {
  const near = entries.map(e => e.name).filter(name => name.toLowerCase().includes(word) || word.includes(name.toLowerCase()) || name.slice(0, 4) === word.slice(0, 4));
  const names = [...new Set(near)].slice(0, MAX_OFFERED);
  if (!names.length) return el("p", null, `The model has no word like “${word}”. The vocabulary below has all of them.`);
  const chips = names.map(name => button(name, () => replaceWords(word, name), { class: "chip" }));
  return el("div", { class: "offer" }, el("p", null, `The model does not know “${word}”. Is it one of these?`),
    el("div", { class: "chips", role: "group", "aria-label": `Words like ${word}` }, chips));
}

// Puts other words in the place of a phrase, which came back in lower case and without hyphens, and searches again.
function replaceWords(phrase, by) {
  const words = phrase.split(" ").map(word => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  box.value = box.value.replace(new RegExp(words.join("[\\s\\p{Pd}_]+"), "iu"), () => by);
  submit(box.value.trim());
}

// An example of what can be typed: the most frequent value before the most frequent category, of those whose name is that of nothing else.
function example() {
  const isClear = ({ name }) => entries.filter(e => e.name === name).length === 1;
  const first = kind => entries.filter(e => e.term.kind === kind && isClear(e)).reduce((best, e) => (best && best.images >= e.images ? best : e), null);
  const words = [first("value"), first("category")].filter(Boolean).map(e => e.name);
  return words.length ? `such as: ${words.join(" ")}` : "";
}
