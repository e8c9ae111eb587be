// The photos as points: what looks alike lies near. Select with the lasso, and label.
import { useEffect, useMemo, useState } from "preact/hooks";
import { get } from "../api.js";
import { coloursOf } from "../colourings.js";
import { LabelBar } from "../components/labels.js";
import { Picture } from "../components/picture.js";
import { Viewer } from "../components/viewer.js";
import { classOf } from "../files.js";
import { html } from "../html.js";
import { Progress, isBusy, start, useJob } from "../jobs.js";
import { arrange, isArrow, neighbor } from "../map/arrange.js";
import { FrameView } from "../map/frame-view.js";
import { onLook, palette } from "../palette.js";
import { go as goTo } from "../router.js";
import { keepSample } from "../samples.js";
import { attempt, current, update, useStore } from "../store.js";
import { galleryKeys } from "./gallery.js";

const METHODS = { tsne: "groups (t-SNE)", pca: "axes (PCA)" };
const FIRST = 48; // photos of the selection that are shown at first

export function MapView({ query, go }) {
  const files = useStore((state) => state.files);
  const map = useMap(files);
  const job = useJob("map");
  const method = query.method in METHODS ? query.method : (map?.method ?? "tsne");
  const busy = isBusy(job);
  return html`
    <section class="map">
      <header class="bar">
        <h1>Map</h1>
        <label>
          Show${" "}
          <select value=${method} onChange=${(event) => go({ ...query, method: event.target.value })}>
            ${Object.entries(METHODS).map(([name, words]) => html`<option value=${name}>${words}</option>`)}
          </select>
        </label>
        <button
          class=${map?.made && map.method === method ? "" : "main"}
          disabled=${busy}
          onClick=${() => start("map", { method })}
        >
          ${map?.made ? "Draw again" : "Draw the map"}
        </button>
        <${Progress} kind="map" />
      </header>
      ${map?.made
        ? html`<${Drawn} map=${map} files=${files} query=${query} go=${go} />`
        : map &&
          !busy &&
          html`<p class="empty">
            On the map, photos that look alike lie near one another, so that groups, strays and wrong labels
            can be seen at once. It takes some seconds for a thousand photos, and is quicker the next time.
          </p>`}
    </section>
  `;
}

/** Return what the server says of the map, with rows of the table as it is; null until it has. */
function useMap(files) {
  const [map, setMap] = useState(null);
  const done = useStore((state) => (state.jobs.map?.state === "done" ? state.jobs.map.id : 0));
  useEffect(() => {
    attempt(async () => {
      const answer = await get("map");
      const { scan, paths } = current().files;
      if (!answer.made || answer.scan === scan) setMap({ ...answer, paths: answer.rows?.map((row) => paths[row]) });
    });
  }, [files.scan, done]);
  return useMemo(() => (map?.made && map.scan !== files.scan ? inTable(map, files) : map), [map, files.scan]);
}

/** Return a map with the rows that its photos have in another table. */
function inTable(map, files) {
  const rowOf = new Map(files.paths.map((path, row) => [path, row]));
  const there = [...map.paths.keys()].filter((number) => rowOf.has(map.paths[number]));
  return {
    ...map,
    rows: there.map((number) => rowOf.get(map.paths[number])),
    x: there.map((number) => map.x[number]),
    y: there.map((number) => map.y[number]),
  };
}

