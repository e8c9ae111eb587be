// What the gallery shows, and in which order: settings of its address.
import { get } from "./api.js";
import { splitOf } from "./files.js";
import { attempt, current, update } from "./store.js";

/**
 * A filter is {key, label, options, test}:
 * `options(files, query)` gives [[value, words, how many]...], for a list to choose from; a filter
 * without options is set by links alone. `test(files, value, query)` gives a function that tells of
 * a row whether it stays. `words(value, query)` says what is shown, for filters without options.
 */
const filters = [];

/** Add a filter; modules of views do so when they are loaded. */
export function addFilter(filter) {
  filters.push(filter);
}

export const allFilters = () => filters;

/** Have the gallery filter anew, where what a filter goes by is known only now. */
export const filtersChanged = () => update({ filterChange: (current().filterChange ?? 0) + 1 });

/** Return the rows that pass all filters that are set, in their order, as an Int32Array. */
export function filtered(files, query) {
  const tests = filters
    .filter(({ key }) => query[key] != null && query[key] !== "")
    .map(({ key, test }) => test(files, query[key], query));
  const rows = new Int32Array(files.count);
  let count = 0;
  for (let row = 0; row < files.count; row++) {
    if (tests.every((passes) => passes(row))) rows[count++] = row;
  }
  return rows.subarray(0, count);
}

/** An order is {key, label, sort}: `sort(files, rows)` returns rows in that order. */
const orders = [];

/** Add an order; modules of views do so when they are loaded. */
export function addOrder(order) {
  orders.push(order);
}

export const allOrders = () => orders;

/** Return rows in the order that is set; by default that of their folders. */
export function ordered(files, rows, query) {
  const order = orders.find(({ key }) => key === query.order);
  return order ? order.sort(files, rows) : rows;
}

/** Return rows sorted by a number of each; those with the same number stay in their order. */
export function sortedBy(rows, numberOf) {
  const count = rows.length;
  const numbers = Float64Array.from(rows, numberOf);
  if (numbers.every((number) => Number.isInteger(number) && Math.abs(number) < 2 ** 32)) {
    // Number and place as one number: browsers sort those many times faster than with a function.
    const keys = numbers.map((number, place) => number * count + place).sort();
    return Int32Array.from(keys, (key) => rows[((key % count) + count) % count]);
  }
  const places = Uint32Array.from(rows.keys());
  places.sort((a, b) => numbers[a] - numbers[b] || a - b);
  return Int32Array.from(places, (place) => rows[place]);
}

/** Add an order that the server knows; until it has told, rows stay as they are. */
function addServerOrder(key, label) {
  let known = { paths: null, ranks: null };
  const ask = async (paths) => {
    known = { paths, ranks: null };
    const { ranks } = await get("order", { by: key });
    if (ranks.length !== paths.length) return; // another folder by now
    known = { paths, ranks };
    filtersChanged();
  };
  addOrder({
    key,
    label,
    sort: (files, rows) => {
      if (known.paths !== files.paths) attempt(() => ask(files.paths));
      return known.ranks ? sortedBy(rows, (row) => known.ranks[row]) : rows;
    },
  });
}

addServerOrder("name", "file name");
addServerOrder("newest", "newest first");

addOrder({ key: "class", label: "class", sort: (files, rows) => sortedBy(rows, (row) => files.labels[row]) });

addOrder({
  key: "shuffled",
  label: "shuffled",
  // Multiplying by an odd number is one to one: the same order each time, and no order at all.
  sort: (files, rows) => sortedBy(rows, (row) => Math.imul(row + 1, 0x9e3779b1) >>> 0),
});

addOrder({ key: "reversed", label: "folder, reversed", sort: (files, rows) => Int32Array.from(rows).reverse() });

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
    const paths = lowered(files.paths);
    return (row) => paths[row].includes(wanted);
  },
});

const small = new WeakMap();

function lowered(paths) {
  if (!small.has(paths)) small.set(paths, paths.map((path) => path.toLowerCase()));
  return small.get(paths);
}
