// "Why this answer": candidates with their scores, what was filtered, tool calls, timings.

import { byId, el } from "./dom.js";

const SCORES = ["sensible", "specific", "interesting", "safe"];
const STAGES = { generate: "Writing", score: "Judging", tools: "Tools", research: "Research", check: "Checking" };

let opener = null;

// Opened again by the same button, it closes.
export function showWhy(turn, from) {
  if (opener === from && hideWhy()) return;
  opener?.setAttribute("aria-expanded", "false");
  opener = from;
  opener.setAttribute("aria-expanded", "true");
  byId("why-body").replaceChildren(...sections(turn));
  byId("why").hidden = false;
  byId("why-title").focus();
}

export function hideWhy() {
  if (byId("why").hidden) return false;
  byId("why").hidden = true;
  opener.setAttribute("aria-expanded", "false");
  opener.focus();
  return true;
}

function sections(turn) {
  const base = turn.candidates.filter((candidate) => candidate.phase === "base");
  const research = turn.candidates.filter((candidate) => candidate.phase === "research");
  const dropped = base.filter((candidate) => !candidate.kept).length;
  return [
    facts(turn),
    el("h3", {}, `${base.length} candidates, ${dropped} filtered`),
    ...base.map((candidate, i) => candidateCard(candidate, i === 0 && candidate.kept ? "Best draft" : null)),
    ...(turn.tool_calls.length ? [el("h3", {}, "Tools"), ...turn.tool_calls.map(toolCard)] : []),
    ...(research.length ? [el("h3", {}, "Researched answers"), ...research.map((candidate) => candidateCard(candidate, null))] : []),
    el("h3", {}, "Time"), ...timings(turn),
  ];
}

function facts(turn) {
  const badge = (text, kind = "") => el("span", { class: `badge ${kind}` }, text);
  return el("div", { class: "facts" },
    turn.grounded ? badge("Grounded in sources", "good") : badge("Not grounded in a source"),
    turn.finish_reason === "content_filter" ? badge("Blocked by the filter", "bad") : null,
    turn.finish_reason === "length" ? badge("Cut at the length limit") : null,
    badge(turn.decoder.model), badge(`Role: ${turn.role}`), badge(`Seed ${turn.seed}`));
}

function candidateCard(candidate, label) {
  const kind = label ? "chosen" : candidate.kept ? "" : "dropped";
  return el("article", { class: `card ${kind}` },
    label ? el("span", { class: "badge good" }, label) : null,
    candidate.kept ? el("p", {}, candidate.text) : el("p", { class: "reason" }, `Filtered: ${candidate.reason ?? "no reason given"}`),
    candidate.kept || !candidate.text ? null
      : el("details", {}, el("summary", {}, "Show what was filtered"), el("p", {}, candidate.text)),
    candidate.scores ? bars(candidate.scores) : null,
    el("p", { class: "meta" }, [
      candidate.scores ? `Quality ${candidate.scores.quality.toFixed(2)} of 5` : null,
      candidate.support === null ? null : `${Math.round(candidate.support * 100)}% of it is in its source`,
      `${candidate.tokens} tokens`,
    ].filter(Boolean).join(" · ")));
}

function bars(scores) {
  return el("dl", { class: "bars" }, SCORES.flatMap((name) => {
    const fill = el("i", { class: name });
    fill.style.width = `${Math.round(scores[name] * 100)}%`;
    return [
      el("dt", {}, name[0].toUpperCase() + name.slice(1)),
      el("div", { class: "track", "aria-hidden": "true" }, fill),
      el("dd", {}, `${Math.round(scores[name] * 100)}%`),
    ];
  }));
}

function toolCard(call) {
  return el("article", { class: "card" },
    el("p", {}, el("b", {}, call.tool), ` was asked “${call.query}”`),
    call.error ? el("p", { class: "reason" }, `It failed: ${call.error}`) : null,
    ...call.results.slice(0, 4).map((result) => el("blockquote", {},
      result.source ? el("b", {}, `${result.source.title}: `) : null, shorten(result.text))),
    el("p", { class: "meta" }, [
      call.error ? null : call.results.length ? `${call.results.length} results` : "no result",
      `${call.seconds.toFixed(2)} s`,
    ].filter(Boolean).join(" · ")));
}

function timings(turn) {
  const total = turn.timings.total || 1;
  const strip = el("div", { class: "strip", "aria-hidden": "true" });
  const list = el("ul", { class: "times" });
  for (const [stage, name] of Object.entries(STAGES)) {
    const part = el("i");
    part.style.width = `${(turn.timings[stage] / total) * 100}%`;
    strip.append(part);
    list.append(el("li", {}, name, el("b", {}, `${turn.timings[stage].toFixed(2)} s`)));
  }
  list.append(el("li", {}, "Together", el("b", {}, `${turn.timings.total.toFixed(2)} s`)));
  list.append(el("li", {}, "Tokens written", el("b", {}, String(turn.usage.sampled_tokens))));
  return [strip, list];
}

const shorten = (text) => (text.length > 320 ? `${text.slice(0, 320)}…` : text);
