// The page: what is shown when, and what a person's actions do.

import { ApiError, call, key, onceKey, streamTurn } from "./api.js";
import { fillText, hideSnippet, sourceList } from "./answer.js";
import { markNone, showList, titleOf } from "./conversations.js";
import { byId, copyText, el } from "./dom.js";
import { feedbackButtons } from "./feedback.js";
import { hideWhy, showWhy } from "./why.js";

const EXAMPLES = ["What is 15% of 80?", "Who painted the Mona Lisa?", "How do you say “good morning” in Spanish?"];
const PAGE = 100; // conversations listed at a time
// `running` is the AbortController of the answer that is being made, `opening` the conversation that is being read,
// `unheard` the last message where nobody knows what came of it: it may have been answered.
const state = { conversation: null, opening: null, roles: [], running: null, unheard: null, pages: 1 };

const log = byId("log");
const message = byId("message");

function say(text, busy = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("busy", busy);
}

// For who listens: in a region of its own, which keeps its text, since one that is emptied soon may never be read out.
function speak(text) {
  byId("spoken").textContent = text;
}

// Progress

const stages = {
  sampling: (detail) => `Writing ${detail || "several"} candidates…`,
  scoring: () => "Judging them…",
  researching: (detail) => `Looking up “${detail}”…`,
  checking: () => "Checking the answer…",
};

// Messages

function addUser(text) {
  byId("welcome").hidden = true;
  const holder = el("article", { class: "user", "aria-label": "You" }, el("p", {}, text));
  log.append(holder);
  return holder;
}

function addReply() {
  const text = el("div", { class: "text" });
  const holder = el("article", { class: "reply", "aria-label": "Groundling" }, text);
  log.append(holder);
  return { holder, text };
}

function finishReply({ holder, text }, turn) {
  fillText(text, turn.reply, turn.citations);
  holder.classList.toggle("blocked", turn.finish_reason === "content_filter");
  const why = el("button", { type: "button", class: "why", "aria-controls": "why", "aria-expanded": "false" }, "Why this answer");
  why.addEventListener("click", () => showWhy(turn, why));
  const copy = el("button", { type: "button" }, "Copy");
  copy.addEventListener("click", async () => {
    say(await copyText(turn.reply) ? "Copied." : "The browser does not let this page copy. Mark the text and copy it.");
  });
  const feedback = feedbackButtons(turn, say);
  holder.append(
    ...[sourceList(turn.citations)].filter(Boolean),
    ...turn.notes.map((note) => el("p", { class: "notes" }, note)),
    el("div", { class: "actions" }, why, copy, feedback.buttons), feedback.holder);
}

// The conversation is not read out as it grows, so that the status has to tell.
function failReply({ holder, text }, problem) {
  holder.classList.add("failed");
  text.textContent = problem;
  say(problem);
}

function write(text) {
  message.value = text;
  fitMessage();
}

function fitMessage() {
  message.style.height = "";
  if (message.value) message.style.height = `${message.scrollHeight}px`;
}

// Where focus in the message box would bring up a keyboard over half of the page.
const onPhone = () => matchMedia("(pointer: coarse)").matches;

// Back to writing, unless the person is somewhere else on the page.
function backToMessage() {
  const at = document.activeElement;
  const free = at === null || at === document.body || byId("composer").contains(at);
  if (free && !onPhone()) message.focus();
}

// To a conversation that was just begun or opened.
function toConversation() {
  (onPhone() ? log : message).focus();
}

function toEnd() {
  log.scrollTop = log.scrollHeight;
}

// Sending

