// One photo after the other, with a label to accept, to keep or to choose: a key for each decision.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { imageUrl, post } from "../api.js";
import { keysOf, labelKey } from "../components/labels.js";
import { Picture } from "../components/picture.js";
import { Viewer } from "../components/viewer.js";
import { classOf, refreshLabels, splitOf, undo } from "../files.js";
import { attempt, useStore } from "../store.js";

const BEFORE = 3; // photos of the strip before the one in question
const IN_STRIP = 14;
const MOST_BUTTONS = 30; // classes that each have a button
const AHEAD = 3; // photos that are fetched before they are asked for
const OUTCOMES = { kept: "label kept", changed: "relabeled", aside: "set aside" };

// What was decided since the page was opened, so that the last decision can be taken back.
const decisions = [];
// Decisions reach the server in the order in which they were made.
let turn = Promise.resolve();

/** Undo a step if it is still the last one; the photo that comes back says enough. */
async function undone(id) {
  await refreshLabels(await post("undo", { last: id }));
}

/** Send a decision; note how to take it back. */
function decide(row, path, body, back) {
  const sent = turn.then(() =>
    attempt(async () => {
      const answer = await post(path, body);
      if (answer.steps) await refreshLabels(answer);
      const made = answer.steps?.at(-1);
      if (made || back) decisions.push({ row, back: back ?? (() => undone(made.id)) });
      return answer;
    }),
  );
  turn = sent;
  return sent;
}

/**
 * @param {{row: number, label: string, suggestion: string, sure: number|null, reasons: string[],
 *   near: object[], copy: number, state: string}[]} cases photos in the order of the questions;
 *   `state` says what was decided, "" for nothing yet
 * @param {string} name "labels" or "next"
 */
export function Cases({ cases, name, query, go }) {
  const files = useStore((state) => state.files);
  const [sending, setSending] = useState(new Set()); // rows whose decision is under way
  const [shown, setShown] = useState(null);
  const place = useRef(null);
  const decided = ({ row, state }) => Boolean(state) || sending.has(row);
  const wanted = cases.findIndex(({ row }) => files.paths[row] === query.image);
  const at = wanted >= 0 ? wanted : Math.max(0, cases.findIndex((one) => !decided(one)));
  const one = cases[at];
  const left = cases.filter((other) => !decided(other)).length;

  const show = (to) => {
    const target = cases[Math.min(cases.length - 1, Math.max(0, to))];
    go({ ...query, image: files.paths[target.row] });
  };
  /** Go to the next photo that is still to be decided on, or to the last one. */
  const advance = () => {
    const open = (other, number) => number !== at && !decided(other);
    const after = cases.findIndex((other, number) => number > at && open(other, number));
    const next = after >= 0 ? after : cases.findIndex(open);
    if (next >= 0) show(next);
  };
  const send = async (path, body, back) => {
    const { row } = one;
    setSending((before) => new Set(before).add(row));
    advance();
    await decide(row, path, body, back);
    setSending((before) => new Set([...before].filter((other) => other !== row)));
  };
  const paths = [files.paths[one.row]];
  const give = (label) => send("label", { paths, class: label });
  const accept = () => one.suggestion && give(one.suggestion);
  const keep = () => {
    if (name !== "labels") return advance();
    return send("suspects/keep", { paths, label: one.label }, () =>
      post("suspects/keep", { paths, label: null }),
    );
  };
  const aside = () => send("aside", { paths, reason: "set aside in the label check" });
  const takeBack = async () => {
    await turn;
    const last = decisions.pop();
    if (!last) return undo();
    const number = cases.findIndex(({ row }) => row === last.row);
    await attempt(last.back);
    if (number >= 0 && place.current) show(number); // unless the person has gone elsewhere
    return undefined;
  };

  const keys = (event) => {
    if (event.defaultPrevented || event.target.closest("input, textarea, select, dialog")) return;
    if ((event.key === "Enter" || event.key === " ") && event.target.closest("button, a, summary")) return;
    const command = event.ctrlKey || event.metaKey;
    if (command && event.key.toLowerCase() === "z" && !event.shiftKey) takeBack();
    else if (command || event.altKey) return;
    else if (event.key === "Enter") accept();
    else if (event.key === " ") keep();
    else if (event.key === "Delete" || event.key === "Backspace") aside();
    else if (event.key === "ArrowRight" || event.key === "ArrowDown") show(at + 1);
    else if (event.key === "ArrowLeft" || event.key === "ArrowUp") show(at - 1);
    else {
      const label = labelKey(event);
      if (label === undefined) return;
      give(label);
    }
    event.preventDefault();
  };
  const handle = useRef(keys);
  handle.current = keys;
  useEffect(() => {
    const listener = (event) => handle.current(event);
    addEventListener("keydown", listener);
    place.current.focus({ preventScroll: true });
    return () => removeEventListener("keydown", listener);
  }, []);
  useEffect(() => {
    for (const { row } of cases.slice(at + 1, at + 1 + AHEAD)) new Image().src = imageUrl(files.paths[row], files.scan);
  }, [at]);

  // A mouse leaves the focus on what it pressed, where Enter and space would press it again.
  const pressed = (action) => (event) => {
    if (event.detail > 0) place.current.focus({ preventScroll: true });
    action();
  };
  return html`
    <div class="cases" ref=${place} tabindex="-1">
      <p class="soft" aria-live="polite">
        ${left ? `${left.toLocaleString()} of ${cases.length.toLocaleString()} left` : "All are decided."}
      </p>
      <${Case} one=${one} files=${files} name=${name} onShow=${setShown}>
        ${files.classNames.length <= MOST_BUTTONS &&
        html`<${ClassButtons} files=${files} without=${[one.label, one.suggestion]} onGive=${(label) => pressed(() => give(label))} />`}
      <//>
      <div class="decisions" role="toolbar" aria-label="Decide">
        ${one.suggestion &&
        html`<button class="main" onClick=${pressed(accept)}>
          ${name === "labels" ? "Relabel" : "It is"} <strong>${one.suggestion}</strong> <kbd>Enter</kbd>
        </button>`}
        <button onClick=${pressed(keep)}>
          ${name === "labels" ? html`Keep <strong>${one.label}</strong>` : "Skip"} <kbd>Space</kbd>
        </button>
        ${files.classNames.length > MOST_BUTTONS && html`<${ClassList} files=${files} onGive=${give} />`}
        <button onClick=${pressed(aside)}>Set aside <kbd>Del</kbd></button>
        <button onClick=${pressed(takeBack)}>Undo <kbd>Ctrl Z</kbd></button>
        <span class="steps">
          <button onClick=${pressed(() => show(at - 1))} disabled=${at === 0} aria-label="Previous">←</button>
          <button onClick=${pressed(() => show(at + 1))} disabled=${at === cases.length - 1} aria-label="Next">→</button>
        </span>
      </div>
      <${Strip} cases=${cases} at=${at} files=${files} sending=${sending} onShow=${show} />
      ${shown !== null &&
      html`<${Viewer} row=${shown} rows=${[one.row, ...one.near.map(({ row }) => row)]} onChange=${setShown} />`}
    </div>
  `;
}

