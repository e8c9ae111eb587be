// What a training answered to the images that it held out, as filters of the gallery.
//
// The settings are `run` (which training), `held` (the split), `truth` (the label at the training),
// `answer`, `right`, `sure` (a range, such as "0.8-0.9"), `unknown`, and `far` (a distance).
import { get } from "./api.js";
import { addFilter } from "./filters.js";
import { percent } from "./numbers.js";
import { attempt, current, update } from "./store.js";

let asked = ""; // the run whose answers are on their way, and for which table of files

/**
 * Return the answers of a run as columns of the table of files, or null until they are there.
 *
 * They are {run, name, classNames, splitNames, split, truth, answer, sure, known, far}: of each row
 * its number in a list of names (-1 where the run has not held it out), or a number (NaN).
 */
export function answersOf(files, run) {
  if (files.answers?.run === run) return files.answers;
  const key = `${run} ${files.scan}`;
  if (asked !== key) {
    asked = key;
    attempt(async () => {
      const answer = await get("results/answers", { run });
      asked = "";
      const now = current().files;
      if (now?.scan === files.scan) update({ files: { ...now, answers: columnsOf(now, run, answer) } });
    });
  }
  return null;
}

function columnsOf(files, run, answer) {
  const row = new Map(files.paths.map((path, place) => [path, place]));
  const names = () => new Int32Array(files.count).fill(-1);
  const numbers = () => new Float32Array(files.count).fill(NaN);
  const columns = { split: names(), truth: names(), answer: names(), known: names(), sure: numbers(), far: numbers() };
  for (const [place, path] of answer.paths.entries()) {
    const at = row.get(path);
    if (at === undefined) continue; // gone since
    columns.split[at] = answer.splits[place];
    columns.truth[at] = answer.truth[place];
    columns.answer[at] = answer.answers[place];
    columns.known[at] = answer.known[place];
    columns.sure[at] = answer.confidence[place];
    columns.far[at] = answer.distances[place] ?? NaN;
  }
  return { run, name: answer.name, splitNames: answer.split_names, classNames: answer.class_names, ...columns };
}

/** Answers of another run than the last are read anew; of the same after its threshold changed. */
export function forgetAnswers() {
  const { files } = current();
  if (files?.answers) update({ files: { ...files, answers: undefined } });
}

/** Add a filter that goes by the answers of the run in the address. */
function addAnswerFilter({ key, label, options, test, words }) {
  const answers = (files, query) => (query.run ? answersOf(files, query.run) : null);
  addFilter({
    key,
    label,
    words,
    options: (files, query) => {
      const found = answers(files, query);
      return found && options ? options(found) : [];
    },
    test: (files, value, query) => {
      const found = answers(files, query);
      return found ? test(found, value) : () => false;
    },
  });
}

/** Count the rows that were held out by what `of` gives for each; in the order of `values`. */
function choices(answers, of, values) {
  const counts = new Map(values.map(([value]) => [value, 0]));
  for (let row = 0; row < answers.split.length; row++) {
    if (answers.split[row] < 0) continue;
    const value = of(row);
    if (counts.has(value)) counts.set(value, counts.get(value) + 1);
  }
  return values.map(([value, words]) => [value, words, counts.get(value)]);
}

const named = (names, opening) => names.map((name) => [name, opening + name]);
const isRight = (answers, row) => answers.truth[row] === answers.answer[row];

addFilter({
  key: "run",
  label: "Training",
  words: (value, query) => `Held out in ${current().files?.answers?.name ?? query.run}`,
  test: (files, value) => {
    const answers = answersOf(files, value);
    return answers ? (row) => answers.split[row] >= 0 : () => false;
  },
});

addAnswerFilter({
  key: "held",
  label: "Held out as",
  options: (answers) =>
    choices(answers, (row) => answers.splitNames[answers.split[row]], named(answers.splitNames, "held out: ")),
  test: (answers, value) => {
    const wanted = answers.splitNames.indexOf(value);
    return (row) => answers.split[row] === wanted && wanted >= 0;
  },
});

addAnswerFilter({
  key: "right",
  label: "Answer",
  options: (answers) =>
    choices(answers, (row) => (isRight(answers, row) ? "yes" : "no"), [
      ["yes", "right"],
      ["no", "wrong"],
    ]),
  test: (answers, value) => (row) => answers.split[row] >= 0 && isRight(answers, row) === (value === "yes"),
});

for (const [key, label, opening] of [
  ["truth", "Label then", "label then: "],
  ["answer", "Answered as", "answered: "],
]) {
  addAnswerFilter({
    key,
    label,
    options: (answers) =>
      choices(answers, (row) => answers.classNames[answers[key][row]], named(answers.classNames, opening)),
    test: (answers, value) => {
      const wanted = answers.classNames.indexOf(value);
      return (row) => wanted >= 0 && answers[key][row] === wanted;
    },
  });
}

const RANGES = ["0-0.5", "0.5-0.8", "0.8-0.95", "0.95-1"];

const ends = (range) => range.split("-").map(Number);

const within = (answers, [low, high]) => (row) =>
  answers.sure[row] >= low && (answers.sure[row] < high || high >= 1);

addAnswerFilter({
  key: "sure",
  label: "Confidence",
  options: (answers) => {
    const rangeOf = (row) => RANGES.find((range) => within(answers, ends(range))(row));
    return choices(answers, rangeOf, RANGES.map((range) => [range, rangeWords(range)]));
  },
  test: (answers, value) => within(answers, ends(value)),
});

function rangeWords(range) {
  const [low, high] = ends(range);
  return `${percent(low, 0)} to ${percent(high, 0)} sure`;
}

addAnswerFilter({
  key: "unknown",
  label: "Called unknown",
  options: (answers) =>
    choices(answers, (row) => (answers.known[row] ? "no" : "yes"), [
      ["yes", "unknown"],
      ["no", "answered"],
    ]),
  test: (answers, value) => (row) => answers.split[row] >= 0 && (answers.known[row] === 0) === (value === "yes"),
});

addAnswerFilter({
  key: "far",
  label: "Farther than",
  words: (value) => `Farther than ${Number(value).toFixed(3)}`,
  test: (answers, value) => (row) => answers.far[row] > Math.fround(Number(value)),
});
