// Collect: hold a button, and what the camera shows is recorded into a class.
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { get, post, send, thumbnailUrl } from "../api.js";
import { frameOf, framesOf, useCamera } from "../camera.js";
import { CameraView } from "../components/camera.js";
import { loadFiles, setAside, splitOf, step } from "../files.js";
import { address } from "../router.js";
import { attempt, update, useStore } from "../store.js";
import { Open } from "./open.js";

const EVERY = 1000 / 8; // milliseconds between two images of a recording
const FEWEST = 5; // recordings that a class should have, so that train, val and test get some
const SHOWN = 24; // thumbnails of a class
const KEPT = 200; // pictures of this visit in memory
const RECORDING = /(?:^|\/)(recording-\d{8}-\d{6}-[0-9a-f]{4})_\d+(?:-\d+)?\.\w+$/;

/** Return the recording that a file is of, "" where it is of none. */
const recordingOf = (path) => RECORDING.exec(path)?.[1] ?? "";

export function Collect({ query, go }) {
  const studio = useStore((state) => state.studio);
  const files = useStore((state) => state.files);
  if (!studio.folder) return html`<${Open} />`;
  if (!files) return html`<p class="starting">Reading the folder…</p>`;
  return html`<${Collector} key=${files.root} files=${files} query=${query} go=${go} />`;
}

function Collector({ files, query, go }) {
  const [about, setAbout] = useState(null);
  const [added, setAdded] = useState([]); // classes that have no image yet
  const camera = useCamera();
  const video = useRef(null);
  const recorder = useRecorder(camera, video, files);
  useEffect(() => {
    attempt(async () => setAbout(await get("collect/about")));
  }, [files.root]);

  const splits = files.splitNames.filter(Boolean);
  const split = splits.includes(query.split) ? query.split : splits.includes("train") ? "train" : splits[0];
  const names = [...files.classNames, ...added.filter((name) => !files.classNames.includes(name))];
  const classes = useMemo(() => byClass(files, names), [files, added]);

  if (about && !about.takes_images) return html`<${NotHere} about=${about} />`;
  return html`
    <section class="collect">
      <header class="bar">
        <h1>Collect</h1>
        ${splits.length > 1 &&
        html`<label>
          Record into
          <select value=${split} onChange=${(event) => go({ ...query, split: event.target.value })}>
            ${splits.map((name) => html`<option value=${name} selected=${name === split}>${name}</option>`)}
          </select>
        </label>`}
      </header>
      <div class="collect-parts">
        <div class="collect-camera">
          <${CameraView} camera=${camera} video=${video} />
          <p class="soft">
            Hold a class's button, and images of what the camera shows are written into its folder, about
            eight a second. All that is recorded in one go stays together in training or in testing, since
            such images are alike: record each class ${FEWEST} times or more, from other sides, in other
            places and light.
          </p>
          <p class="soft path">They go to ${files.root}</p>
        </div>
        <div class="collect-classes">
          ${names.map(
            (name) => html`<${ClassCard}
              key=${name}
              name=${name}
              rows=${classes.get(name) ?? []}
              files=${files}
              recorder=${recorder}
              ready=${Boolean(camera.stream)}
              split=${split}
            />`,
          )}
          <${NewClass} names=${names} onAdd=${(name) => setAdded((before) => [...before, name])} />
          ${names.length < 2 && html`<p class="soft">A classifier needs two classes or more, such as “cup” and “no cup”.</p>`}
          ${names.length > 1 && files.count > 0 && html`<p><a href=${address("train")}>Train with these images</a></p>`}
        </div>
      </div>
    </section>
  `;
}

/** Return the rows of each class, the last ones first; those set aside are left out. */
function byClass(files, names) {
  const rows = new Map(names.map((name) => [name, []]));
  for (let row = files.count - 1; row >= 0; row--) {
    const name = files.classNames[files.labels[row]];
    if (name !== undefined && !files.aside.has(row)) rows.get(name)?.push(row);
  }
  // Recordings carry their time in their names: the newest first, all others after them.
  for (const list of rows.values()) {
    list.sort((a, b) => {
      const [one, other] = [nameOf(files.paths[a]), nameOf(files.paths[b])];
      const recorded = Number(other.startsWith("recording-")) - Number(one.startsWith("recording-"));
      return recorded || (one < other ? 1 : -1);
    });
  }
  return rows;
}

