/**
 * A handwritten digit, photographed or drawn, centered as MNIST has it; as
 * `lamplighter.images.digits.centering`.
 *
 * White on black, the digit fitted into 20 x 20 pixels with its shape kept, then placed with its
 * center of mass in the middle of 28 x 28 (LeCun et al., 1998, "Gradient-based learning applied to
 * document recognition"). Before that the ink has to be found, first in the whole image, then more
 * finely about the digit.
 */

import { boxOf, maskOf, padded, spreadOut } from "./connected_components.js";
import { WEAK, findInk, look } from "./foreground.js";
import { clipped, largest, pairwiseSum, quantile, roundHalfEven } from "./numbers.js";
import { checkStrokes, findPart } from "./page_detection.js";
import { blankPicture, cropped, laidOn, paste, toGrey } from "./picture.js";
import { resized, resizedMask, resizedPlane } from "./resample.js";
import { contrast, departureFrom, findLevels, viewAt } from "./two_level.js";

const SIDE = 28; // of MNIST's images
const DIGIT_BOX = 20; // of the digit in them
const MIDDLE = 14; // where MNIST has the center of mass, as an index of pixels
const STROKE = [2.2, 3]; // narrowest and widest strokes in the box; the median of MNIST's is 2.4
const COARSE = 224; // long side of the image in which the digit is looked for
const FINE = 160; // long side of the part in which it is then measured
const FORM = [16, 24]; // least and largest long side of a digit that has the form of MNIST's already
const OFF_CENTER = 1.5; // pixels that its center of mass is then off at most
const LARGEST_FORM = 40 * SIDE; // long side in which an enlarged image of that form is looked at
const AS_LARGE = [19, 22]; // long side that is left, since any resizing blurs
const FINE_ENOUGH = 2.5; // pixels for each of the result, for thinning strokes
const FULL_CONTRAST = 200; // between ground and ink; 99 % of MNIST's images have more
const HAIR = 1.1; // pixels: narrower strokes of an enlarged image are widened
const MARGIN = 0.35; // about the digit in that part, as a share of its long side

/**
 * Return the digit in a picture as MNIST would show it: white on black, 28 x 28.
 *
 * An image that has this form already, inverted, faint or enlarged as it may be, is left as it is.
 *
 * @param {Picture} picture
 * @returns {Picture}
 * @throws {ImageProblem} nothing stands out from the background, or nothing but a sheet or a shadow.
 */
export function centerDigit(picture) {
  const opaque = onGround(picture);
  const levels = findLevels(reduced(opaque, COARSE));
  const formed = levels && inForm(opaque, levels);
  if (formed) return formed;
  const ink = levels && !levels.isSheet ? inkOfDrawing(opaque, levels) : inkOfPhoto(opaque);
  return centered(fittedInk(evenStrokes(ink)));
}

/** Return the ink of the digit in a photo, 0..1. */
function inkOfPhoto(picture) {
  const small = reduced(picture, COARSE);
  const { part, view } = findPart(small);
  const ink = findInk(view);
  checkStrokes(maskOf(ink, (at) => ink.data[at] > WEAK));
  const box = about(ink, picture);
  const fine = reduced(cropped(picture, ...box), FINE);
  const scales = [small.width / picture.width, small.height / picture.height];
  const inSmall = box.map((place, index) => place * scales[index % 2]);
  return findInk(look(fine, resizedMask(part, fine.width, fine.height, inSmall)));
}

/** Return the ink of the digit in a picture of two levels, 0..1. */
function inkOfDrawing(picture, levels) {
  // So that no stroke is cut by the border, and a tight crop has a ground.
  const room = Math.floor(Math.max(picture.width, picture.height) / 3);
  const [width, height] = [picture.width + 2 * room, picture.height + 2 * room];
  const ground = blankPicture(width, height, 1, roundHalfEven(levels.ground));
  paste(ground, toGrey(picture), room, room);
  const ink = findInk(viewAt(levels, reduced(ground, COARSE)));
  return findInk(viewAt(levels, reduced(cropped(ground, ...about(ink, ground)), FINE)));
}

/**
 * Return a picture as MNIST would show it, if it has that form already but for scale and levels; or
 * null. The digit is then about as large as MNIST's, in the middle, and its strokes are no hair.
 */