function Drawn({ map, files, query, go }) {
  const selection = useStore((state) => state.selection);
  const focused = useStore((state) => state.focused);
  const checks = useStore((state) => state.checks);
  const [look, setLook] = useState(palette);
  const [hovered, setHovered] = useState(null);
  const [tool, setTool] = useState("lasso");
  const [view, setView] = useState(null);
  const [shown, setShown] = useState(null);
  useEffect(() => onLook(() => setLook(palette())), []);

  const colourings = useMemo(() => coloursOf(files), [files, checks]);
  const colouring = colourings.find(({ key }) => key === query.colour) ?? colourings[0];
  const lit = useMemo(() => (query.show ? query.show.split("/") : []), [query.show]);
  const points = useMemo(
    () => arrange(map, files, colouring, lit, look.colours.length),
    [map, files, colouring, lit, look],
  );
  const placeOf = useMemo(() => new Map(Array.from(points.rows, (row, place) => [row, place])), [points]);
  const selected = useMemo(
    () => [...selection].flatMap((row) => placeOf.get(row) ?? []),
    [selection, placeOf],
  );
  const pointed = placeOf.get(focused) ?? -1;
  const chosen = useMemo(() => [...selection].sort((a, b) => a - b), [selection]);

  const select = (places, how = "set") => {
    const rows = places.map((place) => points.rows[place]);
    const chosen = new Set(how === "set" ? rows : current().selection);
    if (how === "add") for (const row of rows) chosen.add(row);
    if (how === "remove") for (const row of rows) chosen.delete(row);
    update({ selection: chosen, ...(rows.length === 1 ? { focused: rows[0] } : {}) });
  };
  const keys = (event) => {
    const { key } = event;
    const command = event.ctrlKey || event.metaKey || event.altKey;
    if (isArrow(key) && !command) {
      const place = neighbor(points, pointed, key);
      if (place >= 0) update({ focused: points.rows[place] });
    } else if (key === " " && pointed >= 0) {
      select([pointed], current().selection.has(focused) ? "remove" : "add");
    } else if (key === "Enter" && pointed >= 0) {
      setShown(focused);
    } else if (key === "Escape") {
      update({ selection: new Set() });
    } else if ((key === "+" || key === "-") && !command) {
      setView({ change: key === "+" ? "nearer" : "farther" });
    } else {
      return galleryKeys(event, [...current().selection]);
    }
    return true;
  };
  useEffect(() => {
    // Keys of the page that are meant for what is selected; those of the frame come as messages.
    const listener = (event) => {
      if (event.defaultPrevented || event.target.closest("input, textarea, select, dialog")) return;
      if (galleryKeys(event, [...current().selection])) event.preventDefault();
    };
    addEventListener("keydown", listener);
    return () => removeEventListener("keydown", listener);
  }, []);

  const missing = files.count - files.aside.size - points.rows.length;
  const near = hovered ?? (pointed >= 0 ? { place: pointed } : null);
  return html`
    <div class="bar tools">
      <${Colourings} colourings=${colourings} chosen=${colouring} query=${query} go=${go} />
      <span role="radiogroup" aria-label="What dragging does">
        ${[["lasso", "Lasso"], ["move", "Move"]].map(
          ([name, words]) => html`<button role="radio" aria-checked=${tool === name} onClick=${() => setTool(name)}>${words}</button>`,
        )}
      </span>
      <span>
        <button aria-label="Nearer" onClick=${() => setView({ change: "nearer" })}>+</button>
        <button aria-label="Farther" onClick=${() => setView({ change: "farther" })}>−</button>
        <button onClick=${() => setView({ change: "whole" })}>Whole map</button>
      </span>
      <p class="soft count" aria-live="polite">${words(map, points, missing)}</p>
    </div>
    <div class="drawn">
      <div class="plot">
        <${FrameView}
          points=${points}
          look=${look}
          selected=${selected}
          pointed=${pointed}
          tool=${tool}
          view=${view}
          onSelect=${select}
          onHover=${(place, at) => setHovered(place < 0 ? null : { place, at })}
          onKey=${keys}
        />
        ${near && points.rows[near.place] !== undefined && html`<${Card} row=${points.rows[near.place]} at=${near.at} files=${files} />`}
      </div>
      <div class="beside">
        <${Legend} points=${points} look=${look} colouring=${colouring} lit=${lit} query=${query} go=${go} />
        <${Selected} rows=${chosen} files=${files} onShow=${setShown} />
      </div>
    </div>
    <${LabelBar} rows=${chosen} />
    <${CountsTable} points=${points} colouring=${colouring} selected=${selected} onSelect=${select} />
    ${shown !== null &&
    html`<${Viewer}
      row=${shown}
      rows=${chosen.includes(shown) ? chosen : [shown]}
      onChange=${setShown}
      onKey=${(event) => galleryKeys(event, [shown])}
    />`}
  `;
}

function words(map, points, missing) {
  const said = [`${points.rows.length.toLocaleString()} photos.`];
  if (map.explained) {
    const [across, up] = map.explained.map((share) => `${Math.round(100 * share)} %`);
    said.push(`The axes explain ${across} and ${up} of what differs.`);
  } else {
    said.push("Near ones look alike; how far groups lie apart says little.");
  }
  if (map.sample) said.push(`Made from ${map.sample.toLocaleString()} of them; others lie beside the most similar ones.`);
  if (missing > 0) {
    said.push(`${missing.toLocaleString()} more cannot be read or came since.`);
  }
  return said.join(" ");
}