const nameOf = (path) => path.slice(path.lastIndexOf("/") + 1);

/**
 * Record while a button is held.
 *
 * Returns {active, count, error, failed, fresh, sources, start, stop}: `active` is the class that is
 * recorded, `failed` the one that could not be, `fresh` the images {path, name} that the table of
 * files does not have yet, and `sources` where pictures of this visit can be shown from, by path.
 */
function useRecorder(camera, video, files) {
  const [state, setState] = useState({ active: null, count: 0, error: "", failed: null });
  const [fresh, setFresh] = useState([]);
  const sources = useRef(new Map());
  const going = useRef(null);

  const stop = useCallback(() => {
    if (going.current) going.current.on = false;
  }, []);

  const start = async (name, split) => {
    if (going.current?.on) return;
    const turn = (going.current = { on: true });
    setState({ active: name, count: 0, error: "", failed: null });
    const canvas = document.createElement("canvas");
    const frames = framesOf(video.current);
    let count = 0;
    try {
      const { recording } = await post("collect/start", { class: name, split: split ?? null });
      let due = performance.now();
      // At least one image, also where the button was only tapped.
      while (turn.on || count === 0) {
        if (!(await frames.next())) {
          if (!video.current?.srcObject) throw new Error("The camera is off: start it again.");
          if (!turn.on) break;
          continue;
        }
        if (performance.now() < due) continue;
        due = Math.max(due + EVERY, performance.now() - EVERY);
        const image = await frameOf(video.current, canvas);
        if (!image) continue;
        const { path } = await send("collect/frame", image, { query: { recording, number: count + 1 } });
        count++;
        setState((before) => ({ ...before, count }));
        keepSource(sources.current, path, image);
        setFresh((before) => [{ path, name }, ...before]);
      }
      setState({ active: null, count, error: "", failed: null });
    } catch (error) {
      setState({ active: null, count, error: error.message, failed: name });
    } finally {
      turn.on = false;
      frames.stop();
      if (count) await attempt(() => post("collect/finish"));
    }
  };

  // The camera went away while a button was held.
  useEffect(() => {
    if (!camera.stream) stop();
  }, [camera.stream]);
  useEffect(() => {
    addEventListener("blur", stop); // a key that is let go elsewhere is never seen
    return () => {
      removeEventListener("blur", stop);
      stop();
    };
  }, []);
  // What the table of files has by now is shown from there.
  useEffect(() => {
    const known = new Set(files.paths);
    setFresh((before) => before.filter(({ path }) => !known.has(path)));
  }, [files]);
  useEffect(
    () => () => {
      for (const source of sources.current.values()) URL.revokeObjectURL(source);
    },
    [],
  );
  return { ...state, fresh, sources: sources.current, start, stop };
}

/** Keep a picture to be shown without asking for it again; of many, the last ones. */
function keepSource(sources, path, image) {
  sources.set(path, URL.createObjectURL(image));
  for (const [oldest, source] of sources) {
    if (sources.size <= KEPT) break;
    URL.revokeObjectURL(source);
    sources.delete(oldest);
  }
}

