// The rows of an answer: their images, why they match, and their tags.
import { button, byId, count, el, errorBox, request, sqlBlock, twoDecimals } from "./dom.js";
import { addImageTerm } from "./query_terms.js";
import { imageFrame, rowName } from "./tiles.js";
import { transitionButton } from "./transition.js";

// Up to this many attributes are listed by name; more are drawn as bars that unfold.
const MAX_LISTED = 3;

let page;
export function init(state) { page = state; }

export function draw(answer, search) {
  const cards = byId("cards"), hadFocus = cards.contains(document.activeElement), before = cards.children.length;
  const grew = page.grew;
  page.grew = false;
  cards.replaceChildren(...answer.rows.map(row => card(row, answer.explanations[row.id])));
  const order = search.terms.length ? "nearest first" : `by ${page.about.id}`;
  byId("status").textContent = answer.rows.length
    ? `${count(answer.rows.length, "row")}, ${order}, in ${answer.milliseconds < 10 ? answer.milliseconds.toFixed(1) : Math.round(answer.milliseconds)} ms`
    : "No row matches.";
  byId("legend").hidden = !byId("cards").querySelector(".bars");
  byId("more").hidden = !answer.more;
  byId("sql-section").hidden = false;
  byId("sql").replaceChildren(sqlBlock("The rows", answer.sql),
    ...(answer.explain_sql ? [el("details", null, el("summary", null, "Why they match"), sqlBlock("Why they match", answer.explain_sql))] : []));
  // The focused element has been replaced: move the focus to the first new row, or back to the top of the answer.
  if (grew) cards.children[before]?.querySelector("button").focus();
  else if (hadFocus) byId("results-title").focus();
}

function card(row, explanation) {
  const name = rowName(row.labels, row.id), id = row.id;
  const distance = row.distance == null ? null : el("span", { class: "soft", title: "distance" }, twoDecimals(row.distance));
  const searchLike = keepOthers => () => addImageTerm({ kind: "like", id, title: name }, keepOthers);
  const changeOne = () => addImageTerm({ kind: "like", id, title: name }).node.querySelector(".replacements select").focus();
  const tags = el("div", { class: "tags", role: "status" });
  const actions = el("div", { class: "actions" },
    button("Add to search", searchLike(true), { "aria-label": `Add to search: ${name}` }),
    button("Change one thing", changeOne, { "aria-label": `Change one thing: ${name}` }),
    button("Show tags", () => showTags(id, tags), { "aria-label": `Show tags: ${name}` }), transitionButton(id, name));
  return el("li", null,
    button([imageFrame(page, id, name), el("span", null, "More like this")], searchLike(false), { class: "image", "aria-label": `More like this: ${name}` }),
    el("p", { class: "caption" }, el("span", { class: "name", title: name }, row.labels[0] || `row ${id}`), distance),
    row.labels.length > 1 ? el("p", { class: "soft rest" }, row.labels.slice(1).filter(Boolean).join(" · ")) : null,
    explanation ? attributeDistances(explanation) : null, actions, tags);
}

// How close each attribute is. Vectors in a subspace have unit length, so a distance is between 0 and 2.
function attributeDistances(explanation) {
  const parts = explanation.filter(part => part.attribute != null);
  const closeness = part => Math.max(0, 1 - part.distance / 2);
  const text = parts.map(part => `${part.attribute} ${twoDecimals(part.distance)}`).join(", ");
  const bar = part => {
    const fill = el("i");
    fill.style.height = `${Math.max(4, 100 * closeness(part))}%`;
    return el("span", { title: `${part.attribute}: distance ${twoDecimals(part.distance)}, weight ${part.weight}` }, fill);
  };
  const line = part => {
    const fill = el("i");
    fill.style.width = `${100 * closeness(part)}%`;
    return el("li", null, el("span", null, part.attribute), el("span", { class: "meter", "aria-hidden": "true" }, fill), twoDecimals(part.distance));
  };
  const list = el("ul", { "aria-label": "Distance by attribute" }, [...parts].sort((a, b) => a.distance - b.distance).map(line));
  if (parts.length <= MAX_LISTED) return el("div", { class: "why" }, list);
  return el("details", { class: "why" },
    el("summary", null, el("span", { class: "bars", role: "img", "aria-label": `Distance by attribute: ${text}` }, parts.map(bar))), list);
}

async function showTags(id, container) {
  container.replaceChildren("…");
  try {
    const { tags } = await request(`/api/tags?id=${encodeURIComponent(id)}`);
    const found = [["category", tags?.category], ...Object.entries(tags?.attributes || {})].filter(([, tag]) => tag?.value != null);
    const tagsOf = ([name, tag]) => (tag.values?.length ? tag.values : [tag]).map((one) => [name, one]);
    const all = found.flatMap(tagsOf).sort(([, a], [, b]) => b.probability - a.probability);
    container.replaceChildren(all.length
      ? el("ul", null, all.map(([name, tag]) => el("li", null, el("span", null, `${name}: `, el("b", null, tag.value)), el("span", { class: "soft" }, `${Math.round(100 * tag.probability)}%`))))
      : "no tags");
  } catch (error) {
    container.replaceChildren(errorBox(error));
  }
}
