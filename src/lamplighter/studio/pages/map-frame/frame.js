// The frame that draws the map: it is told by messages what to draw, and tells what is pointed at.
//
// It is apart from the page since the library that draws makes code from texts, which the page
// forbids. This document may; but it can ask the server nothing, nor is it told any file's name.
import { CanvasPlot } from "./canvas-plot.js";

const KEYS = ["key", "ctrlKey", "metaKey", "shiftKey", "altKey"];
const canvas = document.getElementById("map");

const tell = (kind, data = {}) => parent.postMessage({ kind, ...data }, location.origin);

const hears = {
  select: (places, how) => tell("select", { places, how }),
  hover: (place, point) => tell("hover", { place, point }),
};

/** Return what draws: by the graphics card, or where that cannot be by the processor. */
async function makePlot() {
  // The library listens to the mouse alone: where there are only fingers, the other one is better.
  if (matchMedia("(hover: none) and (pointer: coarse)").matches) {
    return { plot: new CanvasPlot(canvas, hears), by: "canvas", why: "touch" };
  }
  try {
    const { makeGlPlot } = await import("./gl-plot.js");
    return { plot: makeGlPlot(canvas, hears), by: "WebGL" };
  } catch (error) {
    return { plot: new CanvasPlot(freshCanvas(), hears), by: "canvas", why: String(error.message) };
  }
}

/** Return a canvas that nobody has drawn on: one for WebGL can hold nothing else. */
function freshCanvas() {
  const fresh = canvas.cloneNode();
  canvas.replaceWith(fresh);
  return fresh;
}

/** Return the points scaled so that they fill the canvas, as wide as it is. */
function fitted({ x, y, ...rest }) {
  const { clientWidth, clientHeight } = document.body;
  const shorter = Math.min(clientWidth, clientHeight) || 1;
  const room = [clientWidth / shorter, clientHeight / shorter]; // in units of half the shorter side
  const reach = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9);
  const scale = 0.94 * Math.min(room[0] / reach(x), room[1] / reach(y));
  return { ...rest, x: x.map((value) => value * scale), y: y.map((value) => value * scale) };
}

const { plot, by, why } = await makePlot();
let drawn = null; // what was drawn last
let settling = 0;
new ResizeObserver(() => {
  clearTimeout(settling);
  settling = setTimeout(() => drawn && plot.draw(fitted(drawn)), 150);
}).observe(document.body);

addEventListener("message", ({ origin, source, data }) => {
  if (origin !== location.origin || source !== parent) return;
  const { kind, ...rest } = data;
  if (kind === "draw") plot.draw(fitted((drawn = rest)));
  else if (kind === "select") plot.select(rest.places);
  else if (kind === "point") plot.point(rest.place);
  else if (kind === "tool") plot.tool(rest.name);
  else if (kind === "view") plot.view(rest.change);
});
addEventListener("keydown", (event) => {
  if (event.key === "Tab" || event.key === "Shift") return;
  tell("key", Object.fromEntries(KEYS.map((name) => [name, event[name]])));
  // Browsers scroll by arrows and space, and go back by Backspace.
  if (/^(Arrow.*| |Backspace|PageUp|PageDown|Home|End)$/.test(event.key)) event.preventDefault();
});
tell("ready", { by, why });
