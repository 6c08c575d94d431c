/**
 * The live view of one session as an embeddable player. One module, no dependencies, no request but the stream itself.
 *
 *   import { mount } from "./player.js";
 *   const player = mount(document.querySelector("#screen"), {
 *     getToken: async () => (await fetch("/my/server/mints/a/preview-token", { method: "POST" })).json(),
 *     onStatus: (status) => console.log(status.state, status.latencyMs),
 *     control: true,
 *   });
 *
 * mount(element, options) -> player
 *   getToken   () => Promise<{url}>: a fresh answer of POST /v1/sessions/{id}/preview-token, for every connection anew.
 *              It may throw an error whose `code` is the API's: session_not_ready is tried again, session_not_open and
 *              session_not_found end the player.
 *   onStatus   (status) => void: called on every change, and once a second from a picture until the fps are 0 again.
 *   control    whether this viewer wants to drive (default true); without it nothing is ever sent but acks.
 *   fps, quality, scale   what is wished of the pictures; all optional.
 * The element gives the size; the picture is fitted into it. Its first child is the player's root, class `chaser-player`.
 *
 * status: {state, reason, width, height, fps, latencyMs, bytes, driving, driver, asking, you}
 *   state      connecting | creating | live | reconnecting | ended | closed
 *   latencyMs  from the grab to the drawing, by both clocks
 *
 * player: .status .focus() .ask() .release() .give(viewer) .configure({fps, q, scale}) .picture() -> Promise<Blob> .close()
 */
import { attachInput } from "./player-input.js";

const HEADER_BYTES = 18;
const TYPES = ["image/jpeg", "image/png"];
const REPORT_MS = 1000;
const TOKEN_EXPIRED = 4401;
const ENDED = new Set([4404, 4410]);
const ENDED_CODES = new Set(["session_not_open", "session_not_found", "not_found"]);
const MESSAGES = {
  connecting: "Connecting…",
  creating: "The browser is starting…",
  live: "",
  reconnecting: "The connection was lost. Connecting again…",
  ended: "The session has ended.",
  closed: "",
};

export function mount(element, options) {
  return new Player(element, options);
}

class Player {
  #options;
  #view;
  #status = {
    state: "connecting", reason: "", width: 0, height: 0, fps: 0, latencyMs: 0, bytes: 0,
    driving: false, driver: null, asking: [], you: null,
  };
  #socket = null;
  #input;
  #retry = 0;
  #retries = 0;
  #drawn = [];
  #wish;
  #report = 0;

  constructor(element, options) {
    this.#options = { control: true, onStatus: () => {}, ...options };
    this.#wish = definedOnly({ fps: options.fps, q: options.quality, scale: options.scale });
    this.#view = buildView(element);
    this.#input = attachInput(this.#view, (message) => this.#send(message));
    this.#view.observer = new ResizeObserver(() => fit(this.#view));
    this.#view.observer.observe(this.#view.root);
    this.#tell({ state: "connecting" });
    this.#connect();
  }

  get status() {
    return { ...this.#status };
  }

  focus() {
    this.#view.text.focus({ preventScroll: true });
  }

  /** Ask for control; it comes at once when nobody drives. */
  ask() {
    this.#send({ t: "control", a: "ask" });
  }

  release() {
    this.#input.releaseAll();
    this.#send({ t: "control", a: "release" });
  }

  give(viewer) {
    this.#input.releaseAll();
    this.#send({ t: "control", a: "give", to: viewer });
  }

  configure(wish) {
    this.#wish = { ...this.#wish, ...definedOnly(wish) };
    this.#send({ t: "config", ...this.#wish });
  }

  /** What is shown now, as a PNG. */
  picture() {
    return new Promise((resolve) => this.#view.canvas.toBlob(resolve, "image/png"));
  }

  close() {
    clearTimeout(this.#retry);
    clearTimeout(this.#report);
    this.#tell({ state: "closed", driving: false });
    this.#input.detach();
    this.#view.observer.disconnect();
    this.#socket?.close(1000);
    this.#view.root.remove();
  }

  async #connect() {
    let token;
    try {
      token = await this.#options.getToken();
    } catch (error) {
      this.#tokenRefused(error);
      return;
    }
    if (this.#over()) return;
    const socket = new WebSocket(token.url);
    socket.binaryType = "arraybuffer";
    socket.onmessage = (event) => this.#receive(socket, event.data);
    socket.onclose = (event) => this.#closed(socket, event);
    this.#socket = socket;
  }

  #over() {
    return this.#status.state === "closed" || this.#status.state === "ended";
  }

  #tokenRefused(error) {
    if (this.#over()) return;
    if (ENDED_CODES.has(error.code)) {
      this.#tell({ state: "ended", reason: error.message });
    } else {
      this.#tell({ state: error.code === "session_not_ready" ? "creating" : "reconnecting", reason: error.message });
      this.#connectLater();
    }
  }

  #closed(socket, event) {
    if (socket !== this.#socket || this.#over()) return;
    this.#socket = null;
    this.#input.forget();
    if (ENDED.has(event.code)) {
      this.#tell({ state: "ended", reason: event.reason, driving: false });
      return;
    }
    if (event.code === TOKEN_EXPIRED) this.#retries = 0; // expected: the picture stays while a fresh token is fetched
    else this.#tell({ state: "reconnecting", reason: event.reason, driving: false });
    this.#connectLater();
  }

  #connectLater() {
    const wait = this.#retries === 0 ? 0 : Math.min(5000, 200 * 2 ** this.#retries) * (0.75 + Math.random() / 2);
    this.#retries += 1;
    this.#retry = setTimeout(() => this.#connect(), wait);
  }

  #send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    if (message.t !== "control" && message.t !== "config" && message.t !== "ack" && !this.#status.driving) return;
    this.#socket.send(JSON.stringify(message));
  }

  #receive(socket, data) {
    if (socket !== this.#socket) return;
    if (typeof data !== "string") {
      this.#status.bytes += data.byteLength;
      this.#draw(socket, data);
      return;
    }
    this.#status.bytes += data.length;
    const message = JSON.parse(data);
    if (message.t === "hello") this.#greeted(message);
    else if (message.t === "control") this.#controlMoved(message);
    else if (message.t === "error") console.warn("live view:", message.message);
  }

  #greeted(hello) {
    this.#retries = 0;
    this.#view.screen = { width: hello.w, height: hello.h };
    this.#view.touch = hello.touch;
    this.#tell({ state: "live", reason: "", width: hello.w, height: hello.h });
    fit(this.#view);
    if (Object.keys(this.#wish).length > 0) this.configure({});
    if (!this.#options.control && hello.control) this.#send({ t: "control", a: "release" });
  }

  #controlMoved({ you, driver, driving, asking }) {
    if (this.#status.driving && !driving) this.#input.forget(); // the server has let go of what we held
    const mine = driving && this.#options.control;
    this.#view.root.classList.toggle("chaser-driving", mine);
    this.#view.canvas.style.cursor = mine ? "none" : "default"; // the picture has the session's own pointer in it
    this.#tell({ you, driver, driving: mine, asking });
  }

  async #draw(socket, data) {
    const header = new DataView(data, 0, HEADER_BYTES);
    const seq = header.getUint32(6, true);
    const grabbedAt = Number(header.getBigUint64(10, true));
    try {
      const blob = new Blob([new Uint8Array(data, HEADER_BYTES)], { type: TYPES[header.getUint8(1)] });
      const bitmap = await createImageBitmap(blob);
      const { canvas } = this.#view;
      if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
        canvas.width = bitmap.width;
        canvas.height = bitmap.height;
      }
      canvas.getContext("2d", { alpha: false }).drawImage(bitmap, 0, 0);
      bitmap.close();
    } finally {
      if (socket === this.#socket) this.#send({ t: "ack", seq });
    }
    this.#measure(grabbedAt);
  }

  #measure(grabbedAt) {
    const now = Date.now();
    this.#drawn.push(now);
    this.#status.latencyMs = Math.max(0, now - grabbedAt);
    this.#report ||= setTimeout(() => this.#tellRate(), REPORT_MS);
  }

  #tellRate() {
    this.#drawn = this.#drawn.filter((at) => at > Date.now() - 2 * REPORT_MS);
    const fps = this.#drawn.length / (2 * REPORT_MS / 1000);
    this.#report = fps > 0 ? setTimeout(() => this.#tellRate(), REPORT_MS) : 0;
    this.#tell({ fps });
  }

  #tell(change) {
    Object.assign(this.#status, change);
    const { overlay, root } = this.#view;
    const { state, reason } = this.#status;
    overlay.textContent = state === "ended" && reason ? `${MESSAGES.ended} (${reason})` : MESSAGES[state];
    overlay.hidden = overlay.textContent === "";
    overlay.style.display = overlay.hidden ? "none" : "flex";
    root.dataset.state = state;
    this.#options.onStatus(this.status);
  }
}

