/** The live example. What it shows as its source is the file below this line, which others may copy. */
import "./frame.js";
import { get } from "./api.js";
import { watch } from "./embed-example.js";

const $ = (selector) => document.querySelector(selector);
let player = null;

$("#source").textContent = await (await fetch(new URL("./embed-example.js", import.meta.url))).text();

const { data } = await get("/dashboard/data/sessions?status=ready");
for (const { id, device } of data) $("#which").add(new Option(`${id} (${device})`, id));
$("#choose button").disabled = data.length === 0;
if (data.length === 0) $("#said").textContent = "No session is ready now; start one to see it here.";

$("#choose").addEventListener("submit", (event) => {
  event.preventDefault();
  player?.close();
  player = watch($("#screen"), $("#which").value, (text) => ($("#said").textContent = text));
});
