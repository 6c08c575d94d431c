/** The page of this month's usage: sums, bytes per day, and who and what they went to. */
import "./frame.js";
import { get, poll } from "./api.js";
import { DayChart } from "./day-chart.js";
import { el } from "./elements.js";
import { bytes, traffic } from "./words.js";

const CALM_SECONDS = 10;
const HOSTS_SECONDS = 60; // the sums of hosts are not kept, they are added up anew
const MICRO = 1_000_000;

const $ = (selector) => document.querySelector(selector);
const inUtc = (iso, options) => new Date(iso).toLocaleDateString(undefined, { timeZone: "UTC", ...options });
const problems = new Map();
let chart = null;
let days = [];

/** Keep what `work` shows fresh, and say so when that fails. */
function keep(seconds, work) {
  poll(() => seconds, async () => {
    try {
      await work();
      problems.delete(work);
    } catch (error) {
      problems.set(work, `${error.message} What you see may be old.`);
    }
    $("#problem").textContent = [...new Set(problems.values())].join(" ");
  });
}

keep(CALM_SECONDS, async () => {
  const usage = await get("/v1/usage");
  const begin = new Date(usage.from);
  $("#month").textContent = inUtc(begin, { month: "long", year: "numeric" });
  showTotals(usage.totals);
  showDays(begin, usage.by_day);
  showShares($("#by-key"), usage.by_key.map((key) => ({ ...key, name: key.key_name ?? key.key_prefix ?? "The dashboard", count: sessions(key) })));
  showShares($("#by-region"), usage.by_region.map((region) => ({ ...region, name: region.region ?? "Direct", count: sessions(region) })));
});

keep(HOSTS_SECONDS, async () => {
  const { data } = await get("/dashboard/data/usage/hosts");
  showShares($("#by-host"), data.map((host) => ({ name: host.host, bytes_total: host.bytes_up + host.bytes_down, count: traffic(host) })));
});

const sessions = ({ sessions: count }) => `${count.toLocaleString()} session${count === 1 ? "" : "s"}`;

function showTotals({ bytes_up, bytes_down, bytes_total, sessions: count, billed_micro_usd }) {
  const facts = { Bytes: bytes(bytes_total), Down: bytes(bytes_down), Up: bytes(bytes_up), Sessions: count.toLocaleString() };
  if (billed_micro_usd > 0) facts.Billed = (billed_micro_usd / MICRO).toLocaleString(undefined, { style: "currency", currency: "USD" });
  $("#totals").replaceChildren(
    ...Object.entries(facts).map(([name, value]) => el("div", {}, el("dt", { textContent: name }), el("dd", { textContent: value }))));
}

function showDays(begin, byDay) {
  days = byDay;
  const length = new Date(Date.UTC(begin.getUTCFullYear(), begin.getUTCMonth() + 1, 0)).getUTCDate();
  chart ??= new DayChart($("#chart"), { days: length, onDay: say });
  chart.show(days.map((day) => day.bytes_total));
  $("#days tbody").replaceChildren(...days.toReversed().map((day) =>
    el("tr", {}, el("th", { scope: "row", textContent: dayName(day) }), el("td", { textContent: bytes(day.bytes_total) }),
      el("td", { textContent: day.sessions.toLocaleString() }))));
}

const dayName = ({ date }) => inUtc(date, { weekday: "short", day: "numeric", month: "short" });

/** What the pointer is over, in words. */
function say(at) {
  const day = at === null ? undefined : days[at];
  $("#said").textContent = day ? `${dayName(day)}: ${bytes(day.bytes_total)}, ${sessions(day)}` : "Days begin at midnight UTC.";
}

/** A table whose rows have bars, the longest for the most bytes. */
function showShares(table, rows) {
  const most = Math.max(1, ...rows.map((row) => row.bytes_total));
  const lines = rows.sort((a, b) => b.bytes_total - a.bytes_total).map((row) => share(row, most));
  table.tBodies[0].replaceChildren(...(lines.length ? lines : [el("tr", {}, el("td", { className: "none hint", colSpan: 2, textContent: "Nothing yet" }))]));
}

function share({ name, bytes_total, count }, most) {
  const bar = el("span", { className: "share" });
  bar.style.width = `${(bytes_total / most) * 100}%`;
  return el("tr", {}, el("th", { scope: "row" }, name, bar), el("td", {}, bytes(bytes_total), el("small", { textContent: count })));
}
