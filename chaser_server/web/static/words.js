/** Numbers and codes as people read them. Pure. */

export const REASONS = {
  client_delete: "Ended by its owner",
  ttl_expired: "Its time was up",
  idle_expired: "Nobody was connected for a while",
  abandoned_orphan: "The server was stopped",
  substrate_down: "The browser crashed",
};

export const TONES = { ready: "good", live: "good", creating: "busy", connecting: "busy", reconnecting: "busy", error: "bad" };

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** Bytes with a decimal prefix: 1 kB = 1000 B. */
export function bytes(count) {
  const power = count < 1000 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(count) / 3));
  const value = count / 1000 ** power;
  return `${power > 0 && value < 100 ? value.toFixed(1) : Math.round(value)} ${UNITS[power]}`;
}

/** A length of time: 4:05, or 1:04:05. */
export function clock(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const two = (number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/** How long ago, in one word or two. */
export function ago(ms) {
  const seconds = ms / 1000;
  if (seconds < 10) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

/** How far off, in one word or two. */
export function ahead(ms) {
  const minutes = Math.max(1, Math.round(ms / 60_000));
  if (minutes < 60) return `in ${minutes} min`;
  return minutes < 2880 ? `in ${Math.round(minutes / 60)} h` : `in ${Math.round(minutes / 1440)} d`;
}

export const moment = (iso) => new Date(iso).toLocaleString();
export const timeOfDay = (iso) => new Date(iso).toLocaleTimeString();

/** `client_connected` as "Client connected". */
export function sentence(code) {
  const words = code.replaceAll("_", " ");
  return words[0].toUpperCase() + words.slice(1);
}

/** The end of an id, where it differs from those made in the same moment. */
export const shortId = (id) => `…${id.slice(-12)}`;

export const traffic = ({ bytes_up, bytes_down }) => `↓ ${bytes(bytes_down)}  ↑ ${bytes(bytes_up)}`;
export const channels = (counts) =>
  Object.entries(counts).map(([name, { up, down }]) => `${name}: ↓ ${bytes(down)}  ↑ ${bytes(up)}`).join("\n");

/** One entry of an event's detail. */
export function fact([name, value]) {
  if (name === "reason") return REASONS[value] ?? sentence(String(value));
  if (name.startsWith("bytes_")) return `${sentence(name)}: ${bytes(value)}`;
  if (name === "seconds") return `For ${value} s`;
  return `${sentence(name)}: ${typeof value === "object" ? JSON.stringify(value) : value}`;
}
