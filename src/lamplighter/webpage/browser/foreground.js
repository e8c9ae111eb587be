/**
 * The ink of a digit: what departs from a smooth background, as `lamplighter.images.digits.foreground`.
 *
 * @typedef {{departure: Plane, peak: number, labels: Labels, blobs: Blob[]}} View what departs from the
 *   ground of a part of an image.
 */

import { blobs, components, gap, grown, joined, longSide, maskOf } from "./connected_components.js";
import { clipped, largest, mean, principalDirection, quantile, solve } from "./numbers.js";
import { ImageProblem } from "./problems.js";

export const WEAK = 0.25; // ink, of its peak
export const STRONG = 0.55; // ink that a stroke must have somewhere
const LEAST_CONTRAST = 10; // of ink, in grey levels of 0..255
const ABOVE_NOISE = 4.5; // of ink, in standard deviations of the background
const LINE_SPAN = 0.25; // a ruled line covers all but this share of a row
const NORMAL = 0.385; // the 0.3 quantile of the absolute value of a normal distribution

/** Return the ink of the digit in a view, 0..1, without lines and specks. */
export function findInk({ departure, peak, labels, blobs: patches }) {
  const kept = keptPart(labels, patches);
  const strong = departure.data.filter((value, at) => kept.data[at] && value > STRONG * peak);
  const full = Math.fround(quantile(strong, 0.6));
  const about = grown(kept);
  const data = departure.data.map((value, at) => (about.data[at] ? clipped(value / full, 0, 1) : 0));
  return { width: departure.width, height: departure.height, data };
}

/**
 * Return what departs from the ground of a part of a picture.
 *
 * @param {Picture} picture grey or RGB.
 * @param {Mask} part
 * @throws {ImageProblem} nothing does.
 */
export function look(picture, part) {
  if (!part.data.some(Boolean)) throw new ImageProblem("no-digit");
  const departure = departureOf(picture, part);
  const inside = departure.data.filter((_, at) => part.data[at]).map(Math.abs);
  return viewOf(departure, quantile(inside, 0.3) / NORMAL);
}

/**
 * Return the view of what departs from a ground, towards the ink.
 *
 * @param {Plane} departure in grey levels, negative away from the ink.
 * @param {number} noise standard deviation of the ground, in grey levels.
 * @throws {ImageProblem} nothing departs clearly.
 */
export function viewOf(departure, noise) {
  const least = Math.max(LEAST_CONTRAST, ABOVE_NOISE * noise);
  const candidates = departure.data.filter((value) => value > least);
  if (candidates.length < 3) throw new ImageProblem("no-digit");
  const peak = peakOf(candidates);
  const cleaned = withoutLines(departure, peak);
  const threshold = Math.max(noise < 1 ? least / 2 : least, WEAK * peak);
  const labels = components(maskOf(cleaned, (at) => cleaned.data[at] > threshold));
  const highest = new Float32Array(labels.count + 1).fill(-Infinity);
  labels.data.forEach((label, at) => {
    if (cleaned.data[at] > highest[label]) highest[label] = cleaned.data[at];
  });
  const strokes = blobs(labels, cleaned.data).filter(
    ({ label, box }) => highest[label] > STRONG * peak && longSide(box) >= 3,
  );
  if (strokes.length === 0) throw new ImageProblem("no-digit");
  return { departure: cleaned, peak, labels, blobs: strokes };
}

/** Return how far ink departs, given all that departs: lines and shadows depart less. */
function peakOf(candidates) {
  for (let round = 0; round < 2; round++) {
    const least = Math.min(mean(candidates), largest(candidates));
    candidates = candidates.filter((value) => value >= least);
  }
  return mean(candidates);
}

/**
 * Return how far each pixel departs from the background, towards the ink.
 *
 * Colors are projected on the line along which the ink departs most, so that red on green is found
 * as well as black on white.
 */
