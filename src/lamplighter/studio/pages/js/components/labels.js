// The classes as buttons and keys: what is selected gets the class that is pressed.
import { useEffect, useState } from "preact/hooks";
import { html } from "../html.js";
import { keep, label, redo, setAside, step, undo } from "../files.js";
import { current, useStore } from "../store.js";
import { Panel } from "./panel.js";

/**
 * Return the key of each class: 1 to 9 for the first nine, and a letter of its name for all.
 *
 * A class gets the first letter of its name that no class before it has; keys are as many as
 * there are letters, and stay the same as long as the classes do.
 */
export function keysOf(classNames) {
  const letters = new Map();
  for (const [place, name] of classNames.entries()) {
    const free = [...name.toLowerCase()].find((letter) => /^\p{L}$/u.test(letter) && !letters.has(letter));
    if (free) letters.set(free, place);
  }
  return letters;
}

/** Return the class that a key stands for: its name, null for no label, undefined for no such key. */
export function labelKey(event) {
  const { classNames } = current().files;
  const key = event.key.toLowerCase();
  if (key === "0") return null;
  const place = /^[1-9]$/.test(key) ? Number(key) - 1 : keysOf(classNames).get(key);
  return place === undefined ? undefined : classNames[place];
}

/** Label rows with the class that a key stands for; true where it is one. */
export function labelKeys(event, rows) {
  const name = labelKey(event);
  if (name === undefined || !rows.length) return false;
  label(rows, name);
  return true;
}

/** The classes as buttons: what is pressed is the class of the rows. */
export function ClassButtons({ rows }) {
  const files = useStore((state) => state.files);
  const letters = new Map([...keysOf(files.classNames)].map(([letter, place]) => [place, letter]));
  const none = rows.length === 0;
  const all = none ? null : files.labels[rows[0]];
  const shared = rows.every((row) => files.labels[row] === all) ? all : null;
  return html`
    <div class="classes" role="group" aria-label="Classes">
      ${files.classNames.map(
        (name, place) => html`
          <button
            key=${name}
            disabled=${none}
            aria-pressed=${shared === place}
            aria-keyshortcuts=${[place < 9 && place + 1, letters.get(place)].filter(Boolean).join(" ")}
            onClick=${() => label(rows, name)}
          >
            ${name}
            ${place < 9 && html`<kbd aria-hidden="true">${place + 1}</kbd>`}
            ${letters.has(place) && html`<kbd aria-hidden="true">${letters.get(place)}</kbd>`}
          </button>
        `,
      )}
      <button disabled=${none} aria-pressed=${shared === -1} aria-keyshortcuts="0" onClick=${() => label(rows, null)}>
        no label <kbd aria-hidden="true">0</kbd>
      </button>
    </div>
  `;
}

/**
 * A bar with what can be done to rows that are selected.
 *
 * @param {number[]} rows the rows
 * @param {() => void} [onOpen] shows the first of them large
 */
export function LabelBar({ rows, onOpen }) {
  const files = useStore((state) => state.files);
  const [editing, setEditing] = useState(false);
  const none = rows.length === 0;
  const allAside = !none && rows.every((row) => files.aside.has(row));
  return html`
    <footer class="label-bar" role="toolbar" aria-label="Label what is selected">
      ${files.classNames.length > 0
        ? html`<${ClassButtons} rows=${rows} />`
        : html`<p class="soft">There is no class yet: add some, then label images with their keys.</p>`}
      <div class="actions">
        <button disabled=${none} aria-keyshortcuts="Delete" onClick=${() => (allAside ? keep(rows) : setAside(rows, "set aside in the studio"))}>
          ${allAside ? "Take back" : "Set aside"} <kbd aria-hidden="true">Del</kbd>
        </button>
        ${onOpen && html`<button disabled=${none} onClick=${onOpen}>Large <kbd aria-hidden="true">Enter</kbd></button>`}
        <button aria-keyshortcuts="Control+Z" onClick=${() => undo()}>Undo <kbd aria-hidden="true">Ctrl Z</kbd></button>
        <button onClick=${() => redo()}>Redo</button>
        <button onClick=${() => setEditing(true)}>Classes…</button>
      </div>
      ${editing && html`<${ClassEditor} onClose=${() => setEditing(false)} />`}
    </footer>
  `;
}

/** Add, rename and merge classes. */
function ClassEditor({ onClose }) {
  const files = useStore((state) => state.files);
  const [added, setAdded] = useState("");
  const add = (event) => {
    event.preventDefault();
    if (added.trim()) step("classes", { do: "add", name: added.trim() }).then((done) => done && setAdded(""));
  };
  const counts = new Array(files.classNames.length).fill(0);
  for (const place of files.labels) if (place >= 0) counts[place]++;
  return html`
    <${Panel} title="Classes" onClose=${onClose}>
      <p class="soft">Renaming and merging change labels alone, and can be undone; no file is touched.</p>
      <table>
        <thead>
          <tr><th scope="col">Name</th><th scope="col">Images</th><th scope="col">Merge into</th></tr>
        </thead>
        <tbody>
          ${files.classNames.map(
            (name, place) => html`
              <tr key=${name}>
                <td><${Renamed} name=${name} /></td>
                <td class="number">${counts[place].toLocaleString()}</td>
                <td>
                  <select
                    aria-label=${`Merge ${name} into`}
                    value=""
                    onChange=${(event) => {
                      const into = event.target.value;
                      event.target.value = "";
                      if (into) step("classes", { do: "merge", names: [name], into });
                    }}
                  >
                    <option value="">…</option>
                    ${files.classNames.filter((other) => other !== name).map((other) => html`<option>${other}</option>`)}
                  </select>
                </td>
              </tr>
            `,
          )}
        </tbody>
      </table>
      <form class="bar" onSubmit=${add}>
        <label>New class <input value=${added} onInput=${(event) => setAdded(event.target.value)} /></label>
        <button>Add</button>
      </form>
    <//>
  `;
}

function Renamed({ name }) {
  const [text, setText] = useState(name);
  useEffect(() => setText(name), [name]);
  const rename = async () => {
    const wanted = text.trim();
    if (!wanted || wanted === name) return setText(name);
    const done = await step("classes", { do: "rename", old: name, new: wanted });
    if (!done) setText(name);
    return undefined;
  };
  return html`<input
    aria-label=${`Name of ${name}`}
    value=${text}
    onInput=${(event) => setText(event.target.value)}
    onBlur=${rename}
    onKeyDown=${(event) => event.key === "Enter" && event.target.blur()}
  />`;
}
