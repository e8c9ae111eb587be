// Take away: the classifier, its graph, its report, and the labels, as files.
import { useEffect, useState } from "preact/hooks";
import { html } from "../html.js";
import { get, post } from "../api.js";
import { Copied } from "../components/copied.js";
import { isBusy, Progress, start, useJob } from "../jobs.js";
import { address } from "../router.js";
import { attempt, tell, useStore } from "../store.js";

const WORDS = {
  bundle: {
    title: "The classifier",
    text: "One .lamp file with the network, its preprocessing and its class names. Lamplighter answers with it anywhere, without the photos.",
  },
  onnx: {
    title: "The network as ONNX",
    text: "For other software, such as ONNX Runtime. Class names and preprocessing are not in it.",
  },
  report: {
    title: "The report",
    text: "One HTML page that needs nothing else: what was learned from, how often it is right with intervals, what it takes for what, and its worst mistakes.",
  },
  labels: {
    title: "The labels",
    text: "A CSV file with path, label, split and group of each image, as they are now. Images that are set aside are left out.",
  },
};

export function TakeAway({ query, go }) {
  const [offers, setOffers] = useState(null);
  const studio = useStore((state) => state.studio);
  const job = useJob("report");
  const run = query.run ?? "";
  useEffect(() => {
    attempt(async () => setOffers(await get("take-away/offers", { run })));
  }, [run, job?.state, studio.folder]);
  if (!offers) return html`<section class="take-away"><h1>Take away</h1><p class="soft">Looking…</p></section>`;
  const when = ({ made }) => (made ? `, ${new Date(1000 * made).toLocaleString()}` : "");
  return html`
    <section class="take-away">
      <header class="bar">
        <h1>Take away</h1>
        ${offers.runs.length > 0 &&
        html`<label>
          Training
          <select value=${offers.run} onChange=${(event) => go({ ...query, run: event.target.value })}>
            ${offers.runs.map((one) => html`<option value=${one.run} selected=${one.run === offers.run}>${one.name}${when(one)}</option>`)}
          </select>
        </label>`}
      </header>
      ${offers.runs.length === 0 &&
      html`<p class="empty-note">
        There is no classifier yet: <a href=${address("train")}>train one</a>, and it can be taken from
        here.${studio.folder ? " The labels can be taken at any time." : ""}
      </p>`}
      <div class="offers">
        ${offers.offers.map((offer) => html`<${Offer} key=${`${offers.run} ${offer.what}`} offer=${offer} offers=${offers} job=${job} />`)}
      </div>
    </section>
  `;
}

function Offer({ offer, offers, job }) {
  const { title, text } = WORDS[offer.what];
  const run = offers.run ?? "";
  const unmade = offer.what === "report" && !offers.report;
  const busy = unmade && isBusy(job);
  return html`
    <article class="card offer" aria-label=${title}>
      <h2>${title}</h2>
      <p>${text}</p>
      ${unmade
        ? html`
            ${offer.why_not && html`<p class="error">${offer.why_not}</p>`}
            <p><button class="main" disabled=${busy || Boolean(offer.why_not)} onClick=${() => start("take-away/report", { run })}>Make the report</button></p>
            <${Progress} kind="report" />
          `
        : html`
            <${Download} what=${offer.what} run=${run} file=${offer.file} />
            <${SaveTo} what=${offer.what} run=${run} file=${offer.file} folder=${offers.folder} />
          `}
      ${offer.terminal &&
      html`<details>
        <summary>In a terminal, or in Python</summary>
        <${Copied} text=${offer.terminal} label=${`the command for: ${title}`} />
        <${Copied} text=${offer.python} label=${`Python for: ${title}`} />
      </details>`}
    </article>
  `;
}

/** A download; what goes wrong with it is told on the page, and not in a file. */
function Download({ what, run, file }) {
  const [busy, setBusy] = useState(false);
  const fetchIt = () =>
    attempt(async () => {
      setBusy(true);
      try {
        const response = await fetch(`/api/take-away/download?${new URLSearchParams({ what, run })}`);
        if (!response.ok) throw new Error((await response.json()).error);
        const source = URL.createObjectURL(await response.blob());
        const link = Object.assign(document.createElement("a"), { href: source, download: file });
        link.click();
        setTimeout(() => URL.revokeObjectURL(source), 60_000);
      } finally {
        setBusy(false);
      }
    });
  return html`<p><button class="main" disabled=${busy} onClick=${fetchIt}>Download ${file}</button></p>`;
}

function SaveTo({ what, run, file, folder }) {
  const [place, setPlace] = useState(folder);
  const [name, setName] = useState(file);
  const [saved, setSaved] = useState({});
  const save = async (event) => {
    event.preventDefault();
    setSaved({ busy: true });
    try {
      const { path } = await post("take-away/save", { what, run, folder: place, name });
      setSaved({ path });
      tell(`Saved ${path}`);
    } catch (error) {
      setSaved({ error: error.message });
    }
  };
  return html`
    <details>
      <summary>Save to a folder…</summary>
      <form class="save-to" onSubmit=${save}>
        <label>Folder <input value=${place} onInput=${(event) => setPlace(event.target.value)} required /></label>
        <label>Name <input value=${name} onInput=${(event) => setName(event.target.value)} required /></label>
        <button disabled=${saved.busy}>Save</button>
      </form>
      ${saved.path && html`<p role="status" class="path">Saved ${saved.path}</p>`}
      ${saved.error && html`<p class="error" role="alert">${saved.error}</p>`}
    </details>
  `;
}
