// A sheet to draw on: with a mouse, a finger, a pen, or the arrow keys.
import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "../html.js";

const SIDE = 280; // pixels of the sheet
const PENS = [
  { name: "fine", width: 12 },
  { name: "medium", width: 20 },
  { name: "broad", width: 30 },
];
const STEP = 7; // pixels that an arrow key goes
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * @param {(image: Blob|null) => void} onDraw called with the sheet as a PNG; null where it is empty
 */
export function DrawingPad({ onDraw }) {
  const canvas = useRef(null);
  const [tool, setTool] = useState("pen");
  const [width, setWidth] = useState(PENS[1].width);
  const [cursor, setCursor] = useState(null); // of the arrow keys: {x, y, down}
  const last = useRef(null);
  const empty = useRef(true);

  const context = () => canvas.current.getContext("2d");
  const clear = () => {
    context().fillStyle = "#fff"; // paper is white in the dark, too
    context().fillRect(0, 0, SIDE, SIDE);
    empty.current = true;
    onDraw(null);
  };
  useEffect(clear, []);

  const stroke = (from, to) => {
    const ink = context();
    ink.strokeStyle = tool === "pen" ? "#111" : "#fff";
    ink.lineWidth = tool === "pen" ? width : 2 * width;
    ink.lineCap = ink.lineJoin = "round";
    ink.beginPath();
    ink.moveTo(from.x, from.y);
    ink.lineTo(to.x + 0.01, to.y); // a point, too, is drawn
    ink.stroke();
    if (tool === "pen") empty.current = false;
    if (!empty.current) canvas.current.toBlob((image) => image && !empty.current && onDraw(image), "image/png");
  };

  const pointOf = (event) => {
    const bounds = canvas.current.getBoundingClientRect();
    return {
      x: ((event.clientX - bounds.left) / bounds.width) * SIDE,
      y: ((event.clientY - bounds.top) / bounds.height) * SIDE,
    };
  };
  const begin = (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    canvas.current.focus({ preventScroll: true });
    canvas.current.setPointerCapture(event.pointerId);
    setCursor(null);
    last.current = pointOf(event);
    stroke(last.current, last.current);
  };
  const move = (event) => {
    if (!last.current) return;
    for (const one of event.getCoalescedEvents?.() ?? [event]) {
      const to = pointOf(one);
      stroke(last.current, to);
      last.current = to;
    }
  };
  const end = () => {
    last.current = null;
  };
  const keys = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = cursor ?? { x: SIDE / 2, y: SIDE / 2, down: false };
    if (event.key in MOVES) {
      const [right, down] = MOVES[event.key];
      const within = (value) => Math.min(SIDE, Math.max(0, value));
      const to = { ...at, x: within(at.x + right * STEP), y: within(at.y + down * STEP) };
      if (at.down) stroke(at, to);
      setCursor(to);
    } else if (event.key === " ") {
      if (!at.down) stroke(at, at);
      setCursor({ ...at, down: !at.down });
    } else if (event.key === "Delete" || event.key === "Backspace") {
      setCursor(null);
      clear();
    } else {
      return;
    }
    event.preventDefault();
  };

  return html`
    <div class="drawing">
      <div class="sheet">
        <canvas
          ref=${canvas}
          width=${SIDE}
          height=${SIDE}
          tabindex="0"
          role="img"
          aria-label="Sheet to draw on. Arrow keys move the pen, Space sets it down and lifts it, Delete clears the sheet."
          onPointerDown=${begin}
          onPointerMove=${move}
          onPointerUp=${end}
          onPointerCancel=${end}
          onKeyDown=${keys}
        ></canvas>
        ${cursor &&
        html`<span
          class=${`sheet-cursor${cursor.down ? " down" : ""}`}
          style=${`left:${(100 * cursor.x) / SIDE}%;top:${(100 * cursor.y) / SIDE}%`}
        ></span>`}
      </div>
      <div class="buttons" role="toolbar" aria-label="Drawing">
        <button aria-pressed=${tool === "pen"} onClick=${() => setTool("pen")}>Pen</button>
        <button aria-pressed=${tool === "eraser"} onClick=${() => setTool("eraser")}>Eraser</button>
        <label>
          Width
          <select value=${width} onChange=${(event) => setWidth(Number(event.target.value))}>
            ${PENS.map((pen) => html`<option value=${pen.width} selected=${pen.width === width}>${pen.name}</option>`)}
          </select>
        </label>
        <button onClick=${clear}>Clear</button>
      </div>
      <p class="soft">Draw with the mouse, a finger or a pen. With the keyboard: arrow keys, and Space to set the pen down.</p>
    </div>
  `;
}
