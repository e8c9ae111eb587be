/**
 * Digits in two grey levels: which of them is ink, told by the border; as
 * `lamplighter.images.digits.two_level`.
 *
 * @typedef {{ground: number, ink: number, isSheet: boolean}} Levels grey levels of 0..255; whether what
 *   is inked may as well be a blank sheet.
 */

import {
  area, blobs, components, edge, filled, holdsSquare, isStraight, boxOf, longSide, maskOf, widened,
} from "./connected_components.js";
import { viewOf } from "./foreground.js";
import { quantile, roundHalfEven } from "./numbers.js";
import { holdsWriting } from "./page_detection.js";
import { toGrey } from "./picture.js";

const LEAST_LEVELS = 20; // contrast between the two levels
const EVEN = 0.1; // of the contrast, by which nine tenths of the ground may differ from its level
const FADING = 0.035; // of the long side of the image, over which the strokes of a small one fade out
const MOST_PIECES = 3; // that may enclose others: a digit, its bar, what is about it
const SPECK = 0.12; // long side of what counts for nothing, as a share of the digit's
const TOO_BROAD = 0.33; // side of a square that no stroke holds, as a share of the digit's long side

/** Return how far two levels are apart. */
export function contrast({ ground, ink }) {
  return Math.abs(ink - ground);
}

/** Return how far each pixel departs from the ground, towards the ink. */
export function departureFrom(levels, picture) {
  const { width, height, data } = toGrey(picture);
  const ground = Math.fround(levels.ground);
  const sign = levels.ink > levels.ground ? 1 : -1;
  return { width, height, data: Float32Array.from(data, (value) => Math.fround(value - ground) * sign) };
}

/**
 * Return the view of what departs from the ground of a picture, towards the ink.
 *
 * @throws {ImageProblem} nothing does.
 */
export function viewAt(levels, picture) {
  const departure = departureFrom(levels, picture);
  const near = departure.data.filter((value) => value < contrast(levels) / 2).map(Math.abs);
  return viewOf(departure, near.length > 0 ? quantile(near, 0.3) / 0.385 : 0);
}

/**
 * Return the levels of a picture; null if it is no digit on an even ground.
 *
 * @param {Picture} picture grey or RGB.
 * @returns {Levels | null}
 */
export function findLevels(picture) {
  const grey = toGrey(picture);
  const { data } = grey;
  const [darkest, lightest] = [data.reduce((a, b) => Math.min(a, b)), data.reduce((a, b) => Math.max(a, b))];
  if (lightest - darkest < LEAST_LEVELS || Math.min(grey.width, grey.height) < 3) return null;
  const threshold = otsu(data);
  const ink = inkOf(maskOf(grey, (at) => data[at] > threshold));
  const free = groundOf(grey, ink);
  const levels = {
    ground: quantile(free, 0.5),
    ink: quantile(data.filter((_, at) => ink.data[at]), 0.5),
  };
  const uneven = quantile(Array.from(free, (value) => Math.abs(value - levels.ground)), 0.9);
  if (contrast(levels) < LEAST_LEVELS || uneven > EVEN * contrast(levels)) return null;
  return isDigit(ink) ? { ...levels, isSheet: isSheet(ink) } : null;
}

/** Return the grey levels of the pixels that are ground and nothing else. */
function groundOf(grey, ink) {
  const fading = widened(ink, 1 + roundHalfEven(FADING * Math.max(ink.width, ink.height)));
  const free = grey.data.filter((_, at) => !fading.data[at]);
  if (free.length > 0) return free;
  // In a tight crop strokes fade out over all of it: the tenth that is least like them.
  const beside = grey.data.filter((_, at) => !ink.data[at]).sort();
  const tenth = 1 + Math.floor(beside.length / 10);
  const inkIsDark = grey.data.every((value, at) => !ink.data[at] || value < beside[0]);
  return inkIsDark ? beside.slice(-tenth) : beside.slice(0, tenth);
}

/**
 * Return the level that divides grey values best: what is above it is light.
 *
 * The variance between the two classes is largest (Otsu, 1979, "A threshold selection method from
 * gray-level histograms").
 */
function otsu(values) {
  const counts = new Float64Array(256);
  for (const value of values) counts[value]++;
  const moment = counts.reduce((sum, count, level) => sum + count * level, 0);
  const between = new Float64Array(256);
  let [weight, total] = [0, 0];
  for (let level = 0; level < 256; level++) {
    weight += counts[level];
    total += counts[level] * level;
    const rest = values.length - weight;
    if (weight > 0 && rest > 0) {
      between[level] = (moment * weight - values.length * total) ** 2 / (weight * rest);
    }
  }
  const least = Math.max(...between) * (1 - 1e-9);
  const best = [...between.keys()].filter((level) => between[level] >= least);
  return Math.floor((best[0] + best[best.length - 1]) / 2); // between two that are far apart, the middle
}

/** Return the ink of a picture in two levels: what covers less of the border. */
function inkOf(light) {
  const { width, height, data } = light;
  let covered = 0;
  for (let at = 0; at < data.length; at++) {
    const [row, column] = [Math.floor(at / width), at % width];
    const isBorder = row === 0 || column === 0 || row === height - 1 || column === width - 1;
    if (isBorder) covered += data[at];
  }
  const share = covered / (2 * width + 2 * (height - 2));
  return share > 0.5 ? maskOf(light, (at) => !data[at]) : light;
}

/** Return whether ink is one digit: nothing about it or in it, no sheet written on. */
function isDigit(ink) {
  const labels = components(ink);
  const pieces = blobs(labels, ink.data).sort((a, b) => b.ink - a.ink);
  const main = pieces[0];
  const others = pieces.filter(({ box }) => longSide(box) >= SPECK * longSide(main.box));
  const border = edge(maskOf(ink, () => true));
  const isAtBorder = ({ label }) => labels.data.some((one, at) => border.data[at] && one === label);
  if (others.length > 1 && others.some(isAtBorder)) return false;
  for (const piece of others.slice(0, MOST_PIECES)) {
    const inside = filled(maskOf(ink, (at) => labels.data[at] === piece.label));
    const enclosed = new Set(labels.data.filter((_, at) => inside.data[at]));
    const least = SPECK * longSide(piece.box);
    const isIn = ({ label, box }) => label !== piece.label && enclosed.has(label) && longSide(box) >= least;
    if (pieces.some(isIn)) return false;
  }
  // Of a sheet that reaches all borders nothing would be seen of the desk about it.
  const { left, top, right, bottom } = main.box;
  if (left === 0 && top === 0 && right === ink.width && bottom === ink.height) return true;
  const inside = filled(maskOf(ink, (at) => labels.data[at] === main.label));
  const holes = maskOf(ink, (at) => inside.data[at] && !ink.data[at]);
  return !isStraight(inside) || !holdsWriting(inside, holes);
}

/** Return whether ink is straight, broad and without holes. */
function isSheet(ink) {
  const side = roundHalfEven(TOO_BROAD * longSide(boxOf(ink)));
  return holdsSquare(ink, side) && isStraight(ink) && area(filled(ink)) === area(ink);
}
