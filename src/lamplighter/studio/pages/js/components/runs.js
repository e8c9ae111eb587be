// The trainings so far: look at their results, give them names, delete them.
import { useEffect, useRef, useState } from "preact/hooks";
import { post } from "../api.js";
import { html } from "../html.js";
import { address } from "../router.js";
import { attempt, tell } from "../store.js";
import { Estimate, spoken, when } from "../numbers.js";
import { loadRuns, useRuns } from "../training.js";

/** A table of all trainings. */
export function Runs() {
  const runs = useRuns();
  const [deleting, setDeleting] = useState(null);
  useEffect(() => {
    attempt(loadRuns);
  }, []);
  if (!runs) return null;
  if (runs.length === 0) {
    return html`<p class="soft">None yet: choose methods above, and start.</p>`;
  }
  return html`
    <div class="wide" tabindex="0" role="region" aria-label="Trainings">
      <table class="runs">
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">Begun</th>
            <th scope="col">Method</th>
            <th scope="col">Validation accuracy</th>
            <th scope="col">Test accuracy</th>
            <th scope="col">Took</th>
            <th scope="col"><span class="hidden">What to do</span></th>
          </tr>
        </thead>
        <tbody>
          ${runs.map((run) => html`<${Row} key=${run.id} run=${run} onDelete=${() => setDeleting(run)} />`)}
        </tbody>
      </table>
    </div>
    ${deleting && html`<${Delete} run=${deleting} onClose=${() => setDeleting(null)} />`}
  `;
}

function Row({ run, onDelete }) {
  const test = Object.keys(run.scores).find((split) => split.startsWith("test"));
  return html`
    <tr>
      <td><${Name} run=${run} /></td>
      <td>${when(run.made)}</td>
      <td>${run.method}${run.stopped ? html` <span class="soft">(stopped early)</span>` : ""}</td>
      <td class="number">${run.scores.val && html`<${Estimate} of=${run.scores.val.accuracy} />`}</td>
      <td class="number">${test && html`<${Estimate} of=${run.scores[test].accuracy} />`}</td>
      <td class="number">${spoken(run.seconds)}</td>
      <td class="row-actions">
        <a class="button" href=${address("results", { run: run.id })}>Results<span class="hidden"> of ${run.name}</span></a>
        <button onClick=${onDelete}>Delete<span class="hidden"> ${run.name}</span></button>
      </td>
    </tr>
  `;
}

function Name({ run }) {
  const [text, setText] = useState(run.name);
  useEffect(() => setText(run.name), [run.name]);
  const rename = async () => {
    const wanted = text.trim();
    if (!wanted || wanted === run.name) return setText(run.name);
    const done = await attempt(() => post("runs/rename", { run: run.id, name: wanted }));
    if (!done) setText(run.name);
    return undefined;
  };
  return html`<input
    aria-label=${`Name of ${run.name}`}
    value=${text}
    maxlength="100"
    onInput=${(event) => setText(event.target.value)}
    onBlur=${rename}
    onKeyDown=${(event) => event.key === "Enter" && event.target.blur()}
  />`;
}

/** Ask before a training is deleted: that cannot be undone. */
function Delete({ run, onClose }) {
  const dialog = useRef(null);
  useEffect(() => dialog.current.showModal(), []);
  const remove = async () => {
    const done = await attempt(() => post("runs/delete", { run: run.id }));
    if (done) tell(`${run.name} is deleted.`);
    dialog.current?.close();
  };
  return html`
    <dialog ref=${dialog} aria-labelledby="delete-run" onClose=${onClose}>
      <h2 id="delete-run">Delete ${run.name}?</h2>
      <p>Its classifier and all that it answered are removed. Photos and labels stay. This cannot be undone.</p>
      <p class="buttons">
        <button class="main" onClick=${remove}>Delete</button>
        <button onClick=${() => dialog.current.close()}>Keep it</button>
      </p>
    </dialog>
  `;
}
