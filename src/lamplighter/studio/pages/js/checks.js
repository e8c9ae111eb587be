// What audit and label clinic found: kept up with the server, and filters of the gallery.
import { get } from "./api.js";
import { addFilter } from "./filters.js";
import { attempt, current, update, watch } from "./store.js";

/**
 * Of the store, `checks` is {audit, suspects, next}: what `/api/audit`, `/api/suspects` and
 * `/api/next` say, or null until they have been asked. All rows in it are of `files.scan`.
 */
const NONE = { audit: null, suspects: null, next: null };
update({ checks: NONE });

async function read(name) {
  const answer = await get(name);
  const { files, checks } = current();
  if (!files || (answer.made && answer.scan !== files.scan)) return; // it is read again with them
  // A new object for the files, too: what the gallery filters by is another one now.
  update({ checks: { ...checks, [name]: answer }, files: { ...files } });
}

export const readAudit = () => attempt(() => read("audit"));
export const readSuspects = () => attempt(() => read("suspects"));
export const readNext = () => attempt(() => read("next"));

const doneId = (state, kind) => (state.jobs[kind]?.state === "done" ? state.jobs[kind].id : 0);
const scanned = (state) => (state.files ? `${state.studio?.folder} ${state.files.scan}` : "");

watch(scanned, (there) => {
  update({ checks: NONE });
  if (there) Promise.all([readAudit(), readSuspects(), readNext()]);
});
watch((state) => doneId(state, "audit"), (id) => id && readAudit());
watch((state) => doneId(state, "suspects"), (id) => id && readSuspects());
watch((state) => doneId(state, "next"), (id) => id && readNext());

// What may be done about a finding depends on what is labeled and set aside.
let waiting = 0;
watch((state) => state.files?.change, () => {
  clearTimeout(waiting);
  if (current().checks.audit?.made) waiting = setTimeout(readAudit, 200);
});

/** Return whether labels or files changed since a check was made. */
export const isStale = (check, files) =>
  check.made_of[0] !== files.scan || check.made_of[1] !== files.change;

/** Return what became of a suspect: "kept", "aside", "changed", or "" where it is still one. */
export function outcome(suspect, files) {
  if (files.aside.has(suspect.row)) return "aside";
  if (files.classNames[files.labels[suspect.row]] !== suspect.label) return "changed";
  return suspect.kept ? "kept" : "";
}

/** Return the rows whose label looks wrong and has not been decided on, as a Set. */
export function openSuspects(files) {
  const { suspects } = current().checks;
  const rows = suspects?.made ? suspects.suspects.filter((one) => !outcome(one, files)) : [];
  return new Set(rows.map(({ row }) => row));
}

// What kinds of findings are called where their own name says too little.
const TITLES = {
  leakage: "Copies in two splits (leakage)",
  "group-leakage": "Groups in two splits (leakage)",
  "conflicting-labels": "Copies with different labels",
  "exact-duplicates": "Exact copies",
  "near-duplicates": "Nearly the same picture",
  imbalance: "Uneven classes",
  grey: "Grey among colors",
  "not-an-image": "No image",
  "needs-package": "HEIC photos",
  "not-read": "Format not supported",
  "set-aside": "Left out",
  framed: "In a frame",
  "low-information": "Next to empty",
  scenes: "Scenes in the names of files",
};

/** Return the words for a kind of finding, such as "Odd sizes". */
export const kindWords = (kind) => TITLES[kind] ?? kind[0].toUpperCase() + kind.slice(1).replaceAll("-", " ");

const known = new WeakMap(); // what the next function returned, by the audit

/** Return a Set of rows for each kind of finding that names files, in the order of the audit. */
function rowsByKind() {
  const { audit } = current().checks;
  const kinds = known.get(audit) ?? new Map();
  if (!audit || kinds.size) return kinds;
  known.set(audit, kinds);
  for (const { kind, rows } of audit?.made ? audit.findings : []) {
    if (rows.length) kinds.set(kind, new Set([...(kinds.get(kind) ?? []), ...rows]));
  }
  return kinds;
}

addFilter({
  key: "finding",
  label: "Audit",
  options: () => [...rowsByKind()].map(([kind, rows]) => [kind, kindWords(kind), rows.size]),
  test: (files, value) => {
    const rows = rowsByKind().get(value) ?? new Set();
    return (row) => rows.has(row);
  },
  words: (value) => `Audit: ${kindWords(value)}`,
});

addFilter({
  key: "suspect",
  label: "Label check",
  options: (files) => {
    const { size } = openSuspects(files);
    return size ? [["yes", "label looks wrong", size]] : [];
  },
  test: (files, value) => {
    const rows = openSuspects(files);
    return (row) => rows.has(row) === (value === "yes");
  },
  words: (value) => (value === "yes" ? "label looks wrong" : "label looks right"),
});
