// All images: filter, select, label with keys, set aside, undo.
import { useEffect, useMemo, useState } from "preact/hooks";
import { html } from "../html.js";
import { Grid } from "../components/grid.js";
import { Viewer } from "../components/viewer.js";
import { Filters } from "../components/filters.js";
import { LabelBar, labelKeys } from "../components/labels.js";
import { filtered } from "../filters.js";
import { classOf, redo, setAside, keep, undo } from "../files.js";
import { current, useStore } from "../store.js";

const SIZES = [64, 96, 128, 192];

/** Return what keys do to the rows that are selected: label, set aside, undo. */
export function galleryKeys(event, rows) {
  const command = event.ctrlKey || event.metaKey;
  if (command && event.key.toLowerCase() === "z") {
    if (event.shiftKey) redo();
    else undo();
  } else if (command && event.key.toLowerCase() === "y") {
    redo();
  } else if (command || event.altKey) {
    return false;
  } else if (event.key === "Delete" || event.key === "Backspace") {
    const { aside } = current().files;
    const out = rows.filter((row) => !aside.has(row));
    if (out.length) setAside(out, "set aside in the studio");
    else if (rows.length) keep(rows);
  } else {
    return labelKeys(event, rows);
  }
  return true;
}

export function Gallery({ query, go }) {
  const files = useStore((state) => state.files);
  const selection = useStore((state) => state.selection);
  const [size, setSize] = useState(() => Number(localStorage.getItem("size")) || 128);
  const [shown, setShown] = useState(null);
  const rows = useMemo(() => filtered(files, query), [files, query]);
  const chosen = useMemo(() => [...selection].sort((a, b) => a - b), [selection]);

  useEffect(() => localStorage.setItem("size", size), [size]);
  useEffect(() => {
    // Undo works wherever the person is, but not while writing.
    const keys = (event) => {
      if (event.defaultPrevented || event.target.closest("input, textarea, select, dialog")) return;
      if (galleryKeys(event, [...current().selection])) event.preventDefault();
    };
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  }, []);

  return html`
    <section class="gallery">
      <header class="bar">
        <h1>Gallery</h1>
        <${Filters} files=${files} query=${query} onChange=${(changed) => go({ ...query, ...changed })} />
        <label>
          Size
          <select value=${size} onChange=${(event) => setSize(Number(event.target.value))}>
            ${SIZES.map((pixels) => html`<option value=${pixels}>${pixels}</option>`)}
          </select>
        </label>
        <p class="count" aria-live="polite">
          ${rows.length === files.count
            ? `${files.count.toLocaleString()} images`
            : `${rows.length.toLocaleString()} of ${files.count.toLocaleString()} images`}
          ${selection.size > 0 && html`, <strong>${selection.size.toLocaleString()} selected</strong>`}
        </p>
      </header>
      ${rows.length
        ? html`<${Grid}
            rows=${rows}
            size=${size}
            label="Images"
            onOpen=${setShown}
            onKey=${(event) => galleryKeys(event, [...current().selection])}
          />`
        : html`<p class="empty">
            No image passes these filters. <a href="#/gallery">Show all ${files.count.toLocaleString()}</a>
          </p>`}
      <${LabelBar} rows=${chosen} />
      ${shown !== null &&
      html`<${Viewer}
        row=${shown}
        rows=${rows}
        onChange=${setShown}
        onKey=${(event) => galleryKeys(event, [shown])}
        about=${(row) => html`<p class="soft">Press a key of a class to label it: ${classOf(files, row)}</p>`}
      />`}
    </section>
  `;
}
