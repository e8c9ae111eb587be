// The map drawn by the processor: for browsers without WebGL.

const NEAR = 8; // pixels between the pointer and a point that it means
const CLICK = 4; // pixels after which a press is a drag
const MANY = 20_000; // points, from which they are squares, which are quicker to draw
const WHOLE = { scale: 1, x: 0, y: 0 };

/**
 * Draws points; a drag is a lasso or moves the map, a click selects, the wheel scales.
 *
 * The square of -1..1 is shown whole, and what lies beside or above it where there is room. `hears.select(places, how)` is called with
 * what a lasso or a click means, `how` being "set", "add" or "remove"; `hears.hover(place, [x, y])`
 * with the point below the pointer and where it is drawn, or -1.
 */
export class CanvasPlot {
  constructor(canvas, hears) {
    this.canvas = canvas;
    this.hears = hears;
    this.points = { x: [], y: [], colours: [], palette: [], ground: "#fff", ink: "#000" };
    this.selected = new Set();
    this.pointed = -1;
    this.dragging = "lasso";
    this.camera = WHOLE;
    this.lasso = [];
    canvas.style.touchAction = "none";
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.hover(event));
    canvas.addEventListener("pointerleave", () => this.hovered(-1));
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    new ResizeObserver(() => this.redraw()).observe(canvas);
  }

  draw(points) {
    this.points = points;
    this.redraw();
  }

  select(places) {
    this.selected = new Set(places);
    this.redraw();
  }

  point(place) {
    this.hovered(place);
  }

  tool(name) {
    this.dragging = name;
  }

  view(change) {
    const { clientWidth, clientHeight } = this.canvas;
    if (change === "whole") this.camera = WHOLE;
    else this.scale(change === "nearer" ? 1.4 : 1 / 1.4, [clientWidth / 2, clientHeight / 2]);
    this.redraw();
  }

  /** Return pixels for a unit, and the middle. */
  measures() {
    const { clientWidth, clientHeight } = this.canvas;
    const unit = (Math.min(clientWidth, clientHeight) / 2) * this.camera.scale;
    return { unit, left: clientWidth / 2 + this.camera.x, top: clientHeight / 2 + this.camera.y };
  }

  /** Return where a point is drawn, in pixels. */
  placeOf(place, { unit, left, top } = this.measures()) {
    return [left + this.points.x[place] * unit, top - this.points.y[place] * unit];
  }

  scale(factor, [x, y]) {
    const scale = Math.min(200, Math.max(0.5, this.camera.scale * factor));
    const { left, top } = this.measures();
    const by = scale / this.camera.scale - 1;
    this.camera = { scale, x: this.camera.x - (x - left) * by, y: this.camera.y - (y - top) * by };
  }

  wheel(event) {
    event.preventDefault();
    this.scale(Math.exp(-event.deltaY / 400), [event.offsetX, event.offsetY]);
    this.redraw();
  }

  press(event) {
    if (event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    const start = [event.offsetX, event.offsetY];
    const before = this.camera;
    const lasso = this.dragging === "lasso" || event.shiftKey;
    let dragged = false;
    const move = ({ offsetX, offsetY }) => {
      dragged ||= Math.hypot(offsetX - start[0], offsetY - start[1]) > CLICK;
      if (!dragged) return;
      if (lasso) this.lasso.push([offsetX, offsetY]);
      else this.camera = { ...before, x: before.x + offsetX - start[0], y: before.y + offsetY - start[1] };
      this.redraw();
    };
    const end = (ended) => {
      this.canvas.removeEventListener("pointermove", move);
      this.canvas.removeEventListener("pointerup", end);
      this.canvas.removeEventListener("pointercancel", end);
      const outline = this.lasso;
      this.lasso = [];
      if (ended.type === "pointerup" && lasso && dragged) this.chosen(this.within(outline), event);
      else if (ended.type === "pointerup" && !dragged) this.chosen(this.at(...start), event);
      this.redraw();
    };
    this.lasso = lasso ? [start] : [];
    this.canvas.addEventListener("pointermove", move);
    this.canvas.addEventListener("pointerup", end);
    this.canvas.addEventListener("pointercancel", end);
  }

  chosen(places, { ctrlKey, metaKey, altKey }) {
    this.hears.select(places, ctrlKey || metaKey ? "add" : altKey ? "remove" : "set");
  }

  hover({ offsetX, offsetY, buttons }) {
    if (!buttons) this.hovered(this.at(offsetX, offsetY)[0] ?? -1);
  }

  hovered(place) {
    if (place === this.pointed) return;
    this.pointed = place;
    this.hears.hover(place, place < 0 ? undefined : this.placeOf(place));
    this.redraw();
  }

  /** Return the point next to a pixel as a list of one, or an empty list. */
  at(x, y) {
    const measures = this.measures();
    let nearest = NEAR;
    let found = [];
    for (let place = 0; place < this.points.x.length; place++) {
      const [left, top] = this.placeOf(place, measures);
      const apart = Math.hypot(left - x, top - y);
      if (apart < nearest) [nearest, found] = [apart, [place]];
    }
    return found;
  }

  /** Return the points within an outline. */
  within(outline) {
    const path = new Path2D();
    for (const [x, y] of outline) path.lineTo(x, y);
    path.closePath();
    const context = this.canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    const measures = this.measures();
    const found = [];
    for (let place = 0; place < this.points.x.length; place++) {
      if (context.isPointInPath(path, ...this.placeOf(place, measures))) found.push(place);
    }
    return found;
  }

  /** Draw it at the next frame. */
  redraw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      this.paint();
    });
  }

  paint() {
    const { clientWidth, clientHeight } = this.canvas;
    const ratio = devicePixelRatio || 1;
    const [width, height] = [Math.round(clientWidth * ratio), Math.round(clientHeight * ratio)];
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const { x, colours, palette, ground, ink } = this.points;
    context.fillStyle = ground;
    context.fillRect(0, 0, clientWidth, clientHeight);
    const radius = Math.min(4, Math.max(1.5, 130 / Math.sqrt(x.length + 1))) * Math.min(2, Math.max(1, this.camera.scale ** 0.4));
    const measures = this.measures();
    const dot = (place, larger = 0) => {
      const [left, top] = this.placeOf(place, measures);
      context.beginPath();
      context.arc(left, top, radius + larger, 0, 2 * Math.PI);
    };
    const many = x.length > MANY;
    context.globalAlpha = many ? 0.6 : 0.9;
    for (let place = 0; place < x.length; place++) {
      context.fillStyle = palette[colours[place]];
      if (many) {
        const [left, top] = this.placeOf(place, measures);
        context.fillRect(left - radius, top - radius, 2 * radius, 2 * radius);
      } else {
        dot(place);
        context.fill();
      }
    }
    context.globalAlpha = 1;
    context.strokeStyle = ink;
    context.lineWidth = 1.5;
    for (const place of this.selected) {
      dot(place, 2);
      context.stroke();
    }
    if (this.pointed >= 0 && this.pointed < x.length) {
      context.lineWidth = 2.5;
      dot(this.pointed, 4);
      context.stroke();
    }
    if (this.lasso.length > 1) {
      context.lineWidth = 2;
      context.beginPath();
      for (const [left, top] of this.lasso) context.lineTo(left, top);
      context.stroke();
    }
  }
}