function inForm(picture, levels) {
  if (picture.width !== picture.height || picture.width % SIDE !== 0) return null;
  const departure = departureFrom(levels, reduced(picture, LARGEST_FORM));
  const above = { ...departure, data: departure.data.map((value) => Math.max(value, 0)) };
  const ink = unenlarged(above);
  if (contrast(levels) < FULL_CONTRAST) {
    const scale = Math.fround(255 / contrast(levels));
    ink.data = ink.data.map((value) => clipped(Math.fround(value * scale), 0, 255));
  }
  const box = boxOf(ink, Math.fround(WEAK * largest(ink.data)));
  const side = Math.max(box.bottom - box.top, box.right - box.left);
  const off = Math.max(...[0, 1].map((axis) => Math.abs(centerOfMass(ink, axis) - MIDDLE)));
  if (side < FORM[0] || side > FORM[1] || off > OFF_CENTER) return null;
  if (picture.width > SIDE && strokeWidth({ ...ink, data: ink.data.map((v) => v / 255) }) < HAIR) return null;
  return { width: SIDE, height: SIDE, channels: 1, data: Uint8Array.from(ink.data, roundHalfEven) };
}

/** Return a plane of (28 k, 28 k) as it was before it was enlarged k times. */
function unenlarged({ width, height, data }) {
  const times = width / SIDE;
  const corners = new Float32Array(SIDE * SIDE);
  for (let at = 0; at < corners.length; at++) {
    corners[at] = data[Math.floor(at / SIDE) * times * width + (at % SIDE) * times];
  }
  const isSame = data.every((value, at) => {
    const [row, column] = [Math.floor(at / width / times), Math.floor((at % width) / times)];
    return value === corners[row * SIDE + column];
  });
  if (isSame) return { width: SIDE, height: SIDE, data: corners };
  // Of Pillow's filters, the one whose result came nearest to the images before a bicubic one.
  const smooth = resizedPlane({ width, height, data }, SIDE, SIDE, "lanczos");
  return { ...smooth, data: smooth.data.map((value) => clipped(value, 0, 255)) };
}

/** Return a picture without alpha, on white or black, whichever is farther from it. */
function onGround(picture) {
  if (picture.channels !== 4) return picture;
  const color = blankPicture(picture.width, picture.height, 3);
  for (let at = 0; at < color.data.length; at++) {
    color.data[at] = picture.data[4 * Math.floor(at / 3) + (at % 3)];
  }
  const grey = toGrey(color).data;
  let [sum, weights] = [0, 0];
  for (let pixel = 0; pixel < grey.length; pixel++) {
    sum += grey[pixel] * picture.data[4 * pixel + 3];
    weights += picture.data[4 * pixel + 3];
  }
  return laidOn(picture, sum / Math.max(weights, 1) > 127 ? 0 : 255);
}

/** Return a picture scaled down to at most `side`, each pixel the mean of what it covers. */
function reduced(picture, side) {
  const scale = side / Math.max(picture.width, picture.height);
  if (scale >= 1) return picture;
  const size = [picture.width, picture.height].map((one) => Math.max(1, roundHalfEven(one * scale)));
  return resized(picture, ...size, "box");
}

/** Return the part [left, top, right, bottom] of a picture that holds the digit and some background. */
function about(ink, picture) {
  const box = boxOf(ink);
  const [across, down] = [picture.width / ink.width, picture.height / ink.height];
  const [left, right] = [box.left * across, box.right * across];
  const [top, bottom] = [box.top * down, box.bottom * down];
  const margin = Math.max(MARGIN * Math.max(right - left, bottom - top), 4);
  return [
    Math.max(0, Math.trunc(left - margin)),
    Math.max(0, Math.trunc(top - margin)),
    Math.min(picture.width, Math.trunc(right + margin) + 1),
    Math.min(picture.height, Math.trunc(bottom + margin) + 1),
  ];
}

/** Return the width of strokes: twice their area over their outline. */
function strokeWidth(ink) {
  const { width, height, data } = padded(ink, 1);
  let [outline, sum] = [0, 0];
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const at = row * width + column;
      sum += data[at];
      if (column > 0) outline += Math.abs(data[at] - data[at - 1]);
      if (row > 0) outline += Math.abs(data[at] - data[at - width]);
    }
  }
  return (2 * sum) / ((outline * Math.PI) / 4);
}

