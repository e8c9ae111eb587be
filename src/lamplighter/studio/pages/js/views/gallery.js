// All images: filter, sort, select, label with keys, set aside, undo.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { About } from "../components/about.js";
import { Grid } from "../components/grid.js";
import { History } from "../components/history.js";
import { Keys } from "../components/keys.js";
import { Viewer } from "../components/viewer.js";
import { Filters } from "../components/filters.js";
import { ClassButtons, LabelBar, labelKeys } from "../components/labels.js";
import { allFilters, allOrders, filtered, ordered } from "../filters.js";
import { redo, setAside, keep, undo } from "../files.js";
import { address } from "../router.js";
import { current, update, useStore } from "../store.js";

const SIZES = [64, 96, 128, 192, 256];
const CAPTION = 24; // pixels: the class is on one line

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
  const change = useStore((state) => state.filterChange);
  const selection = useStore((state) => state.selection);
  const [size, setSize] = useState(() => Number(localStorage.getItem("size")) || 128);
  const focused = useStore((state) => state.focused);
  const [large, setLarge] = useState(false);
  const [panel, setPanel] = useState(null);
  const rows = useSame(useMemo(() => ordered(files, filtered(files, query), query), [files, query, change]));
  const chosen = useMemo(() => [...selection].sort((a, b) => a - b), [selection]);
  const set = (changed) => go({ ...query, ...changed });
  const show = (row) => {
    setLarge(row !== null);
    // What is shown large is what has the focus: it stays so where rows are others by now.
    if (row !== null) update({ focused: row, ...(current().selection.has(row) ? {} : { selection: new Set([row]) }) });
  };

  useEffect(() => localStorage.setItem("size", size), [size]);
  useEffect(() => {
    // Keys work wherever the person is, but not while writing.
    const keys = (event) => {
      if (event.defaultPrevented || event.target.closest("input, textarea, select, dialog")) return;
      if (event.key === "?") setPanel("keys");
      else if (!galleryKeys(event, [...current().selection])) return;
      event.preventDefault();
    };
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  }, []);

  return html`
    <section class="gallery">
      <header class="bar">
        <h1>Gallery</h1>
        <${Filters} files=${files} query=${query} onChange=${set}>
          <select aria-label="Order" value=${query.order ?? ""} onChange=${(event) => set({ order: event.target.value })}>
            <option value="">Order: folder</option>
            ${allOrders().map(
              ({ key, label }) => html`<option value=${key} selected=${key === query.order}>Order: ${label}</option>`,
            )}
          </select>
          <select aria-label="Size of the pictures" value=${size} onChange=${(event) => setSize(Number(event.target.value))}>
            ${SIZES.map((pixels) => html`<option value=${pixels}>Size: ${pixels}</option>`)}
          </select>
        <//>
        <p class="count" aria-live="polite">${counted(rows, files)}${
          selection.size > 0 && html`, <strong>${selection.size.toLocaleString()} selected</strong>`
        }</p>
        <div class="panels">
          <button onClick=${() => setPanel("about")}>Notes</button>
          <button onClick=${() => setPanel("history")}>History</button>
          <button aria-keyshortcuts="?" onClick=${() => setPanel("keys")}>Keys <kbd aria-hidden="true">?</kbd></button>
        </div>
      </header>
      ${rows.length
        ? html`<${Grid}
            rows=${rows}
            size=${size}
            below=${CAPTION}
            label="Images"
            onOpen=${show}
            onKey=${(event) => galleryKeys(event, [...current().selection])}
          />`
        : html`<${Empty} files=${files} query=${query} />`}
      ${files.count > 0 && html`<${LabelBar} rows=${chosen} onOpen=${() => show(chosen[0])} />`}
      ${large &&
      focused >= 0 &&
      html`<${Viewer}
        row=${focused}
        rows=${rows}
        onChange=${show}
        onKey=${(event) => galleryKeys(event, [focused])}
        about=${(row) => html`<${ClassButtons} rows=${[row]} />`}
      />`}
      ${panel === "about" && html`<${About} onClose=${() => setPanel(null)} />`}
      ${panel === "history" && html`<${History} onClose=${() => setPanel(null)} />`}
      ${panel === "keys" && html`<${Keys} onClose=${() => setPanel(null)} />`}
    </section>
  `;
}

/** Return the rows of before where they are the same: then nothing has to be drawn anew. */
function useSame(rows) {
  const before = useRef(rows);
  const same = before.current.length === rows.length && rows.every((row, place) => row === before.current[place]);
  if (!same) before.current = rows;
  return before.current;
}

function counted(rows, files) {
  const all = files.count === 1 ? "1 image" : `${files.count.toLocaleString()} images`;
  return rows.length === files.count ? all : `${rows.length.toLocaleString()} of ${all}`;
}

/** What to do next where there is nothing to show. */
function Empty({ files, query }) {
  useEffect(() => update({ selection: new Set(), focused: -1 }), []); // nothing that keys would label unseen
  if (files.count === 0) {
    return html`
      <div class="empty">
        <p><strong>There is no image in this folder yet.</strong></p>
        ${files.leftOut.length > 0 &&
        html`<p>${files.leftOut.length.toLocaleString()} files are left out: see Notes above.</p>`}
        <p>
          <a href=${address("collect")}>Record images with the webcam</a>, put photos into
          <span class="path"> ${files.root}</span>, one folder for each class (they appear here by
          themselves), or <a href=${address("open")}>open other photos</a>.
        </p>
      </div>
    `;
  }
  const set = allFilters().filter(({ key }) => query[key]).length;
  return html`
    <div class="empty">
      <p>No image passes ${set === 1 ? "this filter" : "these filters together"}.</p>
      <p><a href=${address("gallery")}>Show all ${files.count.toLocaleString()}</a></p>
    </div>
  `;
}
