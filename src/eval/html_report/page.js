"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const tip = document.getElementById("tip");

// Names are users' input: they are only ever set as text or as attributes.
function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === false || value == null) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter(child => child != null));
  return node;
}
const el = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);
const svg = (name, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

const percent = x => (x == null ? "–" : (100 * x).toFixed(1));
const ranks = x => (x == null ? "–" : x.toFixed(2));
const short = x => (x == null ? "–" : String(+x.toPrecision(3)));
const count = (n, thing) => `${n.toLocaleString("en")} ${thing}${n === 1 ? "" : "s"}`;

function frame(index, alt) {
  const { src, path } = data.images[index];
  return el("div", { class: "frame" }, src ? el("img", { src, alt, title: path }) : el("span", { class: "soft" }, "no image"));
}

function section(id, title, ...children) {
  document.querySelector("nav").append(el("a", { href: "#" + id }, title));
  document.getElementById("main").append(el("section", { id, "aria-labelledby": id + "-title" }, el("h2", { id: id + "-title" }, title), ...children));
}

// The overview: which images are shown, and the main figures.
const { instance, attributes, categories, predictions } = data.scores;
function overview() {
  const shown = data.sizes.images < data.sizes.of
    ? `${data.sizes.images.toLocaleString("en")} of ${count(data.sizes.of, "query and gallery image")}, whole instances drawn with seed ${data.sizes.seed}`
    : `all ${count(data.sizes.images, "query and gallery image")}`;
  document.getElementById("lead").append(`A cooperative embedding: one space for retrieving instances, attribute values and categories. This page shows ${shown}.`);
  const tile = (name, figure, text) => el("div", { class: "tile" }, name, el("b", null, figure), el("span", { class: "soft" }, text));
  const ranked = (of, what) => `mean average precision of ${count(of.scored, what)}`;
  const tiles = [
    tile("Instance R@1", percent(instance.recall_at_1), `${count(instance.queries, "query").replace("querys", "queries")}, ${count(instance.gallery, "gallery image")}; R@10 ${percent(instance.recall_at_10)}`),
    tile("Attribute mAP", percent(attributes.mean_average_precision), ranked(attributes, "value")),
    tile("Category mAP", percent(categories.mean_average_precision), ranked(categories, "category").replace("categorys", "categories")),
  ];
  const { recorded } = data;
  const whole = recorded && data.sizes.images < data.sizes.of
    ? el("p", { class: "note" }, `The figures on this page are for the images shown; a smaller gallery is easier. After training the model was measured on ${count(recorded.sizes.queries, "query")} and ${count(recorded.sizes.gallery, "gallery image")}: R@1 ${percent(recorded.instance_recall_at_1)}, attribute mAP ${percent(recorded.attribute_map)}, category mAP ${percent(recorded.category_map)}.`.replace("querys", "queries"))
    : null;
  section("overview", "At a glance", el("p", { class: "soft" }, "In percent."), el("div", { class: "tiles" }, tiles), el("p"), whole,
    data.notes.map(note => el("p", { class: "note" }, note)));
}

// Labels that are probably wrong.
function suspects() {
  const { count: all, shown } = data.suspects;
  if (!all) return;
  const against = (who, suggested, label) => suggested == null ? null : el("small", { class: "soft" }, `${who}: ${percent(suggested)} against ${percent(label)}`);
  const suspect = s => el("li", null, el("figure", null, frame(s.image, `${s.column}: ${s.label}`),
    el("figcaption", { title: s.path }, el("b", null, s.column), el("br"), `${s.label} → ${s.suggested}?`,
      el("br"), against("model", s.model_suggested, s.model_label), el("br"), against("neighbours", s.neighbours_suggested, s.neighbours_label))));
  section("suspects", "Look at these first",
    el("p", { class: "soft" }, `${count(all, "label")} ${all === 1 ? "is" : "are"} probably wrong: another value is more probable, to a training that did not see the image and to its nearest neighbours in the features of the backbone as it came. ${shown.length < all ? `The ${shown.length} most certain are shown; label_issues.csv` : "label_issues.csv"} in the model directory lists all, mend_labels.sql corrects them. In percent, the suggested value against the label.`),
    el("ol", { class: "walk suspects" }, shown.map(suspect)));
}

// Example queries (Figure 3 of the paper).
function questions() {
  const titles = {
    instance: ["Instances", "The image on the left is the query; other images of the same instance are right."],
    attribute: ["Attribute values", "The query is the value's stored query, in the attribute's subspace alone. Images without the attribute are wrong."],
    category: ["Categories", "The query is the category's stored query, over all subspaces."],
  };
  const answer = a => {
    const verdict = a.right ? "right" : "wrong";
    return el("li", { class: verdict }, el("figure", null, frame(a.image, `${verdict}: ${a.text}`),
      el("figcaption", { title: `${a.text}, distance ${a.distance.toFixed(3)}` }, a.text)),
      el("span", { class: "sign", "aria-hidden": "true" }, a.right ? "✓" : "✗"));
  };
  const question = q => {
    const right = q.answers.filter(a => a.right).length;
    return el("div", { class: "question" },
      el("div", { class: "asked" }, q.image == null ? null : frame(q.image, "the query: " + q.text),
        el("div", null, el("strong", null, q.text), el("small", null, `${right} of the first ${q.answers.length} are right; the gallery has ${q.positives}`))),
      el("ol", { class: "answers" }, q.answers.map(answer)));
  };
  section("questions", "Example queries",
    el("p", { class: "soft" }, "The nearest gallery images, from left to right. ",
      el("b", null, "✓ solid green"), " is right, ", el("b", null, "✗ dashed red"),
      ` is wrong. Queries are drawn at random (seed ${data.sizes.seed}) among those with a right image in the gallery, whatever their results.`),
    data.questions.map(kind => [el("h3", null, titles[kind.name][0]), el("p", { class: "soft" }, titles[kind.name][1]),
      kind.questions.length ? kind.questions.map(question) : el("p", null, "There are no such queries.")]));
}

// Both ends of each category, and paths between categories (Section 5.3 of the paper).
function ends() {
  if (!data.categories.length) return;
  const end = (name, images, kind) => el("div", null, el("small", { class: "soft" }, kind), el("ol", { class: "walk" },
    images.map(i => el("li", null, el("figure", null, frame(i.image, `${kind} ${name}`), el("figcaption", null, i.distance.toFixed(2)))))));
  section("typical", "Typical and atypical images",
    el("p", { class: "soft" }, "Of each category the gallery images nearest to its centre, the mean of their embeddings, and those farthest from it, with their distances. What lies far out is rare, or has a wrong label."),
    data.categories.map(c => el("div", { class: "question" },
      el("div", { class: "asked" }, el("div", null, el("strong", null, c.name), el("small", null, count(c.images, "image")))),
      el("div", { class: "ends" }, end(c.name, c.typical, "typical"), end(c.name, c.atypical, "atypical")))));
}

function transitions() {
  if (!data.transitions) return;
  const { shares, examples, neighbours } = data.transitions;
  const share = s => (s == null ? "–" : `${percent(s.share)} ± ${percent(s.standard_error)} percent`);
  const summary = `Of ${count(shares.paths, "path")} between random images of different categories, with ${short(shares.hops)} hops of which ${short(shares.changes)} change the category, the longest hop changes it in ${share(shares.longest_hop)}; any hop does in ${share(shares.any_hop)}.`
    + (shares.without_path ? ` ${count(shares.without_path, "more pair")} ${shares.without_path === 1 ? "has" : "have"} no path.` : "");
  const step = s => el("li", { class: s.is_crossing ? "crossing" : null },
    s.distance == null ? null : el("span", { class: "hop" }, s.is_crossing ? `⇢ ${s.distance.toFixed(2)} longest` : `→ ${s.distance.toFixed(2)}`),
    el("figure", null, frame(s.image, s.text), el("figcaption", { title: s.text }, s.text)));
  section("transitions", "Transitions",
    el("p", { class: "soft" }, `The shortest path from the most typical image of one category to that of another, where each image is connected to its ${neighbours} nearest: over all attributes, and through the subspace of each ordered attribute alone. The longest hop is marked.`),
    shares.paths ? el("p", null, summary) : null,
    examples.map(t => el("div", { class: "question" },
      el("div", { class: "asked" }, el("div", null, el("strong", null, `${t.from} to ${t.to}`), el("small", null, t.through == null ? "over all attributes" : `through ${t.through}`))),
      t.steps.length ? el("ol", { class: "walk" }, t.steps.map(step)) : el("p", { class: "soft" }, "No path connects them."))));
}

function table(head, rows, attributes) {
  const line = (cells, tag) => el("tr", null, cells.map(c => (c instanceof Node ? c : el(tag, { scope: tag === "th" ? "col" : null }, c))));
  return el("div", { class: "scroll" }, el("table", attributes, el("thead", null, line(head, "th")), el("tbody", null, rows.map(r => line(r, "td")))));
}
const rowName = name => el("th", { scope: "row", title: name }, name);

function meter(value, chance) {
  const label = `${percent(value)} percent, chance ${percent(chance)}`;
  return el("td", { class: "bar" }, el("div", { class: "meter", role: "img", "aria-label": label, title: label },
    value == null ? null : el("i", { style: `width:${100 * value}%` }), chance == null ? null : el("u", { style: `left:${100 * chance}%` })));
}

// The expected average precision of a random ranking is about the fraction of relevant images.
function chance(values, ranked) {
  const scored = values.filter(v => v.average_precision != null);
  return scored.length ? scored.reduce((sum, v) => sum + v.positives / ranked, 0) / scored.length : null;
}

function scores() {
  const gallery = instance.gallery;
  const groups = [...attributes.groups, ...categories.groups];
  const rows = groups.map(g => [rowName(g.name), meter(g.mean_average_precision, chance(g.values, gallery)),
    percent(g.mean_average_precision), `${g.scored}/${g.values.length}`, g.labelled.toLocaleString("en")]);
  const value = v => [rowName(v.name), meter(v.average_precision, v.skipped ? null : v.positives / gallery), percent(v.average_precision), v.positives.toLocaleString("en"), el("td", { class: "soft" }, v.skipped || "")];
  const container = el("div");
  const choose = index => container.replaceChildren(table(["", el("th"), "AP", "in the gallery", ""], groups[index].values.map(value)));
  choose(0);
  section("scores", "Scores",
    el("p", { class: "soft" }, "Mean average precision in percent, where each value's query ranks the whole gallery. The dark tick marks a random ranking."),
    table(["", el("th"), "mAP", "values scored", "labelled images"], rows),
    el("h3", null, "Value by value"), el("p", null, chooser(groups.map(g => g.name), choose)), container);
}

function chooser(names, choose, first = 0) {
  const options = names.map((name, i) => el("option", { value: i, selected: i === first }, name));
  return el("label", null, "Attribute ", el("select", { onchange: e => choose(+e.target.value) }, options));
}

function confusion(p) {
  const row = (name, counts, at) => {
    const sum = Math.max(1, counts.reduce((a, b) => a + b, 0));
    return el("tr", null, el("th", { scope: "row", title: name }, name), counts.map((n, to) =>
      el("td", { class: at === to ? "right" : null, style: `--share:${n / sum}`, title: `${name} taken for ${p.values[to]}: ${n}` }, n || "·")));
  };
  return el("div", { class: "scroll" }, el("table", { class: "confusion" }, el("caption", null, p.name),
    el("thead", null, el("tr", null, el("th", { scope: "col" }, "is ↓ predicted →"), p.values.map(v => el("th", { scope: "col", title: v }, v)))),
    el("tbody", null, p.confusion.map((counts, i) => row(p.values[i], counts, i)))));
}

function nearest() {
  const pair = (a, text) => [text(a.micro), text(a.macro)];
  const rows = predictions.map(p => [rowName(p.name), ...pair(p.accuracy, percent), ...pair(p.mean_reciprocal_rank, percent),
    ...(p.mean_absolute_error ? pair(p.mean_absolute_error, ranks) : ["", ""]), p.images.toLocaleString("en")]);
  const shown = predictions.filter(p => p.images);
  const [ordered, others] = [shown.filter(p => p.ordered), shown.filter(p => !p.ordered)];
  const by = data.scores.predicted_by === "proxy" ? "proxy" : "mean query";
  section("values", "Predicted values",
    el("p", { class: "soft" }, `The predicted value of a labelled gallery image is the one whose ${by} is nearest in the attribute's subspace. `,
      "Micro is the mean over images, macro over values. MRR is the mean reciprocal rank of the right value; MAE is the mean difference in ranks between the right and the predicted value, for ordered attributes."),
    table(["", "accuracy, micro", "macro", "MRR, micro", "macro", "MAE, micro", "macro", "images"], rows),
    el("h3", null, "Confusion of ordered attributes"),
    ordered.length ? el("div", { class: "columns" }, ordered.map(confusion)) : el("p", null, "There are none."),
    others.length ? el("details", null, el("summary", null, "Other attributes"), el("div", { class: "columns" }, others.map(confusion))) : null);
}

// A reliability diagram: the fraction of right answers by predicted probability. Well calibrated answers lie on the diagonal.
function reliability(t) {
  const [size, left, top, bottom] = [220, 36, 8, 20], side = size - top - bottom;
  const x = p => left + side * p, y = p => top + side * (1 - p);
  const most = Math.max(...t.bins.map(b => b.answers));
  const label = `${t.name}: ` + t.bins.map(b => `probability ${percent(b.confidence)}, right ${percent(b.accuracy)}, ${count(b.answers, "answer")}`).join("; ");
  const drawing = svg("svg", { viewBox: `0 0 ${left + side + 8} ${size}`, role: "img", "aria-label": label },
    svg("line", { x1: x(0), y1: y(0), x2: x(1), y2: y(1) }), svg("line", { x1: x(0), y1: y(0), x2: x(1), y2: y(0) }),
    svg("text", { x: x(0), y: size - 5 }, "probability 0"), svg("text", { x: x(1), y: size - 5, "text-anchor": "end" }, "100"),
    svg("text", { x: left - 4, y: y(1) + 8, "text-anchor": "end" }, "right"),
    t.bins.map(b => svg("circle", { cx: x(b.confidence), cy: y(b.accuracy), r: 2 + 6 * Math.sqrt(b.answers / most) })));
  return el("div", { class: "curve" }, el("h4", { title: t.name }, t.name), el("output", null, `ECE ${percent(t.expected_calibration_error)}`), drawing);
}

function tagged() {
  const tags = data.scores.tags || [];
  if (!tags.length) return;
  const rows = tags.map(t => [rowName(t.name), percent(t.accuracy), percent(t.accuracy_of_nearest_mean), percent(t.presence_accuracy),
    percent(t.expected_calibration_error), t.labelled.toLocaleString("en"), t.absent.toLocaleString("en")]);
  section("tags", "Tags",
    el("p", { class: "soft" }, "In percent. Accuracy of the likeliest value of each gallery image, and of the value with the nearest mean query; accuracy of whether an image has a value at all, if the model can tell; and the expected calibration error, the mean difference between the predicted probability and the fraction of right answers."),
    table(["", "accuracy", "nearest mean", "presence", "ECE", "labelled", "absent"], rows),
    el("h3", null, "Reliability: fraction of right answers by predicted probability"),
    el("div", { class: "curves" }, tags.filter(t => t.bins.length).map(reliability)));
}

// Maps. Values differ in colour and in shape.
const colours = ["#3b7dd8", "#e0701a", "#2a9d5c", "#c73a63", "#8455c9", "#8a6a3b", "#1b9aaa", "#c9a400"];
const shapes = [
  "M0-5.2A5.2 5.2 0 1 0 .01-5.2Z", "M-4.8-4.8H4.8V4.8H-4.8Z", "M0-6.2 6 5H-6Z", "M0-6.6 6.6 0 0 6.6-6.6 0Z", "M0 6.2-6-5H6Z",
  "M-2-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z",
];
function marker(map, value) {
  const n = map.values.length;
  if (map.ordered) {
    const t = n > 1 ? value / (n - 1) : 0;
    return { fill: `hsl(${265 - 220 * t} ${60 + 25 * t}% ${56 - 12 * t}%)`, d: shapes[value % shapes.length] };
  }
  return { fill: colours[value % colours.length], d: shapes[(value + Math.floor(value / colours.length)) % shapes.length] };
}

function showTip(event, point, map) {
  const text = [el("strong", null, map.values[point.value]), el("br"), data.images[point.image].path];
  tip.replaceChildren(frame(point.image, ""), ...text);
  tip.hidden = false;
  const at = event.target.getBoundingClientRect();
  const x = event.clientX || at.left, y = event.clientY || at.top;
  tip.style.left = Math.min(x + 16, innerWidth - tip.offsetWidth - 8) + "px";
  tip.style.top = Math.max(8, Math.min(y + 16, innerHeight - tip.offsetHeight - 8)) + "px";
}

function drawMap(map, container, legend) {
  const [width, height, edge] = [800, 560, 36];
  const all = [...map.points, ...map.queries];
  const scale = (of, from, to) => {
    const values = all.map(of), low = Math.min(...values), span = Math.max(...values) - low || 1;
    return p => from + (to - from) * (of(p) - low) / span;
  };
  const x = scale(p => p.x, edge, width - edge), y = scale(p => p.y, height - edge, edge);
  let current = -1;
  const marks = map.points.map((p, i) => svg("path", {
    class: "mark", ...marker(map, p.value), transform: `translate(${x(p).toFixed(1)} ${y(p).toFixed(1)})`,
    onmouseenter: e => showTip(e, p, map), onmouseleave: () => { tip.hidden = true; },
  }));
  const step = by => {
    marks[current]?.classList.remove("on");
    current = (current + by + marks.length) % marks.length;
    marks[current].classList.add("on");
    showTip({ target: marks[current] }, map.points[current], map);
  };
  const leave = () => { marks[current]?.classList.remove("on"); tip.hidden = true; };
  const names = map.queries.map(q => svg("text", { class: "name", x: Math.max(60, Math.min(width - 60, x(q))).toFixed(1), y: (y(q) + 5).toFixed(1) }, map.values[q.value]));
  const label = `Map of ${map.attribute}: ${map.points.length} images. The arrow keys step through the images.`;
  container.replaceChildren(svg("svg", {
    viewBox: `0 0 ${width} ${height}`, tabindex: 0, role: "application", "aria-label": label, onblur: leave,
    onkeydown: e => {
      const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[e.key];
      if (by && marks.length) { e.preventDefault(); step(by); } else if (e.key === "Escape") leave();
    },
  }, marks, names));
  const counts = map.values.map((_, v) => map.points.filter(p => p.value === v).length);
  legend.replaceChildren(...map.values.map((name, v) => counts[v] === 0 ? null : el("button", {
    type: "button", "aria-pressed": "false",
    onclick: e => {
      const on = e.currentTarget.getAttribute("aria-pressed") !== "true";
      for (const b of legend.children) b.setAttribute("aria-pressed", String(on && b === e.currentTarget));
      marks.forEach((m, i) => m.classList.toggle("dim", on && map.points[i].value !== v));
    },
  }, svg("svg", { viewBox: "-8 -8 16 16", "aria-hidden": "true" }, svg("path", marker(map, v))), `${name} (${counts[v]})`)).filter(Boolean));
}

function maps() {
  if (!data.maps.length) return;
  const container = el("div"), legend = el("div", { class: "legend", "aria-label": "Values" }), about = el("p", { class: "soft", "aria-live": "polite" });
  const choose = index => {
    const map = data.maps[index];
    drawMap(map, container, legend);
    about.textContent = `${count(map.points.length, "image")} drawn evenly over the values; the two axes explain ${percent(map.explained[0])} and ${percent(map.explained[1])} percent of their variance. Each name is placed at the stored query of its value, the mean of the training images that show it.`;
  };
  const first = data.maps.reduce((best, m, i) => (m.points.length > data.maps[best].points.length ? i : best), 0);
  section("maps", "Maps of the subspaces",
    el("p", { class: "soft" }, "The subspace of one attribute along the two directions in which its images vary most. Point at an image to see it, or press Tab and then the arrow keys; choose a value to dim the others."),
    el("p", null, chooser(data.maps.map(m => m.attribute), choose, first)), el("div", { class: "map" }, container, legend), about);
  choose(first);
}

function curve(series) {
  const [width, height, left, top, bottom] = [260, 130, 46, 8, 20];
  const points = data.curves.epochs.map((epoch, i) => ({ epoch, value: series.values[i] })).filter(p => p.value != null);
  const values = points.map(p => p.value), low = Math.min(...values), high = Math.max(...values);
  const epochs = data.curves.epochs, first = epochs[0], last = epochs[epochs.length - 1];
  const x = p => left + (width - left - 6) * (p.epoch - first) / (last - first || 1);
  const y = v => top + (height - top - bottom) * (1 - (v - low) / (high - low || 1));
  const dot = svg("circle", { r: 4 });
  const output = el("output");
  let current = points.length - 1;
  const show = i => {
    current = Math.max(0, Math.min(points.length - 1, i));
    const p = points[current];
    dot.setAttribute("cx", x(p));
    dot.setAttribute("cy", y(p.value));
    output.textContent = `epoch ${p.epoch}: ${short(p.value)}`;
  };
  show(current);
  const label = `${series.name}: from ${short(values[0])} to ${short(values[values.length - 1])} over ${count(points.length, "epoch")}. The arrow keys step through the epochs.`;
  const drawing = svg("svg", {
    viewBox: `0 0 ${width} ${height}`, tabindex: 0, role: "img", "aria-label": label,
    onpointermove: e => {
      const box = e.currentTarget.getBoundingClientRect(), at = (e.clientX - box.left) / box.width * width;
      show(points.reduce((best, p, i) => (Math.abs(x(p) - at) < Math.abs(x(points[best]) - at) ? i : best), 0));
    },
    onpointerleave: () => show(points.length - 1),
    onkeydown: e => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
      if (by) { e.preventDefault(); show(current + by); }
    },
  },
    svg("line", { x1: left, x2: width, y1: height - bottom, y2: height - bottom }),
    svg("text", { x: left - 5, y: top + 8, "text-anchor": "end" }, short(high)),
    svg("text", { x: left - 5, y: height - bottom, "text-anchor": "end" }, short(low)),
    svg("text", { x: left, y: height - 5 }, String(first)),
    svg("text", { x: width - 4, y: height - 5, "text-anchor": "end" }, `${last} epochs`),
    svg("path", { d: points.map((p, i) => `${i ? "L" : "M"}${x(p).toFixed(1)} ${y(p.value).toFixed(1)}`).join("") }), dot);
  return el("div", { class: "curve" }, el("h4", { title: series.name }, series.name), output, drawing);
}

function training() {
  if (!data.curves) return;
  section("training", "Training",
    el("p", { class: "soft" }, "Each loss before its weight, as the mean over an epoch; each chart has its own scale, from its lowest to its highest value."),
    el("div", { class: "curves" }, data.curves.series.map(curve)));
}

function facts() {
  section("facts", "Facts", el("div", { class: "facts" }, data.facts.map(group => el("div", null, el("h3", null, group.name),
    el("dl", null, group.rows.map(([name, value]) => [el("dt", null, name), el("dd", null, value)]))))));
}

[overview, suspects, questions, ends, transitions, scores, nearest, tagged, maps, training, facts].forEach(draw => draw());
