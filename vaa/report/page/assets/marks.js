// Intervals that a reader marks in videos: stored in the browser for each run, and their CSV, which data.labels=FILE reads.
"use strict";
(() => {
  const KEY = `vaa-marks ${location.pathname}`;
  let edited = {}; // video -> its intervals; a video that is absent has the labels of the data set
  const load = () => { try { edited = JSON.parse(localStorage.getItem(KEY)) || {}; } catch { /* no storage */ } };
  load();

  const changed = () => document.dispatchEvent(new CustomEvent("vaa-marks"));
  const labels = ({ events }) => (events || []).map(([start, stop, label]) => ({ start, stop, label }));
  const inOrder = (marks) => [...marks].sort((a, b) => a.start - b.start || a.stop - b.stop);

  vaa.isMarked = (number) => vaa.run.rows[number].id in edited;
  // The intervals of a video in temporal order, in seconds: { start, stop, label }.
  vaa.marks = (number) => { const row = vaa.run.rows[number]; return edited[row.id] || labels(row); };
  // Null is the labels of the data set. False if the browser does not store them.
  vaa.setMarks = (number, marks) => {
    load(); // another tab may have changed them
    const { id } = vaa.run.rows[number];
    if (marks === null) delete edited[id]; else edited[id] = inOrder(marks);
    let stored = true;
    try { localStorage.setItem(KEY, JSON.stringify(edited)); } catch { stored = false; }
    changed();
    return stored;
  };
  addEventListener("storage", (event) => { if (event.key === KEY && vaa.run) { load(); changed(); } });

  vaa.markClasses = () => [...new Set([...vaa.run.rows.flatMap((row) => (row.events || []).map(([, , label]) => label)), ...vaa.run.definitions,
    ...Object.values(edited).flat().map(({ label }) => label)])].filter(Boolean).sort();

  // h:mm:ss.mmm, and seconds from that or shorter forms; NaN for other text.
  vaa.timecode = (seconds) => {
    const ms = Math.round(seconds * 1000), two = (n) => String(Math.floor(n)).padStart(2, "0");
    return `${Math.floor(ms / 3600000)}:${two((ms / 60000) % 60)}:${two((ms / 1000) % 60)}.${String(ms % 1000).padStart(3, "0")}`;
  };
  vaa.parseTime = (text) => (/^\s*(\d+:){0,2}\d+(\.\d*)?\s*$/.test(text) ? text.split(":").reduce((sum, part) => 60 * sum + Number(part), 0) : NaN);

  const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  // All intervals of all videos; a video without any has no line.
  vaa.labelsCsv = () => ["video,start,end,label", ...vaa.run.rows.flatMap((row, number) => vaa.marks(number).map(({ start, stop, label }) =>
    [quoted(row.id), start.toFixed(3), stop.toFixed(3), quoted(label)].join(",")))].join("\n") + "\n";
})();
