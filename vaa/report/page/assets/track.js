// The score tracks of one video: a line for each stage, strips of labels and alerts below, a cursor; a click seeks.
"use strict";
(() => {
  const { el } = vaa;
  const LABELS = [0.075, 0.125], ALERTS = [0, 0.05], FLOOR = 0.17; // heights of the strips and of the axis, in parts of the chart
  const EVERY = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];

  // The value of a track at a frame: its last change at or before it.
  vaa.valueAt = (track, frame) => {
    if (!track.at.length || frame < track.at[0] || frame >= track.stop) return null;
    return track.to[vaa.lastIndex(track.at, frame)];
  };

  const ticks = (from, to, width) => {
    const step = EVERY.find((s) => (to - from) / s <= Math.max(2, width / 90)) || 14400;
    const values = [];
    for (let t = Math.ceil(from / step) * step; t <= to; t += step) values.push(t);
    return { tickvals: values, ticktext: values.map((t) => vaa.clock(t)) };
  };

  const strips = (data, threshold) => {
    const band = ([x0, x1], y0, y1, colour, opacity) => ({ type: "rect", xref: "x", yref: "paper", x0, x1, y0, y1,
      fillcolor: vaa.colour(colour), opacity, line: { width: 0 }, layer: "below" });
    const shapes = [];
    for (const [start, stop] of data.labels || []) {
      const span = [vaa.seconds(data, start), vaa.seconds(data, stop)];
      shapes.push(band(span, FLOOR, 1, "truth", 0.13), band(span, ...LABELS, "truth", 0.9));
    }
    for (const alert of data.alerts) shapes.push(band([alert.start_seconds, alert.stop_seconds], ...ALERTS, "alert", 0.95));
    if (threshold !== null) shapes.push({ type: "line", xref: "paper", yref: "y", x0: 0, x1: 1, y0: threshold, y1: threshold,
      line: { color: vaa.colour("alert"), width: 1, dash: "dot" } });
    return shapes;
  };

  vaa.track = (data, seek) => {
    const length = vaa.seconds(data, data.frames), tracked = data.stages.filter((stage) => stage.track);
    const lowest = Math.min(0, ...tracked.flatMap((stage) => stage.track.to)), highest = Math.max(1, ...tracked.flatMap((stage) => stage.track.to));
    const on = tracked.map((_, k) => k === 0 || k === tracked.length - 1);
    const colour = (k) => vaa.colour(k === tracked.length - 1 ? "accent" : `s${k % 6}`);
    const chart = el("div", { class: "plot", role: "img", "aria-label": "scores over time; click to go there" });
    const cursor = el("div", { class: "cursor" }), tip = el("div", { class: "tip", hidden: true });
    const threshold = vaa.run.alert_rule ? vaa.run.alert_rule.threshold : null;
    let now = 0, range = [0, length], Plotly = null;

    const chips = tracked.map((stage, k) => el("button", { type: "button", class: "chip", "aria-pressed": String(on[k]), "data-stage": stage.name,
      title: `show or hide the scores after stage ${stage.name}${k < 9 ? ` (${k + 1})` : ""}`, click: () => toggle(k) },
      el("span", { class: "swatch", style: `background:var(--${k === tracked.length - 1 ? "accent" : `s${k % 6}`})` }), stage.name));

    const lines = () => tracked.map(({ track }, k) => ({
      x: [...track.at, track.stop].map((frame) => vaa.seconds(data, frame)), y: [...track.to, track.to.at(-1)],
      mode: "lines", line: { shape: "hv", color: colour(k), width: k === tracked.length - 1 ? 2.2 : 1.4 }, visible: on[k], name: tracked[k].name,
    }));

    const layout = () => vaa.layout({
      height: 250, margin: { l: 52, r: 14, t: 8, b: 24 }, dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
      xaxis: vaa.axis({ range, fixedrange: matchMedia("(pointer: coarse)").matches, anchor: "free", position: 0, ...ticks(...range, chart.clientWidth) }),
      yaxis: vaa.axis({ range: [lowest, highest * 1.03], domain: [FLOOR, 1], nticks: 5 }),
      shapes: strips(data, threshold),
      annotations: [[data.labels, LABELS, "labels"], [vaa.run.alert_rule, ALERTS, "alerts"]].filter(([has]) => has).map(([, y, text]) => ({
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
      if (k >= tracked.length) return;
      on[k] = !on[k];
      chips[k].setAttribute("aria-pressed", String(on[k]));
      if (Plotly) Plotly.restyle(chart, { visible: on[k] }, [k]);
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
      const values = tracked.map(({ track }, k) => on[k] ? el("div", {}, el("span", { class: "swatch", style: `background:${colour(k)}` }), tracked[k].name, el("b", {}, vaa.number(vaa.valueAt(track, frame)))) : null);
      tip.replaceChildren(el("div", { class: "muted" }, `${vaa.clock(t, true)} · frame ${frame}`), ...values.filter(Boolean));
      const box = chart.getBoundingClientRect(), at = event.clientX - box.left;
      tip.style.transform = `translateX(${at > box.width / 2 ? at - tip.offsetWidth - 14 : at + 14}px)`;
    });
    chart.addEventListener("mouseleave", () => { tip.hidden = true; });
    new ResizeObserver(() => requestAnimationFrame(place)).observe(chart);
    queueMicrotask(listen);

    const none = tracked.length ? null : el("p", { class: "muted" }, "No stage of this run has scored this video.");
    return { element: el("section", { class: "tracks" }, el("div", { class: "chips" }, chips), none, el("div", { class: "holder" }, chart, cursor, tip)),
      move: (seconds) => { now = seconds; place(); }, toggle, redraw: draw };
  };
})();
