// Elsewhere: "https://your-chaser-server/dashboard/static/player.js"
import { mount } from "./player.js";

export function watch(element, sessionId, say) {
  return mount(element, {
    control: false, // only watch
    fps: 10,
    async getToken() {
      // Here this server's own cookie is enough.
      // Elsewhere ask your own server, which has the API key.
      const path = `/v1/sessions/${sessionId}/preview-token`;
      const response = await fetch(path, { method: "POST", body: '{"input": false}' });
      const answer = await response.json();
      if (!response.ok) throw answer.error; // has the code that the player looks at
      return answer;
    },
    onStatus({ state, fps, latencyMs }) {
      say(state === "live" ? `${fps} fps, ${latencyMs} ms` : state);
    },
  });
}
