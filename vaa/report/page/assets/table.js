// The list of videos, sorted and filtered; only the visible rows are in the document.
"use strict";
(() => {
  const { el } = vaa;
  const HEIGHT = 46, SPARE = 6;
  const SORTS = {
    score: ["highest", "the highest score of the video"],
    error: ["error", "1 - AUC within the video; for a normal video its highest score; for an anomalous one throughout 1 - its highest score"],
    interest: ["contrast", "the highest score minus the median"],
    alerts: ["alerts", "the number of alerts"],
    name: ["id", "the video's name"],
  };
  let by = "score", down = true, words = [], selected = 0, list = null, count = null, buttons = {}, drawn = new Map(), whole = false;

  const sparkline = (row) => {
    const svg = el("svg", { viewBox: "0 0 160 28", preserveAspectRatio: "none", class: "sparkline", "aria-hidden": "true" });
    for (const [start, stop] of row.labels || []) {
      svg.append(el("rect", { x: (160 * start) / row.frames, width: Math.max(0.8, (160 * (stop - start)) / row.frames), y: 0, height: 28, class: "truth" }));
    }
    if (row.sparkline) {
      const wide = 160 / row.sparkline.length;
      const d = row.sparkline.map((v, k) => `${k ? "L" : "M"}${(k * wide).toFixed(1)} ${(27 - 0.26 * v).toFixed(1)}h${wide.toFixed(1)}`).join("");
      svg.append(el("path", { d }));
    }
    return svg;
  };

  const item = (index, place) => {
    const row = vaa.run.rows[index], n = vaa.alertsOf(index).length;
    return el("a", { class: place === selected ? "row selected" : "row", href: vaa.link(row.id), style: `top:${place * HEIGHT}px`, role: "listitem" },
      el("span", { class: "id", title: row.id }, row.id), el("span", { class: "class" }, row.class ? el("i", { title: row.class }, row.class) : null),
      el("span", { class: "length" }, vaa.clock(row.seconds)), sparkline(row),
      el("span", { class: "n" }, vaa.number(row.highest, 2)),
      vaa.run.curves ? el("span", { class: "n" }, vaa.number(row.error, 2)) : null,
      el("span", { class: "n" }, vaa.number(row.contrast, 2)),
      el("span", { class: n ? "n some" : "n none" }, String(n)));
  };

  const render = () => {
    if (!list || !list.isConnected || document.getElementById("overview").hidden) return;
    const top = list.getBoundingClientRect().top;
    const first = whole ? 0 : Math.max(0, Math.floor(-top / HEIGHT) - SPARE);
    const last = whole ? vaa.order.length : Math.min(vaa.order.length, Math.max(0, Math.ceil((innerHeight - top) / HEIGHT)) + SPARE);
    // Rows that stay are not replaced: a click on a row that is replaced before the button is released is lost.
    const rows = new Map();
    for (let place = first; place < last; place += 1) {
      const key = `${place} ${vaa.order[place]} ${place === selected} ${vaa.alertsOf(vaa.order[place]).length}`;
      rows.set(key, drawn.get(key) ?? item(vaa.order[place], place));
    }
    for (const [key, row] of drawn) if (!rows.has(key)) row.remove();
    let previous = null;
    for (const row of rows.values()) {
      if (!row.isConnected) previous ? previous.after(row) : list.prepend(row);
      previous = row;
    }
    drawn = rows;
  };

  const arrange = () => {
    const { rows } = vaa.run, field = SORTS[by][0], sign = down ? -1 : 1;
    const matches = rows.map((_, k) => k).filter((k) => {
      const text = `${rows[k].id} ${rows[k].class}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
    // Videos without this number come last in both directions.
    const compare = (a, b) => {
      const [x, y] = [a, b].map((k) => (field === "alerts" ? vaa.alertsOf(k).length : rows[k][field]));
      if (x === undefined || y === undefined) return (x === undefined) - (y === undefined) || a - b;
      return x < y ? -sign : x > y ? sign : a - b;
    };
    vaa.order = matches.sort(compare);
    selected = 0;
    list.style.height = `${vaa.order.length * HEIGHT}px`;
    count.textContent = vaa.order.length === rows.length ? `${rows.length}` : `${vaa.order.length} of ${rows.length}`;
    for (const [name, button] of Object.entries(buttons)) {
      button.setAttribute("aria-pressed", String(name === by));
      button.textContent = name + (name === by ? (down ? " ↓" : " ↑") : "");
    }
    render();
  };

  const sort = (name) => {
    down = name === by ? !down : name !== "name";
    by = name;
    arrange();
  };

  vaa.table = (run) => {
    const names = Object.keys(SORTS).filter((name) => name !== "error" || run.curves);
    buttons = Object.fromEntries(names.map((name) => [name, el("button", { type: "button", class: "choice", title: SORTS[name][1], click: () => sort(name) }, name)]));
    const search = el("input", { type: "search", id: "search", placeholder: "search for a video  ( / )", "aria-label": "search for a video", autocomplete: "off", spellcheck: "false",
      input: (event) => { words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean); arrange(); } });
    count = el("small", { id: "count", "aria-live": "polite" });
    drawn = new Map();
    list = el("div", { class: "rows", role: "list", "aria-label": "videos" });
    const head = el("div", { class: "row head", "aria-hidden": "true" }, el("span", { class: "id" }, "video"), el("span", { class: "class" }), el("span", { class: "length" }, "length"),
      el("span", { class: "sparkline" }, "score"), el("span", { class: "n" }, "highest"), run.curves ? el("span", { class: "n" }, "error") : null,
      el("span", { class: "n" }, "interest"), el("span", { class: "n" }, "alerts"));
    if (run.curves && by === "score") by = "error";
    queueMicrotask(arrange);
    return el("section", { class: run.curves ? "videos labelled" : "videos" },
      el("div", { class: "tools" }, el("h2", {}, "Videos ", count), search, el("div", { class: "choices", role: "group", "aria-label": "sort by" }, "sort by ", Object.values(buttons))),
      vaa.legend(["line", "accent", "score, from 0 to 1, over the length of the video"], run.curves ? ["area", "truth", "labelled anomalous"] : null), head, list);
  };

  vaa.select = (step) => {
    selected = Math.min(vaa.order.length - 1, Math.max(0, selected + step));
    const at = list.getBoundingClientRect().top + selected * HEIGHT;
    if (at < 120 || at > innerHeight - 2 * HEIGHT) scrollBy(0, at - innerHeight / 2);
    render();
  };
  vaa.selected = () => vaa.run.rows[vaa.order[selected]];
  vaa.renderTable = render;
  let scheduled = false;
  const schedule = () => { if (!scheduled) { scheduled = true; requestAnimationFrame(() => { scheduled = false; render(); }); } };
  addEventListener("scroll", schedule, { passive: true });
  addEventListener("resize", schedule);
  document.addEventListener("vaa-alerts", () => { if (by === "alerts") arrange(); else render(); });
  addEventListener("beforeprint", () => { whole = true; render(); });
  addEventListener("afterprint", () => { whole = false; render(); });
})();
