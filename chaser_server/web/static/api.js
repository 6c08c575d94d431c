/** The server's API as the dashboard speaks to it, with the cookie of whoever is signed in. */

const SKEW_MS = 2000; // the Date header counts whole seconds

let ahead = 0; // by how much the server's clock is ahead of ours

/** The server's idea of now, in milliseconds. */
export const serverNow = () => Date.now() + ahead;

/** A refusal, with the API's `code` and words. */
export class ApiError extends Error {
  constructor(status, { code = "unreachable", message = "The server does not answer." } = {}) {
    super(message);
    Object.assign(this, { status, code });
  }
}

/** The Response to a request; throws ApiError, and leaves for the sign-in page when nobody is signed in any more. */
export async function send(method, path, { body, headers, signal } = {}) {
  const options = { method, signal, headers: { ...headers }, body: body && JSON.stringify(body) };
  if (body) options.headers["Content-Type"] = "application/json";
  const response = await fetch(path, options).catch((error) => {
    if (signal?.aborted) throw error;
    throw new ApiError(0);
  });
  const skew = Date.parse(response.headers.get("Date")) - Date.now();
  if (Number.isFinite(skew)) ahead = Math.abs(skew) > SKEW_MS ? skew : 0;
  if (response.ok || response.status === 304) return response;
  if (response.status === 401) location.assign("/dashboard/sign-in");
  const answer = await response.json().catch(() => ({}));
  throw new ApiError(response.status, answer.error ?? { code: "unknown", message: `The server answered ${response.status}.` });
}

export const get = async (path, options) => (await send("GET", path, options)).json();

/** Do `work` now and again `seconds()` after it is done, but not while the page is hidden. Returns what makes it due. */
export function poll(seconds, work) {
  let timer = 0;
  let running = false;
  let again = false;
  const round = async () => {
    if (running) {
      again = true; // what is under way may have been asked before things changed
      return;
    }
    clearTimeout(timer);
    running = true;
    try {
      do {
        again = false;
        await work();
      } while (again);
    } finally {
      running = false;
      if (!document.hidden) timer = setTimeout(round, seconds() * 1000);
    }
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : round()));
  round();
  return round;
}
