/**
 * From a picture to what the network sees, step for step as `lamplighter.images.preprocessing` does it.
 *
 * @typedef {{height: number, width: number, channels: 1 | 3, mean: number[], std: number[],
 *   fit: "squash" | "crop" | "letterbox", interpolation: "bilinear" | "bicubic", crop_pct: number,
 *   find_digit: boolean}} Preprocessing as the description of a bundle has it.
 */

import { centerDigit } from "./centering.js";
import { roundHalfEven } from "./numbers.js";
import { blankPicture, cropped, laidOn, paste, toColor, toGrey } from "./picture.js";
import { resized } from "./resample.js";

const DECODING_MARGIN = 2; // a JPEG is decoded at least so many times as large as it is scaled to
const LARGEST_SCALED = 2 ** 25; // pixels; an image that would be larger when scaled is cropped first

/**
 * Return what the network sees of `picture`: grey or RGB, of the network's size.
 *
 * @param {Picture} picture
 * @param {Preprocessing} settings
 * @returns {Picture}
 */
export function seenBy(settings, picture) {
  const whole = settings.find_digit ? centerDigit(picture) : laidOn(picture, 255);
  const fitted = fittedTo(settings, whole);
  return settings.channels === 1 ? toGrey(fitted) : toColor(fitted);
}

/** Return the least [width, height] of a whole image that is seen nearly as well. */
export function decodeSize(settings, size) {
  if (settings.find_digit) return size;
  const scaled = scaledSize(settings, size);
  return size.map((side, axis) => Math.min(side, DECODING_MARGIN * scaled[axis]));
}

/** Return the network's input of what it sees, floats of shape (C, H, W). */
export function normalized(settings, seen) {
  const { channels, mean, std } = settings;
  const area = seen.width * seen.height;
  const input = new Float32Array(channels * area);
  for (let channel = 0; channel < channels; channel++) {
    const [middle, spread] = [Math.fround(mean[channel]), Math.fround(std[channel])];
    for (let pixel = 0; pixel < area; pixel++) {
      const share = Math.fround(seen.data[pixel * channels + channel] / 255);
      input[channel * area + pixel] = Math.fround(share - middle) / spread;
    }
  }
  return input;
}

function fittedTo(settings, picture) {
  const { width, height, fit, interpolation, crop_pct: share } = settings;
  const isRight = picture.width === width && picture.height === height;
  if (isRight && (fit !== "crop" || share === 1)) return picture;
  if (fit === "crop") {
    return share < 1 ? scaledAndCropped(settings, picture) : croppedAndScaled(settings, picture);
  }
  if (fit === "letterbox") return letterboxed(settings, picture);
  return resized(picture, width, height, interpolation);
}

/** Return [width, height] that a whole image is scaled to, before cropping or bars. */
function scaledSize({ width, height, fit, crop_pct: share }, [across, down]) {
  if (fit === "squash") return [width, height];
  if (fit === "letterbox") {
    const scale = Math.min(width / across, height / down);
    return [across, down].map((side) => Math.max(1, roundHalfEven(side * scale)));
  }
  const [wide, high] = [Math.floor(width / share), Math.floor(height / share)];
  if (wide === high) {
    const shorter = Math.min(across, down);
    return [across, down].map((side) => Math.trunc((wide * side) / shorter));
  }
  const ratio = Math.min(across / wide, down / high);
  return [across, down].map((side) => roundHalfEven(side / ratio));
}

/** Scale the shorter side to more than is needed, and cut out the middle (torchvision, timm). */
function scaledAndCropped(settings, picture) {
  const size = scaledSize(settings, [picture.width, picture.height]);
  const [left, top] = [size[0] - settings.width, size[1] - settings.height].map((rest) =>
    roundHalfEven(rest / 2),
  );
  const box = [left, top, left + settings.width, top + settings.height];
  if (size[0] * size[1] <= LARGEST_SCALED) {
    return cropped(resized(picture, ...size, settings.interpolation), ...box);
  }
  const scales = [picture.width / size[0], picture.height / size[1]];
  const part = box.map((place, index) => place * scales[index % 2]);
  return resized(picture, settings.width, settings.height, settings.interpolation, part);
}

/** Scale the largest part of the right shape about the middle (Pillow's ImageOps.fit). */
function croppedAndScaled({ width, height, interpolation }, picture) {
  const [ratio, wanted] = [picture.width / picture.height, width / height];
  const across = ratio > wanted ? wanted * picture.height : picture.width;
  const down = ratio < wanted ? picture.width / wanted : picture.height;
  const [left, top] = [(picture.width - across) * 0.5, (picture.height - down) * 0.5];
  return resized(picture, width, height, interpolation, [left, top, left + across, top + down]);
}

/** Scale all of it, and fill up with black bars (Pillow's ImageOps.pad). */
function letterboxed(settings, picture) {
  const { width, height, interpolation } = settings;
  const size = scaledSize(settings, [picture.width, picture.height]);
  const inner = contained(resized(picture, ...size, interpolation), width, height, interpolation);
  if (inner.width === width && inner.height === height) return inner;
  const ground = blankPicture(width, height, inner.channels);
  const left = inner.width === width ? 0 : roundHalfEven((width - inner.width) * 0.5);
  const top = inner.width === width ? roundHalfEven((height - inner.height) * 0.5) : 0;
  paste(ground, inner, left, top);
  return ground;
}

/** Return `picture` as large as fits into a size with its shape kept. */
function contained(picture, width, height, interpolation) {
  const [ratio, wanted] = [picture.width / picture.height, width / height];
  if (ratio > wanted) height = roundHalfEven((picture.height / picture.width) * width);
  else if (ratio < wanted) width = roundHalfEven((picture.width / picture.height) * height);
  return resized(picture, width, height, interpolation);
}
