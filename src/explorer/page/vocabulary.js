// The model's vocabulary: attribute values and categories as buttons that add them to the search.
import { button, byId, el } from "./dom.js";
import { isInSearch, toggleTerm } from "./query_terms.js";
import * as wordSearch from "./word_search.js";

// Groups with up to this many entries are unfolded at first.
const MAX_UNFOLDED = 8;

let groups = [];

export function init(page) {
  const { attributes, categories } = page.about;
  const entry = (term, { name, images, own }) => {
    const title = own ? "defined by users of this database" : `${images.toLocaleString("en")} training images`;
    return { term, name, images, chip: button(name, () => toggleTerm(term), { class: "chip", title }) };
  };
  groups = attributes.map(a => ({
    name: a.name, entries: a.values.map(v => entry({ kind: "value", attribute: a.name, value: v.name }, v)),
  }));
  groups.push({ name: "category", entries: categories.map(c => entry({ kind: "category", name: c.name }, c)) });
  groups = groups.filter(g => g.entries.length);
  groups.filter(isOfColours).forEach(addSwatches);
  for (const group of groups) {
    const chips = el("div", { class: "chips", role: "group", "aria-label": group.name }, group.entries.map(e => e.chip));
    group.node = el("details", { open: group.entries.length <= MAX_UNFOLDED && groups.length <= MAX_UNFOLDED },
      el("summary", null, group.name, " ", el("span", { class: "soft" }, `(${group.entries.length})`)), chips);
    group.wasOpen = group.node.open;
  }
  byId("vocabulary-groups").replaceChildren(...groups.map(g => g.node));
  byId("vocabulary-filter").addEventListener("input", filter);
  // In a narrow window the vocabulary would push the rows far down.
  byId("vocabulary").open = !matchMedia("(max-width: 820px)").matches;
  wordSearch.init(page, groups.flatMap(g => g.entries));
  draw();
}

const isColour = ({ name }) => CSS.supports("color", name);
// Whether most values of an attribute are names of colours.
const isOfColours = group => group.name !== "category" && 2 * group.entries.filter(isColour).length > group.entries.length;

// A sample of its colour before each name; of several colours where the name is of none ("multi").
function addSwatches(group) {
  for (const entry of group.entries) {
    const swatch = el("i", { class: isColour(entry) ? "swatch" : "swatch several", "aria-hidden": "true" });
    if (isColour(entry)) swatch.style.background = entry.name;
    entry.chip.prepend(swatch);
  }
}

// Shows the entries that contain every typed word in their own or their attribute's name.
function filter() {
  const typed = byId("vocabulary-filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = text => typed.every(part => text.toLowerCase().includes(part));
  let found = 0;
  for (const group of groups) {
    if (!group.filtered) group.wasOpen = group.node.open;
    let shown = 0;
    for (const { name, chip } of group.entries) {
      chip.hidden = !matches(`${group.name} ${name}`);
      if (!chip.hidden) shown++;
    }
    group.node.hidden = shown === 0;
    group.filtered = typed.length > 0;
    group.node.open = group.filtered || group.wasOpen;
    found += shown;
  }
  byId("vocabulary-empty").hidden = found > 0;
}

export function draw() {
  for (const { entries } of groups) for (const { term, chip } of entries) chip.setAttribute("aria-pressed", String(isInSearch(term)));
}
