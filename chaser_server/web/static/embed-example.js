import { mount } from "./player.js"; // elsewhere: "https://your-chaser-server/dashboard/static/player.js"

export function watch(element, sessionId, say) {
  return mount(element, {
    control: false, // only watch
    fps: 10,
    async getToken() {
      // Here this server's own cookie is enough; elsewhere ask your own server, which has the API key.
      const response = await fetch(`/v1/sessions/${sessionId}/preview-token`, { method: "POST", body: '{"input": false}' });
      const answer = await response.json();
      if (!response.ok) throw Object.assign(new Error(answer.error.message), { code: answer.error.code });
      return answer;
    },
    onStatus: ({ state, fps, latencyMs }) => say(state === "live" ? `${fps} fps, ${latencyMs} ms` : state),
  });
}
