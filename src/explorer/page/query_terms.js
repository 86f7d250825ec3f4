// What is asked for: a list of wishes, each of which can be weighed and removed.
import { button, byId, choice, el } from "./dom.js";

let page;
const list = byId("wishes");

export function start(of) {
  page = of;
  byId("clear").onclick = () => { page.wishes = []; changed(byId("asked-title")); };
  draw();
}

// The wishes as the server takes them.
export function question() {
  return page.wishes.map(wish => {
    const { kind, attribute, value, name, id, photo, weight } = wish;
    if (kind === "value") return { kind, attribute, value, weight };
    if (kind === "category") return { kind, name, weight };
    const weights = Object.entries(wish.weights);
    const how = { weights: weights.every(([, w]) => w === 1) ? null : weights, swaps: wish.swaps };
    return kind === "like" ? { kind, id, how } : { kind, photo, how };
  });
}

// Wishes from an address, as far as they are some.
export function understood(list) {
  const texts = (...values) => values.every(value => typeof value === "string");
  const good = {
    value: w => texts(w.attribute, w.value) && Number.isFinite(w.weight),
    category: w => texts(w.name) && Number.isFinite(w.weight),
    like: w => texts(w.id) && isHow(w),
    photo: w => texts(w.photo) && isHow(w),
  };
  const isHow = w => w.weights !== null && typeof w.weights === "object" && Object.values(w.weights).every(Number.isFinite)
    && Array.isArray(w.swaps) && w.swaps.every(swap => Array.isArray(swap) && texts(...swap) && swap.length === 2);
  return (Array.isArray(list) ? list : []).filter(w => w && Object.hasOwn(good, w.kind) && good[w.kind](w));
}

export const everything = () => Object.fromEntries(page.about.attributes.map(a => [a.name, 1]));

// A picture or a photo takes the place of those before it, unless it is to come beside them.
export function addPicture(wish, beside) {
  const isPicture = w => w.kind === "like" || w.kind === "photo";
  const added = { weights: everything(), swaps: [], ...wish };
  page.wishes = [...page.wishes.filter(w => beside ? w.id == null || w.id !== added.id : !isPicture(w)), added];
  changed();
  return added;
}

const same = (a, b) => a.kind === b.kind && a.attribute === b.attribute && a.value === b.value && a.name === b.name;
export const isAsked = word => page.wishes.some(wish => same(wish, word));

export function toggleWord(word) {
  const without = page.wishes.filter(wish => !same(wish, word));
  page.wishes = without.length < page.wishes.length ? without : [...page.wishes, { ...word, weight: 1 }];
  changed();
}

export function remove(wish) {
  const at = page.wishes.indexOf(wish);
  page.wishes = page.wishes.filter(w => w !== wish);
  changed(null, Math.min(at, page.wishes.length - 1));
}

function changed(focus, focusWish) {
  page.limit = page.about.limit;
  draw();
  if (focusWish >= 0) list.children[focusWish].querySelector(".remove").focus();
  else if (focus || focusWish === -1) byId("asked-title").focus();
  page.changed();
}

export function draw() {
  const open = new Set(page.wishes.filter(w => w.node?.querySelector("details[open]")));
  list.replaceChildren(...page.wishes.map(wish => {
    wish.node = node(wish);
    if (open.has(wish)) wish.node.querySelector("details").open = true;
    return wish.node;
  }));
  byId("nothing").hidden = page.wishes.length > 0;
  byId("clear").hidden = page.wishes.length < 2;
}

export const title = wish => ({
  value: () => `${wish.attribute}: ${wish.value}`,
  category: () => `category: ${wish.name}`,
  like: () => wish.title || wish.id,
  photo: () => wish.title,
})[wish.kind]();

function node(wish) {
  const removal = button("×", () => remove(wish), { class: "remove", "aria-label": `Remove: ${title(wish)}` });
  if (wish.kind === "value" || wish.kind === "category") {
    return el("li", { class: "wish" }, el("div", { class: "head" }, el("strong", null, title(wish)), removal),
      slider("weight", title(wish), wish.weight, weight => { wish.weight = weight; }));
  }
  const src = wish.kind === "photo" ? `/photo/${encodeURIComponent(wish.photo)}` : page.picture(wish.id);
  return el("li", { class: "wish" },
    el("div", { class: "head" }, src ? el("div", { class: "frame" }, el("img", { src, alt: "" })) : null,
      el("div", { class: "grow" }, el("strong", null, wish.kind === "photo" ? "like this photo" : "like this one"), el("small", null, title(wish))), removal),
    likeness(wish), swaps(wish));
}

function slider(name, of, value, set, attributes) {
  const output = el("output", null, String(value));
  const input = el("input", {
    type: "range", min: 0, max: 3, step: 0.25, value, "aria-label": `Weight of ${of}`, ...attributes,
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

function inWhat(wish) {
  const on = Object.entries(wish.weights).filter(([, w]) => w > 0);
  if (on.length === 0) return "in nothing: off";
  if (on.length === Object.keys(wish.weights).length && on.every(([, w]) => w === 1)) return "in everything";
  const names = on.map(([name, w]) => (w === 1 ? name : `${w} × ${name}`));
  return "in " + names.slice(0, 4).join(", ") + (names.length > 4 ? ` and ${names.length - 4} more` : "");
}

function likeness(wish) {
  const summary = el("summary", null, inWhat(wish));
  const sliders = el("div", { class: "sliders" });
  const drawSliders = () => sliders.replaceChildren(...Object.keys(wish.weights).map(name =>
    slider(name, name, wish.weights[name], weight => { wish.weights[name] = weight; summary.textContent = inWhat(wish); })));
  const all = weight => () => {
    for (const name of Object.keys(wish.weights)) wish.weights[name] = weight;
    summary.textContent = inWhat(wish);
    drawSliders();
    page.changed();
  };
  drawSliders();
  return el("details", { class: "likeness" }, summary, el("p", null, button("Everything", all(1)), " ", button("Nothing", all(0))), sliders);
}

function swaps(wish) {
  const attributes = page.about.attributes.filter(a => a.values.length);
  const place = el("span");
  const attribute = choice("Attribute to swap", attributes.map(a => a.name), "but with…", () => {
    const chosen = attributes.find(a => a.name === attribute.value);
    if (!chosen) return place.replaceChildren();
    const value = choice(`Value of ${chosen.name}`, chosen.values.map(v => v.name), null, null);
    place.replaceChildren(value, " ", button("Swap", () => {
      wish.swaps = [...wish.swaps.filter(([name]) => name !== chosen.name), [chosen.name, value.value]];
      changed();
      wish.node.querySelector(".swap select").focus();
    }));
  });
  const chip = swap => el("li", null, `but with ${swap[0]}: ${swap[1]} `, button("×", () => {
    wish.swaps = wish.swaps.filter(s => s !== swap);
    changed();
    wish.node.querySelector(".swap select").focus();
  }, { class: "remove", "aria-label": `Remove the swap of ${swap[0]}` }));
  return el("div", { class: "swap" }, wish.swaps.length ? el("ul", null, wish.swaps.map(chip)) : null, attribute, " ", place);
}
