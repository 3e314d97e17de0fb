// Light or dark, set before anything is painted; stored where the browser allows that for a page on disk.
"use strict";
(() => {
  const root = document.documentElement;
  let chosen = null;
  try { chosen = localStorage.getItem("vaa-theme"); } catch { /* no storage */ }
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    root.dataset.theme = chosen || (dark.matches ? "dark" : "light");
    document.dispatchEvent(new CustomEvent("vaa-theme"));
  };
  apply();
  dark.addEventListener("change", apply);
  window.vaaSwitchTheme = () => {
    chosen = root.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("vaa-theme", chosen); } catch { /* no storage */ }
    apply();
  };
})();
