// Which screen is on, and the keys.
"use strict";
(() => {
  vaa.link = (id, seconds) => `#video=${encodeURIComponent(id)}${seconds === undefined ? "" : `&t=${seconds}`}`;

  const glance = document.getElementById("glance"), video = document.getElementById("video"), help = document.getElementById("help");
  let scrolled = 0;

  const route = () => {
    const asked = new URLSearchParams(location.hash.slice(1)), id = asked.get("video");
    const number = id === null ? -1 : vaa.run.rows.findIndex((row) => row.id === id);
    if (!glance.hidden) scrolled = scrollY;
    const back = glance.hidden && number < 0;
    glance.hidden = number >= 0;
    video.hidden = number < 0;
    document.title = `${number < 0 ? vaa.run.title : id} · vaa`;
    if (number >= 0) {
      const seconds = asked.has("t") ? Number(asked.get("t")) : undefined;
      vaa.open(number, Number.isFinite(seconds) ? seconds : undefined);
    } else {
      vaa.shut();
      vaa.renderTable();
      if (back) scrollTo(0, scrolled);
    }
  };

  vaa.begin = (run) => {
    vaa.run = run;
    vaa.order = run.rows.map((_, k) => k);
    vaa.glance(run);
    addEventListener("hashchange", route);
    queueMicrotask(route);
  };

  const go = (hash) => { location.hash = hash; };
  const step = (by) => {
    const shown = vaa.shown();
    if (!shown) return vaa.choose(by);
    const next = vaa.order[vaa.order.indexOf(shown.number) + by];
    if (next !== undefined) go(vaa.link(vaa.run.rows[next].id));
  };
  const interval = (by) => {
    const shown = vaa.shown(), now = shown?.player.time();
    const starts = (shown?.story.alerts || []).map((alert) => alert.start_seconds);
    const next = by > 0 ? starts.find((t) => t > now + 0.05) : starts.filter((t) => t < now - 0.05).at(-1);
    if (next !== undefined) shown.player.seek(next);
  };
  const move = (seconds) => { const player = vaa.shown()?.player; if (player) player.seek(player.time() + seconds); };
  const frame = (by) => { const shown = vaa.shown(); if (shown) move(by / shown.story.fps); };
  const search = () => { if (vaa.shown()) go(""); setTimeout(() => { document.getElementById("search").focus(); document.getElementById("search").select(); }); };

  const KEYS = {
    "/": search, "?": () => help.showModal(), j: () => step(1), k: () => step(-1), n: () => interval(1), p: () => interval(-1),
    b: () => vaa.shown()?.player.showBoxes(), d: window.vaaSwitchTheme, Escape: () => { if (vaa.shown()) go(""); },
    Enter: () => { if (!vaa.shown() && vaa.chosen()) go(vaa.link(vaa.chosen().id)); },
    " ": () => vaa.shown()?.player.toggle(), ArrowLeft: () => move(-5), ArrowRight: () => move(5), ",": () => frame(-1), ".": () => frame(1),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open || !vaa.run) return;
    const { target, key } = event;
    if (target.matches("input")) {
      if (key === "Escape") target.blur();
      if (key === "Enter") KEYS.Enter();
      return;
    }
    if ((key === " " || key === "Enter") && target.matches("a, button, summary")) return; // they have their own use for it
    if ((key === " " || key.startsWith("Arrow")) && !vaa.shown()) return; // the list scrolls
    const stage = /^[1-9]$/.test(key) ? Number(key) - 1 : -1;
    const act = stage >= 0 ? () => vaa.shown()?.track.toggle(stage) : KEYS[key];
    if (act) { event.preventDefault(); act(); }
  }, true);
  // A button that was clicked with the mouse gives the keys back, so that space plays.
  document.addEventListener("click", (event) => { if (event.detail) event.target.closest("button")?.blur(); });
  document.getElementById("theme").addEventListener("click", window.vaaSwitchTheme);
  document.getElementById("keys").addEventListener("click", () => help.showModal());
})();
