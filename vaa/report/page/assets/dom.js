// Elements, times, colours, and scripts loaded on demand. Text of the data becomes text nodes, never HTML.
"use strict";
const vaa = { run: null, order: [], videoData: new Map() };

vaa.el = (tag, attributes = {}, ...children) => {
  const svg = ["svg", "path", "rect"].includes(tag);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
};

// h:mm:ss, with tenths of a second if `tenths`.
vaa.clock = (seconds, tenths = false) => {
  const time = Math.max(0, tenths ? Math.floor(seconds * 10 + 1e-6) / 10 : Math.floor(seconds + 1e-6));
  const two = (n) => String(Math.floor(n)).padStart(2, "0");
  const rest = tenths ? two(time % 60) + "." + (Math.round(time * 10) % 10) : two(time % 60);
  return `${Math.floor(time / 3600)}:${two((time / 60) % 60)}:${rest}`;
};

// The last index with a value of at most `limit`, in a list that ascends.
vaa.lastIndex = (values, limit) => {
  let low = 0, high = values.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (values[middle] <= limit) low = middle; else high = middle - 1;
  }
  return low;
};

// When a frame of a video is shown, in seconds. `times`, where the rate varies, ends with the end of the video.
vaa.seconds = (data, frame) => data.times ? data.times[Math.min(frame, data.frames)] : frame / data.fps;
// The frame that is shown at a time.
vaa.frameAt = (data, seconds) => {
  const frame = data.times ? vaa.lastIndex(data.times, seconds + 1e-3) : Math.floor(seconds * data.fps + 1e-3);
  return Math.min(data.frames - 1, Math.max(0, frame));
};

vaa.number = (value, digits = 3) => (value === null || value === undefined ? "–" : value.toFixed(digits));
vaa.count = (n, one, several = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : several}`;

// What lines and colours mean: [kind, colour, text], where the kind is line, dotted, dashed, area or strip.
vaa.legend = (...items) => vaa.el("ul", { class: "legend" }, items.filter(Boolean).map(([kind, colour, text]) =>
  vaa.el("li", {}, vaa.el("span", { class: `key ${kind}`, style: `--key:var(--${colour})` }), text)));

vaa.colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

vaa.script = (source) => new Promise((done, failed) => {
  document.head.append(vaa.el("script", { src: source, load: () => done(), error: () => failed(new Error(source)) }));
});

let library = null;
vaa.charts = () => (library ??= vaa.script("page/plotly.js").then(() => window.Plotly));

// The layout that all charts share; colours are read at each call, since the theme may have changed.
vaa.layout = (more) => ({
  paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, hovermode: false,
  font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: vaa.colour("muted") }, ...more,
});
vaa.axis = (more) => ({
  gridcolor: vaa.colour("line"), linecolor: vaa.colour("line"), zeroline: false, ticks: "", fixedrange: true, ...more,
});

const waiting = new Map();
vaa.addVideo = (number, data) => { vaa.videoData.set(number, data); waiting.get(number)?.(data); };
vaa.loadVideo = (number) => {
  if (vaa.videoData.has(number)) return Promise.resolve(vaa.videoData.get(number));
  return new Promise((done, failed) => {
    waiting.set(number, done);
    vaa.script(`page/videos/${number}.js`).catch(failed);
  });
};
