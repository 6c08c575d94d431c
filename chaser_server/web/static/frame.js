/** What works in the header of every page: light and dark, and signing out. */
import { send } from "./api.js";

const root = document.documentElement;

document.querySelector("#theme")?.addEventListener("click", () => {
  const shown = root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  root.dataset.theme = shown === "dark" ? "light" : "dark";
  try {
    localStorage.setItem("theme", root.dataset.theme);
  } catch { /* storage is forbidden here: it holds for this page */ }
});

document.querySelector("#sign-out")?.addEventListener("click", async () => {
  await send("POST", "/dashboard/logout");
  location.assign("/dashboard/sign-in");
});
