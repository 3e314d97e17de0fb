// One video: the player, the tracks, what each stage said of this moment, and what is known of the whole.
"use strict";
(() => {
  const { el } = vaa;
  let shown = null; // { story, player, track, number } of the video on the screen
  let asked = 0;

  // The segment round a frame; of several that overlap, the one whose score is nearest.
  const segmentAt = (story, frame) => {
    let best = -1, distance = Infinity;
    story.segments.forEach(([start, stop, at], k) => {
      const far = Math.abs(at - frame) + (frame >= start && frame < stop ? 0 : 1e9);
      if (far < distance) { best = k; distance = far; }
    });
    return best;
  };

  const moment = (story) => {
    const when = el("h2", {}), list = el("ol", { class: "said" });
    const stages = story.stages.filter((stage) => stage.track || stage.texts);
    const rows = stages.map((stage) => {
      const row = { stage, score: el("span", { class: "score" }), bar: el("span", {}), read: el("p", {}), raw: el("p", { class: "muted raw" }) };
      row.element = el("li", { "data-stage": stage.name }, el("div", { class: "stage" }, el("b", {}, stage.name), el("div", { class: "meter" }, row.bar), row.score), row.read, row.raw);
      return row;
    });
    list.append(...rows.map((row) => row.element));
    let last = -1;
    const show = (seconds, frame) => {
      if (frame === last) return;
      last = frame;
      const k = segmentAt(story, frame);
      const [start, stop] = story.segments[k] || [0, story.frames];
      when.replaceChildren(`${vaa.clock(seconds, true)} `, el("small", {}, `frame ${frame}${k < 0 ? "" : ` · segment ${vaa.clock(start / story.fps)}–${vaa.clock(stop / story.fps)}`}`));
      let before = "";
      for (const { stage, score, bar, read, raw } of rows) {
        const value = stage.track ? vaa.valueAt(stage.track, frame) : stage.scores[k] ?? null;
        score.textContent = value === null && !stage.track ? "" : vaa.number(value);
        bar.style.width = `${100 * Math.min(1, Math.max(0, value || 0))}%`;
        bar.parentNode.style.visibility = value === null ? "hidden" : "visible";
        const text = stage.texts ? story.texts[stage.texts[k]] || "" : "", described = stage.read ? story.texts[stage.read[k]] || "" : "";
        const both = `${text}\u0000${described}`, news = stage.texts && both !== before;
        read.textContent = news ? described || text : "";
        raw.textContent = news && described && text !== described ? text : "";
        if (stage.texts) before = both;
      }
    };
    return { element: el("aside", { class: "moment" }, when, list), show };
  };

  const fact = (name, ...content) => el("div", { class: "fact" }, el("h3", {}, name), ...content);
  const rows = (...groups) => groups.filter((group) => group.length).map((group) => el("section", { class: "facts" }, group));

  const facts = (story) => {
    const texts = [], parts = [];
    const last = (field) => story.stages.filter((stage) => stage[field] !== undefined).at(-1)?.[field];
    const [summary, tags, gated, suspicion, judgement] = ["summary", "tags", "gated", "suspicious_window", "judgement"].map(last);
    if (summary) texts.push(fact("Described", el("p", {}, summary)));
    if (story.reference) texts.push(fact("Reference", el("p", {}, story.reference)));
    if (tags) parts.push(fact("Tags", el("p", {}, tags.split(",").map((tag) => [el("i", { class: "tag" }, tag.trim()), " "]))));
    if (gated !== undefined) parts.push(fact("Gate", el("p", {}, gated ? "The first scores leave doubt: asked again." : "The first scores leave no doubt.")));
    if (suspicion) {
      const [start, stop] = suspicion.highest.map((frame) => frame / story.fps);
      parts.push(fact("Most suspicious window", el("p", {}, el("a", { href: vaa.link(story.id, start) }, `${vaa.clock(start)}–${vaa.clock(stop)}`), `, mean ${vaa.number(suspicion.highest_mean)} against ${vaa.number(suspicion.lowest_mean)} in the calmest`)));
    }
    if (judgement) parts.push(fact("Judge's marks", el("p", {}, Object.entries(judgement).map(([name, mark]) => `${name} ${vaa.number(mark, 2)}`).join(", "))));
    return rows(texts, parts);
  };

  const alerts = (story) => story.alerts.length ? el("section", {}, el("h2", {}, "Suspicious intervals"),
    el("p", { class: "muted" }, `The score is at least ${vaa.run.alerting.threshold}, a plain choice that is not tuned.`),
    el("ul", { class: "alerts" }, story.alerts.map((one) => vaa.alertItem(one, false)))) : null;

  const heading = (story, number) => {
    const row = vaa.run.rows[number], place = vaa.order.indexOf(number);
    const step = (by, sign, title) => {
      const next = vaa.order[place + by];
      return next === undefined ? el("span", { class: "button off" }, sign) : el("a", { class: "button", title, href: vaa.link(vaa.run.rows[next].id) }, sign);
    };
    const about = [row.class, vaa.clock(row.seconds), `${story.frames} frames`,
      row.highest === undefined ? "" : `highest ${row.highest.toFixed(2)}`, row.error === undefined ? "" : `error ${row.error.toFixed(2)}`].filter(Boolean).join(" · ");
    return el("div", { class: "heading" }, el("div", { class: "names" }, el("h1", {}, story.id), el("p", { class: "muted" }, about)),
      el("div", { class: "steps" }, step(-1, "←", "previous video (k)"), el("span", { class: "muted" }, place < 0 ? "" : `${place + 1} of ${vaa.order.length}`), step(1, "→", "next video (j)")));
  };

  const build = (story, number) => {
    const now = moment(story), ready = {};
    ready.player = vaa.player(story, (seconds, frame) => { now.show(seconds, frame); ready.track?.move(seconds); });
    ready.track = vaa.track(story, (seconds) => ready.player.seek(seconds));
    if (ready.player.switcher) ready.track.element.firstChild.append(ready.player.switcher);
    document.getElementById("video").replaceChildren(...[
      heading(story, number), el("div", { class: "stage-and-text" }, ready.player.element, now.element),
      ready.track.element, ...facts(story), alerts(story),
    ].filter(Boolean));
    return { ...ready, story, number };
  };

  vaa.open = async (number, seconds) => {
    const mine = ++asked;
    if (shown?.number !== number) {
      shown?.player.stop();
      shown = null;
      let story;
      try { story = await vaa.story(number); } catch {
        document.getElementById("video").replaceChildren(el("p", { class: "notices" }, `page/videos/${number}.js is missing: make the page anew with python -m vaa.report.page.`));
        return;
      }
      if (mine !== asked) return;
      shown = build(story, number);
      scrollTo(0, 0);
    }
    shown.player.seek(seconds ?? shown.player.time());
  };
  vaa.shut = () => { asked += 1; shown?.player.stop(); shown = null; document.getElementById("video").replaceChildren(); };
  vaa.shown = () => shown;
  document.addEventListener("vaa-theme", () => shown?.track.redraw());
})();
