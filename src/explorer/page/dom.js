// Elements, and how this server is asked.

// Names are users' input: they are only ever set as text or as attributes.
export function el(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === false || value == null) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "value") node.value = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter(child => child != null));
  return node;
}

export const byId = id => document.getElementById(id);
export const button = (text, onclick, attributes) => el("button", { type: "button", onclick, ...attributes }, text);
export const short = x => (x == null ? "–" : x.toFixed(2));
export const count = (n, thing) => `${Math.round(n).toLocaleString("en")} ${thing}${Math.round(n) === 1 ? "" : "s"}`;

// A select over texts; the first entry may say what it is for.
export function choice(label, texts, first, onchange) {
  const options = texts.map(text => el("option", { value: text }, text));
  if (first) options.unshift(el("option", { value: "" }, first));
  return el("select", { "aria-label": label, onchange }, options);
}

// What the server refuses, in its own words.
export class Refusal extends Error {
  constructor({ message, detail, hint, sqlstate }) {
    super(message);
    Object.assign(this, { detail, hint, sqlstate });
  }
}

export async function ask(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal({ message: "the page's server does not answer", hint: "Is \"coopembed serve\" still running?" });
  }
  const body = await response.json().catch(() => ({ message: `the server answered with status ${response.status}` }));
  if (!response.ok) throw new Refusal(body);
  return body;
}

export const post = (address, question, signal) =>
  ask(address, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(question), signal });

export function refusal(error) {
  const line = (name, text) => (text ? el("p", null, el("b", null, name + " "), text) : null);
  return el("div", { class: "alert" },
    el("p", null, el("strong", null, error.message), error.sqlstate ? el("span", { class: "soft" }, ` SQLSTATE ${error.sqlstate}`) : null),
    line("Detail", error.detail), line("Hint", error.hint));
}

// SQL with a button that copies it.
export function sqlBlock(title, sql, note) {
  const said = el("span", { role: "status", class: "soft" });
  const code = el("code", null, sql);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(sql);
      said.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(code);
      said.textContent = "selected: copy it with the keyboard";
    }
  };
  return el("div", { class: "sql" }, el("p", null, el("b", null, title), " ", button("Copy", copy, { "aria-label": `Copy the SQL: ${title}` }), " ", said,
    note ? el("span", { class: "soft" }, note) : null), el("pre", { tabindex: 0, "aria-label": `SQL: ${title}` }, code));
}
