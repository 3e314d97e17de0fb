// Alerts at another threshold: the rule of vaa/evaluation/alert_intervals.py over the scores in hundredths.
"use strict";
(() => {
  const STEPS = 100; // levels of page/levels.js in one unit of score
  let levels = null, chosen = null, found = null; // chosen: hundredths, null for the run's own threshold
  vaa.addLevels = ({ videos }) => { levels = videos.map((video) => (video ? runsOf(video) : [])); };
  let loading = null;
  vaa.loadLevels = () => (loading ??= vaa.script("page/levels.js"));

  // The stretches of a video with one level: their times in seconds, and whether the recording pauses before them.
  const runsOf = ({ at, to, fps, frames, start, stop, pauses }) => {
    let frame = 0;
    const firsts = at.map((step) => (frame += step)), paused = new Set(pauses);
    return firsts.map((first, k) => ({
      level: to[k], pause: paused.has(k), start: start ? start[k] : first / fps,
      stop: stop ? stop[k] : (firsts[k + 1] ?? frames) / fps, fps: start ? null : fps,
    }));
  };

  const length = (from, to) => Math.round((to - from) * 1e6) / 1e6;

  // The alerts of one video, with their highest level, and where it is.
  const find = (runs, threshold, end, { gap, shortest, padding }) => {
    const merged = [];
    let current = null;
    for (const run of runs) {
      if (run.pause || run.level < (current ? end : threshold)) current = null;
      if (run.level < (current ? end : threshold)) continue;
      const last = merged.at(-1);
      if (current) current.stop = run.stop;
      else if (last && length(last.stop, run.start) < gap) { current = last; current.stop = run.stop; }
      else { current = { start: run.start, stop: run.stop, level: -1, peak: 0, part: run }; merged.push(current); }
      if (run.level > current.level) { current.level = run.level; current.peak = (run.start + run.stop) / 2; }
    }
    const kept = merged.filter((alert) => length(alert.start, alert.stop) >= shortest);
    return padding ? padded(kept, runs, padding) : kept;
  };

  // Extended on both sides, up to the ends of the video and the pauses of the recording; merged where they meet.
  const padded = (alerts, runs, padding) => {
    const pauses = runs.filter((run) => run.pause).map((run) => run.start), ends = runs.filter((_, k) => runs[k + 1]?.pause).map((run) => run.stop);
    const joined = [];
    for (const alert of alerts) {
      const low = Math.max(0, ...pauses.filter((t) => t <= alert.start)), high = Math.min(runs.at(-1).stop, ...ends.filter((t) => t >= alert.stop));
      const snap = (t) => (alert.part.fps ? Math.ceil(Math.round(t * alert.part.fps * 1e6) / 1e6) / alert.part.fps : t);
      const start = Math.max(low, snap(alert.start - padding)), stop = Math.min(high, snap(alert.stop + padding)), last = joined.at(-1);
      if (last && (start < last.stop || (start === last.stop && !pauses.includes(start)))) {
        last.stop = stop;
        if (alert.level > last.level) { last.level = alert.level; last.peak = alert.peak; }
      } else joined.push({ ...alert, start, stop });
    }
    return joined;
  };

  const overlaps = (a, [start, stop]) => a.start < stop && a.stop > start;
  const own = () => vaa.run.rows.map((row) => row.own.map(([start, stop, highest, peak]) => ({ start, stop, highest, peak })));

  const compute = () => {
    const rule = vaa.run.alert_rule;
    if (!rule) return vaa.run.rows.map(() => []);
    if (chosen === null || !levels) return own();
    return levels.map((runs) => find(runs, chosen, endLevel(), { ...rule, padding: rule.padding ?? 0 }).map((alert) => ({ ...alert, highest: alert.level / STEPS })));
  };
  // The lower threshold of the run's hysteresis, in the same proportion to the threshold as the run's own.
  const endLevel = () => {
    const { threshold, end } = vaa.run.alert_rule;
    return end === null || end === undefined || end >= threshold || !threshold ? chosen : Math.floor((chosen * end) / threshold + 1e-9);
  };

  vaa.alertsOf = (number) => (found ??= compute())[number];
  vaa.threshold = () => (chosen === null ? vaa.run.alert_rule?.threshold ?? null : chosen / STEPS);
  vaa.isOwnThreshold = () => chosen === null;
  // Null is the run's own threshold.
  vaa.setThreshold = async (value) => {
    const wanted = value === null ? null : Math.round(Math.min(1, Math.max(0, value)) * STEPS);
    const next = wanted === null || wanted / STEPS === vaa.run.alert_rule.threshold ? null : wanted;
    if (next !== null && !levels) await vaa.loadLevels(); // until then the alerts shown are the run's own
    chosen = next;
    found = null;
    document.dispatchEvent(new CustomEvent("vaa-alerts"));
  };
  vaa.overrides = () => {
    const { threshold, end } = vaa.run.alert_rule;
    const low = chosen === null ? end : endLevel() / STEPS;
    return [`alerts.threshold=${vaa.threshold()}`, end !== null && end !== undefined && end < threshold ? `alerts.end=${low}` : ""].filter(Boolean).join(" ");
  };

  // How many alerts there are, and in videos with labels: events, those that an alert overlaps, alerts that overlap none.
  vaa.alertCounts = () => {
    const counts = { alerts: 0, events: 0, hit: 0, falseAlerts: 0, labelled: false };
    vaa.run.rows.forEach(({ events }, number) => {
      const alerts = vaa.alertsOf(number);
      counts.alerts += alerts.length;
      if (!events) return;
      counts.labelled = true;
      counts.events += events.length;
      counts.hit += events.filter((event) => alerts.some((alert) => overlaps(alert, event))).length;
      counts.falseAlerts += alerts.filter((alert) => !events.some((event) => overlaps(alert, event))).length;
    });
    return counts;
  };
})();
