// One image, as large as the window, with what is known of it.
import { useEffect, useRef, useState } from "preact/hooks";
import { imageUrl } from "../api.js";
import { classOf, splitOf } from "../files.js";
import { html } from "../html.js";
import { attempt, useStore } from "../store.js";

/**
 * @param {number} row the row to show
 * @param {Int32Array|number[]} rows what the arrow keys go through
 * @param {(row: number|null) => void} onChange called with another row, or null to close
 * @param {(event: KeyboardEvent) => boolean} [onKey] called for other keys
 * @param {(row: number) => any} [about] more to say below the image
 */
export function Viewer({ row, rows, onChange, onKey, about }) {
  const files = useStore((state) => state.files);
  const dialog = useRef(null);
  const place = rows.indexOf(row);
  const known = useRef(place);
  useEffect(() => {
    dialog.current.showModal();
  }, []);
  useEffect(() => {
    if (place >= 0) known.current = place;
    for (const near of [rows[place + 1], rows[place - 1]]) {
      if (place >= 0 && near !== undefined) new Image().src = imageUrl(files.paths[near], files.scan);
    }
  }, [row, rows]);
  const step = (by) => {
    // A label may have taken the row out of what is shown: its follower stands in its place.
    const from = place >= 0 ? place + by : known.current + Math.min(0, by);
    if (rows[from] !== undefined) onChange(rows[from]);
  };
  const keys = (event) => {
    if (event.key === "ArrowRight") step(1);
    else if (event.key === "ArrowLeft") step(-1);
    else if (!onKey?.(event)) return;
    event.preventDefault();
  };
  const path = files.paths[row];
  const aside = files.aside.get(row);
  return html`
    <dialog
      class="viewer"
      ref=${dialog}
      aria-label=${path}
      onClose=${() => onChange(null)}
      onKeyDown=${keys}
      onClick=${(event) => event.target === dialog.current && dialog.current.close()}
    >
      <header>
        <h2 class="path">${path}</h2>
        <button class="plain" aria-label="Close" onClick=${() => dialog.current.close()}>×</button>
      </header>
      <figure>
        <${Large} key=${path} path=${path} scan=${files.scan} alt=${classOf(files, row) || "an image without a label"} />
        <figcaption>
          <strong>${classOf(files, row) || "no label"}</strong>${splitOf(files, row) && ` · ${splitOf(files, row)}`}
          ${aside && html`<span class="soft"> · set aside: ${aside}</span>`} ${about?.(row)}
        </figcaption>
      </figure>
      <div class="bar">
        <button disabled=${place === 0} onClick=${() => step(-1)}>← Previous</button>
        <button disabled=${place === rows.length - 1} onClick=${() => step(1)}>Next →</button>
        ${place >= 0 && html`<span class="soft">${(place + 1).toLocaleString()} of ${rows.length.toLocaleString()}</span>`}
      </div>
    </dialog>
  `;
}

/** The image itself; where it cannot be read, the reason. */
function Large({ path, scan, alt }) {
  const [reason, setReason] = useState("");
  const ask = () =>
    attempt(async () => {
      const answer = await fetch(imageUrl(path, scan));
      if (!answer.ok) setReason((await answer.json()).error);
    });
  if (reason) return html`<p class="error" role="alert">${reason}</p>`;
  return html`<img src=${imageUrl(path, scan)} alt=${alt} onError=${ask} />`;
}
