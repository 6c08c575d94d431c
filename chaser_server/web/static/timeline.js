/** A session's bytes by channel, and what happened to it, as the events of the API tell it. */
import { el } from "./elements.js";
import { bytes, fact, moment, sentence, timeOfDay } from "./words.js";

const BAD = /error|fail|crash|refused|blocked/;
const GOOD = new Set(["ready", "client_connected", "viewer_connected"]);
const CHANNELS = { egress: "Network", cdp: "Automation", preview: "Live view" };

/** Fill `place` with the answer of GET /v1/sessions/{id}/events. */
export function showTimeline(place, { bytes: counts, data }) {
  place.replaceChildren(channelTable(counts), el("ol", { className: "timeline" }, ...data.map(line)));
}

function channelTable(counts) {
  const row = (kind, ...cells) => el("tr", {}, ...cells.map((text) => el(kind, { textContent: text })));
  const rows = Object.entries(counts).map(([name, { up, down }]) => row("td", CHANNELS[name] ?? name, bytes(down), bytes(up)));
  return el("table", { className: "channels" },
    el("thead", {}, row("th", "Channel", "Down", "Up")), el("tbody", {}, ...rows));
}

function line({ at, kind, detail }) {
  const item = el("li", {},
    el("time", { dateTime: at, title: moment(at), textContent: timeOfDay(at) }),
    el("span", { textContent: sentence(kind) }),
    el("small", { textContent: Object.entries(detail).filter(([, value]) => value !== "").map(fact).join("\n") }));
  if (BAD.test(kind) || detail.error || detail.reason === "substrate_down") item.dataset.tone = "bad";
  else if (GOOD.has(kind)) item.dataset.tone = "good";
  return item;
}
