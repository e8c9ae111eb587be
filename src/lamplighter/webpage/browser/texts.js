/** The words of the page, all from one table, so that a translation changes that alone. */

import { table } from "./embedded.js";

let texts = {};

/** Take the table, and put its words in the places that ask for them by `data-text`. */
export function showTexts() {
  texts = table("texts");
  document.documentElement.lang = texts.lang;
  document.documentElement.dir = texts.dir;
  for (const element of document.querySelectorAll("[data-text]")) {
    element.textContent = text(element.dataset.text);
  }
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", text(element.dataset.label));
  }
}

/**
 * Return the words for a key, with what stands in {braces} put in; numbers as the language writes them.
 *
 * @param {string} key
 * @param {Record<string, string | number>} values
 */
export function text(key, values = {}) {
  const words = texts[key] ?? key;
  return words.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name] ?? `{${name}}`;
    return typeof value === "number" ? value.toLocaleString(texts.lang) : value;
  });
}

/** Return a share, 0..1, in per cent. */
export function percent(share, digits = 1) {
  const settings = { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits };
  return new Intl.NumberFormat(texts.lang, settings).format(share);
}

/** Return a new element that holds text, and has the attributes given. */
export function element(name, content = "", attributes = {}) {
  const made = document.createElement(name);
  if (typeof content === "string") made.textContent = content;
  else made.append(...content);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** Return a name, of a class or a file, that keeps its own direction of writing. */
export function ownName(name) {
  return element("bdi", name);
}
