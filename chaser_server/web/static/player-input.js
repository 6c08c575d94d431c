/**
 * The hands of the player: turns what a person does with mouse, fingers and keyboard into messages of the live view.
 * Knows the view's elements (see player.js) and one function that sends; whether it may send is not decided here.
 */

const SENTINEL = "\u00a0"; // stands in the text field so that a mobile keyboard's Backspace has something to delete
const WHEEL_LINE_PIXELS = 40;
const TAP_PIXELS = 10;
const LONG_PRESS_MS = 600;
const IS_MAC = /Mac|iPhone|iPad/.test(navigator.platform);

// What each key of a US keyboard writes, plain and with Shift. Any other result of a key is sent as text.
const US_KEYS = new Map();
for (const upper of "ABCDEFGHIJKLMNOPQRSTUVWXYZ") US_KEYS.set(`Key${upper}`, upper.toLowerCase() + upper);
[..."1234567890"].forEach((digit, at) => US_KEYS.set(`Digit${digit}`, digit + "!@#$%^&*()"[at]));
for (const [code, both] of Object.entries({
  Space: "  ", Backquote: "`~", Minus: "-_", Equal: "=+", BracketLeft: "[{", BracketRight: "]}", Backslash: "\\|",
  Semicolon: ";:", Quote: "'\"", Comma: ",<", Period: ".>", Slash: "/?",
})) US_KEYS.set(code, both);

export function attachInput(view, send) {
  const listening = new AbortController();
  const parts = [attachMouse(view, send, listening.signal), attachTouch(view, send, listening.signal),
    attachKeyboard(view, send, listening.signal)];
  const releaseAll = () => parts.forEach((part) => part.releaseAll());
  window.addEventListener("blur", releaseAll, { signal: listening.signal });
  return {
    releaseAll,
    /** What was held is no longer ours to release. */
    forget: () => parts.forEach((part) => part.forget()),
    detach() {
      releaseAll();
      listening.abort();
    },
  };
}

/** The pixel of the session's screen under the middle of the device pixel that a pointer is at. */
function pixel({ canvas, screen }, event) {
  const box = canvas.getBoundingClientRect();
  const half = 0.5 / (window.devicePixelRatio || 1);
  const along = (at, start, length, pixels) =>
    Math.min(pixels - 1, Math.max(0, Math.floor(((at + half - start) / length) * pixels)));
  return {
    x: along(event.clientX, box.left, box.width, screen.width),
    y: along(event.clientY, box.top, box.height, screen.height),
  };
}

/** Send only the newest of what comes faster than the display shows it; `flush` sends it now, to keep the order. */
function newestPerFrame(send) {
  let waiting = null;
  let frame = 0;
  const flush = () => {
    cancelAnimationFrame(frame);
    frame = 0;
    if (waiting !== null) send(waiting);
    waiting = null;
  };
  return {
    flush,
    put(message) {
      waiting = message;
      if (frame === 0) frame = requestAnimationFrame(flush);
    },
  };
}

function attachMouse(view, send, signal) {
  const { canvas, text } = view;
  const held = new Set();
  const moves = newestPerFrame(send);
  let last = { x: 0, y: 0 };
  const button = (event, a) => {
    moves.flush();
    last = pixel(view, event);
    send({ t: "mouse", a, ...last, b: event.button });
  };
  const on = (type, act) =>
    canvas.addEventListener(type, (event) => event.pointerType !== "touch" && act(event), { signal });

  // A second button pressed while one is held comes as pointermove: mousedown and mouseup tell of each.
  on("mousedown", (event) => {
    event.preventDefault(); // keeps the focus in the text field
    text.focus({ preventScroll: true });
    held.add(event.button);
    button(event, "down");
  });
  on("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
  on("pointermove", (event) => {
    last = pixel(view, event);
    moves.put({ t: "mouse", a: "move", ...last });
  });
  window.addEventListener("mouseup", (event) => held.delete(event.button) && button(event, "up"), { signal });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault(), { signal });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    moves.flush();
    const unit = [1, WHEEL_LINE_PIXELS, view.screen.height][event.deltaMode];
    send({ t: "wheel", ...pixel(view, event), dx: event.deltaX * unit, dy: event.deltaY * unit });
  }, { passive: false, signal });

  return {
    forget: () => held.clear(),
    releaseAll() {
      for (const b of held) send({ t: "mouse", a: "up", ...last, b });
      held.clear();
    },
  };
}

