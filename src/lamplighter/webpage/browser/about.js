/** The card: what the classifier was trained on, and how well it did. */

import { element, ownName, percent, text } from "./texts.js";

const FEW = 30; // classes that are listed at once

/**
 * Fill the list `about` of the page.
 *
 * @param {Description} description
 */
export function showCard({ class_names: names, preprocessing, card }) {
  const list = document.getElementById("about");
  const add = (key, ...content) => list.append(element("dt", text(key)), element("dd", content));
  add("card-classes", ...classList(names));
  add("card-network", ownName(card.network));
  add("card-input", inputOf(preprocessing));
  if (card.recipe.length > 0) add("card-training", recipeList(card.recipe));
  if (card.learned) add("card-learned", text("card-images", { count: card.learned }));
  if (card.scores.length > 0) add("card-scores", scoreTable(card.scores));
  else add("card-scores", text("card-no-scores"));
  if (card.calibration) add("card-calibration", interval(card.calibration));
  add("card-unknown", card.coverage ? coverage(card.coverage) : text(card.threshold ? "card-threshold" : "card-no-unknown"));
  add("card-written", text("card-written-by", card.written));
}

/** Return what is shown of the classes; of many the number, and the names on demand. */
function classList(names) {
  const items = names.map((name) => element("li", [ownName(name)]));
  const list = element("ul", items, { class: "classes" });
  if (names.length <= FEW) return [list];
  return [element("details", [element("summary", text("card-class-count", { count: names.length })), list])];
}

/** Return what is done to a picture in words. */
function inputOf({ width, height, channels, fit, find_digit: findsDigit }) {
  const color = text(channels === 1 ? "input-grey" : "input-color");
  return text(`input-${findsDigit ? "digit" : fit}`, { width, height, color });
}

function recipeList(recipe) {
  const rows = recipe.map(([name, value]) => element("li", [ownName(`${name}: ${value}`)]));
  return element("ul", rows, { class: "classes" });
}

/** Return a share with its interval in words. */
function interval({ value, low, high, confidence }) {
  const values = { value: percent(value), low: percent(low), high: percent(high) };
  return text("interval", { ...values, confidence: percent(confidence, 0) });
}

function coverage(estimate) {
  return text("card-coverage", { share: interval(estimate) });
}

function scoreTable(scores) {
  const head = ["card-split", "card-count", "card-accuracy", "card-macro-f1"];
  const rows = scores.map(({ split, data, count, accuracy, macro_f1: f1, before_refit: before }) => {
    const name = before ? text("card-before-refit", { split }) : split;
    const cells = [
      element("th", [ownName(name), element("span", [" ", ownName(data)], { class: "soft" })], { scope: "row" }),
      element("td", text("card-images", { count }), { class: "number" }),
      element("td", accuracy ? interval(accuracy) : ""),
      element("td", f1 ? interval(f1) : ""),
    ];
    return element("tr", cells);
  });
  const header = element("tr", head.map((key) => element("th", text(key), { scope: "col" })));
  const table = element("table", [element("thead", [header]), element("tbody", rows)]);
  return element("div", [table], { class: "wide", tabindex: "0", role: "group", "aria-label": text("card-scores") });
}
