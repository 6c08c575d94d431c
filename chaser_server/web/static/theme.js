/* Light or dark, as was chosen here last, else as the system says. Not a module: it must run before the page is painted. */
"use strict";
{
  const root = document.documentElement;
  try {
    const chosen = localStorage.getItem("theme");
    if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  } catch { /* storage is forbidden here: the system's choice stands */ }
}
