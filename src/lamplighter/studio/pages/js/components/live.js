// A training as it goes: how far it is, its table as it fills, its curves, and how it ended.
import { useEffect, useMemo, useState } from "preact/hooks";
import { post } from "../api.js";
import { html } from "../html.js";
import { isBusy } from "../jobs.js";
import { address } from "../router.js";
import { attempt } from "../store.js";
import { spoken } from "../numbers.js";
import { summed } from "../training.js";
import { Ladder } from "./ladder.js";
import { Plot, PlotTable } from "./plot.js";

/** How the job of a training stands, and all that has happened in it. */
export function Live({ training, job }) {
  const sum = useMemo(() => summed(training.events), [training.events]);
  const busy = isBusy(job);
  return html`
    <article class="live card">
      <header>
        <h2>${training.name}</h2>
        ${busy ? html`<${Running} training=${training} sum=${sum} />` : html`<${Ended} job=${job} training=${training} sum=${sum} />`}
      </header>
      ${training.kind === "photos" && html`<${LiveLadder} training=${training} sum=${sum} busy=${busy} />`}
      ${training.kind === "digits" && html`<${DigitCurves} sum=${sum} />`}
      ${sum.curves
        .filter(({ points }) => training.kind === "photos" && points.length > 1)
        .map((curve) => html`<${EpochCurves} key=${`${curve.name}-${curve.refit}`} curve=${curve} />`)}
      ${sum.lines.length > 0 &&
      html`
        <details>
          <summary>What happened</summary>
          <ul class="lines">${sum.lines.map((line) => html`<li>${line}</li>`)}</ul>
        </details>
      `}
    </article>
  `;
}

/** Seconds since a training began, growing. */
function useElapsed(training) {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((count) => count + 1), 500);
    return () => clearInterval(timer);
  }, []);
  return Math.max(0, Date.now() / 1000 - training.skew - training.made);
}

function Running({ training, sum }) {
  const elapsed = useElapsed(training);
  const { words, done, total, left } = standing(training, sum, elapsed);
  const times = [`${spoken(elapsed)} so far`, left !== null && `${left}`].filter(Boolean).join(", ");
  const counts = total ? ` ${done.toLocaleString()} of ${total.toLocaleString()}` : "";
  return html`
    <div class="progress">
      <label>
        <span aria-live="polite">${words}</span>${counts} <span class="soft">· ${times}</span>
        <progress max=${total || null} value=${total ? done : null}></progress>
      </label>
      <button onClick=${() => attempt(() => post("stop", { kind: "training" }))}>
        ${sum.stops ? "End at once" : "Stop"}
      </button>
    </div>
    ${sum.stops > 0 &&
    html`<p role="status">
      Stopping:
      ${training.kind === "digits"
        ? " it ends with this epoch, and keeps what it has learned."
        : " the methods that are done are compared, and the best is kept."}
      ${" "}To throw it away, end it at once.
    </p>`}
  `;
}

const STEPS = {
  auditing: "auditing: images",
  embedding: "seeing: images",
  reading: "reading images",
  comparing: "comparing precisions: images",
  testing: "testing",
  saving: "saving",
};

/** Return what is done now: {words, done, total, left}; `left` is in words, or null. */
function standing(training, sum, elapsed) {
  const last = training.events.at(-1);
  const step = training.step;
  // A step is over where something else has happened since it was told of last.
  if (step?.name && (!last || step.at >= last.at)) {
    const left = step.total && step.done ? leftOf(step.done, step.total, elapsed - step.began) : null;
    return { words: STEPS[step.name] ?? step.name, done: step.done, total: step.total, left };
  }
  if (training.kind === "digits" && sum.batches.length) {
    const { x, of, at } = sum.batches.at(-1);
    return { words: "learning: steps", done: x, total: of, left: leftOf(x, of, at - sum.begun) };
  }
  if (sum.current) {
    const { name, refit, epoch, epochs } = sum.current;
    const again = refit ? `${name}: learning again, from validation images too` : `${name}: learning`;
    const rest = 60 * training.settings.minutes - (elapsed - sum.begun);
    const left = rest > 0 ? `at most ${spoken(rest)} left` : null;
    return { words: epochs ? `${again}: epochs` : again, done: epoch ?? 0, total: epochs ?? 0, left };
  }
  return { words: "starting", done: 0, total: 0, left: null };
}

function leftOf(done, total, seconds) {
  const left = (seconds / done) * (total - done);
  return Number.isFinite(left) && left >= 1 ? `about ${spoken(left)} left` : null;
}