async function ask(text) {
  const stop = new AbortController();
  state.running = stop;
  state.opening = null;
  setBusy(true);
  const sent = toSend(text);
  const reply = addReply();
  sent.shown.push(reply.holder);
  toEnd();
  say("Sending…", true);
  let shown = "";
  let failed = true;
  try {
    if (!state.conversation) state.conversation = await begin(stop.signal);
    sent.conversation = state.conversation;
    await streamTurn({ message: text, conversation: state.conversation }, sent.once, {
      progress: ({ stage, detail }) => say(stages[stage]?.(detail) ?? "Working…", true),
      delta: (data) => { shown += data.text; reply.text.textContent = shown; toEnd(); },
      turn: (turn) => {
        finishReply(reply, turn);
        say("");
        speak(`Groundling: ${turn.reply}`);
      },
    }, stop.signal);
    failed = false;
  } catch (error) {
    if (state.running !== stop) return; // whoever asked has left the page
    if (error.name === "AbortError") failReply(reply, "Stopped.");
    else if (error instanceof ApiError) {
      failReply(reply, error.message);
      if (!message.value) write(text); // to be sent again
      // A proxy's 502 or 504 tells as little of the answer as a broken connection does.
      if (error.status === 0 || error.status >= 500) state.unheard = sent;
      if (error.status === 401) askForKey(error.message);
    } else { failReply(reply, "Something went wrong on this page."); throw error; }
  } finally {
    if (state.running === stop) {
      state.running = null;
      setBusy(false);
      toEnd();
      backToMessage();
    }
  }
  await guarded(loadConversations(), failed ? () => {} : say); // what failed first is what to tell
}

// The message as it is shown and sent. Sent again in the same conversation while nobody knows what came of it, it keeps
// its key, so that the service answers it once, and takes the place of the first try.
function toSend(text) {
  const { unheard } = state;
  const again = unheard?.text === text && unheard.conversation === state.conversation;
  if (again) for (const item of unheard.shown) item.remove();
  state.unheard = null;
  return { text, conversation: state.conversation, once: again ? unheard.once : onceKey(), shown: [addUser(text)] };
}

async function begin(signal) {
  try {
    if (!state.roles.length) await loadRoles(signal);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error; // without the roles the service takes its own
  }
  const role = byId("role").value;
  return (await call("POST", "/v1/conversations", role ? { role } : {}, signal)).id;
}

function setBusy(busy) {
  byId("send").hidden = busy;
  byId("stop").hidden = !busy;
  byId("role").disabled = busy || state.conversation !== null;
}

// Conversations

async function loadConversations() {
  const asker = key.get();
  const found = [];
  let more = true;
  for (let page = 0; more && page < state.pages; page += 1) {
    const before = found.length ? `&before=${encodeURIComponent(found.at(-1).updated_at)}` : "";
    const { data, has_more } = await call("GET", `/v1/conversations?limit=${PAGE}${before}`);
    found.push(...data);
    more = has_more;
  }
  if (key.get() === asker) showConversations(found, more);
}

function showConversations(found, more) {
  byId("no-conversations").hidden = found.length > 0;
  byId("more-conversations").hidden = !more;
  const current = found.find(({ id }) => id === state.conversation);
  if (current) byId("title").textContent = titleOf(current);
  showList(found, state.conversation, { open: openConversation, remove: deleteConversation });
}

async function readConversation(id) {
  const path = `/v1/conversations/${encodeURIComponent(id)}?limit=200`;
  const whole = await call("GET", path);
  for (let more = whole.has_more; more;) {
    const next = await call("GET", `${path}&after=${encodeURIComponent(whole.turns.at(-1).id)}`);
    whole.turns.push(...next.turns);
    more = next.has_more;
  }
  return whole;
}

async function openConversation(id) {
  if (answering()) return;
  const opening = state.opening = { id };
  const whole = await guarded(readConversation(id));
  if (!whole || state.opening !== opening) return; // meanwhile something else was opened, asked or deleted
  state.opening = null;
  clearLog();
  state.conversation = whole.id;
  byId("role").value = whole.role;
  setBusy(false);
  if (whole.turns.length) byId("welcome").hidden = true;
  for (const turn of whole.turns) {
    addUser(turn.messages.at(-1).content);
    finishReply(addReply(), turn);
  }
  const last = whole.turns.at(-1)?.messages.at(-1).content;
  if (state.unheard?.conversation === id && state.unheard.text === last) state.unheard = null; // it was answered
  closeSidebar();
  speak(`Opened “${titleOf(whole)}”.`);
  toConversation();
  await guarded(loadConversations());
  toEnd();
}

async function deleteConversation(id, title) {
  if (!confirm(`Delete “${title}” for good?`)) return;
  const deleted = await guarded(call("DELETE", `/v1/conversations/${encodeURIComponent(id)}`).then(() => true));
  if (deleted && state.opening?.id === id) state.opening = null;
  if (deleted && id === state.conversation) {
    leave();
    newConversation();
  }
  await guarded(loadConversations());
}

// Gives up the answer that is being made: nobody is left to see it.
function leave() {
  state.running?.abort();
  state.running = null;
}

