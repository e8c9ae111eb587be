// The map drawn by the graphics card, with regl-scatterplot.
import createScatterplot, { createRenderer } from "../vendor/regl-scatterplot/regl-scatterplot.mjs";

/**
 * Return what draws on a canvas; see canvas-plot.js for what it can do.
 *
 * Throws where the browser has no WebGL, or one that lacks what is needed.
 */
export function makeGlPlot(canvas, hears) {
  const renderer = createRenderer(); // throws where there is no WebGL
  if (!renderer.isSupported) {
    renderer.destroy();
    throw new Error("the WebGL of this browser lacks textures of floats");
  }
  // A graphics card that gives up is asked once more; where it does not answer, the other way is taken.
  renderer.canvas.addEventListener("webglcontextlost", () => location.reload());
  const { clientWidth: width, clientHeight: height } = canvas.parentElement;
  return new GlPlot(canvas, createScatterplot({ canvas, renderer, width, height, ...STYLE }), hears);
}

const STYLE = {
  colorBy: "valueA",
  pointSizeSelected: 3,
  pointOutlineWidth: 2,
  opacityInactiveMax: 0.9,
  opacityInactiveScale: 0.7,
  mouseMode: "lasso",
  actionKeyMap: { lasso: "shift", merge: /Mac/.test(navigator.platform) ? "cmd" : "ctrl", remove: "alt" },
  deselectOnEscape: false, // keys are the page's
  deselectOnDblClick: true,
  showReticle: false,
  lassoMinDist: 2,
};

class GlPlot {
  constructor(canvas, plot, hears) {
    this.canvas = canvas;
    this.plot = plot;
    this.turn = Promise.resolve(); // what is drawn, one after the other
    this.selected = [];
    plot.subscribe("select", ({ points }) => hears.select([...points], "set"));
    plot.subscribe("deselect", () => hears.select([], "set"));
    plot.subscribe("pointOver", (place) => hears.hover(place, plot.getScreenPosition(place)));
    plot.subscribe("pointOut", () => hears.hover(-1));
    new ResizeObserver(() => this.resize()).observe(canvas.parentElement);
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.canvas.parentElement;
    if (width && height) this.plot.set({ width, height });
  }

  draw({ x, y, colours, palette, ground, ink }) {
    this.turn = this.turn.then(async () => {
      this.plot.set({
        backgroundColor: ground,
        pointColor: palette,
        pointColorActive: ink,
        pointColorHover: ink,
        lassoColor: ink,
        pointSize: Math.min(8, Math.max(3, 260 / Math.sqrt(x.length + 1))),
        opacity: x.length > 20000 ? 0.6 : 0.9,
      });
      await this.plot.draw({ x, y, valueA: colours }, { zDataType: "categorical" });
      this.plot.select(this.selected, { preventEvent: true });
    });
  }

  select(places) {
    this.selected = places;
    this.turn = this.turn.then(() => {
      if (places.length) this.plot.select(places, { preventEvent: true });
      else this.plot.deselect({ preventEvent: true });
    });
  }

  point(place) {
    this.turn = this.turn.then(() => this.plot.hover(place < 0 ? undefined : place));
  }

  tool(name) {
    this.plot.set({ mouseMode: name === "move" ? "panZoom" : "lasso" });
  }

  view(change) {
    if (change === "whole") return this.plot.zoomToOrigin({ transition: true, transitionDuration: 250 });
    const distance = this.plot.get("cameraDistance") * (change === "nearer" ? 0.7 : 1 / 0.7);
    return this.plot.zoomToLocation([...this.plot.get("cameraTarget")].slice(0, 2), distance);
  }
}
