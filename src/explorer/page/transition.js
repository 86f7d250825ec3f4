// A path from one row to another in small steps (coop_transition).
import { button, byId, el, errorBox, post, select, sqlBlock, twoDecimals } from "./dom.js";
import { imageFrame, rowName } from "./tiles.js";

// `start` is the row that a path begins at, until the user chooses where it ends.
let page, start = null;
export function init(state) { page = state; }

const buttonText = () => (start ? "Find a path to here" : "Find a path from here");
const buttonLabel = name => `${buttonText()}: ${name}`;

// A button for each row, if the extension has coop_transition.
export function transitionButton(id, name) {
  if (!page.about.transition) return null;
  const press = () => {
    const row = { id, name }, from = start;
    start = from ? null : row;
    updateButtons();
    if (from) show(from, row, "");
    else waitForEnd(row);
  };
  return button(buttonText(), press, { class: "transition", "aria-label": buttonLabel(name), "data-name": name });
}

function updateButtons() {
  for (const node of document.querySelectorAll("button.transition")) {
    node.textContent = buttonText();
    node.setAttribute("aria-label", buttonLabel(node.dataset.name));
  }
}

function close() {
  start = null;
  updateButtons();
  byId("transition").hidden = true;
  byId("results-title").focus();
}

function openSection(...tools) {
  byId("transition").hidden = false;
  byId("steps").replaceChildren();
  byId("transition-tools").replaceChildren(...tools);
}

function waitForEnd(from) {
  openSection(el("p", { role: "status" }, `From ${from.name}. Now choose “Find a path to here” on another row. `, button("Close", close)));
}

async function show(from, to, attribute) {
  const chooser = select("Attribute of the path", page.about.attributes.map(a => a.name), "all attributes", event => show(from, to, event.target.value));
  chooser.value = attribute;
  const footer = el("div");
  openSection(el("p", null, `From ${from.name} to ${to.name}, by `, chooser, " ", button("Close", close)), footer);
  byId("transition-title").focus();
  try {
    const answer = await post("/api/transition", { from: from.id, to: to.id, ...(attribute ? { attribute } : {}) });
    const edge = s => (s.distance == null ? null
      : el("span", { class: "edge" }, s.is_crossing ? el("b", null, `longest step ${twoDecimals(s.distance)}`) : twoDecimals(s.distance)));
    const step = s => {
      const name = rowName(answer.labels[s.id] || [], s.id);
      return el("li", { class: s.is_crossing ? "crossing" : null },
        edge(s), el("figure", null, imageFrame(page, s.id, name), el("figcaption", { title: name }, answer.labels[s.id]?.[0] || name)));
    };
    byId("steps").replaceChildren(...answer.steps.map(step));
    footer.replaceChildren(el("details", null, el("summary", null, "Show the SQL"), sqlBlock("The path", answer.sql)));
  } catch (error) {
    footer.replaceChildren(errorBox(error));
  }
}
