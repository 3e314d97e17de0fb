// The form below a video that marks intervals, corrects and deletes them, and saves those of all videos as labels.csv.
"use strict";
(() => {
  const { el } = vaa;

  const save = () => {
    const address = URL.createObjectURL(new Blob([vaa.labelsCsv()], { type: "text/csv" }));
    el("a", { href: address, download: "labels.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  };

  vaa.marking = (data, number) => {
    const length = vaa.seconds(data, data.frames), classes = el("datalist", { id: "mark-classes" });
    const table = el("table", { class: "marks" }), note = el("span", { class: "muted", role: "status" });
    let begun = null, label = (vaa.run.rows[number].events || [])[0]?.[2] || "";
    const now = () => Math.min(length, Math.round(vaa.shown().player.time() * 1000) / 1000);

    const put = (marks) => {
      note.textContent = "";
      if (!vaa.setMarks(number, marks)) note.textContent = "This browser does not store them: save labels.csv before closing the page.";
    };
    const replace = (k, change) => {
      const marks = vaa.marks(number).map((mark, j) => (j === k ? { ...mark, ...change } : mark)), { start, stop } = marks[k];
      if (start < stop && stop <= length + 0.001) put(marks);
      else { show(); note.textContent = "Not changed: an interval ends after its start, and within the video."; }
    };

    const start = () => {
      begun = now();
      note.textContent = `Starts at ${vaa.timecode(begun)}; go to its end and press o.`;
    };
    const stop = () => {
      const end = now();
      if (begun === null || begun === end) { note.textContent = begun === null ? "Go to the start of an interval and press i first." : "Go to its end first: it has no length yet."; return; }
      put([...vaa.marks(number), { start: Math.min(begun, end), stop: Math.max(begun, end), label }]);
      begun = null;
    };

    const time = (k, name, value) => {
      const title = name === "stop" ? "end" : "start";
      return el("td", { class: "time" }, el("input", { class: "field", value: vaa.timecode(value), "aria-label": `${title} of interval ${k + 1}`,
        change: (event) => replace(k, { [name]: vaa.parseTime(event.target.value) }) }));
    };
    const button = (text, title, click) => el("button", { type: "button", class: "button small", title, click }, text);
    const row = (mark, k) => el("tr", {}, time(k, "start", mark.start), time(k, "stop", mark.stop),
      el("td", {}, el("input", { class: "field", list: "mark-classes", value: mark.label, placeholder: "class", "aria-label": `class of interval ${k + 1}`,
        change: (event) => { label = event.target.value.trim(); replace(k, { label }); } })),
      el("td", {}, button("go", "go to its start", () => vaa.shown().player.seek(mark.start)), " ", button("start = now", "move its start to the current time", () => replace(k, { start: now() })), " ",
        button("end = now", "move its end to the current time", () => replace(k, { stop: now() })), " ", button("delete", "delete this interval", () => put(vaa.marks(number).filter((_, j) => j !== k)))));

    const reset = button("undo all in this video", "back to the labels of the data set", () => put(null));
    const show = () => {
      const marks = vaa.marks(number);
      classes.replaceChildren(...vaa.markClasses().map((name) => el("option", { value: name })));
      table.replaceChildren(el("tbody", {}, marks.length ? marks.map(row) : el("tr", {}, el("td", { class: "muted" }, "No interval."))));
      reset.hidden = !vaa.isMarked(number);
    };
    show();
    const element = el("section", { class: "marking" }, el("h2", {}, "Intervals"),
      el("p", { class: "muted" }, "Mark what happens in this video; the browser keeps it. labels.csv has the intervals of all videos of this run, for data=folder data.labels=labels.csv."),
      el("div", { class: "actions" }, button("mark start (i)", "an interval starts at the current time", start), button("mark end (o)", "it ends at the current time", stop),
        reset, button("save labels.csv", "the intervals of all videos", save), note), classes, table);
    return { element, show, start, stop };
  };
})();
