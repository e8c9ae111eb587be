// What is to be known of the folder: how it was understood, and what is left out of it.
import { html } from "../html.js";
import { address } from "../router.js";
import { useStore } from "../store.js";
import { Panel } from "./panel.js";

const MOST = 300; // files that are named

/** @param {() => void} onClose called when it is closed */
export function About({ onClose }) {
  const files = useStore((state) => state.files);
  const more = files.leftOut.length - MOST;
  return html`
    <${Panel} title="Notes on ${files.name}" onClose=${onClose}>
      <p class="path">${files.root}</p>
      <p>
        ${files.count.toLocaleString()} images, ${files.classNames.length.toLocaleString()} classes,
        ${" "}${files.labels.filter((place) => place < 0).length.toLocaleString()} images without a label,
        ${" "}<a href=${address("gallery", { aside: "yes" })} onClick=${onClose}>
          ${files.aside.size.toLocaleString()} set aside</a>.
      </p>
      ${files.notes.length > 0 &&
      html`<h3>How it was read</h3>
        <ul>
          ${files.notes.map((note) => html`<li key=${note}>${note}</li>`)}
        </ul>`}
      <h3>Files that are left out: ${files.leftOut.length.toLocaleString()}</h3>
      ${files.leftOut.length === 0 && html`<p class="soft">None: each file in it is an image.</p>`}
      <ul>
        ${files.leftOut.slice(0, MOST).map(
          ([path, reason]) => html`<li key=${path}><span class="path">${path}</span>: ${reason}</li>`,
        )}
      </ul>
      ${more > 0 && html`<p>and ${more.toLocaleString()} more.</p>`}
    <//>
  `;
}
