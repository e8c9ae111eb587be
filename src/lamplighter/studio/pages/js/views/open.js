// What to work on: a folder of this machine, photos that are brought, or a new collection.
import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { get, post } from "../api.js";
import { loadFiles } from "../files.js";
import { isBusy } from "../jobs.js";
import { go } from "../router.js";
import { attempt, current, tell, update, useStore } from "../store.js";
import { bring, chosenFiles, droppedFiles, sorted } from "../uploads.js";

/** Open what `ask` opens on the server; true where it did, and the view `then` is shown. */
async function opened(ask, then = "gallery") {
  const busy = Object.values(current().jobs).filter(isBusy);
  const question = "Work is going on, which opening other photos stops. Open them all the same?";
  if (busy.length && !confirm(question)) return false;
  const studio = await attempt(ask);
  if (!studio) return false;
  update({ studio, files: null });
  go(then);
  await attempt(loadFiles);
  return true;
}

const openFolder = (folder) => opened(() => post("open", { folder }));

export function Open() {
  const [places, setPlaces] = useState({ tops: [], recent: [], endings: [] });
  const [busy, setBusy] = useState(false);
  const open = useStore((state) => state.studio.folder);
  useEffect(() => {
    attempt(async () => setPlaces(await get("places")));
  }, [open]);
  const during = async (promise) => {
    setBusy(true);
    await promise;
    setBusy(false);
  };
  return html`
    <section class="open">
      <header>
        <h1>Open photos</h1>
        <p class="soft">
          All stays on this machine. Photos are never changed, moved or deleted; labels are kept
          beside them, and every step can be undone.
        </p>
        ${busy && html`<p role="status"><strong>Reading the folder…</strong></p>`}
      </header>
      <div class="ways">
        ${places.recent.length > 0 && html`<${Recent} places=${places} during=${during} />`}
        <${Browser} tops=${places.tops} during=${during} />
        <${Bring} endings=${places.endings} />
        <${NewCollection} during=${during} />
        <article class="card">
          <h2>Try it with drawings</h2>
          <p>
            825 emoji in 17 classes, drawn by two artists, come with the program. They are written
            to a new folder.
          </p>
          <button disabled=${busy} onClick=${() => during(opened(() => post("emoji")))}>Start with emoji</button>
        </article>
      </div>
    </section>
  `;
}

/** Return a path as people write it: with ~ for the home folder, the first of the tops. */
function shortened(path, tops) {
  const home = tops[0]?.[1];
  const inside = home && (path === home || path.startsWith(`${home}/`));
  return inside ? `~${path.slice(home.length)}` : path;
}

const nameOf = (path) => path.split(/[\\/]/).filter(Boolean).at(-1) ?? path;

function Recent({ places, during }) {
  return html`
    <article class="card">
      <h2>Opened before</h2>
      <ul class="list">
        ${places.recent.map(
          (folder) => html`
            <li key=${folder}>
              <button class="row" onClick=${() => during(openFolder(folder))}>
                <strong>${nameOf(folder)}</strong> <span class="soft path">${shortened(folder, places.tops)}</span>
              </button>
            </li>
          `,
        )}
      </ul>
    </article>
  `;
}

/** Go through the folders of this machine, or type a path. */
function Browser({ tops, during }) {
  const [typed, setTyped] = useState("");
  const [shown, setShown] = useState(null); // what the server says of the folder that is shown
  const list = useRef(null);
  const look = (folder) =>
    attempt(async () => {
      setShown(await get("folders", { folder }));
      list.current?.scrollTo(0, 0);
    });
  useEffect(() => {
    look("");
  }, []);
  const open = (event) => {
    event.preventDefault();
    during(openFolder(typed));
  };
  return html`
    <article class="card">
      <h2>A folder of this machine</h2>
      <p class="soft">The one that holds a folder for each class, or photos without classes.</p>
      ${shown &&
      html`
        <div class="bar places">
          ${tops.length > 1 &&
          tops.map(
            ([name, folder]) => html`<button key=${name} onClick=${() => look(folder)}>${name}</button>`,
          )}
          <button disabled=${!shown.above} onClick=${() => look(shown.above)}>↑ Up</button>
          <span class="path">${shortened(shown.folder, tops)}</span>
        </div>
        <ul class="list folders" ref=${list} aria-label=${`Folders in ${shown.folder}`}>
          ${shown.names.map(
            (name) => html`
              <li key=${name}>
                <button class="row" onClick=${() => look(`${shown.folder}/${name}`)}>${name}</button>
              </li>
            `,
          )}
          ${shown.names.length === 0 && html`<li class="soft">There are no folders in this one.</li>`}
        </ul>
        <p>
          <button class="main" onClick=${() => during(openFolder(shown.folder))}>
            Open ${shown.above ? nameOf(shown.folder) : "this folder"}
          </button>
          <span class="soft" aria-live="polite">
            ${` ${shown.images ? `${shown.images.toLocaleString()} images lie in it directly` : ""}`}
          </span>
        </p>
      `}
      <form class="bar" onSubmit=${open}>
        <label class="grow">
          Or the path of a folder, a .zip of it, or a CSV of paths and labels
          <input value=${typed} onInput=${(event) => setTyped(event.target.value)} required />
        </label>
        <button>Open</button>
      </form>
    </article>
  `;
}

