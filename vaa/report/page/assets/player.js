// The video with boxes over it, and a clock: the video's own or, where it cannot be played, one that is only set.
"use strict";
(() => {
  const { el } = vaa;

  // The boxes that hold at a frame: those of the last frame with any, for as long as `most` seconds at the longest.
  const holding = (groups, frame, most) => {
    let found = null;
    for (const group of groups) { if (group.frame > frame) break; found = group; }
    return found && frame - found.frame < most ? found.boxes : [];
  };

  const grouped = (story) => {
    const frames = new Map();
    for (const stage of story.stages) {
      for (const frame of stage.located_frames || []) frames.set(frame, []);
      const own = new Map();
      for (const [frame, ...box] of stage.boxes || []) own.set(frame, [...(own.get(frame) || []), box]);
      for (const [frame, boxes] of own) frames.set(frame, boxes);
    }
    return [...frames].map(([frame, boxes]) => ({ frame, boxes })).sort((a, b) => a.frame - b.frame);
  };
  const annotated = (story) => {
    const frames = new Map();
    for (const [frame, ...box] of story.annotated) frames.set(frame, [...(frames.get(frame) || []), box]);
    return [...frames].map(([frame, boxes]) => ({ frame, boxes })).sort((a, b) => a.frame - b.frame);
  };

  vaa.player = (story, moved) => {
    const video = el("video", { controls: true, preload: "metadata", playsinline: true, muted: true },
      story.sources.map((source) => el("source", { src: source })));
    const canvas = el("canvas", { "aria-hidden": "true" }), note = el("p", { class: "unplayable", hidden: true });
    const screen = el("div", { class: "screen" }, video, canvas, note);
    const found = grouped(story), true_ = annotated(story), length = story.frames / story.fps;
    const all = [...found, ...true_].flatMap((group) => group.boxes);
    // Without a picture the boxes are drawn on a ground just large enough for all of them.
    const extent = [2, 3].map((k) => 1.05 * Math.max(0, ...all.map((box) => box[k])));
    let boxes = true, lost = story.sources.length === 0, now = 0;

    const lose = (reason) => {
      lost = true;
      video.hidden = true;
      note.hidden = false;
      screen.classList.add("lost");
      screen.classList.toggle("boxed", all.length > 0);
      note.textContent = reason;
    };

    const frameAt = (seconds) => Math.min(story.frames - 1, Math.max(0, Math.floor(seconds * story.fps + 1e-3)));

    const draw = () => {
      const ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight, pen = canvas.getContext("2d");
      canvas.width = width * ratio; canvas.height = height * ratio;
      const [wide, high] = lost ? extent : [video.videoWidth, video.videoHeight];
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
      const frame = frameAt(now);
      for (const box of holding(true_, frame, story.fps)) stroke(box, "#40c057", [5, 4]);
      for (const box of holding(found, frame, 2 * story.fps)) stroke(box, "#ff922b", []);
    };

    const tell = () => { draw(); moved(now, frameAt(now)); };
    const follow = () => {
      now = video.currentTime;
      tell();
      if (!video.paused && !video.ended && video.isConnected) requestAnimationFrame(follow);
    };
    for (const name of ["seeking", "seeked", "loadedmetadata", "pause"]) video.addEventListener(name, () => { if (!lost) { now = video.currentTime; tell(); } });
    video.addEventListener("play", () => requestAnimationFrame(follow));
    // A codec of which the browser knows only the sound beside it gives a video without a picture, and no error.
    video.addEventListener("loadedmetadata", () => { if (!video.videoWidth) failed(); });
    const failed = () => lose("The browser cannot play this video: its file has moved, or its codec is one that browsers lack. Everything else works.");
    video.addEventListener("error", failed);
    video.querySelector("source:last-of-type")?.addEventListener("error", failed);
    if (lost) lose("The video is not on this machine: its answers or scores were replayed. Everything else works.");
    new ResizeObserver(draw).observe(screen);

    const seek = (seconds) => {
      now = Math.min(Math.max(0, seconds), Math.max(0, length - 0.5 / story.fps));
      if (!lost) video.currentTime = now;
      tell();
    };
    const switcher = all.length ? el("button", { type: "button", class: "chip", "aria-pressed": "true", title: "boxes over the picture (b): said by the model solid, annotated dashed", click: () => showBoxes() },
      el("span", { class: "swatch", style: "background:#ff922b" }), "boxes") : null;
    const showBoxes = () => { boxes = !boxes; switcher?.setAttribute("aria-pressed", String(boxes)); draw(); };
    return {
      element: screen, switcher, seek, showBoxes,
      toggle: () => { if (!lost) { if (video.paused) video.play().catch(() => {}); else video.pause(); } },
      time: () => now, stop: () => video.pause(),
    };
  };
})();
