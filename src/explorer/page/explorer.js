// The page's state and its main loop: when the search changes, ask the server and show the answer.
import { byId, count, el, errorBox, post, request } from "./dom.js";
import * as queryTerms from "./query_terms.js";
import * as results from "./results.js";
import * as transition from "./transition.js";
import * as vocabulary from "./vocabulary.js";
import * as wordSearch from "./word_search.js";

// Shared with the other modules.
const page = {
  about: null, // the answer of /api/about
  terms: [], // the search
  limit: 0, // rows to ask for
  grew: false, // whether "More" was pressed
  imageAddress: id => (page.about.has_images ? `/image/${encodeURIComponent(id)}?small=true` : null),
  changed: () => { saveToAddress("pushState"); refresh(); },
  // For a slider that is being moved.
  changedSoon: () => { clearTimeout(timer); timer = setTimeout(() => { saveToAddress("replaceState"); refresh(); }, 150); },
};
let timer, running;

function refresh() {
  clearTimeout(timer);
  vocabulary.draw();
  wordSearch.draw();
  search();
}

// The search is kept in the page's address, so that Back, reloading and bookmarks work.
function saveToAddress(how) {
  const saved = { terms: page.terms.map(({ node, ...term }) => term), category: byId("category").value };
  const isEmpty = !saved.terms.length && !saved.category;
  history[how](null, "", isEmpty ? location.pathname : `#search=${encodeURIComponent(JSON.stringify(saved))}`);
}

// Takes the search from the address. False for an address that links to a part of the page.
function loadFromAddress() {
  const { hash } = location;
  let saved = {};
  try {
    if (hash.startsWith("#search=")) saved = JSON.parse(decodeURIComponent(hash.slice("#search=".length)));
    else if (hash) return false;
  } catch {
    // A truncated address: as if it had no search.
  }
  page.terms = queryTerms.validTerms(saved.terms);
  page.limit = page.about.limit;
  byId("category").value = typeof saved.category === "string" ? saved.category : "";
  return true;
}

function showError(error) {
  byId("alert").replaceChildren(errorBox(error));
  if (error instanceof TypeError) console.error(error);
}

async function search() {
  running?.abort();
  const mine = running = new AbortController();
  const main = byId("results");
  main.setAttribute("aria-busy", "true");
  const body = { terms: queryTerms.requestTerms(), limit: page.limit, category: byId("category").value || null };
  try {
    const answer = await post("/api/search", body, mine.signal);
    if (mine !== running) return;
    byId("alert").replaceChildren();
    results.draw(answer, body);
  } catch (error) {
    if (mine === running && error.name !== "AbortError") showError(error);
  } finally {
    if (mine === running) main.setAttribute("aria-busy", "false");
  }
}

// Sends a dropped, pasted or chosen file to the server and searches for rows like it.
async function addFile(file) {
  if (!file) return;
  if (file.size > page.about.max_upload) {
    showError({ message: `the image "${file.name}" is too large`, detail: `It has ${count(file.size, "byte")}, and the limit is ${count(page.about.max_upload, "byte")}.` });
    return;
  }
  try {
    const { key } = await request("/api/dropped", { method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: file });
    queryTerms.addImageTerm({ kind: "image", key, title: file.name || "pasted image" });
  } catch (error) {
    showError(error);
  }
}

function addListeners() {
  const file = byId("file");
  file.addEventListener("change", () => { addFile(file.files[0]); file.value = ""; });
  addEventListener("dragover", event => { event.preventDefault(); byId("drop").classList.add("over"); });
  addEventListener("dragleave", event => { if (!event.relatedTarget) byId("drop").classList.remove("over"); });
  addEventListener("drop", event => { event.preventDefault(); byId("drop").classList.remove("over"); addFile(event.dataTransfer.files[0]); });
  addEventListener("paste", event => { if (event.clipboardData.files.length) { event.preventDefault(); addFile(event.clipboardData.files[0]); } });
  byId("more").addEventListener("click", () => {
    page.limit = Math.min(page.about.max_limit, page.limit + page.about.limit);
    page.grew = true;
    search();
  });
  byId("category").addEventListener("change", () => { page.limit = page.about.limit; page.changed(); });
  addEventListener("popstate", () => { if (loadFromAddress()) { queryTerms.draw(); refresh(); } });
}

function drawHeader() {
  const { table, rows, model, notices, filter } = page.about;
  document.title = `${table} – coopembed`;
  byId("title").textContent = table;
  byId("lead").textContent = rows == null ? `Embedded by model ${model}` : `About ${count(rows, "row")}, embedded by model ${model}`;
  byId("notices").replaceChildren(...notices.map(notice => el("p", { class: "note" }, notice)));
  if (!filter) return;
  byId("filter").hidden = false;
  byId("filter-column").textContent = filter.column;
  byId("category-values").replaceChildren(...filter.values.map(value => el("option", { value })));
}

try {
  page.about = await request("/api/about");
  page.limit = page.about.limit;
  drawHeader();
  loadFromAddress();
  [queryTerms, results, transition, vocabulary].forEach(part => part.init(page));
  addListeners();
  await search();
} catch (error) {
  showError(error);
}
