// Try it: a classifier answers images, what a camera shows, or what is drawn.
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { get, send } from "../api.js";
import { frameOf, framesOf, useCamera } from "../camera.js";
import { Bars, Seen, Verdict, Why } from "../components/answer.js";
import { CameraView } from "../components/camera.js";
import { DrawingPad } from "../components/drawing.js";
import { newest } from "../newest.js";
import { address } from "../router.js";
import { attempt, tell, useStore } from "../store.js";

const WAYS = [
  { name: "images", label: "Images" },
  { name: "webcam", label: "Webcam" },
  { name: "draw", label: "Draw" },
];
const MOST_IMAGES = 50; // that are shown; the oldest go
const STEADY = 12; // classes up to which bars keep their places while a camera is answered
const COUNTED = 2000; // milliseconds over which answers are counted

const isBundle = ({ name }) => name.toLowerCase().endsWith(".lamp");
const looksLikeImage = ({ name, type }) =>
  type.startsWith("image/") || /\.(avif|bmp|gif|heic|heif|jfif|jpe?g|jp2|png|ppm|pgm|tiff?|webp)$/i.test(name);

export function TryIt({ query, go }) {
  const studio = useStore((state) => state.studio);
  const [choices, setChoices] = useState(null);
  const [about, setAbout] = useState(null);
  const [over, setOver] = useState(false);
  const picker = useRef(null);

  useEffect(() => {
    attempt(async () => setChoices(await get("try/choices")));
  }, [studio.folder, query.bundle, query.run]);
  const chosen = useMemo(() => choiceOf(choices, query), [choices, query]);
  const asked = useMemo(
    () => (chosen === null ? null : chosen.bundle ? { bundle: chosen.bundle } : { run: chosen.run }),
    [chosen?.bundle, chosen?.run],
  );
  useEffect(() => {
    setAbout(null);
    if (!asked) return undefined;
    const canceled = new AbortController();
    get("try/about", asked, { signal: canceled.signal })
      .then(setAbout)
      .catch((error) => error.name !== "AbortError" && setAbout({ error: error.message }));
    return () => canceled.abort();
  }, [asked]);

  const way = query.how ?? (about?.digit ? "draw" : "images");
  const [images, setImages] = useState([]);
  const bring = useCallback(
    async (files) => {
      const bundle = files.find(isBundle);
      const wrong = files.filter((file) => !isBundle(file) && !looksLikeImage(file));
      if (wrong.length) {
        tell(`${wrong[0].name || "This"} is neither an image nor a .lamp file${wrong.length > 1 ? `, nor are ${wrong.length - 1} more` : ""}.`, { kind: "error" });
      }
      if (bundle) {
        const one = await attempt(() => send("try/bundle", bundle, { query: { name: bundle.name } }));
        if (one) go({ bundle: one.bundle, ...(query.how ? { how: query.how } : {}) });
      }
      const pictures = files.filter((file) => !isBundle(file) && looksLikeImage(file));
      if (pictures.length) {
        setImages((before) => [...pictures.map((file) => ({ id: nextId(), file })), ...before].slice(0, MOST_IMAGES));
        if (!bundle && way !== "images") go({ ...query, how: "images" });
      }
    },
    [go, query, way],
  );
  useEffect(() => {
    const paste = (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (files.length) bring(files);
    };
    addEventListener("paste", paste);
    return () => removeEventListener("paste", paste);
  }, [bring]);

  const drop = (event) => {
    event.preventDefault();
    setOver(false);
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.());
    if (entries.some((entry) => entry?.isDirectory)) {
      tell("A folder was dropped; drop the images in it, or open the folder.", { kind: "error" });
    }
    const files = [...event.dataTransfer.files].filter((_, place) => !entries[place]?.isDirectory);
    if (files.length) bring(files);
  };

  return html`
    <section
      class=${`try${over ? " over" : ""}`}
      onDragOver=${(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave=${(event) => event.currentTarget.contains(event.relatedTarget) || setOver(false)}
      onDrop=${drop}
    >
      <header class="bar">
        <h1>Try it</h1>
        ${choices && chosen && html`<${Chooser} choices=${choices} chosen=${chosen} onChange=${(one) => go({ ...one, how: query.how })} />`}
        <button onClick=${() => picker.current.click()}>Use a .lamp file…</button>
        <input
          ref=${picker}
          type="file"
          accept=".lamp"
          hidden
          onChange=${(event) => {
            bring([...event.target.files]);
            event.target.value = "";
          }}
        />
      </header>
      ${choices && !chosen && html`<${Nothing} />`}
      ${about?.error && html`<p class="error" role="alert">${about.error}</p>`}
      ${chosen && !about && html`<p class="soft">Loading the classifier…</p>`}
      ${about?.class_names &&
      html`
        <p class="soft about">
          <strong>${about.class_names.length} classes:</strong> ${few(about.class_names)}
          <br /><span title=${about.sees}>Sees ${about.sees.split(";")[0]}.</span>${about.unknown ? " Says “unknown” of images that are like none it learned from." : ""}
        </p>
        <div class="ways" role="group" aria-label="What to try it with">
          ${WAYS.map(
            ({ name, label }) => html`
              <button aria-pressed=${name === way} onClick=${() => go({ ...query, how: name })}>${label}</button>
            `,
          )}
        </div>
        ${way === "images" && html`<${Images} images=${images} about=${about} asked=${asked} onBring=${bring} onClear=${() => setImages([])} />`}
        ${way === "webcam" && html`<${Webcam} about=${about} asked=${asked} onKeep=${(file) => bring([file])} />`}
        ${way === "draw" && html`<${Draw} about=${about} asked=${asked} />`}
      `}
    </section>
  `;
}

