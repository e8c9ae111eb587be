/**
 * From the planes of a JPEG's components to pixels, to the last bit as libjpeg-turbo has it.
 *
 * Color is often stored at half the resolution. It is brought back by linear interpolation, with
 * halves rounded up and down in turn ("fancy upsampling"), unless the image is decoded at 1/8.
 */

import { inksToColor } from "./picture.js";

const HALF = 1 << 15;
const fixed16 = (value) => Math.round(value * 65536);

/** Return `plane` of a component as large as the whole image, in rows of `width` or a little more. */
export function enlarged(component, across, down, fancy) {
  const { width, height, stride, plane } = component;
  if (across === 1 && down === 1) return { plane, stride };
  if (across === 2 && down === 1 && fancy && width > 2) return twiceAcross(component);
  if (across === 1 && down === 2 && fancy) return twiceDown(component);
  if (across === 2 && down === 2 && fancy && width > 2) return twiceBoth(component);
  const result = new Uint8ClampedArray(width * across * height * down);
  let to = 0;
  for (let row = 0; row < height * down; row++) {
    const from = Math.floor(row / down) * stride;
    for (let column = 0; column < width; column++) {
      for (let k = 0; k < across; k++) result[to++] = plane[from + column];
    }
  }
  return { plane: result, stride: width * across };
}

function twiceAcross({ width, height, stride, plane }) {
  const result = new Uint8ClampedArray(2 * width * height);
  for (let row = 0; row < height; row++) {
    const from = row * stride;
    let to = row * 2 * width;
    for (let column = 0; column < width; column++) {
      const here = 3 * plane[from + column];
      const before = column > 0 ? plane[from + column - 1] : plane[from];
      const after = column < width - 1 ? plane[from + column + 1] : plane[from + column];
      result[to++] = (here + before + 1) >> 2;
      result[to++] = (here + after + 2) >> 2;
    }
  }
  return { plane: result, stride: 2 * width };
}

function twiceDown({ width, height, stride, plane }) {
  const result = new Uint8ClampedArray(2 * width * height);
  for (let row = 0; row < 2 * height; row++) {
    const near = (row >> 1) * stride;
    const far = neighbor(row, height) * stride;
    const bias = row % 2 === 0 ? 1 : 2;
    for (let column = 0; column < width; column++) {
      result[row * width + column] = (3 * plane[near + column] + plane[far + column] + bias) >> 2;
    }
  }
  return { plane: result, stride: width };
}

function twiceBoth({ width, height, stride, plane }) {
  const result = new Uint8ClampedArray(4 * width * height);
  let to = 0;
  for (let row = 0; row < 2 * height; row++) {
    const near = (row >> 1) * stride;
    const far = neighbor(row, height) * stride;
    let before = 3 * plane[near] + plane[far];
    let here = before;
    for (let column = 0; column < width; column++) {
      const next = Math.min(column + 1, width - 1);
      const after = 3 * plane[near + next] + plane[far + next];
      result[to++] = (3 * here + before + 8) >> 4;
      result[to++] = (3 * here + after + 7) >> 4;
      before = here;
      here = after;
    }
  }
  return { plane: result, stride: 2 * width };
}

/** Return the row, of `height`, that is second nearest to a row of twice as many. */
function neighbor(row, height) {
  const beside = row % 2 === 0 ? (row >> 1) - 1 : (row >> 1) + 1;
  return Math.min(Math.max(beside, 0), height - 1);
}

/**
 * Return the pixels of planes: grey, RGB, or RGB of four inks.
 *
 * @param {{plane: Uint8ClampedArray, stride: number}[]} planes 1, 3 or 4 of them.
 * @param {"grey" | "rgb" | "ycc" | "cmyk" | "ycck"} kind what the planes hold.
 */
export function joinedPlanes(planes, width, height, kind) {
  const count = planes.length;
  const pixels = new Uint8ClampedArray(width * height * count);
  for (let row = 0, to = 0; row < height; row++) {
    const starts = planes.map(({ stride }) => row * stride);
    for (let column = 0; column < width; column++) {
      for (let k = 0; k < count; k++) pixels[to++] = planes[k].plane[starts[k] + column];
    }
  }
  if (kind === "ycc" || kind === "ycck") toRgbInPlace(pixels, count);
  const data = new Uint8Array(pixels.buffer);
  if (count < 4) return { width, height, channels: count, data };
  // Adobe stores light, not ink, and YCCK stores the ink of the three colors.
  const inked = kind === "ycck" ? [0, 255] : [255, 255];
  for (let at = 0; at < data.length; at++) data[at] ^= inked[at % 4 === 3 ? 1 : 0];
  return { width, height, channels: 3, data: inksToColor(data, width * height) };
}

/** Turn luminance and two differences of color into red, green and blue (ITU-R BT.601). */
function toRgbInPlace(pixels, step) {
  const [red, blue] = [fixed16(1.402), fixed16(1.772)];
  const [greenOfBlue, greenOfRed] = [fixed16(0.34414), fixed16(0.71414)];
  for (let at = 0; at < pixels.length; at += step) {
    const light = pixels[at];
    const cb = pixels[at + 1] - 128;
    const cr = pixels[at + 2] - 128;
    pixels[at] = light + ((red * cr + HALF) >> 16);
    pixels[at + 1] = light + ((-greenOfBlue * cb - greenOfRed * cr + HALF) >> 16);
    pixels[at + 2] = light + ((blue * cb + HALF) >> 16);
  }
}