/** Fingers: touches where the session has touch, else a trackpad: tap to click, hold for the menu, drag to scroll. */
function attachTouch(view, send, signal) {
  const { canvas, text } = view;
  const fingers = new Map(); // pointerId -> {x, y}
  const moves = newestPerFrame(send);
  let gesture = null; // of a session without touch: {from, at, moved, timer}
  const on = (type, act) =>
    canvas.addEventListener(type, (event) => event.pointerType === "touch" && act(event), { signal });
  const points = (ids) => ids.map((id) => ({ id, ...fingers.get(id) }));
  const click = (at, b) => ["move", "down", "up"].forEach((a) => send({ t: "mouse", a, ...at, b }));

  const startGesture = (event) => {
    const at = pixel(view, event);
    const timer = setTimeout(() => {
      gesture.moved = true;
      click(at, 2);
    }, LONG_PRESS_MS);
    gesture = { id: event.pointerId, at, x: event.clientX, y: event.clientY, moved: false, timer };
  };
  const dragGesture = (event) => {
    const dx = gesture.x - event.clientX;
    const dy = gesture.y - event.clientY;
    if (!gesture.moved && Math.hypot(dx, dy) < TAP_PIXELS) return;
    clearTimeout(gesture.timer);
    const perPixel = view.screen.width / canvas.clientWidth;
    send({ t: "wheel", ...gesture.at, dx: dx * perPixel, dy: dy * perPixel });
    Object.assign(gesture, { x: event.clientX, y: event.clientY, moved: true });
  };
  const endGesture = (tapped) => {
    clearTimeout(gesture?.timer);
    if (tapped && gesture && !gesture.moved) {
      click(gesture.at, 0);
      text.focus({ preventScroll: true }); // opens a mobile keyboard
    }
    gesture = null;
  };

  on("pointerdown", (event) => {
    event.preventDefault(); // no mouse events in its wake
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, pixel(view, event));
    if (view.touch !== "none") send({ t: "touch", a: "start", pts: points([event.pointerId]) });
    else if (fingers.size === 1) startGesture(event);
  });
  on("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    fingers.set(event.pointerId, pixel(view, event));
    if (view.touch !== "none") moves.put({ t: "touch", a: "move", pts: points([...fingers.keys()]) });
    else if (gesture?.id === event.pointerId) dragGesture(event);
  });
  const lift = (event, a) => {
    if (!fingers.has(event.pointerId)) return;
    moves.flush();
    if (view.touch !== "none") {
      send({ t: "touch", a, pts: points([event.pointerId]) });
      text.focus({ preventScroll: true });
    } else if (gesture?.id === event.pointerId) endGesture(a === "end");
    fingers.delete(event.pointerId);
  };
  on("pointerup", (event) => lift(event, "end"));
  on("pointercancel", (event) => lift(event, "cancel"));
  const forget = () => {
    endGesture(false);
    fingers.clear();
  };
  return {
    forget,
    releaseAll() {
      if (view.touch !== "none" && fingers.size > 0) send({ t: "touch", a: "cancel", pts: points([...fingers.keys()]) });
      forget();
    },
  };
}

function attachKeyboard(view, send, signal) {
  const { text } = view;
  const held = new Map(); // the key that was pressed -> the code that was sent for it
  const on = (type, act) => text.addEventListener(type, act, { signal });
  const reset = () => {
    text.value = SENTINEL;
    text.setSelectionRange(1, 1);
  };
  const tap = (code) => ["down", "up"].forEach((a) => send({ t: "key", a, code, key: code }));
  const releaseAll = () => {
    for (const code of held.values()) send({ t: "key", a: "up", code, key: "" });
    held.clear();
  };

  on("keydown", (event) => {
    if (event.isComposing || event.key === "Process" || event.key === "Dead" || event.key === "Unidentified") return;
    if (isPaste(event)) return; // the paste event brings the text
    event.preventDefault();
    if (writesOtherThanUs(event)) {
      send({ t: "text", s: event.key });
      return;
    }
    if (event.repeat) return; // the session's own keyboard repeats
    const code = remoteCode(event.code);
    held.set(event.code, code);
    send({ t: "key", a: "down", code, key: event.key });
  });
  on("keyup", (event) => {
    if (!held.has(event.code)) return;
    event.preventDefault();
    send({ t: "key", a: "up", code: held.get(event.code), key: event.key });
    held.delete(event.code);
    if (IS_MAC && event.key === "Meta") releaseAll(); // macOS tells of no other keyup while Command is held
  });
  on("paste", (event) => {
    event.preventDefault();
    releaseAll(); // the Control of Control-V, which would turn the text into shortcuts
    const pasted = event.clipboardData.getData("text/plain");
    if (pasted) send({ t: "text", s: pasted });
  });
  on("compositionend", (event) => {
    if (event.data) send({ t: "text", s: event.data });
    reset();
  });
  on("input", (event) => {
    if (event.isComposing || event.inputType === "insertCompositionText") return;
    if (event.inputType === "insertLineBreak" || event.inputType === "insertParagraph") tap("Enter");
    else if (event.inputType.startsWith("delete")) tap(event.inputType.endsWith("Forward") ? "Delete" : "Backspace");
    else if (event.data && event.inputType !== "insertFromComposition") send({ t: "text", s: event.data });
    reset();
  });
  on("blur", releaseAll);
  reset();
  return { releaseAll, forget: () => held.clear() };
}

function isPaste(event) {
  return event.code === "KeyV" && !event.altKey && (event.ctrlKey || (IS_MAC && event.metaKey));
}

/** On a Mac, Command stands for Control: the session is a Linux browser. */
function remoteCode(code) {
  return IS_MAC && code.startsWith("Meta") ? code.replace("Meta", "Control") : code;
}

/** Whether a key writes something that the same key of a US keyboard does not: another layout, AltGr, Caps Lock. */
function writesOtherThanUs(event) {
  if ([...event.key].length !== 1) return false; // a named key
  const altGraph = event.getModifierState("AltGraph");
  if (!altGraph && (event.ctrlKey || event.altKey || event.metaKey)) return false; // a shortcut, which goes by its key
  if (event.code.startsWith("Numpad")) return true; // its digits depend on a Num Lock that the session does not share
  const both = US_KEYS.get(event.code);
  return altGraph || both === undefined || both[event.shiftKey ? 1 : 0] !== event.key;
}
