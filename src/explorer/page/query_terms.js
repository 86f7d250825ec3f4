// The search: a list of terms, each of which can be weighted and removed.
import { button, byId, el, select } from "./dom.js";

let page;
const list = byId("terms");

export function init(state) {
  page = state;
  byId("clear").onclick = () => { page.terms = []; changed(byId("search-title")); };
  draw();
}

// The terms as POST /api/search takes them.
export function requestTerms() {
  return page.terms.map(term => {
    const { kind, attribute, value, name, id, key, weight } = term;
    if (kind === "value") return { kind, attribute, value, weight };
    if (kind === "category") return { kind, name, weight };
    if (kind === "description") return { kind, text: term.text, weight };
    const weights = Object.entries(term.weights);
    const matching = { weights: weights.every(([, w]) => w === 1) ? null : weights, replacements: term.replacements };
    return kind === "like" ? { kind, id, matching } : { kind, key, matching };
  });
}

// The valid terms of a list that came from the page's address, which anyone may have written.
export function validTerms(list) {
  const areTexts = (...values) => values.every(value => typeof value === "string");
  const isMatching = t => t.weights !== null && typeof t.weights === "object" && Object.values(t.weights).every(Number.isFinite)
    && Array.isArray(t.replacements) && t.replacements.every(r => Array.isArray(r) && areTexts(...r) && r.length === 2);
  const isValid = {
    value: t => areTexts(t.attribute, t.value) && Number.isFinite(t.weight),
    category: t => areTexts(t.name) && Number.isFinite(t.weight),
    description: t => areTexts(t.text) && Number.isFinite(t.weight),
    like: t => areTexts(t.id) && isMatching(t),
    image: t => areTexts(t.key) && isMatching(t),
  };
  return (Array.isArray(list) ? list : []).filter(t => t && Object.hasOwn(isValid, t.kind) && isValid[t.kind](t));
}

const allAttributes = () => Object.fromEntries(page.about.attributes.map(a => [a.name, 1]));

// Searches for rows like an image (of a row, or dropped). It replaces the images in the search, unless `keepOthers`.
export function addImageTerm(term, keepOthers) {
  const isImageTerm = t => t.kind === "like" || t.kind === "image";
  const added = { weights: allAttributes(), replacements: [], ...term };
  page.terms = [...page.terms.filter(t => keepOthers ? t.id == null || t.id !== added.id : !isImageTerm(t)), added];
  changed();
  return added;
}

const isSameWord = (a, b) => a.kind === b.kind && a.attribute === b.attribute && a.value === b.value && a.name === b.name;
export const isInSearch = term => page.terms.some(t => isSameWord(t, term));

// Adds an attribute value or a category to the search, or removes it.
export function toggleTerm(term) {
  const others = page.terms.filter(t => !isSameWord(t, term));
  page.terms = others.length < page.terms.length ? others : [...page.terms, { ...term, weight: 1 }];
  changed();
}

// A description beside an image, which asks for something in every attribute, would drown at weight 1.
const DESCRIPTION_WEIGHT_BESIDE_IMAGE = 3;

// Puts a description into the search, in the place of the one that is there; an empty one only takes that out.
export function setDescription(text) {
  const isDescription = term => term.kind === "description";
  const before = page.terms.find(isDescription);
  if (text === (before?.text ?? "")) return;
  const others = page.terms.filter(term => !isDescription(term));
  const hasImage = others.some(term => term.kind === "like" || term.kind === "image");
  const weight = before?.weight || (hasImage ? DESCRIPTION_WEIGHT_BESIDE_IMAGE : 1);
  page.terms = text ? [...others, { kind: "description", text, weight }] : others;
  changed();
}

function remove(term) {
  const at = page.terms.indexOf(term);
  page.terms = page.terms.filter(t => t !== term);
  changed(null, Math.min(at, page.terms.length - 1));
}

// Draws the list again and searches. `focusTerm` is the index of the term to focus after a removal; -1 if none is left.
function changed(focus, focusTerm) {
  page.limit = page.about.limit;
  draw();
  if (focusTerm >= 0) list.children[focusTerm].querySelector(".remove").focus();
  else if (focus || focusTerm === -1) byId("search-title").focus();
  page.changed();
}

