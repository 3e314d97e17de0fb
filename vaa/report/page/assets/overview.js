// The first screen: metrics and their protocol, curves, classes, failures.
"use strict";
(() => {
  const { el } = vaa;
  const NAMES = {
    roc_auc: ["ROC AUC", "over the frames of all videos"],
    pr_auc: ["PR AUC", "area under the precision-recall curve, by trapezoids"],
    average_precision: ["average precision", "area under the curve, by steps"],
    within_video_auc: ["AUC within a video", "mean over the videos that have normal and anomalous frames"],
    f1_best: ["best F1", "at the best threshold for these labels: an upper bound"],
    tiou: ["TIoU", "boxes"],
  };

  const card = (value, name, note, first) => el("div", { class: first ? "card first" : "card", title: note },
    el("div", { class: "value" }, value), el("div", { class: "name" }, name));

  const protocol = (p) => [
    `Protocol ${p.name}: `,
    p.labels ? `labels of ${p.labels} (the end of an interval is ${p.end_inclusive ? "" : "not "}anomalous), ` : "the data set's own labels, ",
    `scores are ${p.precision}`,
    p.smooth ? `, smoothed for the metrics (sigma ${p.smooth} frames)` : "",
    p.transform === "sigmoid" ? ", for the metrics their sigmoids with 4 decimals" : "",
    p.transform === "minmax" ? ", for the metrics stretched to [0, 1] within each video, which looks at the whole video" : "",
    ".",
  ].join("");

  const numbers = (run) => {
    const labelled = run.metrics.roc_auc !== undefined;
    const known = Object.keys(NAMES).filter((name) => run.metrics[name] !== undefined);
    const seconds = run.rows.reduce((sum, row) => sum + row.seconds, 0);
    const cards = known.map((name, k) => card(vaa.number(run.metrics[name], 4), NAMES[name][0], NAMES[name][1], k === 0));
    cards.push(card(run.rows.length.toLocaleString("en"), run.rows.length === 1 ? "video" : "videos"));
    cards.push(card(vaa.clock(seconds), "of video"));
    if (run.failures.length) cards.push(card(run.failures.length.toLocaleString("en"), "failed"));
    const unparsed = run.metrics.unparsed;
    if (unparsed) cards.push(card(unparsed.toLocaleString("en"), "unparsed answers", `of ${run.metrics.answers}: the parser could not read them`));
    const counts = new Set(run.counts);
    const all = Object.entries(run.metrics).map(([name, value]) => el("tr", {},
      el("td", {}, name), el("td", { class: "right" }, counts.has(name) ? value.toLocaleString("en") : vaa.number(value, 6))));
    return el("section", {},
      el("div", { class: "cards" }, cards),
      labelled ? el("p", { class: "muted" }, protocol(run.protocol)) : null,
      el("details", {}, el("summary", {}, "all numbers and overrides"),
        run.overrides.length ? el("p", {}, run.overrides.map((override) => [el("code", {}, override), " "])) : null,
        el("table", { class: "numbers" }, el("tbody", {}, all))));
  };

  const curve = (title, x, y) => ({ title, x, y, element: el("div", { class: "chart", "aria-label": title, role: "img" }) });

  const draw = async (figures, curves) => {
    const Plotly = await vaa.charts();
    const dotted = { x: [0, 1], mode: "lines", line: { color: vaa.colour("muted"), width: 1, dash: "dot" } };
    const chance = [{ ...dotted, y: [0, 1] }, { ...dotted, y: [curves.share, curves.share] }];
    for (const [k, figure] of figures.entries()) {
      const points = curves[k ? "pr" : "roc"];
      const line = { x: points[0], y: points[1], mode: "lines", fill: "tozeroy", fillcolor: vaa.colour("wash"),
        line: { color: vaa.colour("accent"), width: 2, simplify: false } };
      const axes = (title) => vaa.axis({ title: { text: title, standoff: 6 }, range: [-0.005, 1.01], dtick: 0.25 });
      const layout = vaa.layout({ margin: { l: 48, r: 8, t: 8, b: 42 }, height: 250, xaxis: axes(figure.x), yaxis: axes(figure.y) });
      await Plotly.react(figure.element, [line, chance[k]], layout, { displayModeBar: false, responsive: true });
    }
  };

  const charts = (run) => {
    if (!run.curves) return null;
    const figures = [curve("ROC", "false positive rate", "true positive rate"), curve("Precision and recall", "recall", "precision")];
    const elements = figures.map(({ title, element }, k) => el("figure", {}, el("figcaption", {}, title), element,
      vaa.legend(["line", "accent", "this run"], ["dotted", "muted", k ? `by chance (${vaa.number(run.curves.share)} of the frames are anomalous)` : "by chance"])));
    const redraw = () => draw(figures, run.curves);
    document.addEventListener("vaa-theme", redraw);
    queueMicrotask(redraw);
    return el("section", { class: "figures" }, elements, classes(run));
  };

  const classes = (run) => {
    if (run.classes.length < 2) return null;
    const rows = [...run.classes].sort((a, b) => b[1] - a[1]).map(([name, auc, own]) => el("tr", {},
      el("td", {}, name), el("td", { class: "right muted" }, String(own)),
      el("td", { class: "wide" }, el("div", { class: "meter" }, el("span", { style: `width:${100 * auc}%` }))),
      el("td", { class: "right" }, auc.toFixed(3))));
    return el("figure", {}, el("figcaption", { title: "frames of the class's anomalous videos and of all normal videos" }, "ROC AUC of each class"),
      el("div", { class: "scroll" }, el("table", { class: "classes" },
        el("thead", {}, el("tr", {}, el("th", {}, "class"), el("th", { class: "right" }, "videos"), el("th", { class: "right", colspan: 2 }, "ROC AUC"))), el("tbody", {}, rows))));
  };

  const failures = (run) => run.failures.length ? el("section", { class: "failures" }, el("h2", {}, "Failed"),
    el("ul", {}, run.failures.map(({ video, stage, reason }) => el("li", {}, el("b", {}, video), ` in stage ${stage}: ${reason}`)))) : null;

  const choices = (run) => {
    const first = ["experiment", "vlm", "llm", "encoder", "prompt", "window"];
    const place = ([group]) => (first.includes(group) ? first.indexOf(group) : first.length);
    const shown = Object.entries(run.choices).sort((a, b) => place(a) - place(b));
    return el("p", { class: "muted composition" }, shown.map(([group, name]) => el("span", {}, `${group} `, el("b", {}, name))));
  };

  vaa.overview = (run) => {
    document.getElementById("overview").replaceChildren(...[
      el("h1", {}, run.title, " ", el("small", {}, run.folder)), choices(run), numbers(run), vaa.alertSection(), charts(run), failures(run), vaa.table(run),
    ].filter(Boolean));
  };
})();
