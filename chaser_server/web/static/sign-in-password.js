/** The password form. By script, because a form's own POST carries no Origin from a page that sends no referrer. */
const form = document.querySelector("#sign-in");

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const response = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    if (response.ok) location.replace(response.url); // the sessions, or this page with what was wrong
    else if (response.status === 429) refuse(`Too many tries. Please wait ${response.headers.get("Retry-After")} s.`);
    else refuse((await response.json()).error.message);
  } catch {
    refuse("The server does not answer.");
  } finally {
    button.disabled = false;
  }
});

function refuse(why) {
  document.querySelector("[role=alert]").textContent = why;
}
