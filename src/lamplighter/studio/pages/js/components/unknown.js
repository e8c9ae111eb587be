// From which distance on an image is called unknown: a slider, and what it costs and gains.
import { useEffect, useState } from "preact/hooks";
import { post } from "../api.js";
import { html } from "../html.js";
import { Estimate } from "../numbers.js";
import { attempt, tell } from "../store.js";
import { Frame } from "./reliability.js";

const WIDTH = 320;
const HEIGHT = 200;
const LEFT = 44;

/**
 * @param {object} unknown as the server has it: {threshold, at, points}
 * @param {string} run the id of the training
 * @param {string} split where coverage and accuracy were measured
 * @param {(threshold: number) => string} link the address of the images that are farther away
 * @param {() => void} onSaved called when the classifier has another threshold
 */
export function Unknown({ unknown, run, split, link, onSaved }) {
  const [at, setAt] = useState(unknown.at);
  const [saving, setSaving] = useState(false);
  useEffect(() => setAt(unknown.at), [unknown]);
  const point = unknown.points[Math.min(at, unknown.points.length - 1)];
  const changed = point.threshold !== unknown.threshold;
  const save = async () => {
    setSaving(true);
    const done = await attempt(() => post("results/threshold", { run, threshold: point.threshold }));
    setSaving(false);
    if (!done) return;
    tell(`The classifier of ${done.name} now calls images farther than ${point.threshold.toFixed(3)} unknown.`);
    onSaved();
  };
  const told = `${(100 * point.share.value).toFixed(1)} % answered, ${
    point.accuracy ? `${(100 * point.accuracy.value).toFixed(1)} % of them right` : "none right"
  }`;
  return html`
    <div class="side-by-side">
      <${Curve} points=${unknown.points} at=${at} />
      <div>
        <p>
          An image that is unlike all that were learned from is called unknown instead of being answered. The slider sets
          how far from them it may be: to the left fewer images are answered, and those mostly better.
        </p>
        <label class="slider">
          Threshold: <output>${point.threshold.toFixed(3)}</output>
          <input
            type="range"
            min="0"
            max=${unknown.points.length - 1}
            value=${at}
            aria-valuetext=${`${point.threshold.toFixed(3)}: ${told}`}
            onInput=${(event) => setAt(Number(event.target.value))}
          />
        </label>
        <dl class="numbers-list">
          <dt>Answered (coverage)</dt>
          <dd><${Estimate} of=${point.share} /></dd>
          <dt>Right among the answered</dt>
          <dd><${Estimate} of=${point.accuracy} /></dd>
        </dl>
        <p class="buttons">
          <button class="main" disabled=${!changed || saving} onClick=${save}>${saving ? "Saving…" : "Save into the classifier"}</button>
          <button disabled=${!changed} onClick=${() => setAt(unknown.at)}>Back to ${unknown.threshold.toFixed(3)}</button>
          ${link && html`<a class="button" href=${link(point.threshold)}>Show the unknown images</a>`}
        </p>
        <p class="soft">
          ${split.startsWith("test") &&
          "These are test images: choose a threshold by the validation images, so that the test stays honest. "}
          What the classifier notes of its threshold is measured on the validation images.
        </p>
      </div>
    </div>
  `;
}

function Curve({ points, at }) {
  const there = points.filter(({ accuracy }) => accuracy);
  // Of a few images alone the interval is wide: it would leave no room for the rest.
  const lowest = Math.min(...there.map(({ share, accuracy }) => (share.value < 0.1 ? accuracy.value : accuracy.low)));
  const from = Math.floor(10 * lowest) / 10;
  const x = (share) => LEFT + WIDTH * share;
  const y = (share) => 10 + (HEIGHT * (1 - Math.max(share, from))) / (1 - from);
  const line = (value) => there.map((point) => `${x(point.share.value).toFixed(1)},${y(value(point)).toFixed(1)}`);
  const band = [...line((point) => point.accuracy.high), ...line((point) => point.accuracy.low).reverse()];
  const now = points[Math.min(at, points.length - 1)];
  return html`
    <svg
      class="diagram"
      viewBox=${`0 0 ${LEFT + WIDTH + 24} ${HEIGHT + 52}`}
      role="img"
      aria-label="Accuracy among the answered images over the share that is answered; the slider reads it point by point"
    >
      <${Frame} x=${x} y=${y} from=${from} xLabel="answered" yLabel="right" />
      <polygon class="band-of" points=${band.join(" ")} />
      <polyline class="curve-of" points=${line((point) => point.accuracy.value).join(" ")} />
      ${now.accuracy && html`<circle class="now" cx=${x(now.share.value)} cy=${y(now.accuracy.value)} r="6" />`}
    </svg>
  `;
}
