// What a classifier says of an image: its answer, the probabilities as bars, and why.
import { useEffect, useState } from "preact/hooks";
import { html } from "../html.js";
import { ApiError, send, thumbnailUrl } from "../api.js";
import { classOf } from "../files.js";
import { noteJob, Progress, useJob } from "../jobs.js";
import { address } from "../router.js";
import { useStore } from "../store.js";

const percent = (share) => `${(100 * share).toFixed(1)} %`;

/** The answer in words: "cat", or that the image is like none that was learned from. */
export function Verdict({ answer, live = false }) {
  const [[name, probability]] = answer.guesses;
  return html`
    <p class="verdict" aria-live=${live ? undefined : "polite"}>
      ${answer.known === false
        ? html`<strong class="unknown">${answer.label}</strong>${" "}
            <span class="soft">unlike the training images; nearest to ${name}</span>`
        : html`<strong>${answer.label}</strong>${" "}<span class="soft">${percent(probability)}</span>`}
    </p>
  `;
}

/**
 * Probabilities as bars.
 *
 * @param {object} answer what the server said
 * @param {string[]} [order] classes in the order in which they stand; by default the largest first
 */
export function Bars({ answer, order }) {
  const shares = new Map(answer.guesses);
  const names = order ? order.filter((name) => shares.has(name)) : answer.guesses.map(([name]) => name);
  const [[best]] = answer.guesses;
  return html`
    <ul class="bars" aria-label="Probabilities">
      ${names.map((name) => {
        const share = shares.get(name);
        return html`
          <li key=${name} class=${name === best ? "best" : ""}>
            <span class="bar-name">${name}</span>
            <span class="bar-track" aria-hidden="true"><span style=${`width:${(100 * share).toFixed(2)}%`}></span></span>
            <span class="bar-share">${percent(share)}</span>
          </li>
        `;
      })}
    </ul>
  `;
}

/** What the network sees of an image. */
export function Seen({ answer, about }) {
  const small = Math.max(about.width, about.height) < 96;
  return html`
    <figure class="seen">
      <img class=${small ? "pixels" : ""} src=${answer.seen} alt="What the network sees" />
      <figcaption class="soft">What the network sees: ${about.width} × ${about.height} pixels</figcaption>
    </figure>
  `;
}

/**
 * Why this answer: maps over the image, and the training images that are most like it.
 *
 * @param {object} answer what the server said
 * @param {object} about what the classifier is
 * @param {object} query the classifier that is asked, as the server takes it
 * @param {Blob} image
 */
export function Why({ answer, about, query, image }) {
  const files = useStore((state) => state.files);
  const [target, setTarget] = useState(answer.guesses[0][0]);
  const [map, setMap] = useState({ state: "none" });
  const explain = async (method) => {
    setMap({ state: "asking", method });
    try {
      const made = await send("try/explain", image, { query: { ...query, target, method } });
      setMap({ state: "made", ...made });
    } catch (error) {
      setMap({ state: "failed", error: error.message });
    }
  };
  return html`
    <details class="why">
      <summary>Why this answer?</summary>
      <p class="buttons">
        ${answer.guesses.length > 1 &&
        html`<label>
          Why
          <select value=${target} onChange=${(event) => setTarget(event.target.value)}>
            ${answer.guesses.map(([name]) => html`<option value=${name} selected=${name === target}>${name}</option>`)}
          </select>
        </label>`}
        ${about.methods.map(
          ({ name, title, why_not: whyNot }) => html`
            <button disabled=${Boolean(whyNot) || map.state === "asking"} title=${whyNot} onClick=${() => explain(name)}>
              ${title}
            </button>
          `,
        )}
      </p>
      ${about.methods
        .filter(({ why_not: whyNot }) => whyNot)
        .map(({ title, why_not: whyNot }) => html`<p class="soft">${title} is off: ${whyNot}</p>`)}
      ${map.state === "asking" && html`<p class="soft" aria-live="polite">
        ${map.method === "grad-cam" ? "Following the gradients; the first time, torch takes some seconds to load…" : "Covering one part of the image after another…"}
      </p>`}
      ${map.state === "failed" && html`<p class="error" role="alert">${map.error}</p>`}
      ${map.state === "made" && html`<${HeatMap} map=${map} small=${about.width < 96} />`}
      ${files && files.count > 0 && html`<${Similar} image=${image} query=${query} />`}
    </details>
  `;
}

function HeatMap({ map, small }) {
  const [shown, setShown] = useState(true);
  const told = map.empty
    ? "No part of the image matters for this class."
    : `Orange: ${map.meaning}, most ${map.place}.${
        map.signed ? " Blue: the other way round." : ""
      }`;
  return html`
    <figure class="heat">
      <div class="heat-layers">
        <img class=${small ? "pixels" : ""} src=${map.seen} alt="What the network sees" />
        <img hidden=${!shown} src=${map.overlay} alt=${told} />
      </div>
      <figcaption>
        <p>${told}</p>
        <label><input type="checkbox" checked=${shown} onChange=${(event) => setShown(event.target.checked)} /> Show the colors</label>
      </figcaption>
    </figure>
  `;
}

function Similar({ image, query }) {
  const files = useStore((state) => state.files);
  const job = useJob("similar");
  const [found, setFound] = useState({ state: "none" });
  const ask = async () => {
    setFound({ state: "asking" });
    try {
      const answer = await send("try/similar", image, { query });
      if (answer.job) noteJob(answer.job);
      setFound(answer.job ? { state: "waiting", job: answer.job.id } : { state: "made", ...answer });
    } catch (error) {
      setFound({ state: "failed", error: error instanceof ApiError ? error.message : String(error) });
    }
  };
  useEffect(() => {
    if (found.state === "waiting" && job?.id === found.job && job.state === "done") ask();
  }, [found, job]);
  const rowOf = (path) => files.paths.indexOf(path);
  return html`
    <div class="similar">
      <p><button disabled=${found.state === "asking"} onClick=${ask}>Most similar training images</button></p>
      ${found.state === "waiting" && html`<${Progress} kind="similar" />`}
      ${found.state === "failed" && html`<p class="error" role="alert">${found.error}</p>`}
      ${found.state === "made" &&
      (found.images.length
        ? html`<ul class="thumbs">
            ${found.images.map(({ path, similarity }) => {
              const row = rowOf(path);
              return html`<li key=${path}>
                <a href=${address("gallery", { text: path })} title=${path}>
                  <img src=${thumbnailUrl(path, files.scan)} alt="" width="96" height="96" />
                  <span>${row < 0 ? "" : classOf(files, row) || "no label"}</span>
                </a>
                <span class="soft">${percent(Math.max(0, similarity))} alike</span>
              </li>`;
            })}
          </ul>`
        : html`<p class="soft">No image of this folder is one to train with.</p>`)}
    </div>
  `;
}
