/** The page of API keys: what there is, and making, rotating and revoking them. */
import "./frame.js";
import { get, poll, send, serverNow } from "./api.js";
import { cell, el } from "./elements.js";
import { ago, ahead, moment } from "./words.js";

const CALM_SECONDS = 15;

const $ = (selector) => document.querySelector(selector);
const known = new Map(); // what each row was made of, and the row

const isOver = ({ revoked_at }) => revoked_at !== null && Date.parse(revoked_at) <= serverNow();
const workingFirst = (a, b) => isOver(a) - isOver(b) || (a.created_at < b.created_at ? 1 : -1);

const refresh = poll(
  () => CALM_SECONDS,
  async () => {
    try {
      const { keys } = await get("/v1/keys");
      $("#problem").textContent = "";
      show(keys.sort(workingFirst));
    } catch (error) {
      $("#problem").textContent = `${error.message} What you see may be old.`;
    }
  },
);

/** Rows whose words have not changed stay as they are, and with them the focus. */
function show(keys) {
  keys.forEach((key, at) => {
    const words = JSON.stringify([key, state(key), used(key), made(key)]);
    let entry = known.get(key.id);
    if (entry?.words !== words) {
      const fresh = { words, row: row(key) };
      entry?.row.replaceWith(fresh.row);
      known.set(key.id, (entry = fresh));
    }
    const body = $("#keys tbody");
    if (body.children[at] !== entry.row) body.insertBefore(entry.row, body.children[at] ?? null);
  });
  $("#keys").hidden = keys.length === 0;
  $("#empty").hidden = keys.length > 0;
}

const made = ({ created_at }) => ago(serverNow() - Date.parse(created_at));
const used = ({ last_used_at }) => (last_used_at ? ago(serverNow() - Date.parse(last_used_at)) : "Never");

function state(key) {
  if (key.revoked_at === null) return ["good", "Active"];
  return isOver(key) ? ["", "Revoked"] : ["busy", `Ends ${ahead(Date.parse(key.revoked_at) - serverNow())}`];
}

function row(key) {
  const [tone, words] = state(key);
  const pill = el("span", { className: "pill", textContent: words, title: key.revoked_at ? moment(key.revoked_at) : "" });
  pill.dataset.tone = tone;
  const time = (iso, text) => el("time", { dateTime: iso ?? "", title: iso ? moment(iso) : "", textContent: text });
  const line = el("tr", {},
    el("th", { scope: "row", textContent: key.name }),
    cell("Begins with", el("code", { textContent: `${key.prefix}…` })),
    cell("Mode", key.prefix.startsWith("cha_test_") ? "Test" : "Live"),
    cell("Created", time(key.created_at, made(key))),
    cell("Last used", key.last_used_at ? time(key.last_used_at, used(key)) : used(key)),
    cell("State", pill),
    el("td", { className: "actions" }, ...actions(key)));
  line.toggleAttribute("data-over", isOver(key));
  return line;
}

function actions(key) {
  const button = (text, dialog, extra = "") => {
    const element = el("button", { type: "button", className: `quiet ${extra}`, textContent: text });
    element.setAttribute("aria-label", `${text} ${key.name}, ${key.prefix}`);
    element.addEventListener("click", () => ask(dialog, key));
    return element;
  };
  if (isOver(key)) return [];
  const revoke = button("Revoke", $("#revoke"), "danger");
  return key.revoked_at === null ? [button("Rotate", $("#rotate")), revoke] : [revoke];
}

let asked = null; // the key that the open dialog is about

function ask(dialog, key = null) {
  asked = key;
  dialog.querySelector("[data-problem]").textContent = "";
  for (const place of dialog.querySelectorAll("[data-name]")) place.textContent = `${key.name} (${key.prefix}…)`;
  dialog.showModal();
}

/** A dialog that stays open until the server has agreed. */
function onAgreed(dialog, work) {
  dialog.querySelector("[data-cancel]").addEventListener("click", () => dialog.close());
  dialog.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    event.submitter.disabled = true;
    try {
      await work();
    } catch (error) {
      dialog.querySelector("[data-problem]").textContent = error.message;
      return;
    } finally {
      event.submitter.disabled = false;
    }
    refresh();
  });
}

async function reveal(dialog, path, body) {
  const { secret } = await (await send("POST", path, { body })).json();
  dialog.close();
  $("#secret").value = secret;
  $("#copied").textContent = "";
  $("#shown").showModal();
  $("#secret").select();
}

onAgreed($("#create"), async () => {
  await reveal($("#create"), "/v1/keys", { name: $("#name").value, mode: $("#create :checked").value });
  $("#create form").reset();
});
onAgreed($("#rotate"), () => reveal($("#rotate"), `/v1/keys/${asked.id}/rotate`, { grace_days: $("#grace").valueAsNumber }));
onAgreed($("#revoke"), async () => {
  await send("DELETE", `/v1/keys/${asked.id}`);
  $("#revoke").close();
  $("#announce").textContent = `${asked.name} is revoked.`;
});
onAgreed($("#everywhere"), () => send("POST", "/dashboard/logout/everywhere")); // what is asked next leads to the sign-in page
$("#new").addEventListener("click", () => ask($("#create")));
$("#out").addEventListener("click", () => ask($("#everywhere")));
$("#shown").addEventListener("close", () => ($("#secret").value = ""));
$("#copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText($("#secret").value);
    $("#copied").textContent = "Copied.";
  } catch { // the page has no clipboard over plain HTTP
    $("#secret").select();
    $("#copied").textContent = "It is selected: copy it with Ctrl+C or ⌘C.";
  }
});
