// The table of files: columns of equal length, where row i of each is about the same file.
import { get, post } from "./api.js";
import { attempt, current, tell, update } from "./store.js";

/**
 * Read all files from the server.
 *
 * The table in the store is {name, root, scan, change, count, paths, splits, splitNames, labels,
 * classNames, aside, notes, leftOut}: `labels` is an Int32Array of places in `classNames` (-1: no
 * label), `splits` a Uint8Array of places in `splitNames`, `aside` a Map from rows to reasons.
 */
export async function loadFiles() {
  const answer = await get("files");
  const before = current().files;
  update({
    files: {
      name: answer.name,
      root: answer.root,
      count: answer.paths.length,
      paths: answer.paths,
      splits: Uint8Array.from(answer.splits),
      splitNames: answer.split_names,
      notes: answer.notes,
      leftOut: answer.left_out,
      ...labelsOf(answer),
    },
    ...(before?.scan === answer.scan ? {} : sameFiles(before, answer.paths)),
  });
}

/** Return what is selected and focused as rows of another table, by the paths of the files. */
function sameFiles(before, paths) {
  const { selection, focused } = current();
  if (!before || (selection.size === 0 && focused < 0)) return { selection: new Set(), focused: -1 };
  const rows = new Map(paths.map((path, row) => [path, row]));
  const found = [...selection].map((row) => rows.get(before.paths[row]));
  return {
    selection: new Set(found.filter((row) => row !== undefined)),
    focused: rows.get(before.paths[focused]) ?? -1,
  };
}

function labelsOf(answer) {
  return {
    scan: answer.scan,
    change: answer.change,
    classNames: answer.class_names,
    labels: Int32Array.from(answer.labels),
    aside: new Map(Object.entries(answer.aside).map(([row, reason]) => [Number(row), reason])),
  };
}

/** Read the labels anew, if they are others than before. */
export async function refreshLabels({ scan, change }) {
  const { files } = current();
  if (!files || scan !== files.scan) return loadFiles();
  if (change === files.change) return undefined;
  const answer = await get("labels");
  const now = current().files;
  if (now && answer.scan === now.scan) update({ files: { ...now, ...labelsOf(answer) } });
  else await loadFiles();
  return undefined;
}

/** Return the class of a row; "" where it has none. */
export const classOf = (files, row) => files.classNames[files.labels[row]] ?? "";

export const splitOf = (files, row) => files.splitNames[files.splits[row]];

/** Make a step, show what it was, and offer to undo it. Returns what the server answered. */
export function step(path, body) {
  return attempt(async () => {
    const answer = await post(path, body);
    await refreshLabels(answer);
    const made = answer.steps.at(-1);
    if (made) {
      tell(made.sentence, { action: { label: "Undo", do: () => undo(made.id) } });
    }
    return answer;
  });
}

const pathsOf = (rows) => {
  const { paths } = current().files;
  return [...rows].map((row) => paths[row]);
};

/** Give rows a class; null takes their label away. */
export const label = (rows, name) => step("label", { paths: pathsOf(rows), class: name });

export const setAside = (rows, reason) => step("aside", { paths: pathsOf(rows), reason });

export const keep = (rows) => step("keep", { paths: pathsOf(rows) });

/** Undo the last steps; with `last` only if that is still the last one. */
export function undo(last = -1, count = 1) {
  return attempt(async () => {
    const answer = await post("undo", { last, count });
    await refreshLabels(answer);
    const more = count > 1 ? `, and ${count - 1} before it` : "";
    tell(`Undone: ${answer.steps[0].sentence}${more}`, { action: { label: "Redo", do: () => redo(count) } });
    return answer;
  });
}

/** Make steps once more that were undone. */
export function redo(count = 1) {
  return attempt(async () => {
    const answer = await post("redo", { count });
    await refreshLabels(answer);
    const more = count > 1 ? `, and ${count - 1} after it` : "";
    tell(`Done again: ${answer.steps[0].sentence}${more}`);
    return answer;
  });
}