/** Take photos that are dropped or chosen into a new folder. */
function Bring({ endings }) {
  const [over, setOver] = useState(false);
  const [sent, setSent] = useState(null); // {name, bytes, size, done, count, stop}
  useEffect(() => {
    if (!sent) return undefined;
    const warn = (event) => event.preventDefault();
    addEventListener("beforeunload", warn);
    return () => removeEventListener("beforeunload", warn);
  }, [sent !== null]);
  const take = async (found) => {
    const known = endings.length ? endings : (await get("places")).endings;
    const { name, files, left } = sorted(found, known);
    if (files.length === 0) {
      const received = found.length === 1 ? found[0].path : `${found.length.toLocaleString()} other files`;
      tell(`Images, or a zip of them, are wanted; received ${received}.`, { kind: "error" });
      return;
    }
    const size = files.reduce((sum, { file }) => sum + file.size, 0);
    const ending = new AbortController();
    const now = { name, size, count: files.length, bytes: 0, done: 0, stop: () => ending.abort() };
    setSent(now);
    const onProgress = (bytes, done) => setSent({ ...now, bytes, done });
    const done = await opened(() => bring(name, files, { onProgress, signal: ending.signal }));
    setSent(null);
    if (done && left) tell(`${left.toLocaleString()} files that are no images were left out.`);
  };
  const drop = (event) => {
    event.preventDefault();
    setOver(false);
    if (!sent) attempt(async () => take(await droppedFiles(event.dataTransfer)));
  };
  const choose = (event) => {
    const found = chosenFiles(event.target);
    event.target.value = "";
    if (found.length) attempt(() => take(found));
  };
  return html`
    <article
      class=${`card bring${over ? " over" : ""}`}
      onDragOver=${(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave=${() => setOver(false)}
      onDrop=${drop}
    >
      <h2>Photos to copy</h2>
      <p>Drop a folder, photos or a .zip here. They are copied to a new folder among your pictures.</p>
      ${sent
        ? html`<${Sending} ...${sent} />`
        : html`
            <div class="bar">
              <label class="button">
                Choose a folder
                <input class="hidden" type="file" webkitdirectory multiple onChange=${choose} />
              </label>
              <label class="button">
                Choose photos or a .zip
                <input class="hidden" type="file" multiple accept=${endings.join(",")} onChange=${choose} />
              </label>
            </div>
          `}
    </article>
  `;
}

function Sending({ name, bytes, size, done, count, stop }) {
  return html`
    <div class="progress">
      <label>
        Copying ${name}: ${done.toLocaleString()} of ${count.toLocaleString()}
        <progress max=${size || 1} value=${bytes}></progress>
      </label>
      <button onClick=${stop}>Stop</button>
    </div>
  `;
}

/** Begin without photos: with classes that the webcam records into. */
function NewCollection({ during }) {
  const [name, setName] = useState("My collection");
  const [classes, setClasses] = useState("");
  const begin = (event) => {
    event.preventDefault();
    const names = classes.split(/[,\n]/).map((one) => one.trim()).filter(Boolean);
    during(opened(() => post("collection", { name, classes: names }), "collect"));
  };
  return html`
    <article class="card">
      <h2>Start with the webcam</h2>
      <p>Name the classes, then hold a button to record images of each.</p>
      <form onSubmit=${begin}>
        <label>Name of the new folder <input value=${name} onInput=${(event) => setName(event.target.value)} required /></label>
        <label>
          Classes, with commas between them
          <input
            value=${classes}
            placeholder="cup, no cup"
            onInput=${(event) => setClasses(event.target.value)}
            required
          />
        </label>
        <button>Start collecting</button>
      </form>
    </article>
  `;
}
