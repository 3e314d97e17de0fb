// The list of videos: sorted, searched, and only those rows in the document that can be seen.
"use strict";
(() => {
  const { el } = vaa;
  const HEIGHT = 46, SPARE = 6;
  const SORTS = {
    score: ["highest", "the highest score of the video"],
    error: ["error", "how wrong: 1 - the AUC within the video; of a normal video its highest score"],
    interest: ["contrast", "how far the highest score stands out: less the median"],
    alerts: ["alerts", "the number of suspicious intervals"],
    name: ["id", "the video's name"],
  };
  let by = "score", down = true, words = [], chosen = 0, list = null, count = null, buttons = {};

  const spark = (row) => {
    const svg = el("svg", { viewBox: "0 0 160 28", preserveAspectRatio: "none", class: "spark", "aria-hidden": "true" });
    for (const [start, stop] of row.labels || []) {
      svg.append(el("rect", { x: (160 * start) / row.frames, width: Math.max(0.8, (160 * (stop - start)) / row.frames), y: 0, height: 28, class: "truth" }));
    }
    if (row.spark) {
      const wide = 160 / row.spark.length;
      const d = row.spark.map((v, k) => `${k ? "L" : "M"}${(k * wide).toFixed(1)} ${(27 - 0.26 * v).toFixed(1)}h${wide.toFixed(1)}`).join("");
      svg.append(el("path", { d }));
    }
    return svg;
  };

  const item = (index, place) => {
    const row = vaa.run.rows[index];
    return el("a", { class: place === chosen ? "row chosen" : "row", href: vaa.link(row.id), style: `top:${place * HEIGHT}px`, role: "listitem" },
      el("span", { class: "id", title: row.id }, row.id), el("span", { class: "class" }, row.class ? el("i", { title: row.class }, row.class) : null),
      el("span", { class: "length" }, vaa.clock(row.seconds)), spark(row),
      el("span", { class: "n" }, vaa.number(row.highest, 2)),
      vaa.run.curves ? el("span", { class: "n" }, vaa.number(row.error, 2)) : null,
      el("span", { class: "n" }, vaa.number(row.contrast, 2)),
      el("span", { class: row.alerts ? "n some" : "n none" }, String(row.alerts)));
  };

  const render = () => {
    if (!list || !list.isConnected || document.getElementById("glance").hidden) return;
    const top = list.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(-top / HEIGHT) - SPARE);
    const last = Math.min(vaa.order.length, Math.ceil((innerHeight - top) / HEIGHT) + SPARE);
    const rows = [];
    for (let place = first; place < last; place += 1) rows.push(item(vaa.order[place], place));
    list.replaceChildren(...rows);
  };

  const arrange = () => {
    const { rows } = vaa.run, field = SORTS[by][0], sign = down ? -1 : 1;
    const found = rows.map((_, k) => k).filter((k) => {
      const text = `${rows[k].id} ${rows[k].class}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
    // Videos that have no such number come last, whichever way the list runs.
    const compare = (a, b) => {
      const x = rows[a][field], y = rows[b][field];
      if (x === undefined || y === undefined) return (x === undefined) - (y === undefined) || a - b;
      return x < y ? -sign : x > y ? sign : a - b;
    };
    vaa.order = found.sort(compare);
    chosen = 0;
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
    const search = el("input", { type: "search", id: "search", placeholder: "find a video  ( / )", "aria-label": "find a video", autocomplete: "off", spellcheck: "false",
      input: (event) => { words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean); arrange(); } });
    count = el("small", { id: "count", "aria-live": "polite" });
    list = el("div", { class: "rows", role: "list", "aria-label": "videos" });
    const head = el("div", { class: "row head", "aria-hidden": "true" }, el("span", { class: "id" }, "video"), el("span", { class: "class" }), el("span", { class: "length" }, "length"),
      el("span", { class: "spark" }, "score"), el("span", { class: "n" }, "highest"), run.curves ? el("span", { class: "n" }, "error") : null,
      el("span", { class: "n" }, "interest"), el("span", { class: "n" }, "alerts"));
    if (run.curves && by === "score") by = "error";
    queueMicrotask(arrange);
    return el("section", { class: run.curves ? "videos labelled" : "videos" },
      el("div", { class: "tools" }, el("h2", {}, "Videos ", count), search, el("div", { class: "choices", role: "group", "aria-label": "sort by" }, "sort by ", Object.values(buttons))), head, list);
  };

  vaa.choose = (step) => {
    chosen = Math.min(vaa.order.length - 1, Math.max(0, chosen + step));
    const at = list.getBoundingClientRect().top + chosen * HEIGHT;
    if (at < 120 || at > innerHeight - 2 * HEIGHT) scrollBy(0, at - innerHeight / 2);
    render();
  };
  vaa.chosen = () => vaa.run.rows[vaa.order[chosen]];
  vaa.renderTable = render;
  let asked = false;
  const soon = () => { if (!asked) { asked = true; requestAnimationFrame(() => { asked = false; render(); }); } };
  addEventListener("scroll", soon, { passive: true });
  addEventListener("resize", soon);
})();
