// An answer: its text with numbered citations, its sources, and the snippet shown on hover or focus.

import { byId, el, safeUrl } from "./dom.js";

export function fillText(target, text, citations) {
  const byNumber = new Map(citations.map((citation) => [citation.number, citation]));
  target.replaceChildren();
  let end = 0;
  for (const match of text.matchAll(/\s?\[(\d{1,3})\]/g)) {
    const citation = byNumber.get(Number(match[1]));
    if (!citation) continue;
    target.append(text.slice(end, match.index), marker(citation));
    end = match.index + match[0].length;
  }
  target.append(text.slice(end));
}

function marker(citation) {
  const url = citation.url && safeUrl(citation.url);
  const options = { class: "cite", "aria-describedby": "snippet", "aria-label": `Source ${citation.number}: ${citation.title}` };
  const made = url
    ? el("a", { ...options, href: url, target: "_blank", rel: "noopener noreferrer" }, String(citation.number))
    : el("button", { ...options, type: "button" }, String(citation.number));
  for (const event of ["mouseenter", "focus"]) made.addEventListener(event, () => showSnippet(made, citation));
  for (const event of ["mouseleave", "blur"]) made.addEventListener(event, hideSnippet);
  if (!url) made.addEventListener("click", () => showSnippet(made, citation));
  return made;
}

function showSnippet(at, citation) {
  const box = byId("snippet");
  box.replaceChildren(el("strong", {}, citation.title), el("span", {}, citation.text));
  box.hidden = false;
  const place = at.getBoundingClientRect();
  const left = Math.max(12, Math.min(place.left - 20, innerWidth - box.offsetWidth - 12));
  const above = place.top - box.offsetHeight - 8;
  box.style.left = `${left}px`;
  box.style.top = `${above > 8 ? above : place.bottom + 8}px`;
}

// Returns whether there was one.
export function hideSnippet() {
  const shown = !byId("snippet").hidden;
  byId("snippet").hidden = true;
  return shown;
}

export function sourceList(citations) {
  if (!citations.length) return null;
  return el("ol", { class: "sources", "aria-label": "Sources" }, citations.map((citation) => {
    const url = citation.url && safeUrl(citation.url);
    const title = url ? el("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, citation.title) : citation.title;
    return el("li", { title: citation.title }, el("b", {}, String(citation.number)), title);
  }));
}
