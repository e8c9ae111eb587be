// Results: what a training is worth, where it errs, and how it compares.
import { useEffect, useMemo, useState } from "preact/hooks";
import { get } from "../api.js";
import { html } from "../html.js";
import { counted, Estimate, percent, when } from "../numbers.js";
import { address } from "../router.js";
import { attempt, useStore } from "../store.js";
import { answersOf, forgetAnswers } from "../answers.js";
import { classOf } from "../files.js";
import { loadRuns, useRuns } from "../training.js";
import { Comparison } from "../components/comparison.js";
import { Confusion } from "../components/confusion.js";
import { Ladder } from "../components/ladder.js";
import { Pictures } from "../components/pictures.js";
import { Reliability } from "../components/reliability.js";
import { Unknown } from "../components/unknown.js";

export function Results({ query, go }) {
  const runs = useRuns();
  const studio = useStore((state) => state.studio);
  useEffect(() => {
    attempt(loadRuns);
  }, [studio.folder]);
  if (!runs) return html`<p class="starting">Reading the trainings…</p>`;
  if (runs.length === 0) {
    return html`
      <section class="results">
        <h1>Results</h1>
        <p class="empty">There is no training yet. <a href=${address("train")}>Train a classifier</a>, and see here what it is worth.</p>
      </section>
    `;
  }
  const last = runs.find(({ kind }) => kind === "photos") ?? runs[0];
  const run = runs.find(({ id }) => id === query.run) ?? last;
  return html`<${OneRun} key=${run.id} run=${run} runs=${runs} query=${query} go=${go} />`;
}

function OneRun({ run, runs, query, go }) {
  const [found, setFound] = useState(null);
  const split = query.split ?? "";
  const load = () =>
    get("results", { run: run.id, split }).then(setFound, (error) => setFound({ error: error.message }));
  useEffect(() => {
    load();
  }, [run.id, split]);
  const saved = () => {
    forgetAnswers();
    load();
  };
  return html`
    <section class="results">
      <header class="bar">
        <h1>Results</h1>
        <label>
          Training
          ${" "}<select value=${run.id} onChange=${(event) => go({ run: event.target.value })}>
            ${runs.map((one) => html`<option value=${one.id} selected=${one.id === run.id}>${one.name} (${when(one.made)})</option>`)}
          </select>
        </label>
        ${found?.splits &&
        html`
          <label>
            Images
            ${" "}<select value=${found.split} onChange=${(event) => go({ ...query, run: run.id, split: event.target.value })}>
              ${found.splits.map(
                ({ name, count }) => html`<option value=${name} selected=${name === found.split}>${nameOf(name)} (${count.toLocaleString()})</option>`,
              )}
            </select>
          </label>
        `}
      </header>
      ${!found && html`<p class="soft">Reading…</p>`}
      ${found?.error && html`<p class="error" role="alert">${found.error}</p>`}
      ${found?.report && html`<${Scores} found=${found} runs=${runs} query=${query} go=${go} onSaved=${saved} />`}
    </section>
  `;
}

const nameOf = (split) => (split === "val" ? "validation" : split);

function Scores({ found, runs, query, go, onSaved }) {
  const { run, report, split } = found;
  const link = run.kind === "photos" ? (more) => address("gallery", { run: run.id, held: split, ...more }) : () => null;
  return html`
    <${Summary} found=${found} />
    <h2>Confusion matrix</h2>
    <${Confusion} report=${report} link=${link} />
    <h2>Mistakes, the most confident first</h2>
    <${Mistakes} found=${found} link=${link} />
    <h2>Classes</h2>
    <${Classes} found=${found} link=${link} />
    <h2>How far confidence can be trusted</h2>
    <${Reliability} values=${found.reliability} link=${(sure) => link({ sure })} />
    <h2>Unknown</h2>
    ${found.unknown
      ? html`<${Unknown}
          unknown=${found.unknown}
          run=${run.id}
          split=${split}
          link=${run.kind === "photos" ? (far) => link({ far }) : null}
          onSaved=${onSaved}
        />`
      : html`<p class="soft">This classifier answers every image: it calls nothing unknown.</p>`}
    ${found.ladder &&
    html`
      <h2>Methods, on validation images</h2>
      <${Ladder}
        rungs=${found.ladder.rungs}
        waiting=${Object.entries(found.ladder.left_out).map(([name, reason]) => ({ name, words: `left out: ${reason}` }))}
        chosen=${found.ladder.chosen}
      />
      <p>${found.ladder.recommendation}</p>
    `}
    <h2>Comparison</h2>
    <${Comparison}
      run=${run}
      runs=${runs}
      split=${split}
      other=${query.with ?? ""}
      onChoose=${(other) => go({ ...query, run: run.id, split, with: other })}
    />
  `;
}

