// The training that runs or ran last: all that has happened in it, as the server tells it.
import { get } from "./api.js";
import { current, update, useStore } from "./store.js";

/**
 * Read how the training stands, with all that happened before this page was opened.
 *
 * In the store it is {name, kind, made, settings, data, step, events, skew}, or null; `skew`
 * is how many seconds the clock of this page is ahead of the server's.
 */
export async function loadTraining() {
  const { training, job } = await get("training");
  const skew = training ? Date.now() / 1000 - training.now : 0;
  update({ training: training && { ...training, skew } });
  if (job) update({ jobs: { ...current().jobs, [job.kind]: job } });
}

/** Note what happens; where something was missed, read all of it anew. */
export function noteTraining({ number, event }) {
  const { training } = current();
  if (training === undefined) return undefined; // no view has asked for it yet
  if (!training || number < 0 || number > training.events.length) return loadTraining();
  if (event.kind === "step") update({ training: { ...training, step: event } });
  else if (number === training.events.length) {
    update({ training: { ...training, events: [...training.events, event] } });
  }
  return undefined;
}

export const useTraining = () => useStore((state) => state.training);

/** Read the runs of the folder that is open, and of the digits, into the store. */
export async function loadRuns() {
  const { runs } = await get("runs");
  update({ runs });
}

export const useRuns = () => useStore((state) => state.runs);

/**
 * Return the state of a training: what its events add up to.
 *
 * `stops` is how often it was asked to stop, `lines` are what was said, `rungs` the methods that are done, `current` the one that learns now
 * ({name, refit, at, epoch, epochs}), `begun` when the first one began, `curves` for each method
 * that learns in epochs {name, refit, points: [{x, ...values}]}, and `batches` the running values
 * of digits, by the number of the step.
 */
export function summed(events) {
  const sum = { stops: 0, lines: [], rungs: [], current: null, begun: null, curves: [], batches: [], leftOut: {} };
  for (const event of events) {
    if (event.kind === "stopping") sum.stops++;
    else if (event.kind === "say") noteLine(sum, event.line);
    else if (event.kind === "begun") {
      sum.begun ??= event.at;
      sum.current = { name: event.rung, refit: event.refit, at: event.at };
      sum.curves.push({ name: event.rung, refit: event.refit, points: [] });
    } else if (event.kind === "epoch") {
      const { epoch, epochs } = event;
      sum.current = { ...sum.current, epoch, epochs };
      sum.curves.at(-1).points.push({ x: event.step ?? epoch, epoch, ...event.values });
    } else if (event.kind === "batch") {
      sum.batches.push({ x: event.step, of: event.of, at: event.at, ...event.values });
    } else if (event.kind === "rung") {
      sum.rungs.push(event.rung);
      sum.current = null;
    }
  }
  return sum;
}

function noteLine(sum, line) {
  sum.lines.push(line);
  const left = line.match(/^(\S+): left out, (.*)$/s);
  if (left) sum.leftOut[left[1]] = left[2];
}
