// Every step that was taken with the labels, the last one first; each can be gone back to.
import { useEffect, useState } from "preact/hooks";
import { html } from "../html.js";
import { get } from "../api.js";
import { redo, undo } from "../files.js";
import { attempt, useStore } from "../store.js";
import { Panel } from "./panel.js";

const timeOf = (seconds) =>
  new Date(seconds * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });

/** @param {() => void} onClose called when it is closed */
export function History({ onClose }) {
  const change = useStore((state) => state.files.change);
  const [steps, setSteps] = useState(null); // from the oldest to those that can be redone
  useEffect(() => {
    attempt(async () => setSteps((await get("steps")).steps));
  }, [change]);
  if (!steps) return html`<${Panel} title="History" onClose=${onClose}><p>Reading…</p><//>`;
  const done = steps.filter((step) => step.done);
  const undone = steps.filter((step) => !step.done);
  const last = done.at(-1)?.id;
  return html`
    <${Panel} title="History" onClose=${onClose}>
      ${steps.length === 0 && html`<p>No step was taken yet: all labels are those of the folders.</p>`}
      ${undone.length > 0 &&
      html`<h3>Undone</h3>
        <ol class="history">
          ${undone.toReversed().map(
            (step, place) => html`
              <li key=${step.id}>
                <span class="undone">${step.sentence}</span> <time class="soft">${timeOf(step.time)}</time>
                <button onClick=${() => redo(undone.length - place)}>
                  ${undone.length - place === 1 ? "Redo" : "Redo up to here"}
                </button>
              </li>
            `,
          )}
        </ol>`}
      ${undone.length > 0 && done.length > 0 && html`<h3>Done</h3>`}
      <ol class="history">
        ${done.toReversed().map(
          (step, place) => html`
            <li key=${step.id}>
              <span>${step.sentence}</span> <time class="soft">${timeOf(step.time)}</time>
              <button onClick=${() => undo(last, place + 1)}>
                ${place === 0 ? "Undo" : `Undo this and ${place} later`}
              </button>
            </li>
          `,
        )}
      </ol>
    <//>
  `;
}