export function draw() {
  const open = new Set(page.terms.filter(t => t.node?.querySelector("details[open]")));
  list.replaceChildren(...page.terms.map(term => {
    term.node = termNode(term);
    if (open.has(term)) term.node.querySelector("details").open = true;
    return term.node;
  }));
  byId("no-terms").hidden = page.terms.length > 0;
  byId("clear").hidden = page.terms.length < 2;
}

const termTitle = term => ({
  value: () => `${term.attribute}: ${term.value}`,
  category: () => `category: ${term.name}`,
  description: () => `“${term.text}”`,
  like: () => term.title || term.id,
  image: () => term.title,
})[term.kind]();

function termNode(term) {
  const removeButton = button("×", () => remove(term), { class: "remove", "aria-label": `Remove: ${termTitle(term)}` });
  if (["value", "category", "description"].includes(term.kind)) {
    return el("li", { class: "term" }, el("div", { class: "head" }, el("strong", null, termTitle(term)), removeButton),
      slider("weight", termTitle(term), term.weight, weight => { term.weight = weight; }));
  }
  const src = term.kind === "image" ? `/dropped/${encodeURIComponent(term.key)}` : page.imageAddress(term.id);
  return el("li", { class: "term" },
    el("div", { class: "head" }, src ? el("div", { class: "frame" }, el("img", { src, alt: "" })) : null,
      el("div", { class: "grow" }, el("strong", null, term.kind === "image" ? "Like your image" : "Like this one"), el("small", null, termTitle(term))), removeButton),
    matching(term), replacements(term));
}

function slider(name, of, value, set) {
  const output = el("output", null, String(value));
  const input = el("input", {
    type: "range", min: 0, max: 3, step: 0.25, value, "aria-label": `Weight of ${of}`,
    oninput: event => {
      const weight = +event.target.value;
      output.textContent = weight === 0 ? "off" : String(weight);
      set(weight);
      page.changedSoon();
    },
  });
  if (value === 0) output.textContent = "off";
  return el("label", { class: "slider" }, el("span", { title: name }, name), input, output);
}

// One line that says which attributes count.
function matchingSummary(term) {
  const on = Object.entries(term.weights).filter(([, w]) => w > 0);
  if (on.length === 0) return "Match no attribute (off)";
  if (on.length === Object.keys(term.weights).length && on.every(([, w]) => w === 1)) return "Match all attributes";
  const names = on.map(([name, w]) => (w === 1 ? name : `${w} × ${name}`));
  return "Match " + names.slice(0, 4).join(", ") + (names.length > 4 ? ` and ${names.length - 4} more` : "");
}

// The weights of the attributes in which an image is matched.
function matching(term) {
  const summary = el("summary", null, matchingSummary(term));
  const sliders = el("div", { class: "sliders" });
  const drawSliders = () => sliders.replaceChildren(...Object.keys(term.weights).map(name =>
    slider(name, name, term.weights[name], weight => { term.weights[name] = weight; summary.textContent = matchingSummary(term); })));
  const setAll = weight => () => {
    for (const name of Object.keys(term.weights)) term.weights[name] = weight;
    summary.textContent = matchingSummary(term);
    drawSliders();
    page.changed();
  };
  drawSliders();
  return el("details", { class: "matching" }, summary, el("p", null, button("All", setAll(1)), " ", button("None", setAll(0))), sliders);
}

// "Change one thing": attribute values to search for instead of the image's own (coop_replace).
function replacements(term) {
  const attributes = page.about.attributes.filter(a => a.values.length);
  const valueChooser = el("span");
  const attribute = select("Attribute to change", attributes.map(a => a.name), "Change one thing…", () => {
    const chosen = attributes.find(a => a.name === attribute.value);
    if (!chosen) return valueChooser.replaceChildren();
    const value = select(`New value of ${chosen.name}`, chosen.values.map(v => v.name), null, null);
    valueChooser.replaceChildren(value, " ", button("Change", () => {
      term.replacements = [...term.replacements.filter(([name]) => name !== chosen.name), [chosen.name, value.value]];
      changed();
      term.node.querySelector(".replacements select").focus();
    }));
  });
  const item = ([name, value]) => el("li", null, `but with ${name}: ${value} `, button("×", () => {
    term.replacements = term.replacements.filter(([other]) => other !== name);
    changed();
    term.node.querySelector(".replacements select").focus();
  }, { class: "remove", "aria-label": `Undo the change of ${name}` }));
  return el("div", { class: "replacements" }, term.replacements.length ? el("ul", null, term.replacements.map(item)) : null, attribute, " ", valueChooser);
}
