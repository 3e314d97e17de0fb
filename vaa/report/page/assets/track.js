// The score tracks of one video: a line for each stage and definition, strips of labels, alerts and marks, a cursor; a click seeks.
"use strict";
(() => {
  const { el } = vaa;
  const LABELS = [0.13, 0.175], ALERTS = [0.065, 0.11], MARKS = [0, 0.045], FLOOR = 0.22; // heights of the strips and of the axis, in parts of the chart
  const EVERY = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];

  // The value of a track at a frame: its last change at or before it.
  vaa.valueAt = (track, frame) => {
    if (!track.at.length || frame < track.at[0] || frame >= track.stop) return null;
    return track.to[vaa.lastIndex(track.at, frame)];
  };

  const ticks = (from, to, width) => {
    const step = EVERY.find((s) => (to - from) / s <= Math.max(2, width / 90)) || 14400;
    const values = [];
    for (let t = Math.ceil(from / step) * step; t <= to; t += step) values.push(t);
    return { tickvals: values, ticktext: values.map((t) => vaa.clock(t, step < 1)) };
  };

  const strips = (data, number) => {
    const band = ([x0, x1], y0, y1, colour, opacity) => ({ type: "rect", xref: "x", yref: "paper", x0, x1, y0, y1,
      fillcolor: vaa.colour(colour), opacity, line: { width: 0 }, layer: "below" });
    const shapes = [], threshold = vaa.threshold();
    for (const [start, stop] of data.labels || []) {
      const span = [vaa.seconds(data, start), vaa.seconds(data, stop)];
      shapes.push(band(span, FLOOR, 1, "truth", 0.13), band(span, ...LABELS, "truth", 0.9));
    }
    for (const alert of vaa.alertsOf(number)) shapes.push(band([alert.start, alert.stop], ...ALERTS, "alert", 0.95));
    if (vaa.isMarked(number)) for (const mark of vaa.marks(number)) shapes.push(band([mark.start, mark.stop], ...MARKS, "mark", 0.85));
    if (threshold !== null) shapes.push({ type: "line", xref: "paper", yref: "y", x0: 0, x1: 1, y0: threshold, y1: threshold,
      line: { color: vaa.colour("alert"), width: 1, dash: "dot" } });
    return shapes;
  };

  // The lines of a video: the scores after each stage that changed them, then the final scores of each definition.
  const linesOf = (data) => {
    const stages = data.stages.filter((stage) => stage.track), last = stages.length - 1;
    return [
      ...stages.map(({ name, track }, k) => ({ name, track, colour: k === last ? "accent" : `s${k % 6}`, dash: "solid", on: k === 0 || k === last, stage: name, title: `scores after stage ${name}` })),
      ...data.definitions.map(({ name, track }, k) => ({ name, track, colour: `s${(k + 2) % 6}`, dash: "dash", on: true, definition: name, title: `final scores of the definition "${name}"` })),
    ];
  };

  vaa.track = (data, number, seek) => {
    const length = vaa.seconds(data, data.frames), drawn = linesOf(data), values = drawn.flatMap(({ track }) => track.to);
    const lowest = Math.min(0, ...values), highest = Math.max(1, ...values);
    const chart = el("div", { class: "plot", role: "img", "aria-label": "scores over time; click to go there" });
    const cursor = el("div", { class: "cursor" }), tip = el("div", { class: "tip", hidden: true });
    let now = 0, range = [0, length], Plotly = null;

    const chips = drawn.map((line, k) => el("button", { type: "button", class: "chip", "aria-pressed": String(line.on), "data-stage": line.stage, "data-definition": line.definition,
      title: `show or hide the ${line.title}${k < 9 ? ` (${k + 1})` : ""}`, click: () => toggle(k) },
      el("span", { class: `key ${line.dash === "dash" ? "dashed" : "line"}`, style: `--key:var(--${line.colour})` }), line.name));
    const predicted = data.stages.some((stage) => stage.boxes?.length);
    const legend = vaa.legend(
      vaa.run.alert_rule ? ["strip", "alert", "alerts"] : null, vaa.run.alert_rule ? ["dotted", "alert", "alert threshold"] : null,
      data.labels ? ["area", "truth", "labelled anomalous"] : null, ["strip", "mark", "marked here"], ["line", "ink", "current time"],
      predicted ? ["line", "predicted", "predicted boxes"] : null, data.annotated.length ? ["dashed", "annotated", "annotated boxes"] : null);

    const lines = () => drawn.map(({ track, name, colour, dash, on }) => ({
      x: [...track.at, track.stop].map((frame) => vaa.seconds(data, frame)), y: [...track.to, track.to.at(-1)],
      mode: "lines", line: { shape: "hv", color: vaa.colour(colour), dash, width: colour === "accent" ? 2.2 : 1.4 }, visible: on, name,
    }));

    const layout = () => vaa.layout({
      height: 270, margin: { l: 58, r: 14, t: 8, b: 24 }, dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
      xaxis: vaa.axis({ range, fixedrange: matchMedia("(pointer: coarse)").matches, anchor: "free", position: 0, ...ticks(...range, chart.clientWidth) }),
      yaxis: vaa.axis({ range: [lowest, highest * 1.03], domain: [FLOOR, 1], nticks: 5, title: { text: "score", standoff: 4 } }),
      shapes: strips(data, number),
      annotations: [[data.labels, LABELS, "labels"], [vaa.run.alert_rule, ALERTS, "alerts"], [true, MARKS, "marked"]].filter(([has]) => has).map(([, y, text]) => ({
        text, x: 0, xref: "paper", xanchor: "right", y: (y[0] + y[1]) / 2, yref: "paper", yanchor: "middle", showarrow: false, xshift: -6, font: { size: 10 } })),
    });

    // The axis converts times to pixels; Plotly stores it on the element.
    const axis = () => chart._fullLayout?.xaxis;
    const place = () => {
      const x = axis();
      if (!x) return;
      const at = x.l2p(now);
      cursor.hidden = at < -1 || at > x._length + 1;
      cursor.style.transform = `translateX(${x._offset + at}px)`;
    };
    const timeAt = (event) => {
      const x = axis(), at = event.clientX - chart.getBoundingClientRect().left - x._offset;
      return at < -4 || at > x._length + 4 ? null : Math.min(length, Math.max(0, x.p2l(at)));
    };

    const draw = async () => {
      Plotly = await vaa.charts();
      if (!chart.isConnected) return;
      await Plotly.react(chart, lines(), layout(), { displayModeBar: false, responsive: true, doubleClick: "reset" });
      place();
    };

    const toggle = (k) => {
      if (k >= drawn.length) return;
      const on = drawn[k].on = !drawn[k].on;
      chips[k].setAttribute("aria-pressed", String(on));
      if (Plotly) Plotly.restyle(chart, { visible: on }, [k]);
    };

    const listen = async () => {
      await draw();
      if (!chart.on) return;
      chart.on("plotly_relayout", () => {
        const [from, to] = chart.layout.xaxis.range;
        if (from !== range[0] || to !== range[1]) {
          range = [from, to];
          const { tickvals, ticktext } = ticks(from, to, chart.clientWidth);
          Plotly.relayout(chart, { "xaxis.tickvals": tickvals, "xaxis.ticktext": ticktext });
        }
        place();
      });
    };
    chart.addEventListener("click", (event) => { const t = timeAt(event); if (t !== null) seek(t); });
    chart.addEventListener("mousemove", (event) => {
      const t = axis() ? timeAt(event) : null;
      tip.hidden = t === null;
      if (t === null) return;
      const frame = vaa.frameAt(data, t);
      const values = drawn.filter(({ on }) => on).map(({ track, name, colour }) => el("div", {}, el("span", { class: "swatch", style: `background:var(--${colour})` }), name, el("b", {}, vaa.number(vaa.valueAt(track, frame)))));
      tip.replaceChildren(el("div", { class: "muted" }, `${vaa.clock(t, true)} · frame ${frame}`), ...values);
      const box = chart.getBoundingClientRect(), at = event.clientX - box.left;
      tip.style.transform = `translateX(${at > box.width / 2 ? at - tip.offsetWidth - 14 : at + 14}px)`;
    });
    chart.addEventListener("mouseleave", () => { tip.hidden = true; });
    new ResizeObserver(() => requestAnimationFrame(place)).observe(chart);
    queueMicrotask(listen);

    const none = drawn.length ? null : el("p", { class: "muted" }, "No stage of this run has scored this video.");
    return { element: el("section", { class: "tracks" }, el("div", { class: "chips" }, chips), none, el("div", { class: "holder" }, chart, cursor, tip), legend),
      move: (seconds) => { now = seconds; place(); }, toggle, redraw: draw,
      // The strips and the threshold, after a change of alerts or marks.
      refresh: () => { if (axis()) Plotly.relayout(chart, { shapes: strips(data, number) }); } };
  };
})();
