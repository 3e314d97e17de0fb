// One video: the player, the tracks, the texts of each stage at the current time, and facts about the whole video.
"use strict";
(() => {
  const { el } = vaa;
  let shown = null; // { data, player, track, number } of the video on the screen
  let requests = 0;

  // The segment that contains a frame; of several, the one whose score frame is nearest.
  const segmentAt = (data, frame) => {
    let best = -1, smallest = Infinity;
    data.segments.forEach(([start, stop, at], k) => {
      const distance = Math.abs(at - frame) + (frame >= start && frame < stop ? 0 : 1e9);
      if (distance < smallest) { best = k; smallest = distance; }
    });
    return best;
  };

  const moment = (data) => {
    const when = el("h2", {}), list = el("ol", { class: "stage-texts" });
    const stages = data.stages.filter((stage) => stage.track || stage.texts);
    const rows = stages.map((stage) => {
      const row = { stage, score: el("span", { class: "score" }), bar: el("span", {}), description: el("p", {}), answer: el("p", { class: "muted answer" }) };
      row.element = el("li", { "data-stage": stage.name }, el("div", { class: "stage" }, el("b", {}, stage.name), el("div", { class: "meter" }, row.bar), row.score), row.description, row.answer);
      return row;
    });
    list.append(...rows.map((row) => row.element));
    let last = -1;
    const show = (seconds, frame) => {
      if (frame === last) return;
      last = frame;
      const k = segmentAt(data, frame);
      const [start, stop] = data.segments[k] || [0, data.frames];
      when.replaceChildren(`${vaa.clock(seconds, true)} `, el("small", {}, `frame ${frame}${k < 0 ? "" : ` · segment ${vaa.clock(vaa.seconds(data, start))}–${vaa.clock(vaa.seconds(data, stop))}`}`));
      let before = "";
      for (const { stage, score, bar, description, answer } of rows) {
        const value = stage.track ? vaa.valueAt(stage.track, frame) : stage.scores[k] ?? null;
        score.textContent = value === null && !stage.track ? "" : vaa.number(value);
        bar.style.width = `${100 * Math.min(1, Math.max(0, value || 0))}%`;
        bar.parentNode.style.visibility = value === null ? "hidden" : "visible";
        const text = stage.texts ? data.texts[stage.texts[k]] || "" : "", described = stage.descriptions ? data.texts[stage.descriptions[k]] || "" : "";
        const both = `${text}\u0000${described}`, changed = stage.texts && both !== before;
        description.textContent = changed ? described || text : "";
        answer.textContent = changed && described && text !== described ? text : "";
        if (stage.texts) before = both;
      }
    };
    return { element: el("aside", { class: "moment" }, when, list), show };
  };

  const fact = (name, ...content) => el("div", { class: "fact" }, el("h3", {}, name), ...content);
  const rows = (...groups) => groups.filter((group) => group.length).map((group) => el("section", { class: "facts" }, group));

  const facts = (data) => {
    const texts = [], parts = [];
    const last = (field) => data.stages.filter((stage) => stage[field] !== undefined).at(-1)?.[field];
    const [summary, tags, gated, window_, judgement] = ["summary", "tags", "gated", "suspicious_window", "judgement"].map(last);
    if (summary) texts.push(fact("Description", el("p", {}, summary)));
    if (data.reference) texts.push(fact("Reference", el("p", {}, data.reference)));
    if (tags) parts.push(fact("Tags", el("p", {}, tags.split(",").map((tag) => [el("i", { class: "tag" }, tag.trim()), " "]))));
    if (gated !== undefined) parts.push(fact("Gate", el("p", {}, gated ? "The first scores are uncertain: the segments were queried again." : "The first scores are certain.")));
    if (window_) {
      const [start, stop] = window_.highest.map((frame) => vaa.seconds(data, frame));
      parts.push(fact("Most suspicious window", el("p", {}, el("a", { href: vaa.link(data.id, start) }, `${vaa.clock(start)}–${vaa.clock(stop)}`), `, mean ${vaa.number(window_.highest_mean)} against ${vaa.number(window_.lowest_mean)} in the lowest window`)));
    }
    if (judgement) parts.push(fact("Judge's marks", el("p", {}, Object.entries(judgement).map(([name, mark]) => `${name} ${vaa.number(mark, 2)}`).join(", "))));
    return rows(texts, parts);
  };

  // The alerts at the chosen threshold; `stop` ends following it.
  const alertSection = (data, number) => {
    if (!vaa.run.alert_rule) return { element: null, stop: () => {} };
    const control = vaa.thresholdControl(), list = el("div", {});
    const show = () => {
      const alerts = vaa.videoAlerts(number, data.alerts);
      list.replaceChildren(alerts.length ? el("ul", { class: "alerts" }, alerts.map((alert) => vaa.alertItem(alert, false))) : el("p", {}, "None in this video."));
    };
    show();
    document.addEventListener("vaa-alerts", show);
    const element = el("section", {}, el("h2", {}, "Alerts"), control.element, el("p", { class: "muted" }, `${vaa.ruleText(vaa.run.alert_rule)} The counts are of the whole run.`), list);
    return { element, stop: () => { control.stop(); document.removeEventListener("vaa-alerts", show); } };
  };

  const heading = (data, number) => {
    const row = vaa.run.rows[number], place = vaa.order.indexOf(number);
    const step = (by, arrow, title) => {
      const next = vaa.order[place + by];
      return next === undefined ? el("span", { class: "button off" }, arrow) : el("a", { class: "button", title, href: vaa.link(vaa.run.rows[next].id) }, arrow);
    };
    const about = [row.class, vaa.clock(row.seconds), `${data.frames} frames`,
      row.highest === undefined ? "" : `highest ${row.highest.toFixed(2)}`, row.error === undefined ? "" : `error ${row.error.toFixed(2)}`].filter(Boolean).join(" · ");
    return el("div", { class: "heading" }, el("div", { class: "names" }, el("h1", {}, data.id), el("p", { class: "muted" }, about)),
      el("div", { class: "video-links" }, step(-1, "←", "previous video (k)"), el("span", { class: "muted" }, place < 0 ? "" : `${place + 1} of ${vaa.order.length}`), step(1, "→", "next video (j)")));
  };

  const build = (data, number) => {
    const current = moment(data), parts = {}, alerts = alertSection(data, number), marking = vaa.marking(data, number);
    parts.player = vaa.player(data, (seconds, frame) => { current.show(seconds, frame); parts.track?.move(seconds); });
    parts.track = vaa.track(data, number, (seconds) => parts.player.seek(seconds));
    if (parts.player.switcher) parts.track.element.firstChild.append(parts.player.switcher);
    document.getElementById("video").replaceChildren(...[
      heading(data, number), el("div", { class: "stage-and-text" }, parts.player.element, current.element),
      parts.track.element, alerts.element, ...facts(data), marking.element,
    ].filter(Boolean));
    return { ...parts, marking, data, number, stop: () => { parts.player.stop(); alerts.stop(); } };
  };

  vaa.open = async (number, seconds) => {
    const request = ++requests;
    if (shown?.number !== number) {
      shown?.stop();
      shown = null;
      let data;
      try { data = await vaa.loadVideo(number); } catch {
        document.getElementById("video").replaceChildren(el("p", { class: "notices" }, `page/videos/${number}.js is missing: write the page again with python -m vaa.report.page.`));
        return;
      }
      if (request !== requests) return;
      shown = build(data, number);
      scrollTo(0, 0);
    }
    shown.player.seek(seconds ?? shown.player.time());
  };
  vaa.close = () => { requests += 1; shown?.stop(); shown = null; document.getElementById("video").replaceChildren(); };
  vaa.shown = () => shown;
  document.addEventListener("vaa-theme", () => shown?.track.redraw());
  document.addEventListener("vaa-alerts", () => shown?.track.refresh());
  document.addEventListener("vaa-marks", () => { shown?.track.refresh(); shown?.marking.show(); });
})();