function definedOnly(object) {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}

function buildView(element) {
  const root = make("div", "chaser-player", {
    position: "relative", width: "100%", height: "100%", overflow: "hidden",
    display: "flex", alignItems: "center", justifyContent: "center",
  });
  const canvas = make("canvas", "chaser-canvas", { display: "block", touchAction: "none", userSelect: "none" });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "The session's screen");
  canvas.width = canvas.height = 1;
  // A real text field, because mobile keyboards, input methods and paste go to nothing else. 16px keeps iOS from zooming.
  const text = make("textarea", "chaser-text", {
    position: "absolute", left: "0", top: "0", width: "1px", height: "1px", opacity: "0", border: "0", padding: "0",
    resize: "none", pointerEvents: "none", fontSize: "16px",
  });
  text.setAttribute("aria-label", "Keyboard input for the session");
  for (const name of ["autocomplete", "autocorrect", "autocapitalize"]) text.setAttribute(name, "off");
  text.spellcheck = false;
  const overlay = make("div", "chaser-overlay", {
    position: "absolute", inset: "0", display: "flex", alignItems: "center", justifyContent: "center",
    textAlign: "center", padding: "1em", background: "rgb(0 0 0 / 60%)", color: "#fff",
  });
  overlay.setAttribute("role", "status");
  root.append(canvas, text, overlay);
  element.prepend(root);
  return { root, canvas, text, overlay, screen: { width: 1, height: 1 }, touch: "none", observer: null };
}

function make(tag, className, style) {
  const element = document.createElement(tag);
  element.className = className;
  Object.assign(element.style, style); // by script, so that a strict Content-Security-Policy allows it
  return element;
}

/** Give the canvas the largest size with the screen's proportions, in whole device pixels so that it stays crisp. */
function fit({ root, canvas, screen }) {
  const density = window.devicePixelRatio || 1;
  const scale = Math.min(root.clientWidth / screen.width, root.clientHeight / screen.height);
  canvas.style.width = `${Math.max(1, Math.round(screen.width * scale * density)) / density}px`;
  canvas.style.height = `${Math.max(1, Math.round(screen.height * scale * density)) / density}px`;
}
