// The search box: words of the vocabulary, typed as a sentence ("floral dress with long sleeves"), become terms of the search.
import { button, byId, el } from "./dom.js";
import { addTerms, termTitle } from "./query_terms.js";

// Words that mean nothing to the model.
const FILLERS = new Set("a an and any anything but for in like of or some something that the this with".split(" "));

// Most entries that are offered for a word that fits none exactly.
const MAX_OFFERED = 8;

const normalized = text => text.toLowerCase().replace(/[-_\s]+/g, " ").trim();

// Regular English plurals of a name.
const plurals = name => [`${name}s`, `${name}es`, name.replace(/y$/, "ies")].filter(plural => plural !== name);

// What can be typed for an entry, in decreasing order of exactness: its name, the name with that of its attribute, a plural.
function phrases({ term, name }) {
  if (term.kind === "category") return [[name, `${name} category`, `category ${name}`], [], plurals(name)];
  const attribute = normalized(term.attribute);
  const singular = attribute.replace(/s$/, "");
  const names = [...new Set([attribute, singular, `${singular}s`])];
  return [[name], names.flatMap(a => [`${name} ${a}`, `${a} ${name}`]), plurals(name)];
}

// An index of the vocabulary: what can be typed, with the entries that it means. An exact name hides the less exact ones.
export function phraseIndex(entries) {
  const index = new Map();
  for (const exactness of [0, 1, 2]) {
    const added = new Map();
    for (const { term, name } of entries) {
      for (const phrase of phrases({ term, name: normalized(name) })[exactness]) {
        if (!index.has(phrase)) added.set(phrase, [...(added.get(phrase) || []), term]);
      }
    }
    for (const [phrase, terms] of added) index.set(phrase, terms);
  }
  return index;
}

// Splits a text into the longest phrases of the index: `terms` that are clear, `choices` where a phrase means several, `unknown` words.
export function parseWords(text, index) {
  const words = normalized(text.replace(/[,;:.!?"“”]/g, " ")).split(" ").filter(Boolean);
  const longest = Math.max(1, ...[...index.keys()].map(phrase => phrase.split(" ").length));
  const found = { terms: [], choices: [], unknown: [] };
  for (let at = 0; at < words.length;) {
    let length = Math.min(longest, words.length - at);
    while (length > 0 && !index.has(words.slice(at, at + length).join(" "))) length--;
    const phrase = words.slice(at, at + Math.max(length, 1)).join(" ");
    const terms = index.get(phrase);
    if (terms?.length === 1) found.terms.push(terms[0]);
    else if (terms) found.choices.push({ phrase, terms });
    else if (!FILLERS.has(phrase)) found.unknown.push(phrase);
    at += Math.max(length, 1);
  }
  return found;
}

let index, entries;

// `vocabulary` lists the entries that can be searched for, each with its term and name.
export function init(vocabulary) {
  entries = vocabulary;
  index = phraseIndex(entries);
  const titles = new Set(entries.map(({ term, name }) => (index.get(normalized(name)).length > 1 ? `${name} ${term.attribute ?? "category"}` : name)));
  byId("words-list").replaceChildren(...[...titles].map(value => el("option", { value })));
  const box = byId("words");
  box.placeholder = example();
  byId("word-search").addEventListener("submit", event => {
    event.preventDefault();
    const { terms, choices, unknown } = parseWords(box.value, index);
    if (terms.length) addTerms(terms);
    box.value = [...choices.map(choice => choice.phrase), ...unknown].join(" ");
    byId("words-answer").replaceChildren(...choices.map(offer), ...unknown.map(word => offer(similar(word))));
    box.focus();
  });
}

// An example of what can be typed: the most frequent category after the most frequent value, of those whose name says it all.
function example() {
  const isClear = ({ name }) => index.get(normalized(name)).length === 1;
  const first = kind => entries.filter(e => e.term.kind === kind && isClear(e)).reduce((best, e) => (best && best.images >= e.images ? best : e), null);
  const words = [first("value"), first("category")].filter(Boolean).map(e => e.name);
  return words.length ? `such as: ${words.join(" ")}` : "";
}

// The entries that contain a word that is no phrase.
function similar(word) {
  const terms = entries.filter(({ name }) => normalized(name).includes(word) || word.includes(normalized(name)) || name.slice(0, 4) === word.slice(0, 4));
  return { phrase: word, terms: terms.slice(0, MAX_OFFERED).map(e => e.term) };
}

// Asks which entry was meant.
function offer({ phrase, terms }) {
  if (!terms.length) return el("p", null, `The model has no word like “${phrase}”. The vocabulary below has all of them.`);
  const chips = terms.map(term => button(termTitle(term), () => {
    addTerms([term]);
    byId("words").value = "";
    byId("words-answer").replaceChildren();
    byId("words").focus();
  }, { class: "chip" }));
  return el("div", { class: "offer" }, el("p", null, `“${phrase}”: which one?`), el("div", { class: "chips", role: "group", "aria-label": `Meanings of ${phrase}` }, chips));
}
