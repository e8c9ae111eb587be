// What the gallery shows: each filter is a setting of its address, and a test of rows.
import { splitOf } from "./files.js";

/**
 * A filter is {key, label, options, test}:
 * `options(files)` gives [[value, words, how many]...], for a list to choose from; a filter without
 * options is set by links alone. `test(files, value)` gives a function that tells of a row whether
 * it stays. `words(value)` says what is shown, for filters without options.
 */
const filters = [];

/** Add a filter; modules of views do so when they are loaded. */
export function addFilter(filter) {
  filters.push(filter);
}

export const allFilters = () => filters;

/** Return the rows that pass all filters that are set, in their order, as an Int32Array. */
export function filtered(files, query) {
  const tests = filters
    .filter(({ key }) => query[key] != null && query[key] !== "")
    .map(({ key, test }) => test(files, query[key]));
  const rows = new Int32Array(files.count);
  let count = 0;
  for (let row = 0; row < files.count; row++) {
    if (tests.every((passes) => passes(row))) rows[count++] = row;
  }
  return rows.subarray(0, count);
}

export const NO_CLASS = "(none)";

function counted(files, of, names) {
  const counts = new Map(names.map((name) => [name, 0]));
  for (let row = 0; row < files.count; row++) {
    const name = of(row);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

addFilter({
  key: "class",
  label: "Class",
  options: (files) => {
    const nameOf = (row) => files.classNames[files.labels[row]] ?? NO_CLASS;
    const counts = counted(files, nameOf, files.classNames);
    return [...counts].map(([name, count]) => [name, name === NO_CLASS ? "no label" : name, count]);
  },
  test: (files, value) => {
    const wanted = value === NO_CLASS ? -1 : files.classNames.indexOf(value);
    if (wanted < 0 && value !== NO_CLASS) return () => false;
    return (row) => files.labels[row] === wanted;
  },
});

addFilter({
  key: "split",
  label: "Split",
  options: (files) =>
    files.splitNames.length < 2
      ? []
      : [...counted(files, (row) => splitOf(files, row), files.splitNames)].map(([name, count]) => [
          name || "-",
          name || "no split",
          count,
        ]),
  test: (files, value) => {
    const wanted = files.splitNames.indexOf(value === "-" ? "" : value);
    return (row) => files.splits[row] === wanted;
  },
});

addFilter({
  key: "aside",
  label: "Set aside",
  options: (files) =>
    files.aside.size
      ? [
          ["no", "in use", files.count - files.aside.size],
          ["yes", "set aside", files.aside.size],
        ]
      : [],
  test: (files, value) => (row) => files.aside.has(row) === (value === "yes"),
});

addFilter({
  key: "text",
  label: "Name",
  test: (files, value) => {
    const wanted = value.toLowerCase();
    return (row) => files.paths[row].toLowerCase().includes(wanted);
  },
});
