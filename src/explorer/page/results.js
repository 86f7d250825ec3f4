// The answers: pictures, why they match, what they show.
import { ask, button, byId, count, el, refusal, short, sqlBlock } from "./dom.js";
import { addPicture } from "./query_terms.js";
import { pathButton } from "./transition.js";

// So many attributes are told by name at once.
const FEW = 3;

let page;
export function start(of) { page = of; }

export const named = (labels, id) => labels.filter(Boolean).join(", ") || `row ${id}`;

export function frame(id, alt) {
  const src = page.picture(id);
  const none = () => el("span", { class: "soft none" }, page.about.pictures ? "no picture" : alt);
  return el("div", { class: "frame" }, src == null ? none() : el("img", { src, alt, loading: "lazy", onerror: e => e.target.replaceWith(none()) }));
}

export function draw(answer, question) {
  const cards = byId("cards"), focused = cards.contains(document.activeElement), before = cards.children.length;
  const grew = page.grew;
  page.grew = false;
  cards.replaceChildren(...answer.rows.map(row => card(row, answer.why[row.id])));
  const order = question.wishes.length ? "nearest first" : `by ${page.about.id}`;
  byId("status").textContent = answer.rows.length
    ? `${count(answer.rows.length, "picture")}, ${order}, in ${answer.milliseconds < 10 ? answer.milliseconds.toFixed(1) : Math.round(answer.milliseconds)} ms`
    : "No row fits.";
  byId("legend").hidden = !byId("cards").querySelector(".bars");
  byId("more").hidden = !answer.more;
  byId("sql-section").hidden = false;
  byId("sql").replaceChildren(sqlBlock("the pictures", answer.sql),
    ...(answer.why_sql ? [el("details", null, el("summary", null, "why they match"), sqlBlock("why they match", answer.why_sql))] : []));
  // What had the focus is gone: go to the first new picture, or back to the top of the answer.
  if (grew) cards.children[before]?.querySelector("button").focus();
  else if (focused) byId("results-title").focus();
}

function card(row, why) {
  const name = named(row.labels, row.id), id = row.id;
  const distance = row.distance == null ? null : el("span", { class: "soft", title: "distance" }, short(row.distance));
  const like = beside => () => addPicture({ kind: "like", id, title: name }, beside);
  const swap = () => addPicture({ kind: "like", id, title: name }).node.querySelector(".swap select").focus();
  const said = el("div", { class: "tags", role: "status" });
  const actions = el("div", { class: "actions" },
    button("And this", like(true), { "aria-label": `And like this one: ${name}` }),
    button("But…", swap, { "aria-label": `This one, but with another value: ${name}` }),
    button("Tags", () => tags(id, said), { "aria-label": `Tags of ${name}` }), pathButton(id, name));
  return el("li", null,
    button(frame(id, name), like(false), { class: "picture", title: "like this one", "aria-label": `Like this one: ${name}` }),
    el("p", { class: "caption" }, el("span", { class: "name", title: name }, row.labels[0] || `row ${id}`), distance),
    row.labels.length > 1 ? el("p", { class: "soft rest" }, row.labels.slice(1).filter(Boolean).join(" · ")) : null,
    why ? reasons(why) : null, actions, said);
}

// How near each attribute comes: subspaces have unit length, so that a distance is between 0 and 2.
function reasons(why) {
  const parts = why.filter(part => part.attribute != null);
  const near = part => Math.max(0, 1 - part.distance / 2);
  const text = parts.map(part => `${part.attribute} ${short(part.distance)}`).join(", ");
  const bar = part => {
    const fill = el("i");
    fill.style.height = `${Math.max(4, 100 * near(part))}%`;
    return el("span", { title: `${part.attribute}: distance ${short(part.distance)}, weight ${part.weight}` }, fill);
  };
  const row = part => {
    const fill = el("i");
    fill.style.width = `${100 * near(part)}%`;
    return el("li", null, el("span", null, part.attribute), el("span", { class: "meter", "aria-hidden": "true" }, fill), short(part.distance));
  };
  const list = el("ul", { "aria-label": "Distance by attribute" }, [...parts].sort((a, b) => a.distance - b.distance).map(row));
  if (parts.length <= FEW) return el("div", { class: "why" }, list);
  return el("details", { class: "why" },
    el("summary", null, el("span", { class: "bars", role: "img", "aria-label": `Distance by attribute: ${text}` }, parts.map(bar))), list);
}

async function tags(id, place) {
  place.replaceChildren("…");
  try {
    const { tags } = await ask(`/api/tags?id=${encodeURIComponent(id)}`);
    const said = [["category", tags?.category], ...Object.entries(tags?.attributes || {})].filter(([, tag]) => tag?.value != null);
    said.sort(([, a], [, b]) => b.probability - a.probability);
    place.replaceChildren(said.length
      ? el("ul", null, said.map(([name, tag]) => el("li", null, el("span", null, `${name}: `, el("b", null, tag.value)), el("span", { class: "soft" }, `${Math.round(100 * tag.probability)}%`))))
      : "no tags");
  } catch (error) {
    place.replaceChildren(refusal(error));
  }
}
