// A dialog with a heading and a button that closes it.
import { useEffect, useRef } from "preact/hooks";
import { html } from "../html.js";

/**
 * @param {string} title its heading
 * @param {() => void} onClose called when it is closed, by its button or Escape
 */
export function Panel({ title, onClose, children }) {
  const dialog = useRef(null);
  useEffect(() => {
    dialog.current.showModal();
  }, []);
  return html`
    <dialog
      class="panel"
      ref=${dialog}
      aria-label=${title}
      onClose=${onClose}
      onClick=${(event) => event.target === dialog.current && dialog.current.close()}
    >
      <header>
        <h2>${title}</h2>
        <button class="plain" aria-label="Close" onClick=${() => dialog.current.close()}>×</button>
      </header>
      <div class="content">${children}</div>
    </dialog>
  `;
}
