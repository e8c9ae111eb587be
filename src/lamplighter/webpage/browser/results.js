/** Answers as they are shown: a card for each picture, the last one first. */

import { element, ownName, percent, text } from "./texts.js";

const SHOWN = 5; // classes of which the probability is shown
const MOST_CARDS = 100; // that stay on the page
const ENLARGED = 160; // long side, in pixels, of what a network sees when it is small

/**
 * Put a card for a picture at the top, empty as yet, and return what fills it.
 *
 * @param {string} name of the picture.
 * @param {Blob | null} file of which a small picture is shown.
 */
export function addCard(name, file) {
  const list = document.getElementById("answers");
  const said = element("div", text("reading"), { class: "said" });
  const heading = element("h3", [ownName(name)]);
  const card = element("li", [element("div", [heading, said], { class: "words" })], { class: "answer" });
  if (file) card.prepend(preview(file, name));
  list.prepend(card);
  while (list.children.length > MOST_CARDS) list.lastElementChild.remove();
  return {
    answer: (answer, classNames) => said.replaceWith(describe(answer, classNames)),
    problem: (error) => said.replaceWith(problemOf(error)),
    remove: () => card.remove(),
  };
}

function preview(file, name) {
  const image = element("img", "", { alt: text("picture-of", { name }), class: "preview" });
  const address = URL.createObjectURL(file);
  image.addEventListener("load", () => URL.revokeObjectURL(address));
  image.addEventListener("error", () => {
    URL.revokeObjectURL(address);
    image.remove();
  });
  image.src = address;
  return image;
}

/** Return what is said of a picture. */
export function describe(answer, classNames) {
  return element("div", [verdict(answer, classNames), seenBlock(answer.seen)], { class: "said" });
}

function verdict({ guesses, isKnown }, classNames) {
  const [first] = guesses;
  const parts = [];
  if (isKnown === false) {
    parts.push(element("p", [element("strong", unknownName(classNames))], { class: "first unknown" }));
    parts.push(element("p", text("unlike"), { class: "soft" }));
  } else {
    parts.push(element("p", [element("strong", [ownName(first.name)]), ` ${percent(first.probability)}`], { class: "first" }));
  }
  parts.push(bars(guesses.slice(0, SHOWN), isKnown === false ? "nearest" : "probabilities"));
  return element("div", parts);
}

/** Return the word for what belongs to no class, which no class is called. */
function unknownName(classNames) {
  let name = text("unknown");
  while (classNames.includes(name)) name = `(${name})`;
  return name;
}

function bars(guesses, caption) {
  const rows = guesses.map(({ name, probability }) => {
    const meter = element("span", "", { class: "bar" });
    meter.style.width = `${100 * probability}%`;
    const cells = [
      element("th", [ownName(name)], { scope: "row" }),
      element("td", [element("span", [meter], { class: "track", "aria-hidden": "true" })]),
      element("td", percent(probability), { class: "number" }),
    ];
    return element("tr", cells);
  });
  return element("table", [element("caption", text(caption)), element("tbody", rows)], { class: "bars" });
}

function seenBlock(seen) {
  const { width, height } = seen;
  const times = Math.max(1, Math.floor(ENLARGED / Math.max(width, height)));
  const canvas = element("canvas", "", { role: "img", "aria-label": text("seen-label", { width, height }) });
  canvas.className = times > 1 ? "seen small" : "seen";
  drawSeen(canvas, seen);
  canvas.style.width = `${width * times}px`;
  return element("figure", [canvas, element("figcaption", text("seen", { width, height }))]);
}

function drawSeen(canvas, { width, height, channels, data }) {
  [canvas.width, canvas.height] = [width, height];
  const image = new ImageData(width, height);
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let k = 0; k < 3; k++) {
      image.data[4 * pixel + k] = data[pixel * channels + (channels === 1 ? 0 : k)];
    }
    image.data[4 * pixel + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** Return why a picture cannot be used. */
export function problemOf(error) {
  const known = ["damaged", "empty", "no-digit", "not-an-image", "sheet", "too-large"];
  const kind = known.includes(error.kind) ? `problem-${error.kind}` : "problem-other";
  return element("p", text(kind, { message: String(error.message) }), { class: "said problem", role: "alert" });
}