function Ended({ job, training, sum }) {
  if (!job) return null;
  if (job.state === "failed") return html`<p class="error" role="alert">${job.error}</p>`;
  if (job.state === "stopped") {
    return html`<p role="status">
      ${sum.stops > 1 ? "Ended at once: there is no classifier of it." : "Stopped before a method was done: there is no classifier of it."}
      ${training.kind === "photos" && " What was seen of the images is kept, so that the next training begins sooner."}
    </p>`;
  }
  const run = job.result?.run;
  return html`
    <p role="status">
      <strong>Done${sum.stops ? ", stopped early" : ""}.</strong> There is a classifier:
      ${" "}<a href=${address("results", { run })}>see its results</a>, ${" "}<a
        href=${address("try", { run })}
        >try it</a
      >, or ${" "}<a href=${address("take-away", { run })}>take it away</a>.
    </p>
  `;
}

function LiveLadder({ training, sum, busy }) {
  const waiting = training.settings.methods
    .filter((name) => !sum.rungs.some((rung) => rung.name === name))
    .map((name) => ({ name, words: wordsOf(name, sum, busy) }));
  const chosen = sum.curves.find(({ refit }) => refit)?.name;
  return html`<${Ladder} rungs=${sum.rungs} waiting=${waiting} chosen=${chosen} />`;
}

function wordsOf(name, sum, busy) {
  if (sum.leftOut[name]) return `left out: ${sum.leftOut[name]}`;
  if (busy && sum.current?.name === name && !sum.current.refit) {
    const { epoch, epochs } = sum.current;
    return epochs ? `learning: epoch ${epoch} of ${epochs}` : "learning…";
  }
  return busy ? "waiting" : "not tried";
}

const seriesOf = (points, name, options) => ({ ...options, values: points.map((point) => point[name] ?? null) });

/** Loss and accuracy of a method by epoch. */
function EpochCurves({ curve }) {
  const { x, loss, right } = useMemo(() => {
    const { points } = curve;
    const held = points.some((point) => point.val_loss !== undefined);
    const both = (name) => [
      seriesOf(points, name, { name: "training", color: "--blue" }),
      ...(held ? [seriesOf(points, `val_${name}`, { name: "validation", color: "--orange", dashed: true })] : []),
    ];
    return { x: points.map((point) => point.x), loss: both("loss"), right: both("acc") };
  }, [curve]);
  const title = `${curve.name}${curve.refit ? ", learning again" : ""}`;
  return html`
    <h3>${title}</h3>
    <div class="curves">
      <figure>
        <figcaption>Loss</figcaption>
        <${Plot} label=${`Loss of ${title} by epoch`} xLabel="epoch" x=${x} series=${loss} />
        <${PlotTable} xLabel="epoch" x=${x} series=${loss} />
      </figure>
      <figure>
        <figcaption>Accuracy</figcaption>
        <${Plot} label=${`Accuracy of ${title} by epoch`} xLabel="epoch" x=${x} series=${right} />
        <${PlotTable} xLabel="epoch" x=${x} series=${right} />
      </figure>
    </div>
  `;
}

/** Loss and accuracy of digits: running values by step, and those of held-out images by epoch. */
function DigitCurves({ sum }) {
  const epochs = sum.curves.at(-1)?.points ?? [];
  const { x, loss, right } = useMemo(() => {
    const points = [...sum.batches, ...epochs.map(({ x: at, val_loss, val_acc }) => ({ x: at, val_loss, val_acc }))];
    const merged = new Map();
    for (const point of points) merged.set(point.x, { ...merged.get(point.x), ...point });
    const rows = [...merged.values()].sort((a, b) => a.x - b.x);
    const both = (name) => [
      seriesOf(rows, name, { name: "training", color: "--blue" }),
      seriesOf(rows, `val_${name}`, { name: "validation", color: "--orange", dashed: true, dots: true }),
    ];
    return { x: rows.map((row) => row.x), loss: both("loss"), right: both("acc") };
  }, [sum]);
  if (x.length < 2) return null;
  return html`
    <div class="curves">
      <figure>
        <figcaption>Loss, as it is minimized: of the last batches, and of held-out images after each epoch</figcaption>
        <${Plot} label="Loss by step" xLabel="step" x=${x} series=${loss} height=${240} />
        <${PlotTable} xLabel="step" x=${x} series=${loss} />
      </figure>
      <figure>
        <figcaption>Accuracy: the share that is right</figcaption>
        <${Plot} label="Accuracy by step" xLabel="step" x=${x} series=${right} height=${240} />
        <${PlotTable} xLabel="step" x=${x} series=${right} />
      </figure>
    </div>
  `;
}
