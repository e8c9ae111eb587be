// The audit: each finding with its pictures, and what may be done about it as buttons.
import { useState } from "preact/hooks";
import { html } from "../html.js";
import { isStale, kindWords } from "../checks.js";
import { Picture } from "../components/picture.js";
import { Viewer } from "../components/viewer.js";
import { classOf, keep, label, setAside, splitOf, step } from "../files.js";
import { Progress, isBusy, start, useJob } from "../jobs.js";
import { address } from "../router.js";
import { useStore } from "../store.js";
import { galleryKeys } from "../views/gallery.js";

const FIRST = { pictures: 12, groups: 6 }; // that a finding shows at first
const SEVERITIES = { error: "Cannot be used", warning: "Look at this", note: "Good to know" };

export function Audit() {
  const files = useStore((state) => state.files);
  const audit = useStore((state) => state.checks.audit);
  const job = useJob("audit");
  const [shown, setShown] = useState(null); // {row, rows} in the viewer
  const look = () => start("audit");
  if (!audit) return html`<p class="starting">Reading…</p>`;
  const made = audit.made;
  return html`
    <p class="lead">
      ${made
        ? audit.headline
        : `The audit reads every photo and finds what spoils training or scores: damaged files, copies, 
          test photos that are also in training, blurred and dark ones, uneven classes. Nothing is changed.`}
    </p>
    <p>
      <button class=${made ? "" : "main"} disabled=${isBusy(job)} onClick=${look}>
        ${made ? "Audit again" : `Audit ${files.count.toLocaleString()} photos`}
      </button>
      ${made && isStale(audit, files) && html`<span class="stale">Labels or files changed since this audit.</span>`}
    </p>
    <${Progress} kind="audit" />
    ${made && audit.findings.length === 0 && html`<p class="empty">Nothing was found. The photos are ready for training.</p>`}
    ${made &&
    audit.findings.map(
      (finding, place) =>
        html`<${Finding}
          key=${`${finding.kind} ${place}`}
          finding=${finding}
          files=${files}
          onShow=${(row, rows) => setShown({ row, rows })}
        />`,
    )}
    ${shown &&
    html`<${Viewer}
      row=${shown.row}
      rows=${shown.rows}
      onChange=${(row) => setShown(row === null ? null : { ...shown, row })}
      onKey=${(event) => galleryKeys(event, [shown.row])}
      about=${() => html`<p class="soft">Delete sets it aside, the key of a class labels it, Ctrl Z undoes.</p>`}
    />`}
  `;
}

function Finding({ finding, files, onShow }) {
  const { kind, severity, sentence, rows, groups, others, classes, remedies } = finding;
  const whole = remedies.filter(({ group }) => group === null);
  const left = rows.filter((row) => !files.aside.has(row));
  const title = `finding-${kind}-${rows[0] ?? "all"}`;
  const unnamed = rows.length === 0 ? others : [];
  return html`
    <article class=${`finding card is-${severity}`} aria-labelledby=${title}>
      <h2 id=${title}>${kindWords(kind)} <span class="badge">${SEVERITIES[severity]}</span></h2>
      <p>${sentence}</p>
      <p class="remedies">
        ${whole.map((remedy) => html`<${RemedyButton} remedy=${remedy} files=${files} />`)}
        ${kind === "unlabelled" && html`<a class="button" href=${address("check", { tab: "next" })}>Label them</a>`}
        ${rows.length > 0 &&
        html`<a class="button" href=${address("gallery", { finding: kind })}>
          Show ${rows.length === 1 ? "it" : `all ${rows.length.toLocaleString()}`} in the gallery
        </a>`}
        ${classes
          .slice(0, 8)
          .filter((name) => files.classNames.includes(name))
          .map((name) => html`<a class="button" href=${address("gallery", { class: name })}>Show ${name}</a>`)}
        ${rows.length > 0 && left.length === 0 && html`<span class="done">All of them are set aside.</span>`}
      </p>
      ${groups.length
        ? html`<${Groups} finding=${finding} files=${files} onShow=${onShow} />`
        : html`<${Pictures} finding=${finding} files=${files} onShow=${onShow} />`}
      ${unnamed.length > 0 &&
      html`<details>
        <summary>${unnamed.length === 1 ? "The file" : `The ${unnamed.length.toLocaleString()} files`}</summary>
        <ul>
          ${unnamed.slice(0, 100).map(([path, why]) => html`<li><span class="path">${path}</span>: ${why}</li>`)}
        </ul>
      </details>`}
    </article>
  `;
}

