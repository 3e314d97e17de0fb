// Alerts at the chosen threshold: the slider with its counts, pictures of the highest alerts, and their list.
"use strict";
(() => {
  const { el } = vaa;
  const PICTURES = 12, LISTED = 200;

  // The slider, the number field beside it, the counts and the override for the chosen threshold.
  vaa.thresholdControl = () => {
    const set = (event) => { if (event.target.value !== "") vaa.setThreshold(Number(event.target.value)); };
    const range = { min: 0, max: 1, step: 0.01, input: set };
    const slider = el("input", { type: "range", "aria-label": "alert threshold", ...range });
    const field = el("input", { type: "number", class: "field", "aria-label": "alert threshold as a number", ...range });
    const counts = el("output", { "aria-live": "polite" }), code = el("code", {});
    const copy = () => { getSelection().selectAllChildren(code); navigator.clipboard?.writeText(code.textContent).catch(() => {}); };
    const reset = el("button", { type: "button", class: "button small", title: "back to the threshold of the run", click: () => vaa.setThreshold(null) }, "reset");
    const show = () => {
      const { alerts, events, hit, falseAlerts, labelled } = vaa.alertCounts(), value = vaa.threshold();
      slider.value = value;
      if (document.activeElement !== field || Number(field.value) !== value) field.value = value;
      const parts = [vaa.count(alerts, "alert"), labelled ? `${hit} of ${vaa.count(events, "event")}` : "", labelled ? `${falseAlerts} false` : ""];
      counts.textContent = parts.filter(Boolean).join(" · ");
      reset.disabled = vaa.isOwnThreshold();
      code.textContent = vaa.overrides();
    };
    const element = el("div", { class: "threshold" }, el("label", {}, "threshold", slider), field, counts, reset, code,
      el("button", { type: "button", class: "button small", title: "copy the override for the next run", click: copy }, "copy"));
    show();
    document.addEventListener("vaa-alerts", show);
    return { element, stop: () => document.removeEventListener("vaa-alerts", show) };
  };

  // An alert with the text and the still of the run's own alert that it overlaps, if there is one.
  const described = (alert, video, own) => {
    const same = own.filter((each) => each.video === video && each.start_seconds < alert.stop && each.stop_seconds > alert.start);
    const best = same.sort((a, b) => b.highest - a.highest)[0];
    return { text: "", still: null, definition: "", ...best, video, from: vaa.clock(alert.start), to: vaa.clock(alert.stop),
      start_seconds: alert.start, stop_seconds: alert.stop, peak_seconds: alert.peak, highest: alert.highest };
  };
  vaa.videoAlerts = (number, own) => vaa.alertsOf(number).map((alert) => described(alert, vaa.run.rows[number].id, own));

  // All alerts, the highest first; only the first `LISTED` are described.
  const highest = () => {
    const all = vaa.run.rows.flatMap((row, number) => vaa.alertsOf(number).map((alert) => ({ alert, video: row.id })));
    all.sort((a, b) => b.alert.highest - a.alert.highest);
    return all.slice(0, LISTED).map(({ alert, video }) => described(alert, video, vaa.run.alerts));
  };

  const score = (alert) => el("span", { class: "high", title: "highest score" }, alert.highest.toFixed(2));
  const times = (alert) => el("span", { class: "when" }, `${alert.from}–${alert.to}`);
  vaa.alertItem = (alert, withVideo) => el("li", {}, el("a", { href: vaa.link(alert.video, alert.peak_seconds) }, times(alert), score(alert),
    el("span", { class: "text" }, withVideo ? el("b", {}, alert.video, " ") : null, alert.definition ? el("i", { class: "tag" }, alert.definition) : null, alert.definition ? " " : null, alert.text || null)));
  const picture = (alert) => el("li", {}, el("a", { href: vaa.link(alert.video, alert.peak_seconds) },
    alert.still ? el("img", { src: alert.still, alt: `${alert.video} at ${vaa.clock(alert.peak_seconds)}`, loading: "lazy" }) : null,
    el("div", {}, el("b", {}, alert.video), times(alert), " ", score(alert), " ", alert.definition ? el("i", { class: "tag" }, alert.definition) : null, el("span", { class: "text" }, alert.text))));

  vaa.ruleText = ({ description, gap, shortest, padding }) => [
    `Intervals with high scores (the run's rule: ${description}), at least ${shortest} s long, merged if less than ${gap} s apart`, padding ? `, with ${padding} s added on both sides` : "", ".",
  ].join("");

  // The section on the first screen; null without a rule.
  vaa.alertSection = () => {
    if (!vaa.run.alert_rule) return null;
    const body = el("div", {}), control = vaa.thresholdControl();
    const show = () => {
      const alerts = highest(), { alerts: total } = vaa.alertCounts(), first = alerts.slice(0, PICTURES), rest = alerts.slice(PICTURES);
      const pictured = first.some((alert) => alert.still);
      const open = body.querySelector("details")?.open;
      body.replaceChildren(...[
        total ? null : el("p", {}, "None."),
        first.length ? el("ul", { class: pictured ? "pictures" : "alerts" }, first.map((alert) => (pictured ? picture(alert) : vaa.alertItem(alert, true)))) : null,
        rest.length ? el("details", { open }, el("summary", {}, `${total - first.length} more`),
          el("ul", { class: "alerts" }, rest.map((alert) => vaa.alertItem(alert, true)))) : null,
        total > alerts.length ? el("p", { class: "muted" }, `The ${LISTED} highest are listed; those of the run's own threshold are all in alerts.csv.`) : null,
      ].filter(Boolean));
    };
    show();
    document.addEventListener("vaa-alerts", show);
    return el("section", {}, el("h2", {}, "Alerts"), control.element, el("p", { class: "muted" }, `${vaa.ruleText(vaa.run.alert_rule)} Highest first.`), body);
  };
})();