function Summary({ found }) {
  const { run, report, split } = found;
  const changed = useChangedLabels(run);
  return html`
    <div class="scores">
      <div class="card"><p class="title">Accuracy</p><p><${Estimate} of=${report.accuracy} /></p></div>
      <div class="card"><p class="title">Macro-F1</p><p><${Estimate} of=${report.macro_f1} /></p></div>
      ${report.top5 && html`<div class="card"><p class="title">Right among the first five</p><p><${Estimate} of=${report.top5} /></p></div>`}
      ${report.answered &&
      html`<div class="card">
        <p class="title">Answered, not called unknown</p>
        <p><${Estimate} of=${report.answered.share} /></p>
      </div>
      <div class="card">
        <p class="title">Accuracy among the answered</p>
        <p><${Estimate} of=${report.answered.accuracy} /></p>
      </div>`}
    </div>
    <p class="soft">
      ${run.method} on ${counted(report.count, `${nameOf(split)} image`)}; in brackets 95 % intervals.
      ${split === "val" && run.kind === "photos" && " The method was chosen by these images, so the scores are somewhat too good; the test images are the honest measure."}
      ${report.unknown_classes.length > 0 && ` It has never seen ${report.unknown_classes.join(", ")}, so these are always wrong.`}
    </p>
    ${changed > 0 &&
    html`<p class="soft">
      ${counted(changed, "image")} that it held out ${changed === 1 ? "has" : "have"} another label now; scores are by the
      labels at the training. <a href=${address("train")}>Train again</a> to learn from the labels of now.
    </p>`}
  `;
}

/** Return how many images of a run have another label now than at its training. */
function useChangedLabels(run) {
  const files = useStore((state) => state.files);
  return useMemo(() => {
    const answers = files && run.kind === "photos" ? answersOf(files, run.id) : null;
    if (!answers) return 0;
    const { split, truth, classNames } = answers;
    return split.filter((held, row) => held >= 0 && classOf(files, row) !== classNames[truth[row]]).length;
  }, [files, run.id]);
}

function Mistakes({ found, link }) {
  const { run, report, mistakes, split } = found;
  const wrong = Math.round(report.count * (1 - report.accuracy.value));
  if (mistakes.length === 0) return html`<p>None: all ${counted(report.count, "answer")} are right.</p>`;
  const href = link({ right: "no" });
  return html`
    <p>
      ${counted(wrong, "image is answered", "images are answered")} wrong${mistakes.length < wrong && `, of which ${mistakes.length} are shown`}.
      ${" "}${href && html`<a href=${href}>Show ${wrong === 1 ? "it" : "them"} in the gallery</a>`}
    </p>
    <${Pictures}
      label="Mistakes"
      kind=${run.kind}
      split=${split}
      items=${mistakes.map((one) => ({
        path: one.path,
        words: html`<strong>${one.answer}</strong> ${percent(one.confidence, 0)}${one.known ? "" : ", unknown"}<br />is ${one.truth}`,
      }))}
    />
  `;
}

function Classes({ found, link }) {
  const { report, recall } = found;
  return html`
    <div class="wide" tabindex="0" role="region" aria-label="Scores of each class">
      <table>
        <thead>
          <tr>
            <th scope="col">Class</th>
            <th scope="col">Images</th>
            <th scope="col">Recall (95 % interval)</th>
            <th scope="col">Precision</th>
            <th scope="col">F1</th>
          </tr>
        </thead>
        <tbody>
          ${report.classes.map(({ name, support, precision, f1 }, place) => {
            const href = support > 0 && link({ truth: name });
            return html`
              <tr key=${name}>
                <th scope="row">${href ? html`<a href=${href}>${name}</a>` : name}</th>
                <td class="number">${support.toLocaleString()}</td>
                <td>${recall[place] ? html`<${Estimate} of=${recall[place]} />` : html`<span class="soft">no image</span>`}</td>
                <td class="number">${precision === null ? html`<span class="soft">never answered</span>` : percent(precision)}</td>
                <td class="number">${f1 === null ? "" : percent(f1)}</td>
              </tr>
            `;
          })}
        </tbody>
      </table>
    </div>
  `;
}
