// Work that takes longer than an answer: how it stands, as the server tells it.
import { html } from "./html.js";
import { post } from "./api.js";
import { attempt, current, update, useStore } from "./store.js";

/** Note how a job stands. */
export function noteJob(job) {
  update({ jobs: { ...current().jobs, [job.kind]: job } });
}

/** Return the last job of a kind, {id, kind, state, step, done, total, error, result}, or null. */
export const useJob = (kind) => useStore((state) => state.jobs[kind] ?? null);

export const isBusy = (job) => job?.state === "running" || job?.state === "waiting";

/** Ask the server for a job at `path`; how it stands comes back as events. */
export const start = (path, body) =>
  attempt(async () => {
    const job = await post(path, body);
    if (job.kind) noteJob(job);
    return job;
  });

/** A bar with what is done, and a button that stops it; nothing where no such job runs. */
export function Progress({ kind }) {
  const job = useJob(kind);
  if (!job) return null;
  if (job.state === "failed") return html`<p class="error" role="alert">${job.error}</p>`;
  if (job.state === "stopped") return html`<p class="soft">Stopped.</p>`;
  if (!isBusy(job)) return null;
  const words = job.state === "waiting" ? "waiting for other work" : job.step || "starting";
  const counted = job.total ? ` ${job.done.toLocaleString()} of ${job.total.toLocaleString()}` : "";
  return html`
    <div class="progress">
      <label>
        <span aria-live="polite">${words}</span>${counted}
        <progress max=${job.total || null} value=${job.total ? job.done : null}></progress>
      </label>
      <button onClick=${() => attempt(() => post("stop", { kind }))}>Stop</button>
    </div>
  `;
}
