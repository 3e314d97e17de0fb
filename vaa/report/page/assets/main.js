// Navigation between the two screens, and the keys.
"use strict";
(() => {
  vaa.link = (id, seconds) => `#video=${encodeURIComponent(id)}${seconds === undefined ? "" : `&t=${seconds}`}`;

  const overview = document.getElementById("overview"), video = document.getElementById("video"), help = document.getElementById("help");
  let scrolled = 0;

  const route = () => {
    const params = new URLSearchParams(location.hash.slice(1)), id = params.get("video");
    const number = id === null ? -1 : vaa.run.rows.findIndex((row) => row.id === id);
    if (!overview.hidden) scrolled = scrollY;
    const back = overview.hidden && number < 0;
    overview.hidden = number >= 0;
    video.hidden = number < 0;
    document.title = `${number < 0 ? vaa.run.title : id} · vaa`;
    if (number >= 0) {
      const seconds = params.has("t") ? Number(params.get("t")) : undefined;
      vaa.open(number, Number.isFinite(seconds) ? seconds : undefined);
    } else {
      vaa.close();
      vaa.renderTable();
      if (back) scrollTo(0, scrolled);
    }
  };

  vaa.start = (run) => {
    vaa.run = run;
    vaa.order = run.rows.map((_, k) => k);
    vaa.overview(run);
    addEventListener("hashchange", route);
    queueMicrotask(route);
  };

  const go = (hash) => { location.hash = hash; };
  const step = (by) => {
    const shown = vaa.shown();
    if (!shown) return vaa.select(by);
    const next = vaa.order[vaa.order.indexOf(shown.number) + by];
    if (next !== undefined) go(vaa.link(vaa.run.rows[next].id));
  };
  const alert = (by) => {
    const shown = vaa.shown(), now = shown?.player.time();
    const starts = shown ? vaa.alertsOf(shown.number).map((alert) => alert.start) : [];
    const next = by > 0 ? starts.find((t) => t > now + 0.05) : starts.filter((t) => t < now - 0.05).at(-1);
    if (next !== undefined) shown.player.seek(next);
  };
  const move = (seconds) => { const player = vaa.shown()?.player; if (player) player.seek(player.time() + seconds); };
  const frame = (by) => {
    const shown = vaa.shown();
    if (!shown) return;
    const { data, player } = shown;
    // A millisecond later, since times are rounded.
    if (data.times) player.seek(vaa.seconds(data, Math.max(0, vaa.frameAt(data, player.time()) + by)) + 1e-3);
    else move(by / data.fps);
  };
  const search = () => { if (vaa.shown()) go(""); setTimeout(() => { document.getElementById("search").focus(); document.getElementById("search").select(); }); };

  const KEYS = {
    "/": search, "?": () => help.showModal(), j: () => step(1), k: () => step(-1), n: () => alert(1), p: () => alert(-1),
    i: () => vaa.shown()?.marking.start(), o: () => vaa.shown()?.marking.stop(), b: () => vaa.shown()?.player.showBoxes(), d: window.vaaSwitchTheme, Escape: () => { if (vaa.shown()) go(""); },
    Enter: () => { if (!vaa.shown() && vaa.selected()) go(vaa.link(vaa.selected().id)); },
    " ": () => vaa.shown()?.player.toggle(), ArrowLeft: () => move(-5), ArrowRight: () => move(5), ",": () => frame(-1), ".": () => frame(1),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open || !vaa.run) return;
    const { target, key } = event;
    if (target.matches("input")) {
      if (key === "Escape") target.blur();
      if (key === "Enter" && target.type === "search") { target.blur(); KEYS.Enter(); } // else keys go to the hidden field until the next frame
      return;
    }
    if ((key === " " || key === "Enter") && target.matches("a, button, summary")) return; // the browser handles them
    if ((key === " " || key.startsWith("Arrow")) && !vaa.shown()) return; // the browser scrolls the list
    const stage = /^[1-9]$/.test(key) ? Number(key) - 1 : -1;
    const act = stage >= 0 ? () => vaa.shown()?.track.toggle(stage) : KEYS[key];
    if (act) { event.preventDefault(); act(); }
  }, true);
  // A button clicked with the mouse loses the focus, so that the space key plays the video.
  document.addEventListener("click", (event) => { if (event.detail) event.target.closest("button")?.blur(); });
  // On paper every folded part is open.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const part of opened) part.open = true;
  });
  addEventListener("afterprint", () => { for (const part of opened) part.open = false; });
  document.getElementById("theme").addEventListener("click", window.vaaSwitchTheme);
  document.getElementById("keys").addEventListener("click", () => help.showModal());
})();
