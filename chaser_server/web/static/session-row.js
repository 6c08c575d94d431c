/** One row of the table of sessions. Changes only what differs, so that focus and selection stay where they are. */
import { serverNow } from "./api.js";
import { ago, channels, clock, moment, REASONS, sentence, shortId, TONES, traffic } from "./words.js";

const OPEN = new Set(["creating", "ready"]);
const template = document.querySelector("#row");

export class SessionRow {
  #parts = new Map();
  #session;
  #thumbnails;

  constructor(session, { thumbnails, onEvents, onEnd }) {
    this.element = template.content.firstElementChild.cloneNode(true);
    for (const part of this.element.querySelectorAll("[data-is]"))
      for (const name of part.dataset.is.split(" ")) this.#parts.set(name, part);
    this.element.querySelectorAll("a").forEach((link) => (link.href = `/dashboard/sessions/${session.id}`));
    this.#parts.get("events").addEventListener("click", () => onEvents(this.#session));
    this.#parts.get("end").addEventListener("click", () => onEnd(this.#session));
    this.#thumbnails = thumbnails;
    this.element.dataset.id = session.id;
    this.update(session);
  }

  update(session) {
    const before = this.#session;
    this.#session = session;
    const { id, status, profile, device } = session;
    this.#say("id", shortId(id), id);
    this.#say("device", device ? `${profile} · ${device}` : profile);
    this.#say("status", sentence(status));
    this.#say("reason", REASONS[session.ended_reason] ?? "");
    this.#say("traffic", traffic(session), channels(session.channels));
    this.#say("proxy", session.proxy_region ?? session.proxy_ip ?? "", session.proxy_ip ?? "");
    this.#say("connected", connected(session));
    this.#parts.get("status").dataset.tone = TONES[status] ?? "";
    this.element.toggleAttribute("data-over", !OPEN.has(status));
    this.#parts.get("end").hidden = !OPEN.has(status);
    this.#label("events", "Events of");
    this.#label("end", "End");
    if (before?.status !== status) this.#watch(status === "ready");
    this.tick();
  }

  /** What changes by itself as time goes on. */
  tick() {
    const { created_at, expires_at, status } = this.#session;
    this.#say("created", ago(serverNow() - Date.parse(created_at)), moment(created_at));
    this.#say("left", OPEN.has(status) ? clock(Date.parse(expires_at) - serverNow()) : "");
  }

  remove() {
    this.#watch(false);
    this.element.remove();
  }

  #watch(yes) {
    const image = this.#parts.get("thumbnail");
    if (yes) this.#thumbnails.add(image, this.#session.id);
    else this.#thumbnails.remove(image);
  }

  #say(name, text, title) {
    const part = this.#parts.get(name);
    if (part.textContent !== text) part.textContent = text;
    if (title !== undefined && part.title !== title) part.title = title;
  }

  #label(name, verb) {
    this.#parts.get(name).setAttribute("aria-label", `${verb} session ${shortId(this.#session.id)}`);
  }
}

function connected({ clients, viewers }) {
  const some = (count, noun) => (count ? [`${count} ${noun}${count > 1 ? "s" : ""}`] : []);
  return [...some(clients, "client"), ...some(viewers, "viewer")].join(", ");
}
