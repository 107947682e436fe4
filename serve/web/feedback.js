// Thumbs and the form behind the thumb down.

import { ApiError, call } from "./api.js";
import { el, icon } from "./dom.js";

const REASONS = {
  wrong: "Wrong", nonsense: "Makes no sense", vague: "Too vague", dull: "Dull", unsafe: "Unsafe", other: "Something else",
};

const HAND = "M7 10.5V20H3.5v-9.5zm0 0L11 3c1.6 0 2.7 1.2 2.7 2.8V9h5a2 2 0 0 1 2 2.3l-1.1 6.9a2 2 0 0 1-2 1.8H7";

export function feedbackButtons(turn, say) {
  const up = thumb(icon(HAND), "Good answer");
  const down = thumb(icon(HAND, "turned"), "Bad answer");
  const holder = el("div", { class: "feedback-holder" });
  mark(turn.feedback?.thumb);

  function mark(value) {
    up.setAttribute("aria-pressed", String(value === "up"));
    down.setAttribute("aria-pressed", String(value === "down"));
  }
  // Returns whether it was kept.
  async function give(body) {
    try {
      await call("PUT", `/v1/turns/${encodeURIComponent(turn.id)}/feedback`, body);
      mark(body.thumb);
      say("Thank you, your feedback is kept.");
      return true;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      say(error.message);
      return false;
    }
  }
  up.addEventListener("click", async () => { if (await give({ thumb: "up" })) holder.replaceChildren(); });
  down.addEventListener("click", () => {
    if (holder.firstChild) { holder.replaceChildren(); return; }
    holder.append(form(give, () => { holder.replaceChildren(); down.focus(); }));
    holder.querySelector("input").focus();
  });
  return { buttons: [up, down], holder };
}

function thumb(sign, label) {
  return el("button", { type: "button", "aria-label": label, title: label, "aria-pressed": "false" }, sign);
}

function form(give, close) {
  const better = el("textarea", { rows: 2, maxlength: 8000, "aria-label": "A better answer" , placeholder: "What should it have said? (optional)" });
  const chips = Object.entries(REASONS).map(([value, label]) =>
    el("label", { class: "chip" }, el("input", { type: "radio", name: "reason", value }), label));
  const send = el("button", { type: "submit", class: "primary" }, "Send feedback");
  const made = el("form", { class: "feedback" },
    el("fieldset", {}, el("legend", {}, "What was wrong with it?"), ...chips), better,
    el("div", { class: "row" },
      el("button", { type: "button", on: { click: close } }, "Cancel"),
      send));
  made.addEventListener("submit", async (event) => {
    event.preventDefault();
    send.disabled = true;
    const kept = await give({ thumb: "down", reason: made.elements.reason.value || null, better: better.value.trim() || null });
    send.disabled = false;
    if (kept) close(); // otherwise what was written stays, to be sent again
  });
  return made;
}
