/** The page of the audit: the newest events, and each further one as it comes. */
import "./frame.js";
import { get, serverNow } from "./api.js";
import { cell, el } from "./elements.js";
import { fact, moment, sentence, shortId, timeOfDay } from "./words.js";

const MOST = 500;
const FRESH_MS = 5000; // younger events are told to screen readers: they come as one looks on
const TONES = { session_created: "good", key_created: "good", request_refused: "bad", sign_in_refused: "bad", key_revoked: "bad" };

const $ = (selector) => document.querySelector(selector);
const body = $("#events tbody");
const kinds = JSON.parse($("#kind").dataset.kinds);
let source = null;

for (const kind of kinds) $("#kind").add(new Option(sentence(kind), kind));

/** Listen from the newest events on. The browser itself connects anew where it left off when the server was away. */
function listen() {
  source = new EventSource("/v1/audit/stream");
  let first = true;
  source.addEventListener("open", () => {
    say("good", "Live");
    if (first) body.replaceChildren();
    first = false;
    show();
  });
  source.addEventListener("error", () => {
    say("busy", "Reconnecting");
    if (source?.readyState === EventSource.CLOSED) refused();
  });
  for (const kind of kinds) source.addEventListener(kind, ({ data }) => add(JSON.parse(data)));
}

/** An EventSource does not tell why it was refused; the API does, and leaves for the sign-in page where that is due. */
async function refused() {
  say("bad", "Not connected");
  try {
    await get("/v1/keys");
    $("#problem").textContent = "The server refuses the stream. Load this page again to try once more.";
  } catch (error) {
    $("#problem").textContent = error.message;
  }
}

function say(tone, words) {
  $("#state").dataset.tone = tone;
  $("#state").textContent = words;
}

function add(event) {
  body.prepend(row(event));
  while (body.children.length > MOST) body.lastChild.remove();
  show();
  if (serverNow() - Date.parse(event.at) < FRESH_MS) $("#announce").textContent = `${sentence(event.kind)} by ${event.actor || "nobody known"}`;
}

function row({ at, kind, actor, address, detail }) {
  const pill = el("span", { className: "pill", textContent: sentence(kind) });
  pill.dataset.tone = TONES[kind] ?? "";
  const line = el("tr", {},
    el("th", { scope: "row" }, pill),
    cell("When", el("time", { dateTime: at, title: moment(at), textContent: isToday(at) ? timeOfDay(at) : moment(at) })),
    cell("Who", actor.startsWith("cha_") ? el("code", { textContent: `${actor}…` }) : sentence(actor || "nobody known")),
    cell("From", address || "–"),
    facts(detail));
  line.dataset.kind = kind;
  return line;
}

const isToday = (iso) => new Date(iso).toDateString() === new Date(serverNow()).toDateString();

function facts({ session_id, ...detail }) {
  const parts = Object.entries(detail).filter(([, value]) => value !== "" && value !== null).map((entry) => el("span", { textContent: fact(entry) }));
  if (session_id) parts.unshift(el("span", {}, el("a", { href: `/dashboard/sessions/${session_id}`, title: session_id, textContent: shortId(session_id) })));
  const element = cell("Details", ...parts);
  element.className = "facts";
  return element;
}

function show() {
  const kind = $("#kind").value;
  let shown = 0;
  for (const line of body.children) {
    line.hidden = kind !== "" && line.dataset.kind !== kind;
    shown += !line.hidden;
  }
  $("#events").hidden = shown === 0;
  $("#none").hidden = shown > 0;
}

$("#kind").addEventListener("change", show);
document.addEventListener("visibilitychange", () => {
  source?.close(); // a hidden page would hold one of the few connections that a browser allows itself
  source = null;
  if (document.hidden) say("busy", "Paused");
  else listen();
});
if (!document.hidden) listen();
