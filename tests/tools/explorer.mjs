// Uses the page of `coopembed serve` in a browser, with the keyboard alone. usage: node explorer.mjs CHROMIUM URL PROFILE IMAGE [SCREENSHOTS]
import assert from "node:assert/strict";
import { open } from "./chromium.mjs";

const [program, url, profile, image, shots] = process.argv.slice(2);
const page = await open(program, profile);
let passed = 0;
const ok = what => { passed++; console.log(`ok: ${what}`); };
const shot = async name => { if (shots) await page.screenshot(`${shots}/${name}.png`); };
const focused = () => page.evaluate("document.activeElement.id || document.activeElement.getAttribute('aria-label') || document.activeElement.textContent");
const terms = () => page.evaluate("[...document.querySelectorAll('.term strong')].map(n => n.textContent)");
const sql = () => page.evaluate("document.querySelector('#sql code').textContent");
const settled = (what, test) => page.until(what, `document.getElementById('results')?.getAttribute('aria-busy') === 'false' && (${test})`);
const names = () => page.evaluate("[...document.querySelectorAll('#cards .name')].map(n => n.textContent)");
async function reload() {
  await page.evaluate("window.old = true");
  await page.send("Page.reload");
  await page.until("the page again", "!window.old && document.body !== null");
}
// Tab until something has the focus: whatever can be reached by keyboard is reached so.
async function tabTo(what, test) {
  for (let i = 0; i < 400; i++) {
    if (await page.evaluate(`(node => ${test})(document.activeElement)`)) return;
    await page.press("Tab");
  }
  throw new Error(`Tab never comes to ${what}`);
}

