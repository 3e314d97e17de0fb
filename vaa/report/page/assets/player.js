// The video with boxes drawn over it. Where it cannot be played, stills are shown and the time changes by seeking.
"use strict";
(() => {
  const { el } = vaa;

  // The boxes at a frame: those of the last frame that has boxes, for at most `maxSeconds`.
  const boxesAt = (data, groups, frame, maxSeconds) => {
    let latest = null;
    for (const group of groups) { if (group.frame > frame) break; latest = group; }
    return latest && vaa.seconds(data, frame) - vaa.seconds(data, latest.frame) < maxSeconds ? latest.boxes : [];
  };

  const predictedBoxes = (data) => {
    const frames = new Map();
    for (const stage of data.stages) {
      for (const frame of stage.located_frames || []) frames.set(frame, []);
      const own = new Map();
      for (const [frame, ...box] of stage.boxes || []) own.set(frame, [...(own.get(frame) || []), box]);
      for (const [frame, boxes] of own) frames.set(frame, boxes);
    }
    return [...frames].map(([frame, boxes]) => ({ frame, boxes })).sort((a, b) => a.frame - b.frame);
  };
  const annotatedBoxes = (data) => {
    const frames = new Map();
    for (const [frame, ...box] of data.annotated) frames.set(frame, [...(frames.get(frame) || []), box]);
    return [...frames].map(([frame, boxes]) => ({ frame, boxes })).sort((a, b) => a.frame - b.frame);
  };

  vaa.player = (data, moved) => {
    const video = el("video", { controls: true, preload: "metadata", playsinline: true, muted: true },
      data.sources.map((source) => el("source", { src: source })));
    const canvas = el("canvas", { "aria-hidden": "true" }), note = el("p", { class: "unplayable", hidden: true });
    // Stills of the alerts and along the video, for a video that is not played.
    const stills = [...data.alerts.filter((alert) => alert.still).map(({ peak_seconds, still }) => ({ seconds: peak_seconds, still, text: " alert" })),
      ...data.stills.map(([seconds, still]) => ({ seconds, still, text: "" }))].sort((a, b) => a.seconds - b.seconds);
    for (const still of stills) {
      still.element = el("button", { type: "button", title: "go to this time", click: () => seek(still.seconds) },
        el("img", { src: still.still, alt: `at ${vaa.clock(still.seconds)}` }), vaa.clock(still.seconds), still.text);
    }
    const strip = el("div", { class: "stills", hidden: true }, stills.map(({ element }) => element));
    const screen = el("div", { class: "screen" }, video, canvas, note, strip);
    const predicted = predictedBoxes(data), annotated = annotatedBoxes(data), length = vaa.seconds(data, data.frames);
    const all = [...predicted, ...annotated].flatMap((group) => group.boxes);
    // Without a picture the boxes are drawn on an area that is large enough for all of them.
    const extent = [2, 3].map((k) => 1.05 * Math.max(0, ...all.map((box) => box[k])));
    let boxes = true, unplayable = data.sources.length === 0, now = 0;

    const showUnplayable = (reason) => {
      unplayable = true;
      video.hidden = true;
      note.hidden = false;
      screen.classList.add("no-video");
      screen.classList.toggle("boxed", all.length > 0);
      if (stills.length && !all.length) { strip.hidden = false; screen.classList.add("stilled"); }
      note.textContent = `${reason} ${stills.length && !all.length ? "Below are stills of it; everything" : "Everything"} else works.`;
      showStill();
    };
    const showStill = () => {
      if (!stills.length) return;
      const nearest = stills.reduce((best, still) => (Math.abs(still.seconds - now) < Math.abs(best.seconds - now) ? still : best));
      for (const still of stills) still.element.setAttribute("aria-current", String(still === nearest));
      strip.scrollLeft = nearest.element.offsetLeft - (strip.clientWidth - nearest.element.offsetWidth) / 2;
    };

    const draw = () => {
      const ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight, pen = canvas.getContext("2d");
      canvas.width = width * ratio; canvas.height = height * ratio;
      const [wide, high] = unplayable ? extent : [video.videoWidth, video.videoHeight];
      if (!boxes || !wide) return;
      const scale = Math.min(width / wide, height / high) * ratio;
      const left = (width * ratio - wide * scale) / 2, top = (height * ratio - high * scale) / 2;
      const stroke = ([x1, y1, x2, y2, score], colour, dash) => {
        pen.strokeStyle = colour; pen.lineWidth = 2 * ratio; pen.setLineDash(dash.map((d) => d * ratio));
        pen.strokeRect(left + x1 * scale, top + y1 * scale, (x2 - x1) * scale, (y2 - y1) * scale);
        if (score === undefined) return;
        pen.font = `${12 * ratio}px system-ui, sans-serif`; pen.fillStyle = colour;
        pen.fillText(score.toFixed(2), left + x1 * scale + 3 * ratio, Math.max(12 * ratio, top + y1 * scale - 4 * ratio));
      };
      const frame = vaa.frameAt(data, now);
      for (const box of boxesAt(data, annotated, frame, 1)) stroke(box, vaa.colour("annotated"), [5, 4]);
      for (const box of boxesAt(data, predicted, frame, 2)) stroke(box, vaa.colour("predicted"), []);
    };

    const update = () => { draw(); if (unplayable) showStill(); moved(now, vaa.frameAt(data, now)); };
    const follow = () => {
      now = video.currentTime;
      update();
      if (!video.paused && !video.ended && video.isConnected) requestAnimationFrame(follow);
    };
    for (const name of ["seeking", "seeked", "loadedmetadata", "pause"]) video.addEventListener(name, () => { if (!unplayable) { now = video.currentTime; update(); } });
    video.addEventListener("play", () => requestAnimationFrame(follow));
    // With an unknown video codec beside a known audio codec the video has no picture, and no error is raised.
    video.addEventListener("loadedmetadata", () => { if (!video.videoWidth) failed(); });
    const failed = () => showUnplayable(video.readyState ? "The browser does not support the codec of this video; python -m vaa.report.page --encode writes copies that it plays." : "The browser cannot play this video: it does not support its codec (python -m vaa.report.page --encode writes copies that it plays), or the file was moved after this page was written.");
    video.addEventListener("error", failed);
    video.querySelector("source:last-of-type")?.addEventListener("error", failed);
    if (unplayable) showUnplayable("There is no video file to play on this machine.");
    new ResizeObserver(draw).observe(screen);

    const seek = (seconds) => {
      now = Math.min(Math.max(0, seconds), (vaa.seconds(data, data.frames - 1) + length) / 2);
      if (!unplayable) video.currentTime = now;
      update();
    };
    const switcher = all.length ? el("button", { type: "button", class: "chip", "aria-pressed": "true", title: "boxes on or off (b): predicted solid, annotated dashed", click: () => showBoxes() },
      el("span", { class: "swatch", style: "background:var(--predicted)" }), "boxes") : null;
    const showBoxes = () => { boxes = !boxes; switcher?.setAttribute("aria-pressed", String(boxes)); draw(); };
    return {
      element: screen, switcher, seek, showBoxes,
      toggle: () => { if (!unplayable) { if (video.paused) video.play().catch(() => {}); else video.pause(); } },
      time: () => now, stop: () => video.pause(),
    };
  };
})();