function Colourings({ colourings, chosen, query, go }) {
  return html`<label>
    Color by${" "}
    <select value=${chosen.key} onChange=${(event) => go({ ...query, colour: event.target.value, show: "" })}>
      ${colourings.map(({ key, label }) => html`<option value=${key}>${label}</option>`)}
    </select>
  </label>`;
}

/** The picture of the point below the pointer, or of the one that keys are on. */
function Card({ row, at, files }) {
  const style = at ? `left:${Math.round(at[0])}px;top:${Math.round(at[1])}px` : "";
  return html`<div class=${`hover-card ${at ? "" : "docked"} ${at && at[0] > 260 ? "leftward" : ""} ${at && at[1] > 200 ? "upward" : ""}`} style=${style}>
    <${Picture} files=${files} row=${row}>
      <span class="words" aria-live="polite"><strong>${classOf(files, row) || "no label"}</strong> <span class="soft path">${files.paths[row]}</span></span>
    <//>
  </div>`;
}

/** What the colours mean; a press shows one name alone, or adds it to those shown. */
function Legend({ points, look, colouring, lit, query, go }) {
  const chosen = new Set(lit);
  const toggle = (name) => {
    if (!chosen.delete(name)) chosen.add(name);
    go({ ...query, show: [...chosen].join("/") });
  };
  return html`<div class="legend" role="group" aria-label=${`Colors: ${colouring.label}`}>
    ${points.legend
      .filter(({ count }) => count > 0)
      .map(
        ({ name, count, colour }) => html`
          <button key=${name} class="plain" aria-pressed=${chosen.has(name)} onClick=${() => toggle(name)}>
            <span class="swatch" style=${`background:${look.colours[colour] ?? look.grey}`}></span>
            <span class="name">${name}</span> <span class="soft">${count.toLocaleString()}</span>
          </button>
        `,
      )}
    ${lit.length
      ? html`<button onClick=${() => go({ ...query, show: "" })}>Show all</button>`
      : html`<p class="soft">Press a name to pick it out.</p>`}
  </div>`;
}

/** The photos that are selected. */
function Selected({ rows, files, onShow }) {
  const [most, setMost] = useState(FIRST);
  useEffect(() => setMost(FIRST), [rows]);
  if (!rows.length) {
    return html`<p class="soft hint">
      Draw a line round some points to select them; Ctrl adds, Alt takes away. With the keyboard, arrow keys go from point to point,
      space selects, and the key of a class labels.
    </p>`;
  }
  return html`<section class="selected" aria-label="Selected photos">
    <h2>${rows.length.toLocaleString()} selected</h2>
    <p class="remedies">
      <button onClick=${() => goTo("gallery", { among: keepSample(files, rows) })}>Show in the gallery</button>
      <button onClick=${() => update({ selection: new Set() })}>Select none <kbd>Esc</kbd></button>
    </p>
    <div class="pictures">
      ${rows.slice(0, most).map((row) => html`<${Picture} key=${row} files=${files} row=${row} onClick=${() => onShow(row)} />`)}
      ${rows.length > most && html`<button onClick=${() => setMost(most + 200)}>Show more (${(rows.length - most).toLocaleString()} left)</button>`}
    </div>
  </section>`;
}

/** The map in words: how many photos of each name are on it, for those who do not see it. */
function CountsTable({ points, colouring, selected, onSelect }) {
  const chosen = new Map();
  const nameOf = (place) => colouring.names[colouring.place(points.rows[place])];
  for (const place of selected) chosen.set(nameOf(place), (chosen.get(nameOf(place)) ?? 0) + 1);
  const all = (name) => onSelect([...points.rows.keys()].filter((place) => nameOf(place) === name));
  return html`<details class="as-table">
    <summary>The map as a table</summary>
    <div class="wide">
      <table>
        <thead>
          <tr><th scope="col">${colouring.label}</th><th scope="col">Photos</th><th scope="col">Selected</th><th scope="col"><span class="hidden">Select</span></th></tr>
        </thead>
        <tbody>
          ${points.legend
            .filter(({ count }) => count > 0)
            .map(
              ({ name, count }) => html`<tr key=${name}>
                <th scope="row">${name}</th>
                <td class="number">${count.toLocaleString()}</td>
                <td class="number">${(chosen.get(name) ?? 0).toLocaleString()}</td>
                <td><button class="small" onClick=${() => all(name)}>Select all ${name}</button></td>
              </tr>`,
            )}
        </tbody>
      </table>
    </div>
  </details>`;
}
