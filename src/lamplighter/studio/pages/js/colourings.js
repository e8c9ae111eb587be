// What the points of the map are coloured by: each colouring gives every row one of some names.
import { openSuspects } from "./checks.js";
import { splitOf } from "./files.js";

/**
 * A colouring is {key, label, of}: `of(files)` gives {names, place}, where `place(row)` is where the
 * name of a row stands in `names`; or null where there is nothing to show.
 */
const colourings = [];

/** Add a colouring; modules of views do so when they are loaded. */
export function addColouring(colouring) {
  colourings.push(colouring);
}

/** Return the colourings that have something to show, [{key, label, names, place}...]. */
export const coloursOf = (files) =>
  colourings.flatMap(({ key, label, of }) => {
    const made = of(files);
    return made ? [{ key, label, ...made }] : [];
  });

addColouring({
  key: "class",
  label: "class",
  of: (files) => ({
    names: [...files.classNames, "no label"],
    place: (row) => (files.labels[row] < 0 ? files.classNames.length : files.labels[row]),
  }),
});

addColouring({
  key: "split",
  label: "split",
  of: (files) =>
    files.splitNames.length < 2
      ? null
      : {
          names: files.splitNames.map((name) => name || "no split"),
          place: (row) => files.splitNames.indexOf(splitOf(files, row)),
        },
});

addColouring({
  key: "suspect",
  label: "label that looks wrong",
  of: (files) => {
    const rows = openSuspects(files);
    return rows.size && { names: ["looks right", "looks wrong"], place: (row) => Number(rows.has(row)) };
  },
});