function ClassCard({ name, rows, files, recorder, ready, split }) {
  const fresh = recorder.fresh.filter((one) => one.name === name);
  const active = recorder.active === name;
  const recordings = new Set(rows.map((row) => recordingOf(files.paths[row])).filter(Boolean));
  for (const { path } of fresh) recordings.add(recordingOf(path));
  const count = rows.length + fresh.length;
  const shown = [...fresh.map(({ path }) => [path, null]), ...rows.slice(0, SHOWN).map((row) => [files.paths[row], row])].slice(0, SHOWN);
  const last = rows.length ? recordingOf(files.paths[rows[0]]) : "";
  const lastRows = last ? rows.filter((row) => recordingOf(files.paths[row]) === last) : [];
  const press = (event) => {
    if (event.type === "pointerdown") {
      if (event.button !== 0) return;
      event.currentTarget.setPointerCapture(event.pointerId);
    } else if ((event.key !== " " && event.key !== "Enter") || event.repeat) {
      return;
    }
    event.preventDefault();
    event.currentTarget.focus();
    recorder.start(name, split);
  };
  const release = (event) => {
    if (event.type === "keyup" && event.key !== " " && event.key !== "Enter") return;
    recorder.stop();
  };
  return html`
    <article class=${`card class-card${active ? " active" : ""}`} aria-label=${name}>
      <h2>${name}</h2>
      <p class="class-count" aria-live="polite">
        ${count.toLocaleString()} ${count === 1 ? "image" : "images"}${recordings.size > 0 &&
        html`, ${recordings.size} ${recordings.size === 1 ? "recording" : "recordings"}`}
        ${recordings.size > 0 && recordings.size < FEWEST && html`<span class="soft"> (${FEWEST} or more are better)</span>`}
      </p>
      <p class="buttons">
        <button
          class="main record"
          disabled=${!ready || (recorder.active !== null && !active)}
          onPointerDown=${press}
          onPointerUp=${release}
          onPointerCancel=${release}
          onLostPointerCapture=${release}
          onKeyDown=${press}
          onKeyUp=${release}
          onBlur=${release}
          onContextMenu=${(event) => event.preventDefault()}
        >
          ${active ? `Recording… ${recorder.count}` : "Hold to record"}
        </button>
        ${lastRows.length > 0 &&
        !active &&
        html`<button onClick=${() => setAside(lastRows, "set aside while collecting")}>
          Set the last recording aside (${lastRows.length})
        </button>`}
      </p>
      ${recorder.failed === name && html`<p class="error" role="alert">${recorder.error}</p>`}
      <ul class="thumbs">
        ${shown.map(
          ([path, row]) => html`<li key=${path}>
            <img
              src=${recorder.sources.get(path) ?? thumbnailUrl(path, files.scan)}
              alt=""
              width="64"
              height="64"
              title=${row === null ? path : `${path} ${splitOf(files, row)}`}
            />
            ${row !== null &&
            html`<button
              class="remove"
              aria-label=${`Set ${nameOf(path)} aside`}
              title="Set aside"
              onClick=${() => setAside([row], "set aside while collecting")}
            >
              ×
            </button>`}
          </li>`,
        )}
      </ul>
      ${rows.length > SHOWN && html`<p><a href=${address("gallery", { class: name })}>Show all in the gallery</a></p>`}
    </article>
  `;
}

function NewClass({ names, onAdd }) {
  const [text, setText] = useState("");
  const add = async (event) => {
    event.preventDefault();
    const name = text.trim();
    if (!name || names.includes(name)) return;
    const done = await step("classes", { do: "add", name });
    if (!done) return;
    onAdd(name);
    setText("");
  };
  return html`
    <form class="card new-class" onSubmit=${add}>
      <label>
        New class
        <input value=${text} placeholder="its name" onInput=${(event) => setText(event.target.value)} />
      </label>
      <button disabled=${!text.trim() || names.includes(text.trim())}>Add</button>
      ${names.includes(text.trim()) && html`<span class="soft">There is one of that name.</span>`}
    </form>
  `;
}

/** What is open is a zip file or a list of files. */
function NotHere({ about }) {
  const begin = () =>
    attempt(async () => {
      update({ studio: await post("collect/beside"), files: null });
      await loadFiles();
    });
  return html`
    <section class="collect">
      <h1>Collect</h1>
      <p>
        <span class="path">${about.source}</span> is no folder, and takes no images. They can be recorded into a new
        folder beside it, which is opened then.
      </p>
      <p><button class="main" onClick=${begin}>Record into a new folder</button></p>
      <p class="soft path">${about.beside}</p>
    </section>
  `;
}
