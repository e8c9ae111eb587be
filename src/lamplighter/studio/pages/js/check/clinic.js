// Labels that look wrong, and photos to label next: one after the other, by keys or buttons.
import { html } from "../html.js";
import { isStale, outcome } from "../checks.js";
import { Progress, isBusy, start, useJob } from "../jobs.js";
import { useStore } from "../store.js";
import { Cases } from "./cases.js";

/** Suspects: labels that a model, the most similar photos or copies speak against. */
export function WrongLabels({ query, go }) {
  const files = useStore((state) => state.files);
  const found = useStore((state) => state.checks.suspects);
  const job = useJob("suspects");
  if (!found) return html`<p class="starting">Reading…</p>`;
  const cases = (found.made ? found.suspects : []).map((suspect) => ({
    row: suspect.row,
    label: suspect.label,
    suggestion: suspect.suggestion,
    sure: suspect.probability,
    reasons: suspect.reasons,
    near: suspect.neighbors,
    copy: suspect.copy,
    state: outcome(suspect, files),
  }));
  return html`
    <p class="lead">
      ${found.made
        ? `${found.summary} About ${found.estimated.toLocaleString()} of all labels are estimated to be wrong.`
        : `A model learns from most photos and judges the others, in turns. Where it, the most similar photos 
          or a copy speak against a label, you are asked. Nothing is changed without you.`}
    </p>
    <p>
      <button class=${found.made ? "" : "main"} disabled=${isBusy(job)} onClick=${() => start("suspects")}>
        ${found.made ? "Look again" : "Look for wrong labels"}
      </button>
      ${found.made && isStale(found, files) && html`<span class="stale">Labels or files changed since.</span>`}
    </p>
    <${Progress} kind="suspects" />
    ${found.made && !cases.length && html`<p class="empty">No label looks wrong.</p>`}
    ${cases.length > 0 && html`<${Cases} cases=${cases} name="labels" query=${query} go=${go} />`}
  `;
}

/** Photos without a label from which most would be learned. */
export function LabelNext({ query, go }) {
  const files = useStore((state) => state.files);
  const next = useStore((state) => state.checks.next);
  const job = useJob("next");
  if (!next) return html`<p class="starting">Reading…</p>`;
  const without = files.labels.reduce(
    (count, label, row) => count + (label < 0 && !files.aside.has(row)),
    0,
  );
  const cases = (next.made ? next.proposals : []).map((proposal) => ({
    row: proposal.row,
    label: "",
    suggestion: proposal.suggestion,
    sure: proposal.probability,
    reasons: [proposal.reason],
    near: [],
    copy: -1,
    state: files.aside.has(proposal.row) ? "aside" : files.labels[proposal.row] >= 0 ? "changed" : "",
  }));
  const left = cases.filter(({ state }) => !state).length;
  if (!without && !left) {
    return html`<p class="empty">
      Every photo in use has a label. Photos without one, such as those in a folder called unlabeled, are
      proposed here in the order in which most is learned from them.
    </p>`;
  }
  return html`
    <p class="lead">
      ${without.toLocaleString()} ${without === 1 ? "photo has" : "photos have"} no label. Those of which the
      model knows least, and that differ from one another, come first.
    </p>
    <p>
      <button class=${left ? "" : "main"} disabled=${isBusy(job)} onClick=${() => start("next")}>
        ${next.made ? "Choose the next ones" : "Choose photos to label"}
      </button>
    </p>
    <${Progress} kind="next" />
    ${cases.length > 0 && html`<${Cases} cases=${cases} name="next" query=${query} go=${go} />`}
  `;
}
