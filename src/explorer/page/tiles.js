// What results and transitions share: a row's name, and its image in a square frame.
import { el } from "./dom.js";

export const rowName = (labels, id) => labels.filter(Boolean).join(", ") || `row ${id}`;

// `page` is the state in explorer.js.
export function imageFrame(page, id, alt) {
  const src = page.imageAddress(id);
  const placeholder = () => el("span", { class: "soft none" }, page.about.has_images ? "no image" : alt);
  return el("div", { class: "frame" },
    src == null ? placeholder() : el("img", { src, alt, loading: "lazy", onerror: event => event.target.replaceWith(placeholder()) }));
}
