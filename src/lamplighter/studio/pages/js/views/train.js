// Train: choose methods and time, see how it goes, and stop it at any time.
import { useEffect, useMemo, useState } from "preact/hooks";
import { get, post } from "../api.js";
import { html } from "../html.js";
import { isBusy, start, useJob } from "../jobs.js";
import { address } from "../router.js";
import { attempt, useStore } from "../store.js";
import { counted } from "../numbers.js";
import { loadTraining, useTraining } from "../training.js";
import { Live } from "../components/live.js";
import { Runs } from "../components/runs.js";

const KIND = "training";
const PRECISIONS = {
  fp32: "exact (fp32)",
  int8: "8-bit integers (int8): faster answers",
  auto: "int8 if it is faster here and as good",
};

export function Train({ query, go }) {
  const studio = useStore((state) => state.studio);
  const job = useJob(KIND);
  const training = useTraining();
  const [choices, setChoices] = useState(null);
  useEffect(() => {
    attempt(async () => setChoices(await get("training/choices")));
    attempt(loadTraining);
  }, []);
  const what = query.what ?? (studio.folder ? "photos" : "digits");
  const busy = isBusy(job);
  return html`
    <section class="train">
      <h1>Train</h1>
      ${training && html`<${Live} training=${training} job=${job} />`}
      ${!busy &&
      choices &&
      html`
        <div class="tabs" role="tablist" aria-label="What to train on">
          ${["photos", "digits"].map(
            (name) => html`
              <button
                role="tab"
                id=${`tab-${name}`}
                aria-controls="train-form"
                aria-selected=${what === name}
                onClick=${() => go({ ...query, what: name })}
              >
                ${name === "photos" ? "Your photos" : "Handwritten digits"}
              </button>
            `,
          )}
        </div>
        <div id="train-form" role="tabpanel" aria-labelledby=${`tab-${what}`}>
          ${what === "digits"
            ? html`<${DigitsForm} choices=${choices} />`
            : studio.folder
              ? html`<${PhotosForm} choices=${choices} />`
              : html`<p>No photos are open. <a href=${address("open")}>Open some</a>, or train on digits.</p>`}
        </div>
      `}
      <h2>Trainings so far</h2>
      <${Runs} />
    </section>
  `;
}

async function begin(path, body) {
  if (await start(path, body)) await attempt(loadTraining);
}

function PhotosForm({ choices }) {
  const [methods, setMethods] = useState(() => choices.methods.filter(({ here }) => here).map(({ name }) => name));
  const [backbone, setBackbone] = useState(choices.backbones[0].name);
  const [minutes, setMinutes] = useState(10);
  const [precision, setPrecision] = useState("fp32");
  const [name, setName] = useState("");
  const toggle = (method) =>
    setMethods(methods.includes(method) ? methods.filter((one) => one !== method) : [...methods, method]);
  const submit = (event) => {
    event.preventDefault();
    begin("training/start", { methods, backbone, minutes: Number(minutes), precision, name });
  };
  const missing = choices.methods.filter(({ here }) => !here);
  return html`
    <form class="card" onSubmit=${submit}>
      <${Material} />
      <fieldset>
        <legend>Methods, from fast to slow; the best one on validation images is kept</legend>
        ${choices.methods.map(
          (method) => html`
            <label class=${`choice${method.here ? "" : " missing"}`}>
              <input
                type="checkbox"
                checked=${method.here && methods.includes(method.name)}
                disabled=${!method.here}
                onChange=${() => toggle(method.name)}
              />
              <span><strong>${method.name}</strong> ${method.summary}</span>
            </label>
          `,
        )}
      </fieldset>
      ${missing.length > 0 && html`<${NeedsTorch} what=${missing.map((method) => method.name).join(", ")} choices=${choices} />`}
      <div class="fields">
        <label>
          Minutes at most
          <input type="number" min="0.1" max="1440" step="any" required value=${minutes}
            onInput=${(event) => setMinutes(event.target.value)} />
        </label>
        <label>
          Network that sees the images
          <select value=${backbone} onChange=${(event) => setBackbone(event.target.value)}>
            ${choices.backbones.map(({ name: value, summary }) => html`<option value=${value}>${summary}</option>`)}
          </select>
        </label>
        <label>
          Precision
          <select value=${precision} onChange=${(event) => setPrecision(event.target.value)}>
            ${choices.precisions.map((value) => html`<option value=${value}>${PRECISIONS[value]}</option>`)}
          </select>
        </label>
        <label>
          Name (optional)
          <input value=${name} maxlength="100" onInput=${(event) => setName(event.target.value)} />
        </label>
      </div>
      <p><button class="main" disabled=${methods.length === 0}>Train</button></p>
      ${methods.length === 0 && html`<p class="soft">Choose one method or more.</p>`}
    </form>
  `;
}