let ids = 0;
const nextId = () => ++ids;

/** Return the classifier that the address means, or the last one; null where there is none. */
function choiceOf(choices, query) {
  if (!choices) return null;
  if (query.bundle) return choices.bundles.find(({ bundle }) => bundle === query.bundle) ?? { bundle: query.bundle, name: "a file" };
  if (query.run) return choices.runs.find(({ run }) => run === query.run) ?? { run: query.run, name: query.run };
  return choices.runs[0] ?? choices.bundles[0] ?? null;
}

const few = (names) => (names.length > 30 ? `${names.slice(0, 30).join(", ")} and ${names.length - 30} more` : names.join(", "));

function Nothing() {
  return html`
    <div class="empty">
      <p>There is no classifier to try yet.</p>
      <p><a href=${address("train")}>Train one</a>, or drop a .lamp file on this page.</p>
    </div>
  `;
}

function Chooser({ choices, chosen, onChange }) {
  const all = [...choices.runs, ...choices.bundles];
  const keyOf = ({ run, bundle }) => (bundle ? `bundle ${bundle}` : `run ${run}`);
  const known = all.some((one) => keyOf(one) === keyOf(chosen)) ? all : [chosen, ...all];
  const when = ({ made }) => (made ? `, ${new Date(1000 * made).toLocaleString()}` : "");
  return html`
    <label>
      Classifier
      <select
        value=${keyOf(chosen)}
        onChange=${(event) => {
          const one = known.find((other) => keyOf(other) === event.target.value);
          onChange(one.bundle ? { bundle: one.bundle } : { run: one.run });
        }}
      >
        ${known.map((one) => html`<option value=${keyOf(one)} selected=${keyOf(one) === keyOf(chosen)}>${one.name}${when(one)}</option>`)}
      </select>
    </label>
  `;
}

function Images({ images, about, asked, onBring, onClear }) {
  const picker = useRef(null);
  return html`
    <div class="drop">
      <p>Drop images here, or paste one with Ctrl V.</p>
      <button class="main" onClick=${() => picker.current.click()}>Choose images…</button>
      <input
        ref=${picker}
        type="file"
        accept="image/*,.heic,.heif"
        multiple
        hidden
        aria-label="Images to try"
        onChange=${(event) => {
          onBring([...event.target.files]);
          event.target.value = "";
        }}
      />
      ${images.length > 0 && html`<button onClick=${onClear}>Clear</button>`}
    </div>
    <div class="cards">
      ${images.map(({ id, file }) => html`<${Tried} key=${`${id} ${asked.bundle ?? asked.run}`} file=${file} about=${about} asked=${asked} />`)}
    </div>
  `;
}

/** One image that was brought, with its answer. */
function Tried({ file, about, asked }) {
  const [answer, setAnswer] = useState(null);
  const [shown, setShown] = useState(true);
  const source = useMemo(() => URL.createObjectURL(file), [file]);
  useEffect(() => () => URL.revokeObjectURL(source), [source]);
  useEffect(() => {
    send("try/answer", file, { query: { ...asked, name: file.name } })
      .then(setAnswer)
      .catch((error) => setAnswer({ error: error.message }));
  }, [file]);
  return html`
    <article class="card tried" aria-label=${file.name}>
      <div class="pictures">
        ${shown &&
        html`<figure class="given">
          <img src=${source} alt=${file.name} onError=${() => setShown(false)} />
          <figcaption class="soft path">${file.name}</figcaption>
        </figure>`}
        ${answer?.seen && html`<${Seen} answer=${answer} about=${about} />`}
      </div>
      <div class="answer">
        ${!answer && html`<p class="soft">Asking…</p>`}
        ${answer?.error && html`<p class="error" role="alert">${answer.error}</p>`}
        ${answer?.guesses &&
        html`
          <${Verdict} answer=${answer} />
          <${Bars} answer=${{ ...answer, guesses: answer.guesses.slice(0, 8) }} />
          <${Why} answer=${answer} about=${about} query=${asked} image=${file} />
        `}
      </div>
    </article>
  `;
}

