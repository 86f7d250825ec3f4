// The words of the model: values of its attributes, and categories.
import { button, byId, el } from "./dom.js";
import { isAsked, toggleWord } from "./query_terms.js";

// So many words of a group are shown without being asked for.
const FEW = 8;

let groups = [];

export function start(page) {
  const { attributes, categories } = page.about;
  const word = (word, { name, images, own }) => {
    const title = own ? "defined here" : `${images.toLocaleString("en")} training images`;
    return { word, name, chip: button(name, () => toggleWord(word), { class: "chip", title }) };
  };
  groups = attributes.map(a => ({
    name: a.name, words: a.values.map(v => word({ kind: "value", attribute: a.name, value: v.name }, v)),
  }));
  groups.push({ name: "category", words: categories.map(c => word({ kind: "category", name: c.name }, c)) });
  groups = groups.filter(g => g.words.length);
  for (const group of groups) {
    const chips = el("div", { class: "chips", role: "group", "aria-label": group.name }, group.words.map(w => w.chip));
    group.node = el("details", { open: group.words.length <= FEW && groups.length <= FEW },
      el("summary", null, group.name, " ", el("span", { class: "soft" }, `(${group.words.length})`)), chips);
    group.wasOpen = group.node.open;
  }
  byId("words").replaceChildren(...groups.map(g => g.node));
  byId("word").addEventListener("input", find);
  // In a narrow window the pictures would be far below.
  byId("vocabulary").open = !matchMedia("(max-width: 820px)").matches;
  draw();
}

// Words whose name, or whose attribute's name, holds all that was typed.
function find() {
  const typed = byId("word").value.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = text => typed.every(part => text.toLowerCase().includes(part));
  let found = 0;
  for (const group of groups) {
    if (!group.found) group.wasOpen = group.node.open;
    let shown = 0;
    for (const { name, chip } of group.words) {
      chip.hidden = !fits(`${group.name} ${name}`);
      if (!chip.hidden) shown++;
    }
    group.node.hidden = shown === 0;
    group.found = typed.length > 0;
    group.node.open = group.found || group.wasOpen;
    found += shown;
  }
  byId("no-word").hidden = found > 0;
}

export function draw() {
  for (const { words } of groups) for (const { word, chip } of words) chip.setAttribute("aria-pressed", String(isAsked(word)));
}
