// The REST calls that the JavaScript clients under test share.
const authorization = { Authorization: `Bearer ${process.env.CHASER_KEY}` };

async function ask(method, path, body) {
  return fetch(process.env.CHASER_URL + path, { method, headers: authorization, body });
}

export async function createSession() {
  return (await ask("POST", "/v1/sessions", "{}")).json();
}

export async function screenshot(id) {
  return Buffer.from(await (await ask("POST", `/v1/sessions/${id}/screenshot`)).arrayBuffer());
}

export async function deleteSession(id) {
  return (await ask("DELETE", `/v1/sessions/${id}`)).status;
}

export async function endedReason(id) {
  return (await (await ask("GET", `/v1/sessions/${id}`)).json()).ended_reason;
}

export function isPng(bytes) {
  return Buffer.from(bytes).subarray(0, 8).toString("latin1") === "\x89PNG\r\n\x1a\n";
}