// Whether an answer has to be stopped first, which is said.
function answering() {
  if (!state.running) return false;
  say("Stop the answer first.", true);
  if (closeSidebar()) byId("stop").focus(); // it lay over both
  return true;
}

function newConversation() {
  if (answering()) return;
  state.conversation = state.opening = null;
  clearLog();
  byId("welcome").hidden = false;
  byId("title").textContent = "New conversation";
  setBusy(false);
  showOpening();
  closeSidebar();
  markNone();
  toConversation();
}

function clearLog() {
  for (const item of [...log.children]) if (item.id !== "welcome") item.remove();
  hideWhy();
  hideSnippet();
  say("");
  speak("");
}

function showOpening() {
  for (const item of log.querySelectorAll(".opening")) item.remove();
  const role = state.roles.find(({ name }) => name === byId("role").value);
  byId("welcome").hidden = Boolean(role?.opening.length);
  for (const line of role?.opening ?? []) {
    log.append(el("article", { class: "reply opening", "aria-label": "Groundling" }, el("div", { class: "text" }, line)));
  }
}

async function guarded(work, tell = say) {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 401) askForKey(error.message);
    else tell(error.message);
    return null;
  }
}

// Key, theme, start

function askForKey(problem = "") {
  byId("key-problem").textContent = problem;
  if (!byId("key-dialog").open) byId("key-dialog").showModal();
}

// Nothing of whoever used the page before may stay on it.
function changeKey(text) {
  leave();
  if (text) key.set(text);
  else key.forget();
  state.unheard = null;
  state.pages = 1;
  showConversations([], false);
  newConversation();
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  byId("theme").textContent = theme === "dark" ? "Light mode" : "Dark mode";
}

// Only on a phone can it be closed. Returns whether it was open.
function closeSidebar() {
  const open = byId("sidebar").classList.contains("open");
  byId("sidebar").classList.remove("open");
  byId("open-sidebar").setAttribute("aria-expanded", "false");
  return open;
}

function openSidebar() {
  byId("sidebar").classList.add("open");
  byId("open-sidebar").setAttribute("aria-expanded", "true");
  byId("new-chat").focus();
}

async function loadRoles(signal) {
  const roles = await call("GET", "/v1/roles", undefined, signal);
  state.roles = roles.data;
  byId("role").replaceChildren(...roles.data.map(({ name }) => el("option", { value: name }, name)));
  byId("role").value = roles.default;
  return roles;
}

async function start() {
  byId("examples").replaceChildren(...EXAMPLES.map((text) =>
    el("button", { type: "button", on: { click: () => ask(text) } }, text)));
  const offered = key.takeFromAddress();
  const roles = await guarded(loadRoles());
  if (offered) { // after the call, whose own problem with the key kept here would be told in its place
    byId("key").value = offered;
    askForKey("The link that you followed brings another key than the one kept here. Continue only if you trust it.");
  }
  if (!roles && byId("key-dialog").open) return;
  if (!state.conversation && !state.running) showOpening();
  await guarded(loadConversations());
  backToMessage();
}

byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = message.value.trim();
  if (!text || state.running) return;
  write("");
  ask(text);
});
message.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    byId("composer").requestSubmit();
  }
});
message.addEventListener("input", fitMessage);
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing || byId("key-dialog").open) return;
  if (!hideSnippet() && !hideWhy() && !closeSidebar()) state.running?.abort(); // what lies on top goes first
});
byId("stop").addEventListener("click", () => state.running?.abort());
byId("new-chat").addEventListener("click", newConversation);
byId("role").addEventListener("change", showOpening);
byId("close-why").addEventListener("click", hideWhy);
byId("open-sidebar").addEventListener("click", openSidebar);
byId("close-sidebar").addEventListener("click", () => { closeSidebar(); byId("open-sidebar").focus(); });
byId("theme").addEventListener("click", () => {
  const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  localStorage.setItem("groundling-theme", theme);
  setTheme(theme);
});
byId("more-conversations").addEventListener("click", () => { state.pages += 1; guarded(loadConversations()); });
byId("forget-key").addEventListener("click", () => { changeKey(null); write(""); askForKey(); });
byId("key-form").addEventListener("submit", () => { changeKey(byId("key").value.trim()); start(); });
byId("key-dialog").addEventListener("close", () => { byId("key").value = ""; });
setTheme(localStorage.getItem("groundling-theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
start();
