/** Who waits for a place, the first in line first. There only while somebody does. */
import { serverNow } from "./api.js";
import { el } from "./elements.js";
import { clock, moment } from "./words.js";

const section = document.querySelector("#queue");
const line = section.querySelector("ol");

/** Show an answer of /dashboard/data/queue. */
export function showQueue({ waiting, data }) {
  section.hidden = waiting === 0;
  line.replaceChildren(...data.map(row));
  const more = waiting - data.length;
  document.querySelector("#queue-more").textContent = more > 0 ? `and ${more} more` : "";
  tickQueue();
}

/** What changes by itself as time goes on. */
export function tickQueue() {
  for (const time of line.querySelectorAll("time")) time.textContent = clock(serverNow() - Date.parse(time.dateTime));
}

function row({ since, profile, key_name, key_prefix }) {
  const who = el("span", { className: "who", textContent: key_name ?? "Dashboard" });
  if (key_prefix) who.append(" ", el("code", { textContent: `${key_prefix}…` }));
  const time = el("time", { dateTime: since, title: `Since ${moment(since)}` });
  return el("li", {}, who, el("span", { className: "profile", textContent: profile }), time);
}