/** The photo in question and what speaks against its label. */
function Case({ one, files, name, onShow, children }) {
  const { row, label, suggestion, sure, reasons, near, copy, state } = one;
  const others = copy >= 0 && !near.some((other) => other.row === copy) ? [{ row: copy, copy: true }, ...near] : near;
  const tone = (given) => (given === suggestion ? "for" : given === label ? "against" : "");
  return html`
    <div class="case">
      <figure class="question">
        <button class="plain" aria-label="Show it large" onClick=${() => onShow(row)}>
          <img key=${row} src=${imageUrl(files.paths[row], files.scan)} alt=${label || "a photo without a label"} />
        </button>
        <figcaption class="soft path">${files.paths[row]}${splitOf(files, row) && ` · ${splitOf(files, row)}`}</figcaption>
      </figure>
      <div class="evidence">
        <p class="verdict">
          ${name === "labels"
            ? html`Labeled <strong class="given">${label}</strong>, rather${" "}
                <strong class="suggested">${suggestion}</strong>`
            : suggestion
              ? html`Perhaps <strong class="suggested">${suggestion}</strong>${" "}
                  <span class="soft">(${Math.round(100 * sure)} %)</span>`
              : "Which class is it?"}
          ${state && html` <span class="badge">${OUTCOMES[state]}${state === "changed" ? `: ${classOf(files, row) || "no label"}` : ""}</span>`}
        </p>
        <ul>
          ${reasons.map((reason) => html`<li>${reason}</li>`)}
        </ul>
        ${others.length > 0 &&
        html`<h2>The most similar photos</h2>
          <div class="pictures near">
            ${others.map((other) => {
              const given = classOf(files, other.row);
              return html`<${Picture}
                key=${other.row}
                files=${files}
                row=${other.row}
                tone=${tone(given)}
                onClick=${() => onShow(other.row)}
              >
                <span class="words">${given || "no label"}${other.copy && html` <span class="soft">a copy</span>`}</span>
              <//>`;
            })}
          </div>`}
        ${children}
      </div>
    </div>
  `;
}

/** The other classes as buttons, each with its key. */
function ClassButtons({ files, without, onGive }) {
  const letters = new Map([...keysOf(files.classNames)].map(([letter, place]) => [place, letter]));
  return html`<h2>Another class</h2>
    <div class="other-classes">
      ${files.classNames.map((name, place) =>
        without.includes(name)
          ? null
          : html`<button key=${name} class="small" onClick=${onGive(name)}>
              ${name} ${(place < 9 || letters.has(place)) && html`<kbd>${letters.get(place) ?? place + 1}</kbd>`}
            </button>`,
      )}
    </div>`;
}

/** All classes as a list, where there are too many for buttons. */
function ClassList({ files, onGive }) {
  return html`<select
    aria-label="Another class"
    value=""
    onChange=${(event) => {
      const name = event.target.value;
      event.target.value = "";
      event.target.blur();
      if (name) onGive(name);
    }}
  >
    <option value="">Another class…</option>
    ${files.classNames.map((name) => html`<option>${name}</option>`)}
  </select>`;
}

/** The photos before and after the one in question. */
function Strip({ cases, at, files, sending, onShow }) {
  const first = Math.max(0, Math.min(at - BEFORE, cases.length - IN_STRIP));
  const shown = useMemo(() => cases.slice(first, first + IN_STRIP), [cases, first]);
  return html`<ol class="strip" aria-label="Photos before and after">
    ${shown.map((one, number) => {
      const said = one.state || (sending.has(one.row) ? "sending" : "");
      const place = first + number;
      return html`<li key=${one.row} class=${`${place === at ? "now" : ""} ${said ? "decided" : ""}`}>
        <${Picture} files=${files} row=${one.row} onClick=${() => onShow(place)}>
          <span class="words">${said ? (OUTCOMES[said] ?? "…") : html`<span class="hidden">not decided</span> `}</span>
        <//>
      </li>`;
    })}
  </ol>`;
}
