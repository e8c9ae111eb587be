/**
 * Pictures as Pillow holds them, and the steps that Pillow does on whole pixels.
 *
 * @typedef {{width: number, height: number, channels: 1 | 3 | 4, data: Uint8Array}} Picture
 *   8 bits a channel: grey (mode L), RGB or RGBA, row by row.
 * @typedef {{width: number, height: number, data: Float32Array}} Plane
 *   One float a pixel (mode F), row by row.
 */

/** Return a picture of one color. */
export function blankPicture(width, height, channels, value = 0) {
  return { width, height, channels, data: new Uint8Array(width * height * channels).fill(value) };
}

/** Return a * b / 255, rounded as Pillow rounds it. */
function timesOver255(a, b) {
  const product = a * b + 128;
  return ((product >> 8) + product) >> 8;
}

/** Return `picture` in grey, by the weights of ITU-R 601-2 in Pillow's integers. */
export function toGrey(picture) {
  const { width, height, channels, data } = picture;
  if (channels === 1) return picture;
  const grey = new Uint8Array(width * height);
  for (let pixel = 0, at = 0; pixel < grey.length; pixel++, at += channels) {
    grey[pixel] = (data[at] * 19595 + data[at + 1] * 38470 + data[at + 2] * 7471 + 0x8000) >> 16;
  }
  return { width, height, channels: 1, data: grey };
}

/** Return `picture`, grey or RGB, in RGB. */
export function toColor(picture) {
  if (picture.channels === 3) return picture;
  const color = blankPicture(picture.width, picture.height, 3);
  for (let at = 0; at < color.data.length; at++) color.data[at] = picture.data[(at / 3) | 0];
  return color;
}

/** Return what is seen of an RGBA `picture` laid on a ground of `grey` (0..255); others as is. */
export function laidOn(picture, grey) {
  if (picture.channels !== 4) return picture;
  const { width, height, data } = picture;
  const result = blankPicture(width, height, 3);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    const alpha = data[from + 3];
    for (let channel = 0; channel < 3; channel++) {
      const blended = data[from + channel] * alpha + grey * (255 - alpha) + 128;
      result.data[to++] = ((blended >> 8) + blended) >> 8;
    }
  }
  return result;
}

/** Return RGB of four channels of ink, each 0 (none) to 255. */
export function inksToColor(inks, count) {
  const color = new Uint8Array(3 * count);
  for (let pixel = 0; pixel < count; pixel++) {
    const light = 255 - inks[4 * pixel + 3];
    for (let channel = 0; channel < 3; channel++) {
      color[3 * pixel + channel] = light - timesOver255(inks[4 * pixel + channel], light);
    }
  }
  return color;
}

/**
 * Return `picture` turned as its EXIF `orientation` (1..8) asks.
 *
 * @param {Picture} picture
 * @param {number} orientation 1, or one that does not exist, means upright.
 */
export function upright(picture, orientation) {
  if (!(orientation >= 2 && orientation <= 8)) return picture;
  const { width, height, channels, data } = picture;
  const lies = orientation >= 5;
  const result = blankPicture(lies ? height : width, lies ? width : height, channels);
  // The place of the first pixel in the source, and the steps along a row and a column of the result.
  const fromRight = [2, 3, 7, 8].includes(orientation);
  const fromBottom = [3, 4, 6, 7].includes(orientation);
  const start = (fromRight ? width - 1 : 0) + (fromBottom ? height - 1 : 0) * width;
  const across = fromRight ? -1 : 1;
  const down = fromBottom ? -width : width;
  const [alongRow, alongColumn] = lies ? [down, across] : [across, down];
  let to = 0;
  for (let row = 0; row < result.height; row++) {
    let from = (start + row * alongColumn) * channels;
    for (let column = 0; column < result.width; column++, from += alongRow * channels) {
      for (let channel = 0; channel < channels; channel++) result.data[to++] = data[from + channel];
    }
  }
  return result;
}

/** Return the part of `picture` in a box of whole pixels; what lies outside is black. */
export function cropped(picture, left, top, right, bottom) {
  const { width, height, channels, data } = picture;
  const result = blankPicture(right - left, bottom - top, channels);
  const first = Math.max(left, 0);
  const last = Math.min(right, width);
  for (let row = Math.max(top, 0); row < Math.min(bottom, height) && first < last; row++) {
    const part = data.subarray((row * width + first) * channels, (row * width + last) * channels);
    result.data.set(part, ((row - top) * result.width + (first - left)) * channels);
  }
  return result;
}

/** Put `picture` onto `ground`, of the same channels, its left upper corner at (left, top). */
export function paste(ground, picture, left, top) {
  const length = picture.width * picture.channels;
  for (let row = 0; row < picture.height; row++) {
    const from = row * length;
    const to = ((row + top) * ground.width + left) * ground.channels;
    ground.data.set(picture.data.subarray(from, from + length), to);
  }
}