function departureOf(picture, part) {
  const { width, height, channels } = picture;
  const ground = background(picture, part);
  const residual = ground.map((value, at) =>
    part.data[Math.floor(at / channels)] ? Math.fround(picture.data[at] - value) : 0,
  );
  const lengths = new Float32Array(width * height);
  for (let pixel = 0; pixel < lengths.length; pixel++) {
    let sum = 0;
    for (let k = 0; k < channels; k++) sum += residual[pixel * channels + k] ** 2;
    lengths[pixel] = Math.sqrt(sum);
  }
  const direction = strongDirection(residual, lengths, channels);
  const along = new Float32Array(width * height);
  let skew = 0;
  for (let pixel = 0; pixel < along.length; pixel++) {
    let sum = 0;
    for (let k = 0; k < channels; k++) sum += residual[pixel * channels + k] * direction[k];
    along[pixel] = sum;
    skew += along[pixel] ** 3;
  }
  // A grey step of one level is sqrt(C) long in C channels.
  const scale = (skew >= 0 ? 1 : -1) / Math.sqrt(channels);
  return { width, height, data: along.map((value) => value * scale) };
}

/** Return the direction of length 1 along which the longer half of the residuals departs most. */
function strongDirection(residual, lengths, channels) {
  const least = Math.fround(0.5 * largest(lengths));
  const products = Array.from({ length: channels }, () => new Array(channels).fill(0));
  for (let pixel = 0; pixel < lengths.length; pixel++) {
    if (lengths[pixel] < least) continue;
    for (let i = 0; i < channels; i++) {
      for (let j = 0; j < channels; j++) {
        products[i][j] += residual[pixel * channels + i] * residual[pixel * channels + j];
      }
    }
  }
  return principalDirection(products);
}

/** Return `count` numbers from -1 to 1, evenly spaced. */
function evenly(count) {
  return Float64Array.from({ length: count }, (_, k) => (count === 1 ? -1 : -1 + (2 / (count - 1)) * k));
}

/** Return the six terms of a quadratic in x and y. */
function quadratic(x, y) {
  return [1, x, y, x * x, x * y, y * y];
}

/**
 * Return the background of a picture, a smooth surface in each channel, floats as its data.
 *
 * A quadratic, fitted to the part twice, from a light and from a dark guess; the better one is that
 * to which more pixels are close, those at the border counting more than the others.
 */
function background(picture, part) {
  const { width, height, channels, data } = picture;
  const samples = sampled(picture, part);
  const { basis, values, prior } = samples;
  const closeness = (surface) => {
    const apart = distances(basis, values, surface);
    return apart.reduce((sum, distance, n) => sum + prior[n] / (1 + (distance / 10) ** 2), 0);
  };
  const brightness = values.map((colors) => colors.reduce((sum, value) => sum + value, 0));
  const order = brightness.map((_, n) => n).sort((a, b) => brightness[a] - brightness[b]);
  const guesses = [0.15, 0.85].map((share) => values[order[Math.trunc(share * (order.length - 1))]]);
  const [dark, light] = guesses.map((guess) => surfaceFrom(samples, guess));
  const surface = closeness(light) > closeness(dark) ? light : dark;
  const result = new Float32Array(data.length);
  const [ys, xs] = [evenly(height), evenly(width)];
  for (let row = 0, at = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const terms = quadratic(xs[column], ys[row]);
      for (let k = 0; k < channels; k++) result[at++] = along(terms, surface, k);
    }
  }
  return result;
}

/** Return pixels of the part, at most some 64 a side: their terms, their colors and their weights. */
function sampled(picture, part) {
  const { width, height, channels, data } = picture;
  const [ys, xs] = [evenly(height), evenly(width)];
  const collect = (step) => {
    const found = { basis: [], values: [], prior: [] };
    for (let row = 0; row < height; row += step) {
      for (let column = 0; column < width; column += step) {
        const at = row * width + column;
        if (!part.data[at]) continue;
        const [x, y] = [xs[column], ys[row]];
        found.basis.push(quadratic(x, y));
        found.values.push(Array.from(data.subarray(at * channels, (at + 1) * channels)));
        found.prior.push(Math.max(Math.abs(x), Math.abs(y)) > 0.86 ? 2 : 1);
      }
    }
    return found;
  };
  const step = Math.max(1, Math.floor(Math.max(height, width) / 64));
  const found = collect(step);
  return found.basis.length < 100 && step > 1 ? collect(1) : found; // a narrow part between samples
}

