// Helpers: building elements, calling the server, and showing errors and SQL.

// Builds an element. Names come from users, so they are only ever set as text or as attributes, never as HTML.
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
export const twoDecimals = x => (x == null ? "–" : x.toFixed(2));
export const count = (n, noun) => `${Math.round(n).toLocaleString("en")} ${noun}${Math.round(n) === 1 ? "" : "s"}`;

// A select with these options; `placeholder` is an extra first one without a value.
export function select(label, texts, placeholder, onchange) {
  const options = texts.map(text => el("option", { value: text }, text));
  if (placeholder) options.unshift(el("option", { value: "" }, placeholder));
  return el("select", { "aria-label": label, onchange }, options);
}

// An error of the server: PostgreSQL's message, detail, hint and SQLSTATE, or the server's own.
export class HttpError extends Error {
  constructor({ message, detail, hint, sqlstate }) {
    super(message);
    Object.assign(this, { detail, hint, sqlstate });
  }
}

export async function request(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new HttpError({ message: "the server does not answer", hint: "Is \"coopembed serve\" still running?" });
  }
  const body = await response.json().catch(() => ({ message: `the server answered with status ${response.status}` }));
  if (!response.ok) throw new HttpError(body);
  return body;
}

export const post = (address, body, signal) =>
  request(address, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal });

export function errorBox(error) {
  const line = (name, text) => (text ? el("p", null, el("b", null, name + " "), text) : null);
  return el("div", { class: "alert" },
    el("p", null, el("strong", null, error.message), error.sqlstate ? el("span", { class: "soft" }, ` SQLSTATE ${error.sqlstate}`) : null),
    line("Detail", error.detail), line("Hint", error.hint));
}

// SQL with a button that copies it.
export function sqlBlock(title, sql) {
  const status = el("span", { role: "status", class: "soft" });
  const code = el("code", null, sql);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(sql);
      status.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(code);
      status.textContent = "selected: copy it with the keyboard";
    }
  };
  return el("div", { class: "sql" },
    el("p", null, el("b", null, title), " ", button("Copy", copy, { "aria-label": `Copy the SQL: ${title}` }), " ", status),
    el("pre", { tabindex: 0, "aria-label": `SQL: ${title}` }, code));
}
