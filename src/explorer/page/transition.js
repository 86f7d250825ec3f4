// From one picture to another by small steps.
import { button, byId, choice, el, post, refusal, short, sqlBlock } from "./dom.js";
import { frame, named } from "./results.js";

// Where a path shall begin, until one says where it ends.
let page, beginning = null;
export function start(of) { page = of; }

const word = () => (beginning ? "To" : "From");
const label = name => `Steps ${word().toLowerCase()} here: ${name}`;

// On each picture, if the extension has the function.
export function pathButton(id, name) {
  if (!page.about.transition) return null;
  const press = () => {
    const here = { id, name }, from = beginning;
    beginning = from ? null : here;
    relabel();
    if (from) draw(from, here, "");
    else wait(here);
  };
  return button(`${word()} here`, press, { class: "path", "aria-label": label(name), "data-name": name });
}

function relabel() {
  for (const node of document.querySelectorAll("button.path")) {
    node.textContent = `${word()} here`;
    node.setAttribute("aria-label", label(node.dataset.name));
  }
}

function close() {
  beginning = null;
  relabel();
  byId("path").hidden = true;
  byId("results-title").focus();
}

function show(...tools) {
  byId("path").hidden = false;
  byId("steps").replaceChildren();
  byId("path-tools").replaceChildren(...tools);
}

function wait(from) {
  show(el("p", { role: "status" }, `From ${from.name}. Now choose “To here” on another picture. `, button("Close", close)));
}

async function draw(from, to, attribute) {
  const chooser = choice("Steps in which attribute", page.about.attributes.map(a => a.name), "everything", e => draw(from, to, e.target.value));
  chooser.value = attribute;
  const place = el("div");
  show(el("p", null, `From ${from.name} to ${to.name}, in `, chooser, " ", button("Close", close)), place);
  byId("path-title").focus();
  try {
    const answer = await post("/api/transition", { from: from.id, to: to.id, ...(attribute ? { attribute } : {}) });
    const hop = s => (s.distance == null ? null
      : el("span", { class: "hop" }, s.is_crossing ? el("b", null, `longest step ${short(s.distance)}`) : short(s.distance)));
    const step = s => {
      const name = named(answer.labels[s.id] || [], s.id);
      return el("li", { class: s.is_crossing ? "crossing" : null }, hop(s), el("figure", null, frame(s.id, name), el("figcaption", { title: name }, answer.labels[s.id]?.[0] || name)));
    };
    byId("steps").replaceChildren(...answer.steps.map(step));
    place.replaceChildren(el("details", null, el("summary", null, "the SQL of it"), sqlBlock("the steps", answer.sql)));
  } catch (error) {
    place.replaceChildren(refusal(error));
  }
}
