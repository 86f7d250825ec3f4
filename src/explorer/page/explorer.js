// The page: asks when something changed, and shows what comes back.
import { ask, byId, count, el, post, refusal } from "./dom.js";
import * as path from "./transition.js";
import * as results from "./results.js";
import * as wishes from "./query_terms.js";
import * as words from "./vocabulary.js";

const page = {
  about: null,
  wishes: [],
  limit: 0,
  grew: false,
  picture: id => (page.about.pictures ? `/image/${encodeURIComponent(id)}?small=true` : null),
  changed: () => { remember("pushState"); redo(); },
  // While a slider moves.
  changedSoon: () => { clearTimeout(soon); soon = setTimeout(() => { remember("replaceState"); redo(); }, 150); },
};
let soon, running;

function redo() {
  clearTimeout(soon);
  words.draw();
  search();
}

// What is asked stands in the address, for the browser's Back, for reloading, and for bookmarks.
function remember(how) {
  const asked = { wishes: page.wishes.map(({ node, ...wish }) => wish), category: byId("category").value };
  const nothing = !asked.wishes.length && !asked.category;
  history[how](null, "", nothing ? location.pathname : `#ask=${encodeURIComponent(JSON.stringify(asked))}`);
}

function recall() {
  const { hash } = location;
  let asked = {};
  try {
    if (hash.startsWith("#ask=")) asked = JSON.parse(decodeURIComponent(hash.slice(5)));
    else if (hash) return false;
  } catch {
    // An address that somebody cut: as if nothing was asked.
  }
  page.wishes = wishes.understood(asked.wishes);
  page.limit = page.about.limit;
  byId("category").value = typeof asked.category === "string" ? asked.category : "";
  return true;
}

function complain(error) {
  byId("alert").replaceChildren(refusal(error));
  if (!(error instanceof TypeError)) return;
  console.error(error);
}

async function search() {
  running?.abort();
  const mine = running = new AbortController();
  const main = byId("results");
  main.setAttribute("aria-busy", "true");
  const question = { wishes: wishes.question(), limit: page.limit, category: byId("category").value || null };
  try {
    const answer = await post("/api/search", question, mine.signal);
    if (mine !== running) return;
    byId("alert").replaceChildren();
    results.draw(answer, question);
  } catch (error) {
    if (mine === running && error.name !== "AbortError") complain(error);
  } finally {
    if (mine === running) main.setAttribute("aria-busy", "false");
  }
}

async function take(file) {
  if (!file) return;
  if (file.size > page.about.max_photo) {
    complain({ message: `the photo "${file.name}" is too large`, detail: `It has ${count(file.size, "byte")}, and the limit is ${count(page.about.max_photo, "byte")}.` });
    return;
  }
  try {
    const { photo } = await ask("/api/photo", { method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: file });
    wishes.addPicture({ kind: "photo", photo, title: file.name || "pasted photo" });
  } catch (error) {
    complain(error);
  }
}

function listen() {
  const file = byId("file");
  file.addEventListener("change", () => { take(file.files[0]); file.value = ""; });
  addEventListener("dragover", event => { event.preventDefault(); byId("drop").classList.add("over"); });
  addEventListener("dragleave", event => { if (!event.relatedTarget) byId("drop").classList.remove("over"); });
  addEventListener("drop", event => { event.preventDefault(); byId("drop").classList.remove("over"); take(event.dataTransfer.files[0]); });
  addEventListener("paste", event => { if (event.clipboardData.files.length) { event.preventDefault(); take(event.clipboardData.files[0]); } });
  byId("more").addEventListener("click", () => {
    page.limit = Math.min(page.about.most, page.limit + page.about.limit);
    page.grew = true;
    search();
  });
  byId("category").addEventListener("change", () => { page.limit = page.about.limit; page.changed(); });
  addEventListener("popstate", () => { if (recall()) { wishes.draw(); redo(); } });
}

function introduce() {
  const { table, rows, model, notices, filter } = page.about;
  document.title = `${table} – coopembed`;
  byId("title").textContent = table;
  byId("lead").textContent = `${rows == null ? "" : `about ${count(rows, "row")}, `}embeddings of model ${model}`;
  byId("notices").replaceChildren(...notices.map(notice => el("p", { class: "note" }, notice)));
  if (!filter) return;
  byId("filter").hidden = false;
  byId("filter-column").textContent = filter.column;
  byId("category-values").replaceChildren(...filter.values.map(value => el("option", { value })));
}

try {
  page.about = await ask("/api/about");
  page.limit = page.about.limit;
  introduce();
  recall();
  [wishes, results, path, words].forEach(part => part.start(page));
  listen();
  await search();
} catch (error) {
  complain(error);
}