try {
  await page.window(1360, 960, false);
  await page.goto(url);
  await settled("the first rows", "document.querySelectorAll('#cards > li').length === 24");
  await page.until("their images", "[...document.querySelectorAll('#cards img')].slice(0, 6).every(i => i.complete && i.naturalWidth > 0)");
  await shot("first");
  ok("the first rows of the table are shown with their images");

  await page.press("Tab");
  assert.equal(await page.evaluate("document.activeElement.className"), "skip");
  await page.press("Enter");
  assert.equal(await focused(), "results");
  ok("the first Tab offers to skip to the images");

  await tabTo("more", "node.id === 'more'");
  await page.press("Enter");
  await settled("more", "document.querySelectorAll('#cards > li').length === 48");
  assert.ok(await page.evaluate("document.querySelectorAll('#cards > li')[24].contains(document.activeElement)"));
  ok("more rows are shown, and the focus goes to the first of them");

  await tabTo("an image", "node.getAttribute('aria-label') === 'More like this: pool 8 ball, noto, game'");
  await page.press("Enter");
  await settled("an answer", "document.querySelectorAll('.term').length === 1 && document.querySelector('#status').textContent.includes('nearest first')");
  assert.deepEqual(await terms(), ["Like this one"]);
  assert.ok((await names()).slice(0, 4).every(name => name === "pool 8 ball"), String(await names()));
  assert.equal(await focused(), "results-title");
  ok("Enter on an image searches for those like it, and the focus goes to the answer");
  await shot("like");

  assert.match(await page.evaluate("document.querySelector('.bars').getAttribute('aria-label')"), /^Distance by attribute: .*hue 0\.00/);
  await tabTo("why it matches", "node.tagName === 'SUMMARY' && node.parentNode.className === 'why'");
  await page.press("Enter");
  assert.ok(await page.evaluate("document.querySelector('.why[open] li').innerText.includes('0.00')"));
  await tabTo("its tags", "node.textContent === 'Show tags'");
  await page.press("Enter");
  await page.until("tags", "document.querySelector('.tags li')");
  ok("why an image matches, and its tags, can be reached by keyboard");
  await shot("why");

  if (await page.evaluate("document.querySelector('button.transition') !== null")) {
    await page.evaluate("document.querySelector('#cards > li:nth-child(1) button.transition').focus()");
    await page.press("Enter");
    assert.equal(await focused(), "Find a path to here: pool 8 ball, noto, game");
    await page.evaluate("document.querySelector('#cards > li:nth-child(12) button.transition').focus()");
    await page.press("Enter");
    await page.until("steps", "document.querySelectorAll('#steps li').length > 1");
    assert.equal(await page.evaluate("document.querySelectorAll('#steps .crossing').length"), 1);
    assert.equal(await focused(), "transition-title");
    ok("a transition leads from one image to another");
    await shot("transition");
    await tabTo("Close", "node.textContent === 'Close'");
    await page.press("Enter");
    assert.equal(await focused(), "results-title");
  }

  await page.evaluate("document.getElementById('vocabulary-filter').focus()");
  await page.type("hue gre");
  await page.press("Tab");
  await tabTo("an attribute value", "node.className === 'chip'");
  assert.equal(await page.evaluate("document.activeElement.textContent"), "green");
  await page.press("Space");
  await settled("two terms", "document.querySelectorAll('.term').length === 2");
  assert.equal(await page.evaluate("document.activeElement.getAttribute('aria-pressed')"), "true");
  assert.deepEqual(await terms(), ["Like this one", "hue: green"]);
  ok("an attribute value is found by typing, and added");

  await page.evaluate("document.querySelector('.skip').focus()");
  await tabTo("its weight", "node.getAttribute('aria-label') === 'Weight of hue: green'");
  await page.press("ArrowRight");
  await page.press("ArrowRight");
  await settled("a weighted query", "document.querySelector('#sql code').textContent.includes(\"1.5 * coop_attr_query('hue', 'green')\")");
  assert.equal(await focused(), "Weight of hue: green");
  ok("arrow keys change a weight, and it keeps the focus");
  await shot("weights");

  await page.evaluate("document.querySelector('.matching summary').focus()");
  await page.press("Enter");
  await tabTo("None", "node.textContent === 'None'");
  await page.press("Enter");
  await tabTo("an attribute", "node.getAttribute('aria-label') === 'Weight of hue'");
  for (let i = 0; i < 8; i++) await page.press("ArrowRight");
  await settled("one attribute", "/2 \\* coop_like\\(\\(SELECT emb FROM products WHERE id = '41'\\), 'hue'\\)/.test(document.querySelector('#sql code').textContent)");
  assert.equal(await page.evaluate("document.querySelector('.matching summary').textContent"), "Match 2 × hue");
  ok("an image can be matched in some attributes");
  await shot("attributes");

  await tabTo("the attribute to change", "node.getAttribute('aria-label') === 'Attribute to change'");
  await page.evaluate("(n => { n.value = 'hue'; n.dispatchEvent(new Event('change')); })(document.activeElement)");
  await page.press("Tab");
  await page.press("Tab");
  await page.press("Enter");
  await settled("a changed value", "document.querySelector('#sql code').textContent.includes('coop_replace(')");
  assert.match(await page.evaluate("document.querySelector('.replacements li').textContent"), /^but with hue: /);
  ok("one attribute value can be changed");

  await tabTo("removal", "node.getAttribute('aria-label') === 'Remove: hue: green'");
  await page.press("Enter");
  await settled("one term", "document.querySelectorAll('.term').length === 1");
  assert.match(await focused(), /^Remove: pool 8 ball/);
  await page.press("Enter");
  await settled("no term", "document.querySelectorAll('.term').length === 0 && !document.querySelector('#sql code').textContent.includes('target')");
  assert.equal(await focused(), "search-title");
  ok("query terms are removed one by one, and the focus goes to the next");

  await page.attach("#file", [image]);
  await settled("the answer to an uploaded image", "document.querySelector('.term strong')?.textContent === 'Like your image' && document.querySelector('#sql code').textContent.includes('coop_embed')");
  assert.ok((await sql()).includes("\\set image `base64 < image.jpg`"));
  ok("an uploaded image can be searched with");

  await shot("uploaded");

  await page.evaluate("history.back()");
  await settled("the query before", "document.querySelectorAll('.term').length === 0");
  await page.evaluate("history.back()");
  await settled("the one before that", "document.querySelector('.replacements li')");
  const asked = await sql();
  await reload();
  await page.until("the same after reloading", `document.querySelector('#sql code')?.textContent === ${JSON.stringify(asked)}`);
  ok("Back returns to the query before, and reloading keeps it");

  await page.evaluate("document.getElementById('words').focus()");
  await page.type("a woman with Skin Tones 5, green and xyzzy");
  await page.press("Enter");
  await settled("a description", "document.querySelectorAll('.term').length === 2");
  assert.equal((await terms())[1], "“a woman with Skin Tones 5, green and xyzzy”");
  assert.match(await page.evaluate("document.getElementById('words-answer').innerText"), /gender: woman[^]*skin_tone: 5[^]*“green” means each of these[^]*color: green[^]*hue: green[^]*no word like “xyzzy”/);
  assert.ok((await sql()).includes("3 * coop_query('a woman with Skin Tones 5, green and xyzzy')"));
  assert.equal(await focused(), "words");
  ok("a description becomes a term, and the page asks what it does not understand");
  await shot("words");
  await tabTo("a meaning", "node.textContent === 'hue: green'");
  await page.press("Enter");
  await settled("the chosen word", "document.querySelector('#sql code').textContent.includes('5, green hue and xyzzy')");
  assert.equal(await page.evaluate("document.getElementById('words').value"), "a woman with Skin Tones 5, green hue and xyzzy");
  assert.equal((await terms()).length, 2);
  ok("the meaning of a word is chosen by keyboard");
  await reload();
  await page.until("the same words after reloading", "document.getElementById('words-answer')?.innerText.includes('hue: green')");
  assert.equal(await page.evaluate("document.getElementById('words').value"), "a woman with Skin Tones 5, green hue and xyzzy");
  await tabTo("removal", "node.getAttribute('aria-label')?.startsWith('Remove: “a woman')");
  await page.press("Enter");
  await settled("no description", "document.querySelectorAll('.term').length === 1");
  assert.equal(await page.evaluate("document.getElementById('words').value + document.getElementById('words-answer').innerText"), "");
  ok("a description is kept in the address, and leaves the box with its term");

  await page.evaluate("fetch = () => Promise.resolve(new Response(JSON.stringify({ message: 'no <b>luck</b>', detail: 'D.', hint: 'H.', sqlstate: 'XX000' }), { status: 500 }))");
  await page.evaluate("document.getElementById('more').click()");
  await page.until("an alert", "document.querySelector('[role=alert]').innerText.includes('no <b>luck</b>')");
  assert.match(await page.evaluate("document.querySelector('[role=alert]').innerText"), /XX000[^]*Detail D\.[^]*Hint H\./);
  ok("errors of the server are shown as they are");

  const { nodes } = await page.send("Accessibility.getFullAXTree");
  const roles = ["button", "slider", "combobox", "searchbox", "textbox", "image", "DisclosureTriangle", "list"];
  const nameless = nodes.filter(n => !n.ignored && roles.includes(n.role?.value) && n.role.value !== "list" && !n.name?.value);
  assert.deepEqual(nameless.map(n => `${n.role.value} ${n.backendDOMNodeId}`), []);
  ok("every control and image has a name");

  for (const [name, width, height, dark] of [["dark", 1360, 960, true], ["narrow", 360, 780, false], ["narrow-dark", 360, 780, true]]) {
    await page.window(width, height, dark);
    await reload();
    await settled("the page again", "document.querySelectorAll('#cards > li').length > 0");
    assert.ok(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), `${name}: the page is wider than its window`);
    await shot(name);
  }
  ok("the page fits narrow windows");
  assert.deepEqual(page.problems, []);
  ok("the browser reports no errors");
  console.log(`${passed} passed, 0 failed`);
} catch (error) {
  console.error(error.message, "\nproblems:", page.problems);
  if (shots) await page.screenshot(`${shots}/failed.png`);
  process.exitCode = 1;
} finally {
  await page.close();
}