/** What would be learned from, as the labels hold now. */
function Material() {
  const files = useStore((state) => state.files);
  const found = useMemo(() => materialOf(files), [files]);
  if (!found) return null;
  const out = [
    found.unlabelled && `${counted(found.unlabelled, "image")} without a label`,
    found.aside && `${found.aside.toLocaleString()} set aside`,
  ].filter(Boolean);
  return html`
    <p>
      <strong>${counted(found.images, "image")} in ${counted(found.classes, "class", "classes")}</strong>
      , with the labels that hold now${out.length > 0 && `; left out: ${out.join(", ")}`}.
      ${found.classes < 2 &&
      html`<span class="error"> Two classes or more are needed: <a href=${address("gallery")}>label some images</a>.</span>`}
    </p>
  `;
}

function materialOf(files) {
  if (!files) return null;
  const classes = new Set();
  const found = { images: 0, unlabelled: 0, aside: files.aside.size };
  for (let row = 0; row < files.count; row++) {
    if (files.aside.has(row)) continue;
    if (files.labels[row] < 0) found.unlabelled++;
    else {
      found.images++;
      classes.add(files.labels[row]);
    }
  }
  return { ...found, classes: classes.size };
}

function DigitsForm({ choices }) {
  const [recipe, setRecipe] = useState(choices.recipes[0].name);
  const [epochs, setEpochs] = useState(choices.recipes[0].epochs);
  const choose = (name) => {
    setRecipe(name);
    setEpochs(choices.recipes.find((one) => one.name === name).epochs);
  };
  const submit = (event) => {
    event.preventDefault();
    begin("training/digits", { recipe, epochs: Number(epochs) });
  };
  return html`
    <form class="card" onSubmit=${submit}>
      <p>
        A convolutional network learns from scratch to read handwritten digits: the 70,000 of MNIST, which come with
        Lamplighter. 55,000 are learned from, 5,000 show how it goes, 10,000 test it.
      </p>
      ${!choices.torch && html`<${NeedsTorch} what="Training on digits" choices=${choices} />`}
      <fieldset disabled=${!choices.torch}>
        <legend>Recipe</legend>
        ${choices.recipes.map(
          (one) => html`
            <label class=${`choice${choices.torch ? "" : " missing"}`}>
              <input type="radio" name="recipe" checked=${recipe === one.name} onChange=${() => choose(one.name)} />
              <span><strong>${one.name}</strong> ${one.summary}</span>
            </label>
          `,
        )}
        <div class="fields">
          <label>
            Epochs: how often each image is seen
            <input type="number" min="1" max="200" step="1" required value=${epochs}
              onInput=${(event) => setEpochs(event.target.value)} />
          </label>
        </div>
        <p><button class="main">Train</button></p>
      </fieldset>
    </form>
  `;
}

/** What is greyed out, and how to get it. */
function NeedsTorch({ what, choices }) {
  return html`
    <p class="needs">
      ${what} need${what.includes(",") ? "" : "s"} torch, which is not installed: <code>${choices.install}</code>, then
      start the studio again.
    </p>
  `;
}