/** A button that does all of a remedy in one step, which can be undone. */
function RemedyButton({ remedy, files }) {
  const { action, words, reason, names } = remedy;
  // It has been done in part, or undone: what is on the button comes anew from the server.
  const rows = action === "set-aside" ? remedy.rows.filter((row) => !files.aside.has(row)) : remedy.rows;
  const apply = () => {
    if (action === "set-aside") return setAside(rows, reason);
    if (action === "label") return label(rows, remedy.class);
    return step("classes", { do: "merge", names, into: remedy.class });
  };
  return html`<button disabled=${action !== "merge" && rows.length === 0} onClick=${apply}>${words}</button>`;
}

/** Pictures of a finding that has no groups; those that cannot be read are named. */
function Pictures({ finding, files, onShow }) {
  const { rows, scores, others } = finding;
  const [most, setMost] = useState(FIRST.pictures);
  const reasons = new Map(others);
  if (finding.severity === "error") {
    return html`<ul class="bad-files">
        ${rows.slice(0, most).map(
          (row) => html`<li>
            <span class="path">${files.paths[row]}</span>: ${reasons.get(files.paths[row])}
            <${AsideButton} row=${row} files=${files} />
          </li>`,
        )}
      </ul>
      <${More} left=${rows.length - most} onMore=${() => setMost(most + 100)} />`;
  }
  return html`<div class="pictures">
      ${rows.slice(0, most).map(
        (row) => html`<${Picture} key=${row} files=${files} row=${row} onClick=${() => onShow(row, rows)}>
          <span class="words">
            ${classOf(files, row) || "no label"}${row in scores && html` <span class="soft">${Math.round(100 * scores[row])} %</span>`}
          </span>
          <${AsideButton} row=${row} files=${files} />
        <//>`,
      )}
    </div>
    <${More} left=${rows.length - most} onMore=${() => setMost(most + 60)} />`;
}

/** Groups of pictures that belong together, such as copies. */
function Groups({ finding, files, onShow }) {
  const { groups, remedies } = finding;
  const [most, setMost] = useState(FIRST.groups);
  return html`<ol class="groups">
      ${groups.slice(0, most).map((rows, number) => {
        const own = remedies.filter(({ group }) => group === number);
        return html`<li key=${number}>
          <div class="pictures">
            ${rows.slice(0, FIRST.pictures).map(
              (row) => html`<${Picture} key=${row} files=${files} row=${row} onClick=${() => onShow(row, rows)}>
                <span class="words">
                  ${classOf(files, row) || "no label"}
                  ${splitOf(files, row) && html` <span class="soft">${splitOf(files, row)}</span>`}
                </span>
                <${AsideButton} row=${row} files=${files} />
              <//>`,
            )}
            ${rows.length > FIRST.pictures && html`<p class="soft">and ${rows.length - FIRST.pictures} more</p>`}
          </div>
          ${own.length > 0 &&
          html`<p class="remedies">
            ${own.map((remedy) => html`<${RemedyButton} remedy=${remedy} files=${files} />`)}
          </p>`}
        </li>`;
      })}
    </ol>
    <${More} left=${groups.length - most} what="groups" onMore=${() => setMost(most + 30)} />`;
}

function AsideButton({ row, files }) {
  const aside = files.aside.has(row);
  return html`<button
    class="small"
    aria-label=${`${aside ? "Take back" : "Set aside"} ${files.paths[row]}`}
    onClick=${() => (aside ? keep([row]) : setAside([row], "set aside in the audit"))}
  >
    ${aside ? "Take back" : "Set aside"}
  </button>`;
}

function More({ left, what = "", onMore }) {
  if (left <= 0) return null;
  return html`<p><button onClick=${onMore}>Show more (${left.toLocaleString()} ${what} left)</button></p>`;
}
