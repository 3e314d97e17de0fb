// The whole run: numbers and how they were counted, curves, classes, suspicious intervals, failures.
"use strict";
(() => {
  const { el } = vaa;
  const NAMES = {
    roc_auc: ["ROC AUC", "over the frames of all videos"],
    pr_auc: ["PR AUC", "area under the curve, by trapezoids"],
    average_precision: ["average precision", "the same area, by steps"],
    within_video_auc: ["AUC within a video", "mean over the videos that have both kinds of frames"],
    f1_best: ["best F1", "at the best threshold for these labels: an upper bound"],
    tiou: ["TIoU", "boxes"],
  };

  const card = (value, name, note, first) => el("div", { class: first ? "card first" : "card", title: note },
    el("div", { class: "value" }, value), el("div", { class: "name" }, name));

  const protocol = (p) => [
    `Counted by protocol ${p.name}: `,
    p.labels ? `labels of ${p.labels}, ` : "the data set's own labels, ",
    `an interval's end ${p.end_inclusive ? "belongs" : "does not belong"} to it, `,
    `the paper's AP is ${p.ap}, scores are held in ${p.precision}.`,
  ].join("");

  const numbers = (run) => {
    const labelled = run.metrics.roc_auc !== undefined;
    const known = Object.keys(NAMES).filter((name) => run.metrics[name] !== undefined);
    const seconds = run.rows.reduce((sum, row) => sum + row.seconds, 0);
    const cards = known.map((name, k) => card(vaa.number(run.metrics[name], 4), NAMES[name][0], NAMES[name][1], k === 0));
    cards.push(card(vaa.number(run.rows.length, 0), run.rows.length === 1 ? "video" : "videos"));
    cards.push(card(vaa.clock(seconds), "of video"));
    if (run.alerting) cards.push(card(vaa.number(run.alerting.number, 0), "suspicious intervals"));
    if (run.failures.length) cards.push(card(vaa.number(run.failures.length, 0), "failed"));
    const unread = run.metrics.unread;
    if (unread) cards.push(card(vaa.number(unread, 0), "answers unread", `of ${run.metrics.answers}: nothing could be read in them`));
    const all = Object.entries(run.metrics).map(([name, value]) => el("tr", {},
      el("td", {}, name), el("td", { class: "right" }, vaa.number(value, 6))));
    return el("section", {},
      el("div", { class: "cards" }, cards),
      labelled ? el("p", { class: "muted" }, protocol(run.protocol)) : null,
      el("details", {}, el("summary", {}, "all numbers, and what was asked for"),
        run.overrides.length ? el("p", {}, run.overrides.map((one) => [el("code", {}, one), " "])) : null,
        el("table", { class: "numbers" }, el("tbody", {}, all))));
  };

  const curve = (title, x, y) => ({ title, x, y, element: el("div", { class: "chart", "aria-label": title, role: "img" }) });

  const draw = async (made, curves) => {
    const Plotly = await vaa.charts();
    const [roc, pr] = made;
    const guess = { x: [0, 1], mode: "lines", line: { color: vaa.colour("muted"), width: 1, dash: "dot" } };
    const guesses = [{ ...guess, y: [0, 1] }, { ...guess, y: [curves.share, curves.share] }];
    for (const [k, one] of [roc, pr].entries()) {
      const points = curves[k ? "pr" : "roc"];
      const line = { x: points[0], y: points[1], mode: "lines", fill: "tozeroy", fillcolor: vaa.colour("wash"),
        line: { color: vaa.colour("accent"), width: 2, simplify: false } };
      const axes = (title) => vaa.axis({ title: { text: title, standoff: 6 }, range: [-0.005, 1.01], dtick: 0.25 });
      const layout = vaa.layout({ margin: { l: 48, r: 8, t: 8, b: 42 }, height: 250, xaxis: axes(one.x), yaxis: axes(one.y) });
      await Plotly.react(one.element, [line, guesses[k]], layout, { displayModeBar: false, responsive: true });
    }
  };

  const charts = (run) => {
    if (!run.curves) return null;
    const made = [curve("ROC", "false positive rate", "true positive rate"), curve("Precision and recall", "recall", "precision")];
    const figures = made.map((one) => el("figure", {}, el("figcaption", {}, one.title), one.element));
    const redraw = () => draw(made, run.curves);
    document.addEventListener("vaa-theme", redraw);
    queueMicrotask(redraw);
    return el("section", { class: "figures" }, figures, classes(run));
  };

  const classes = (run) => {
    if (run.classes.length < 2) return null;
    const rows = [...run.classes].sort((a, b) => b[1] - a[1]).map(([name, auc, own]) => el("tr", {},
      el("td", {}, name), el("td", { class: "right muted" }, String(own)),
      el("td", { class: "wide" }, el("div", { class: "meter" }, el("span", { style: `width:${100 * auc}%` }))),
      el("td", { class: "right" }, auc.toFixed(3))));
    return el("figure", {}, el("figcaption", { title: "frames of the class's videos and of all normal ones" }, "ROC AUC of each class"),
      el("div", { class: "scroll" }, el("table", { class: "classes" }, el("tbody", {}, rows))));
  };

  vaa.alertItem = (alert, named) => el("li", {}, el("a", { href: vaa.link(alert.video, alert.peak_seconds) },
    el("span", { class: "when" }, `${alert.from}–${alert.to}`),
    el("span", { class: "high", title: "highest score (mean)" }, `${alert.highest.toFixed(2)} (${alert.mean.toFixed(2)})`),
    el("span", { class: "what" }, named ? el("b", {}, alert.video) : null, named ? " " : null, alert.what || "nothing was said of it")));

  const alerts = (run) => {
    if (!run.alerting) return null;
    const { number, meaning, gap, shortest } = run.alerting;
    const shown = run.alerts.slice(0, 8), rest = run.alerts.slice(8);
    const tail = number > run.alerts.length ? el("p", { class: "muted" }, `${number - run.alerts.length} more in alerts.csv.`) : null;
    return el("section", {}, el("h2", {}, "Suspicious intervals"),
      el("p", { class: "muted" }, `${meaning[0].toUpperCase()}${meaning.slice(1)}; less than ${gap} s apart they are one, those shorter than ${shortest} s are left out. Highest first.`),
      number ? el("ul", { class: "alerts" }, shown.map((one) => vaa.alertItem(one, true))) : el("p", {}, "None."),
      rest.length ? el("details", {}, el("summary", {}, `${rest.length} more`),
        el("ul", { class: "alerts" }, rest.map((one) => vaa.alertItem(one, true))), tail) : tail);
  };

  const failures = (run) => run.failures.length ? el("section", { class: "failures" }, el("h2", {}, "Failed"),
    el("ul", {}, run.failures.map((one) => el("li", {}, el("b", {}, one.video), ` in stage ${one.stage}: ${one.reason}`)))) : null;

  const choices = (run) => {
    const first = ["experiment", "vlm", "llm", "encoder", "prompt", "window"];
    const place = ([group]) => (first.includes(group) ? first.indexOf(group) : first.length);
    const said = Object.entries(run.choices).filter(([group, name]) => !["method", "data", "engine", "protocol"].includes(group) && !["null", "None"].includes(name));
    said.sort((a, b) => place(a) - place(b));
    return el("p", { class: "muted choices-made" }, said.map(([group, name]) => el("span", {}, `${group} `, el("b", {}, name))));
  };

  vaa.glance = (run) => {
    const labelled = run.curves !== null;
    const parts = labelled ? [charts(run), failures(run), vaa.table(run), alerts(run)] : [alerts(run), failures(run), vaa.table(run)];
    document.getElementById("glance").replaceChildren(...[
      el("h1", {}, run.title, " ", el("small", {}, run.folder)), choices(run), numbers(run), ...parts,
    ].filter(Boolean));
  };
})();
