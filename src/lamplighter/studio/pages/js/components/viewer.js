// One image, as large as the window, with what is known of it.
import { useEffect, useRef } from "preact/hooks";
import { imageUrl } from "../api.js";
import { classOf, splitOf } from "../files.js";
import { html } from "../html.js";
import { useStore } from "../store.js";

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
  useEffect(() => {
    dialog.current.showModal();
  }, []);
  const step = (by) => {
    const place = rows.indexOf(row);
    const next = rows[place + by];
    if (place >= 0 && next !== undefined) onChange(next);
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
      <figure>
        <img src=${imageUrl(path, files.scan)} alt=${classOf(files, row) || "an image without a label"} />
        <figcaption>
          <strong>${classOf(files, row) || "no label"}</strong>
          ${splitOf(files, row) && html` · ${splitOf(files, row)}`} · <span class="path">${path}</span>
          ${aside && html`<p class="soft">Set aside: ${aside}</p>`} ${about?.(row)}
        </figcaption>
      </figure>
      <div class="viewer-buttons">
        <button onClick=${() => step(-1)} aria-label="Previous image">←</button>
        <button onClick=${() => step(1)} aria-label="Next image">→</button>
        <button onClick=${() => dialog.current.close()}>Close</button>
      </div>
    </dialog>
  `;
}
