// The frame of the page: the views and their addresses, and what the server tells as it happens.
import { render } from "preact";
import { useEffect } from "preact/hooks";
import { html } from "./html.js";
import { get } from "./api.js";
import { address, go, useRoute } from "./router.js";
import { attempt, current, tell, update, useStore } from "./store.js";
import { loadFiles, refreshLabels } from "./files.js";
import { noteJob } from "./jobs.js";
import { loadRuns, loadTraining, noteTraining } from "./training.js";
import { readSuspects } from "./checks.js";
import { Messages } from "./components/messages.js";
import { Check } from "./views/check.js";
import { Collect } from "./views/collect.js";
import { Gallery } from "./views/gallery.js";
import { MapView } from "./views/map.js";
import { Open } from "./views/open.js";
import { Results } from "./views/results.js";
import { TakeAway } from "./views/take-away.js";
import { Train } from "./views/train.js";
import { TryIt } from "./views/try.js";

// In the order of the work. `bare` ones need no folder that is open.
const VIEWS = [
  { name: "open", label: "Open", View: Open, bare: true },
  { name: "gallery", label: "Gallery", View: Gallery },
  { name: "check", label: "Check", View: Check },
  { name: "map", label: "Map", View: MapView },
  { name: "train", label: "Train", View: Train, bare: true },
  { name: "results", label: "Results", View: Results, bare: true },
  { name: "try", label: "Try it", View: TryIt, bare: true },
  { name: "collect", label: "Collect", View: Collect, bare: true },
  { name: "take-away", label: "Take away", View: TakeAway, bare: true },
];

function Studio() {
  const { view, query } = useRoute();
  const studio = useStore((state) => state.studio);
  const files = useStore((state) => state.files);
  const connected = useStore((state) => state.connected);
  const chosen = VIEWS.find(({ name }) => name === view) ?? VIEWS.find(({ name }) => name === "gallery");
  useEffect(() => {
    document.title = `${chosen.label} · ${studio?.name ?? "Lamplighter studio"}`;
    // In a narrow window the views are a line that is longer than the window.
    document.querySelector("nav.views [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  }, [chosen, studio]);
  if (!studio) return html`<p class="starting">The studio is starting…</p>`;
  const ready = chosen.bare || (studio.folder && files);
  return html`
    <nav class="views" aria-label="Views">
      <a class="brand" href=${address("gallery")}><img src="/pages/icon.svg" alt="" /> Lamplighter</a>
      ${studio.folder && html`<p class="folder" title=${studio.folder}>${studio.name}</p>`}
      <ul>
        ${VIEWS.map(
          ({ name, label }) => html`
            <li>
              <a href=${address(name)} aria-current=${name === chosen.name ? "page" : undefined}>${label}</a>
            </li>
          `,
        )}
      </ul>
    </nav>
    <main id="main" tabindex="-1">
      ${!connected &&
      html`<p class="banner" role="alert">
        The studio does not answer. If it was ended, start it again in the terminal and open the
        address that it shows; every step is kept.
      </p>`}
      ${ready
        ? html`<${chosen.View}
            query=${query}
            go=${(changed, options = { replace: true }) => go(chosen.name, changed, options)}
          />`
        : studio.folder
          ? html`<p class="starting">Reading the folder…</p>`
          : html`<${Open} />`}
    </main>
    <${Messages} />
  `;
}

/** Listen to the server, and read anew what may have been missed while it did not answer. */
function listen() {
  const source = new EventSource("/api/events");
  const on = (kind, handle) =>
    source.addEventListener(kind, (event) => attempt(() => handle(JSON.parse(event.data))));
  source.addEventListener("open", () => {
    const missed = !current().connected;
    update({ connected: true });
    if (missed) attempt(begin);
  });
  source.addEventListener("error", () => update({ connected: false }));
  on("labels", refreshLabels);
  on("files", loadFiles);
  on("job", noteJob);
  on("training", noteTraining);
  on("runs", () => current().runs && loadRuns());
  on("kept", readSuspects);
  on("trouble", ({ error }) => tell(error, { kind: "error" }));
  on("opened", async (studio) => {
    update({ studio, files: null });
    if (studio.folder) await loadFiles();
    if (current().runs) await loadRuns();
  });
}

async function begin() {
  const studio = await get("state");
  update({ studio, jobs: Object.fromEntries(studio.jobs.map((job) => [job.kind, job])) });
  if (studio.folder) await loadFiles();
  if (current().training !== undefined) await loadTraining();
  if (current().runs) await loadRuns();
}

const place = document.getElementById("studio");
place.textContent = "";
render(html`<${Studio} />`, place);
attempt(begin).then(listen);
