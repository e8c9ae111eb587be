/** A field to draw on, with a mouse, a pen or a finger. */

const PAUSE = 400; // milliseconds after a stroke until it is looked at
const PEN = 0.07; // width of a stroke, as a share of the field

/**
 * Let a canvas be drawn on, black on white.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {() => void} onPause called when a stroke has ended and no other follows.
 * @returns {{clear: () => void}}
 */
export function startDrawing(canvas, onPause) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  let [last, timer] = [null, 0];

  function clear() {
    clearTimeout(timer);
    context.fillStyle = "#fff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    Object.assign(context, { lineCap: "round", lineJoin: "round", lineWidth: PEN * canvas.width });
  }

  function place(event) {
    const box = canvas.getBoundingClientRect();
    const scale = canvas.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  }

  function draw(event) {
    const next = place(event);
    context.beginPath();
    context.moveTo(...last);
    context.lineTo(...next);
    context.stroke();
    last = next;
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    clearTimeout(timer);
    canvas.setPointerCapture(event.pointerId);
    last = place(event);
    draw(event);
  });
  canvas.addEventListener("pointermove", (event) => last && draw(event));
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, () => {
      if (last) timer = setTimeout(onPause, PAUSE);
      last = null;
    });
  }
  clear();
  return { clear };
}
