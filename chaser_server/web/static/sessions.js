/** The page of all sessions: a table that keeps itself fresh, and what can be done with each of them. */
import "./frame.js";
import { get, poll, send } from "./api.js";
import { showQueue, tickQueue } from "./queue.js";
import { SessionList } from "./session-list.js";
import { SessionRow } from "./session-row.js";
import { watchThumbnails } from "./thumbnails.js";
import { showTimeline } from "./timeline.js";
import { sentence, shortId } from "./words.js";

const PAGE = 20;
const MOST = 100; // of what the API gives at once
const CALM_SECONDS = 3;
const BUSY_SECONDS = 1; // while a session is being created

const $ = (selector) => document.querySelector(selector);
const list = new SessionList();
const rows = new Map();
const thumbnails = watchThumbnails();
let failures = 0;

const chosenStatus = () => $("#filter :checked").value;

function query(parameters) {
  const status = chosenStatus();
  return `/dashboard/data/sessions?${new URLSearchParams({ ...parameters, ...(status && { status }) })}`;
}

const refresh = poll(
  () => Math.min(30, (list.all.some(({ status }) => status === "creating") ? BUSY_SECONDS : CALM_SECONDS) * 2 ** failures),
  async () => {
    const status = chosenStatus();
    const [page, queue] = await Promise.allSettled([
      get(query({ limit: Math.min(MOST, Math.max(PAGE, list.size)) })),
      get("/dashboard/data/queue"),
    ]);
    if (status !== chosenStatus()) return; // another filter was chosen meanwhile; it has asked for itself
    failures = page.reason ? Math.min(failures + 1, 4) : 0;
    const problem = page.reason ?? queue.reason;
    $("#problem").textContent = problem ? `${problem.message} What you see may be old.` : "";
    if (queue.value) showQueue(queue.value);
    if (page.value) {
      list.refresh(page.value);
      show();
    }
  },
);

function show() {
  const sessions = list.all;
  const gone = new Set(rows.keys());
  sessions.forEach((session, at) => {
    gone.delete(session.id);
    let row = rows.get(session.id);
    if (row) {
      announceChange(row.status, session);
      row.update(session);
    } else rows.set(session.id, (row = new SessionRow(session, { thumbnails, onEvents: showEvents, onEnd: confirmEnd })));
    row.status = session.status;
    const body = $("#sessions tbody");
    if (body.children[at] !== row.element) body.insertBefore(row.element, body.children[at] ?? null);
  });
  for (const id of gone) {
    rows.get(id).remove();
    rows.delete(id);
  }
  $("#sessions").hidden = sessions.length === 0;
  $("#more").hidden = list.cursor === null;
  $("#empty").hidden = sessions.length > 0 || chosenStatus() !== "";
  $("#none").hidden = sessions.length > 0 || chosenStatus() === "";
}

/** Changes of status are told to screen readers; the rest of the table changes too often for that. */
function announceChange(before, { id, status }) {
  if (before !== status) $("#announce").textContent = `Session ${shortId(id)}: ${sentence(status)}`;
}

$("#more").addEventListener("click", async () => {
  try {
    list.append(await get(query({ limit: PAGE, cursor: list.cursor })));
    show();
  } catch (error) {
    $("#problem").textContent = error.message;
  }
});

$("#filter").addEventListener("change", () => {
  const status = chosenStatus();
  history.replaceState(null, "", status ? `?status=${status}` : location.pathname);
  list.clear();
  refresh();
});

const createDialog = $("#create");
for (const name of JSON.parse($("#profile").dataset.profiles)) $("#profile").add(new Option(name));

$("#new").addEventListener("click", () => {
  $("#create-problem").textContent = "";
  createDialog.showModal();
});
createDialog.querySelector("[value=cancel]").addEventListener("click", () => createDialog.close());
createDialog.querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault(); // stays open until the server has agreed
  const button = event.submitter;
  button.disabled = true;
  try {
    await send("POST", "/v1/sessions", { body: { profile: $("#profile").value, ttl_seconds: $("#ttl").valueAsNumber * 60 } });
    createDialog.close();
    refresh();
  } catch (error) {
    $("#create-problem").textContent = error.message;
  } finally {
    button.disabled = false;
  }
});

function confirmEnd({ id }) {
  const dialog = $("#confirm");
  $("#confirm-id").textContent = id;
  dialog.returnValue = "";
  dialog.onclose = () => dialog.returnValue === "end" && end(id);
  dialog.showModal();
}

async function end(id) {
  try {
    await send("DELETE", `/v1/sessions/${id}`);
  } catch (error) {
    if (error.code !== "session_not_open") $("#problem").textContent = error.message;
  }
  refresh();
}

async function showEvents({ id }) {
  $("#events-id").textContent = id;
  $("#timeline").textContent = "Loading…";
  $("#events").showModal();
  try {
    showTimeline($("#timeline"), await get(`/v1/sessions/${id}/events`));
  } catch (error) {
    $("#timeline").textContent = error.message;
  }
}

const wanted = new URLSearchParams(location.search).get("status");
const choice = wanted && $(`#filter [value="${CSS.escape(wanted)}"]`);
if (choice) {
  choice.checked = true;
  refresh();
}
setInterval(() => {
  if (document.hidden) return;
  rows.forEach((row) => row.tick());
  tickQueue();
}, 1000);