function along(terms, surface, channel) {
  let sum = 0;
  for (let term = 0; term < terms.length; term++) sum += terms[term] * surface[term][channel];
  return sum;
}

function distances(basis, values, surface) {
  return basis.map((terms, n) =>
    Math.sqrt(values[n].reduce((sum, value, k) => sum + (value - along(terms, surface, k)) ** 2, 0)),
  );
}

/**
 * Return the coefficients (6, C) of a robust fit of colors from a constant guess.
 *
 * Iterated least squares, first of a plane, then of a quadratic, each pixel weighted by its prior
 * and by how close it lies to the last fit, so that ink hardly counts.
 */
function surfaceFrom({ basis, values, prior }, guess) {
  const channels = guess.length;
  const surface = Array.from({ length: 6 }, (_, k) => (k === 0 ? [...guess] : new Array(channels).fill(0)));
  for (const count of [3, 3, 3, 6, 6, 6, 6]) {
    const apart = distances(basis, values, surface);
    const scale = Math.max(2.5 * quantile(apart, 0.35), 2);
    const matrix = Array.from({ length: count }, () => new Array(count).fill(0));
    const right = Array.from({ length: count }, () => new Array(channels).fill(0));
    let total = 0;
    basis.forEach((terms, n) => {
      const weight = prior[n] / (1 + (apart[n] / scale) ** 2) ** 2;
      total += weight;
      for (let i = 0; i < count; i++) {
        for (let j = 0; j < count; j++) matrix[i][j] += weight * terms[i] * terms[j];
        for (let k = 0; k < channels; k++) right[i][k] += weight * terms[i] * values[n][k];
      }
    });
    // Against bends that nothing asks for.
    for (let k = 0; k < count; k++) matrix[k][k] += k === 0 ? 1e-9 : 1e-3 * total;
    solve(matrix, right).forEach((solution, k) => (surface[k] = solution));
  }
  return surface;
}

/**
 * Return `departure` without the faint lines of ruled or squared paper: a row or column that departs
 * along most of its length, yet less than ink does.
 */
function withoutLines({ width, height, data }, peak) {
  const cleaned = Float32Array.from(data);
  const remove = (count, length, stride, step) => {
    for (let line = 0; line < count; line++) {
      const places = Array.from({ length }, (_, k) => line * stride + k * step);
      const level = quantile(places.map((at) => cleaned[at]), LINE_SPAN);
      if (level <= 0 || level >= STRONG * peak) continue;
      for (const at of places) cleaned[at] -= level;
    }
  };
  remove(height, width, width, 1);
  remove(width, height, 1, width);
  return { width, height, data: cleaned };
}

/** Return where the digit is: the largest patch and those near it. */
function keptPart(labels, patches) {
  const { width, height } = labels;
  const weight = ({ ink, box }) => {
    const cuts = [box.left === 0, box.top === 0, box.right === width, box.bottom === height];
    return ink * 0.6 ** cuts.filter(Boolean).length; // what runs out of the picture is an edge or a shadow
  };
  const main = patches.reduce((best, blob) => (weight(blob) > weight(best) ? blob : best));
  const chosen = new Set([main.label]);
  let around = main.box;
  for (const blob of [...patches].sort((a, b) => b.ink - a.ink)) {
    const isNear = gap(around, blob.box) <= 0.25 * longSide(around);
    if (blob !== main && isNear && 0.04 * main.ink <= blob.ink && weight(blob) <= main.ink) {
      chosen.add(blob.label);
      around = joined(around, blob.box);
    }
  }
  return maskOf(labels, (at) => chosen.has(labels.data[at]));
}