/** Answer what a camera shows: one image at a time, and always the newest. */
function Webcam({ about, asked, onKeep }) {
  const camera = useCamera();
  const video = useRef(null);
  const [answer, setAnswer] = useState(null);
  const [rate, setRate] = useState(0);
  const [error, setError] = useState("");
  const last = useRef(null);

  useEffect(() => {
    if (!camera.stream) return undefined;
    let going = true;
    const canvas = document.createElement("canvas");
    const side = Math.max(240, 1.5 * Math.max(about.width, about.height));
    const times = [];
    const frames = framesOf(video.current);
    const loop = async () => {
      while (going) {
        // One picture is on its way at a time; the next one is the newest there is by then.
        if (!(await frames.next()) || !going) continue;
        const image = await frameOf(video.current, canvas, side);
        if (!image || !going) continue;
        try {
          const found = await send("try/answer", image, { query: { ...asked, name: "the picture" } });
          if (!going) return;
          last.current = image;
          setAnswer(found);
          setError("");
          const now = performance.now();
          times.push(now);
          while (times[0] < now - COUNTED) times.shift();
          if (times.length > 1) setRate((1000 * (times.length - 1)) / (now - times[0]));
        } catch (failed) {
          if (!going) return;
          setAnswer(null);
          setError(failed.message);
          await new Promise((resolve) => setTimeout(resolve, failed.status === 0 ? 1000 : 100));
        }
      }
    };
    loop();
    return () => {
      going = false;
      frames.stop();
    };
  }, [camera.stream, about, asked]);

  const order = about.class_names.length <= STEADY ? about.class_names : undefined;
  const few = answer && (order ? answer : { ...answer, guesses: answer.guesses.slice(0, 8) });
  return html`
    <div class="live">
      <div>
        <${CameraView} camera=${camera} video=${video} />
        ${camera.stream &&
        html`<p class="buttons">
          <button
            disabled=${!answer}
            onClick=${() => onKeep(new File([last.current], `webcam ${new Date().toLocaleTimeString()}.jpg`, { type: "image/jpeg" }))}
          >
            Look closer at this picture
          </button>
          <span class="soft rate" data-rate=${rate.toFixed(1)}>${rate.toFixed(0)} answers a second</span>
        </p>`}
      </div>
      <div>
        ${error && camera.stream && html`<p class="error" role="alert">${error}</p>`}
        ${camera.stream && answer
          ? html`<${Seen} answer=${answer} about=${about} /><${Verdict} answer=${answer} live /><${Bars} answer=${few} order=${order} />`
          : !error && html`<p class="soft">Start the camera: what it shows is answered at once. No picture leaves this machine.</p>`}
      </div>
    </div>
  `;
}

function Draw({ about, asked }) {
  const [shown, setShown] = useState({});
  const current = useRef(null);
  const ask = useMemo(
    () =>
      newest(async (image) => {
        try {
          const answer = await send("try/answer", image, { query: { ...asked, name: "the drawing" } });
          if (current.current) setShown({ answer, image });
        } catch (error) {
          if (current.current) setShown({ error: error.message });
        }
      }),
    [asked],
  );
  const drawn = (image) => {
    current.current = image;
    if (image) ask(image);
    else setShown({});
  };
  const { answer, image, error } = shown;
  const order = about.class_names.length <= STEADY ? about.class_names : undefined;
  return html`
    <div class="live">
      <${DrawingPad} onDraw=${drawn} />
      <div>
        ${error && html`<p class="error" role="alert">${error}</p>`}
        ${!answer && !error && html`<p class="soft">Draw ${about.digit ? "a digit from 0 to 9" : "something"}: it is answered while you draw.</p>`}
        ${answer &&
        html`
          <${Seen} answer=${answer} about=${about} />
          <${Verdict} answer=${answer} />
          <${Bars} answer=${order ? answer : { ...answer, guesses: answer.guesses.slice(0, 8) }} order=${order} />
          <${Why} key=${answer.guesses[0][0]} answer=${answer} about=${about} query=${asked} image=${image} />
        `}
      </div>
    </div>
  `;
}
