/** The page of one session: the player in all the room there is, its state in words, and what can be done with it. */
import "./frame.js";
import { get, poll, send, serverNow } from "./api.js";
import { mount } from "./player.js";
import { showTimeline } from "./timeline.js";
import { channels, clock, REASONS, sentence, TONES, traffic } from "./words.js";

const $ = (selector) => document.querySelector(selector);
const id = $("#tools").dataset.session;
const api = `/v1/sessions/${id}`;
const OVER = new Set(["closed", "error"]);
const LEAVES_SCREEN = "F6"; // as everywhere, to the next pane; without it the keyboard could not leave

let session = { status: "creating" };
let player = null;

const refresh = poll(() => 2, async () => {
  if (OVER.has(session.status)) return;
  try {
    showSession(await get(`/dashboard/data/sessions/${id}`));
  } catch (error) {
    say(error.message);
  }
  if (!$("#events").hidden) await showEvents();
});

player = mount($("#screen"), { getToken, onStatus: (status) => showPlayer(status) });

/** A token as soon as the session is ready. */
async function getToken() {
  if (session.status === "creating") {
    const news = await get(`${api}?wait=ready&timeout=30`);
    showSession({ ...session, ...news });
  }
  if (OVER.has(session.status)) throw Object.assign(new Error(session.ended_reason ?? "error"), { code: "session_not_open" });
  return (await send("POST", `${api}/preview-token`)).json();
}

function showSession(news) {
  const ended = !OVER.has(session.status) && OVER.has(news.status);
  session = news;
  const over = OVER.has(session.status);
  setText("#device", session.device ?? session.profile ?? "Session");
  if (session.channels) {
    $("#traffic").textContent = traffic(session);
    $("#traffic").title = channels(session.channels);
  }
  for (const button of ["#screenshot", "#end", "#copy"]) $(button).hidden = over;
  $("#fullscreen").hidden = over || !document.fullscreenEnabled;
  $("#screenshot").disabled = session.status !== "ready";
  tick();
  if (ended && !$("#events").hidden) showEvents();
}

function tick() {
  const open = session.expires_at && !OVER.has(session.status);
  if (player) showPlayer(player.status); // the session's own status has its part in what is shown
  $("#left").textContent = open ? `${clock(Date.parse(session.expires_at) - serverNow())} left` : "";
}

function showPlayer(status) {
  const over = OVER.has(session.status);
  const unseen = status.state === "ended" && !over && !(status.reason in REASONS); // sessions of test keys have no screen
  if (status.state === "ended" && !over && !unseen) refresh(); // the page's own news are older
  const state = over ? "ended" : unseen ? "unseen" : status.state;
  $("#state").textContent = unseen ? "No live view" : sentence(state);
  $("#state").dataset.tone = TONES[state] ?? "";
  const live = state === "live";
  for (const element of document.querySelectorAll(".now")) element.hidden = !live;
  $("#fps").textContent = String(Math.round(status.fps));
  $("#latency").textContent = String(Math.round(status.latencyMs));
  showControl(live, status);
  showOverlay(state, status);
}

function showControl(live, { driving, driver, asking, you }) {
  const asked = asking.includes(you);
  const next = asking[0];
  $("#control").hidden = !live;
  $("#control").textContent = driving ? (next ? `Hand to viewer ${next}` : "Release control")
    : asked ? "Stop asking" : driver === null ? "Take control" : "Ask for control";
  $("#control").onclick = () => {
    if (driving && next) player.give(next);
    else if (driving || asked) player.release();
    else player.ask();
  };
  const who = driving ? (next ? `Viewer ${next} asks for control` : "You drive")
    : driver === null ? "Nobody drives" : `Viewer ${driver} drives${asked ? "; you have asked" : ""}`;
  setText("#driver", live ? who : "");
}

function showOverlay(state, { reason }) {
  const [title, text] = {
    connecting: session.status === "creating" ? ["The browser is starting", "It will appear here in a moment."] : ["Connecting", ""],
    creating: ["The browser is starting", "It will appear here in a moment."],
    unseen: ["No live view", `${(reason ?? "").slice(0, 1).toUpperCase()}${(reason ?? "").slice(1)}.`],
    reconnecting: ["The connection was lost", `Connecting again… ${reason ?? ""}`],
    ended: session.status === "error"
      ? ["The browser could not be started", "The events tell why."]
      : [session.ended_reason === "ttl_expired" || session.ended_reason === "idle_expired" ? "The session has expired" : "The session has ended",
        `${REASONS[session.ended_reason ?? reason] ?? ""}`],
  }[state] ?? ["", ""];
  $("#overlay").hidden = title === "";
  setText("#overlay-title", title);
  setText("#overlay-text", text);
  $("#overlay-links").hidden = state !== "ended" && state !== "unseen";
}

function setText(selector, text) {
  const element = $(selector);
  if (element.textContent !== text) element.textContent = text; // else it would be read aloud again
}

let silence = 0;
function say(text) {
  setText("#said", text);
  clearTimeout(silence);
  silence = setTimeout(() => setText("#said", ""), 6000);
}

/** Let a button do something that may fail, and say so. */
function onClick(selector, work) {
  $(selector).addEventListener("click", () => Promise.resolve(work()).catch((error) => say(error.message)));
}

onClick("#screenshot", async () => {
  const picture = await (await send("POST", `${api}/screenshot`)).blob();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(picture);
  link.download = `${id}-${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  say("The screenshot is saved.");
});

onClick("#copy", async () => {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(session.cdp_url);
    say("The CDP URL is copied.");
  } else prompt("The CDP URL (this page is not secure, so you must copy it yourself):", session.cdp_url);
});

onClick("#fullscreen", async () => {
  await $("#stage").requestFullscreen();
  player.focus();
});

onClick("#end", () => {
  $("#confirm").returnValue = "";
  $("#confirm").showModal();
});
$("#confirm").addEventListener("close", async () => {
  if ($("#confirm").returnValue !== "end") return;
  await send("DELETE", api).catch((error) => say(error.message));
  refresh();
});

async function showEvents() {
  try {
    showTimeline($("#timeline"), await get(`${api}/events`));
  } catch (error) {
    say(error.message);
  }
}

function toggleEvents(shown) {
  $("#events").hidden = !shown;
  $("#show-events").setAttribute("aria-expanded", String(shown));
  (shown ? $("#hide-events") : $("#show-events")).focus();
  return shown && showEvents();
}
onClick("#show-events", () => toggleEvents($("#events").hidden));
onClick("#hide-events", () => toggleEvents(false));
$("#events").addEventListener("keydown", (event) => event.key === "Escape" && toggleEvents(false));

window.addEventListener("keydown", (event) => {
  if (event.key !== LEAVES_SCREEN || !$("#stage").contains(document.activeElement)) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  $("#show-events").focus();
}, { capture: true });

setInterval(tick, 1000);
