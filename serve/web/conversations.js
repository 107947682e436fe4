// The list of conversations. Knows how it looks and keeps the focus; what a click does is told to it.

import { byId, el } from "./dom.js";

export const titleOf = (conversation) => conversation.title || "New conversation";

// Shows `found` anew. Whoever is in the list stays at the same button of the same conversation, or of what took its place.
export function showList(found, current, { open, remove }) {
  const list = byId("conversations");
  const place = placeOf(document.activeElement, list);
  list.replaceChildren(...found.map((conversation) => {
    const title = titleOf(conversation);
    const here = conversation.id === current;
    return el("li", { class: here ? "current" : "", "data-id": conversation.id },
      el("button", { type: "button", class: "open", "aria-current": here ? "true" : null, title,
        on: { click: () => open(conversation.id) } }, title),
      el("button", { type: "button", class: "icon delete", "aria-label": `Delete “${title}”`,
        on: { click: () => remove(conversation.id, title) } }, "✕"));
  }));
  if (!place) return;
  const items = [...list.children];
  const item = items.find(({ dataset }) => dataset.id === place.id) ?? items[Math.min(place.index, items.length - 1)];
  (item?.querySelector(place.button) ?? byId("new-chat")).focus();
}

export function markNone() {
  for (const item of document.querySelectorAll("#conversations .current")) {
    item.classList.remove("current");
    item.querySelector(".open").removeAttribute("aria-current");
  }
}

function placeOf(focused, list) {
  const item = list.contains(focused) ? focused.closest("li") : null;
  if (!item) return null;
  const button = focused.classList.contains("delete") ? ".delete" : ".open";
  return { id: item.dataset.id, index: [...list.children].indexOf(item), button };
}
