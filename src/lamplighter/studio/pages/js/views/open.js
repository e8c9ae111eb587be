// The first page where no folder is open.
import { useState } from "preact/hooks";
import { html } from "../html.js";
import { post } from "../api.js";
import { loadFiles } from "../files.js";
import { attempt, update } from "../store.js";

export function Open() {
  const [folder, setFolder] = useState("");
  const open = (event) => {
    event.preventDefault();
    attempt(async () => {
      update({ studio: await post("open", { folder }) });
      await loadFiles();
    });
  };
  return html`
    <section class="open">
      <h1>Open photos</h1>
      <form onSubmit=${open}>
        <label>
          A folder, a .zip of it, or a CSV of paths
          <input value=${folder} onInput=${(event) => setFolder(event.target.value)} required />
        </label>
        <button>Open</button>
      </form>
    </section>
  `;
}