/** Return ink cropped to the digit, its strokes neither hair-thin nor a blot. */
function evenStrokes(whole) {
  let ink = croppedInk(whole);
  let pixel = Math.max(ink.width, ink.height) / DIGIT_BOX; // of the result, in pixels of `ink`
  // So few pixels can be thinned by whole ones only.
  if (pixel < FINE_ENOUGH && strokeWidth(ink) > STROKE[1] * pixel) {
    ink = resizedPlane(ink, 4 * ink.width, 4 * ink.height, "bicubic");
    ink.data = ink.data.map((value) => clipped(value, 0, 1));
    pixel *= 4;
  }
  const width = strokeWidth(ink);
  if (pixel <= 1) return ink;
  const [thinnest, thickest] = STROKE.map((stroke) => stroke * pixel);
  if (width < thinnest) {
    const radius = (thinnest - width) / 2;
    return spreadOut(padded(ink, Math.ceil(radius)), radius);
  }
  return width > thickest ? thinned(ink, (width - thickest) / 2) : ink;
}

/** Return ink whose strokes are narrower by `radius` on each side, if they are not lost by it. */
function thinned(ink, radius) {
  const around = padded(ink, 1);
  const outside = { ...around, data: around.data.map((value) => 1 - value) };
  const spread = spreadOut(outside, radius);
  const result = { ...spread, data: spread.data.map((value) => 1 - value) };
  const covered = ({ data }) => data.reduce((count, value) => count + (value > WEAK), 0);
  return covered(result) > 0.3 * covered(ink) ? result : ink;
}

/** Return the part of ink that holds the digit. */
function croppedInk({ width, height, data }) {
  const box = boxOf({ width, height, data }, WEAK);
  const result = { width: box.right - box.left, height: box.bottom - box.top };
  result.data = new Float32Array(result.width * result.height);
  for (let row = 0; row < result.height; row++) {
    const from = (row + box.top) * width + box.left;
    result.data.set(data.subarray(from, from + result.width), row * result.width);
  }
  return result;
}

/** Return ink in a box of about 20 pixels on its long side, strokes reaching 255. */
function fittedInk(whole) {
  let ink = croppedInk(whole);
  const side = Math.max(ink.width, ink.height);
  const scale = DIGIT_BOX / side;
  if (side < AS_LARGE[0] || side > AS_LARGE[1]) {
    const size = [ink.width, ink.height].map((one) => Math.max(1, roundHalfEven(one * scale)));
    ink = resizedPlane(ink, ...size, scale < 1 ? "hamming" : "bicubic");
  }
  const least = Math.fround(WEAK * largest(ink.data));
  const full = quantile(ink.data.filter((value) => value > least), 0.65);
  const gain = Math.fround(255 / full);
  return { ...ink, data: ink.data.map((value) => clipped(Math.fround(value * gain), 0, 255)) };
}

/** Return a digit, at most 28 x 28, with its center of mass in the middle of 28 x 28. */
function centered(digit) {
  const [top, left] = [digit.height, digit.width].map((length, axis) =>
    clipped(roundHalfEven(MIDDLE - centerOfMass(digit, axis)), 0, SIDE - length),
  );
  const result = blankPicture(SIDE, SIDE, 1);
  const data = Uint8Array.from(digit.data, roundHalfEven);
  paste(result, { ...digit, channels: 1, data }, left, top);
  return result;
}

/**
 * Return the index along an axis, 0 for rows and 1 for columns, of the center of mass.
 *
 * Summed in floats of 32 bits in numpy's order: of a symmetric digit the center lies between two
 * pixels, and the last bit decides which of them is taken.
 */
function centerOfMass({ width, height, data }, axis) {
  const profile = new Float32Array(axis === 0 ? height : width);
  if (axis === 0) {
    for (let row = 0; row < height; row++) {
      profile[row] = pairwiseSum(data.subarray(row * width, (row + 1) * width), Math.fround);
    }
  } else {
    for (let at = 0; at < data.length; at++) profile[at % width] += data[at];
  }
  const moments = Float64Array.from(profile, (value, index) => value * index);
  return pairwiseSum(moments) / pairwiseSum(profile, Math.fround);
}
