// Some rows that were chosen in one view, to be shown alone in the gallery.
import { addFilter } from "./filters.js";

const KEPT = 20; // of the last ones

/** Keep rows of the table; returns what the gallery's filter "among" calls them. */
export function keepSample(files, rows) {
  const name = String(Date.now());
  const paths = [...rows].map((row) => files.paths[row]);
  const names = JSON.parse(sessionStorage.getItem("samples") ?? "[]");
  for (const old of names.splice(0, Math.max(0, names.length + 1 - KEPT))) sessionStorage.removeItem(`sample ${old}`);
  try {
    sessionStorage.setItem(`sample ${name}`, JSON.stringify(paths));
    sessionStorage.setItem("samples", JSON.stringify([...names, name]));
  } catch {
    // There is no room for it: it is gone when the page is loaded anew.
  }
  memory.set(name, new Set(paths));
  return name;
}

const memory = new Map();

function sample(name) {
  if (!memory.has(name)) memory.set(name, new Set(JSON.parse(sessionStorage.getItem(`sample ${name}`) ?? "[]")));
  return memory.get(name);
}

addFilter({
  key: "among",
  label: "Chosen",
  test: (files, value) => {
    const paths = sample(value);
    return (row) => paths.has(files.paths[row]);
  },
  words: (value) => {
    const { size } = sample(value);
    return size ? `${size.toLocaleString()} chosen on the map` : "chosen on the map earlier";
  },
});
