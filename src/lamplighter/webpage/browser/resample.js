/**
 * Resizing to the last bit as Pillow does it (its ImagingResample).
 *
 * A canvas resizes otherwise, in each browser in its own way, and answers change with it. Each pixel
 * of the result is a weighted sum of those that it covers, first along rows, then along columns;
 * when an image shrinks, the filter widens, so that no pixel is left out. Pictures of 8 bits are
 * summed in whole numbers of 22 bits after the point.
 */

const PRECISION_BITS = 32 - 8 - 2;
const HAMMING = [Math.fround(0.54), Math.fround(0.46)]; // floats of 32 bits in Pillow

function sinc(x) {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}

function bicubic(distance) {
  const a = -0.5;
  const x = Math.abs(distance);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

function hamming(distance) {
  const x = Math.abs(distance) * Math.PI;
  if (x === 0) return 1;
  return x >= Math.PI ? 0 : (Math.sin(x) / x) * (HAMMING[0] + HAMMING[1] * Math.cos(x));
}

/** Filters: how far each reaches, and how much a pixel at some distance counts. */
const FILTERS = {
  box: { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  hamming: { support: 1, weight: hamming },
  bicubic: { support: 2, weight: bicubic },
  lanczos: { support: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

/**
 * Return which pixels of one axis each new pixel is made of.
 *
 * @param {number} size of the axis.
 * @param {number} start where the part that is resized begins, in pixels.
 * @param {number} end where it ends.
 * @param {number} count of new pixels.
 * @returns {{first: Int32Array, length: Int32Array, weights: Float64Array, stride: number}}
 */
function contributions(size, start, end, count, filter) {
  const from = Math.fround(start); // Pillow takes the box as floats of 32 bits
  const scale = Math.fround(Math.fround(end) - from) / count;
  const widened = Math.max(scale, 1);
  const support = filter.support * widened;
  const stride = Math.ceil(support) * 2 + 1;
  const [first, length] = [new Int32Array(count), new Int32Array(count)];
  const weights = new Float64Array(count * stride);
  for (let index = 0; index < count; index++) {
    const center = from + (index + 0.5) * scale;
    const low = Math.max(0, Math.trunc(center - support + 0.5));
    const high = Math.min(size, Math.trunc(center + support + 0.5));
    const at = index * stride;
    let sum = 0;
    for (let place = low; place < high; place++) {
      const weight = filter.weight((place - center + 0.5) * (1 / widened));
      weights[at + place - low] = weight;
      sum += weight;
    }
    for (let k = 0; k < high - low && sum !== 0; k++) weights[at + k] /= sum;
    first[index] = low;
    length[index] = high - low;
  }
  return { first, length, weights, stride };
}

/** Return weights as whole numbers, rounded as Pillow rounds them. */
function wholeWeights(weights) {
  return Int32Array.from(weights, (weight) => weight * (1 << PRECISION_BITS) + Math.sign(weight) * 0.5);
}

/**
 * Return `picture`, or a part of it, resized.
 *
 * @param {Picture} picture
 * @param {number} width of the result, in pixels.
 * @param {number} height of the result.
 * @param {keyof FILTERS} filter
 * @param {number[]} [box] the part: left, top, right, bottom in pixels, fractions allowed.
 * @returns {Picture}
 */
export function resized(picture, width, height, filter, box = wholeOf(picture)) {
  if (isWhole(picture, box) && width === picture.width && height === picture.height) return picture;
  const [left, top, right, bottom] = box;
  const columns = contributions(picture.width, left, right, width, FILTERS[filter]);
  const rows = contributions(picture.height, top, bottom, height, FILTERS[filter]);
  const changesRows = width !== picture.width || left !== 0 || right !== width;
  const changesColumns = height !== picture.height || top !== 0 || bottom !== height;
  const across = changesRows ? (from) => alongRows(from, columns) : (from) => from;
  const down = changesColumns ? (from) => alongColumns(from, rows) : (from) => from;
  if (isVerticalFirst(picture, width, height)) return across(down(picture));
  return down(across(changesColumns ? onlyRows(picture, rows) : picture));
}

/** Return whether columns are resized before rows: where the height shrinks much more (Pillow 13). */
function isVerticalFirst(whole, width, height) {
  const shorter = whole.height - height;
  return shorter > 0 && shorter > 2 * (whole.width - width);
}

/** Return a picture whose rows that are not needed are left empty, so that none is resized in vain. */
function onlyRows(picture, { first, length }) {
  const last = first.length - 1;
  return { ...picture, needed: [first[0], first[last] + length[last]] };
}

function alongRows({ width, height, channels, data, needed = [0, height] }, contributed) {
  const { first, length, weights, stride } = contributed;
  const whole = wholeWeights(weights);
  const count = first.length;
  const result = new Uint8ClampedArray(count * height * channels);
  let to = needed[0] * count * channels;
  for (let row = needed[0]; row < needed[1]; row++) {
    for (let column = 0; column < count; column++) {
      const start = (row * width + first[column]) * channels;
      for (let channel = 0; channel < channels; channel++) {
        let sum = 1 << (PRECISION_BITS - 1);
        let from = start + channel;
        for (let k = 0; k < length[column]; k++, from += channels) {
          sum += data[from] * whole[column * stride + k];
        }
        result[to++] = sum >> PRECISION_BITS;
      }
    }
  }
  return { width: count, height, channels, data: new Uint8Array(result.buffer) };
}

function alongColumns({ width, channels, data }, { first, length, weights, stride }) {
  const whole = wholeWeights(weights);
  const rowLength = width * channels;
  const result = new Uint8ClampedArray(first.length * rowLength);
  const sums = new Int32Array(rowLength);
  for (let row = 0; row < first.length; row++) {
    sums.fill(1 << (PRECISION_BITS - 1));
    for (let k = 0; k < length[row]; k++) {
      const weight = whole[row * stride + k];
      const from = (first[row] + k) * rowLength;
      for (let at = 0; at < rowLength; at++) sums[at] += data[from + at] * weight;
    }
    for (let at = 0; at < rowLength; at++) result[row * rowLength + at] = sums[at] >> PRECISION_BITS;
  }
  return { width, height: first.length, channels, data: new Uint8Array(result.buffer) };
}

/**
 * Return a plane of floats resized; sums are of 64 bits, what is kept of 32.
 *
 * @param {Plane} plane
 * @param {keyof FILTERS} filter
 * @returns {Plane}
 */
export function resizedPlane(plane, width, height, filter) {
  const columns = contributions(plane.width, 0, plane.width, width, FILTERS[filter]);
  const rows = contributions(plane.height, 0, plane.height, height, FILTERS[filter]);
  const across = (from) => (width === plane.width ? from : widthChanged(from, columns));
  const down = (from) => (height === plane.height ? from : heightChanged(from, rows));
  return isVerticalFirst(plane, width, height) ? across(down(plane)) : down(across(plane));
}

function widthChanged({ width, height, data }, { first, length, weights, stride }) {
  const result = new Float32Array(first.length * height);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < first.length; column++) {
      let sum = 0;
      for (let k = 0; k < length[column]; k++) {
        sum += data[row * width + first[column] + k] * weights[column * stride + k];
      }
      result[row * first.length + column] = sum;
    }
  }
  return { width: first.length, height, data: result };
}

function heightChanged({ width, data }, { first, length, weights, stride }) {
  const result = new Float32Array(first.length * width);
  for (let row = 0; row < first.length; row++) {
    for (let column = 0; column < width; column++) {
      let sum = 0;
      for (let k = 0; k < length[row]; k++) {
        sum += data[(first[row] + k) * width + column] * weights[row * stride + k];
      }
      result[row * width + column] = sum;
    }
  }
  return { width, height: first.length, data: result };
}

/**
 * Return a mask, or a part of it, resized to the nearest pixels.
 *
 * @param {{width: number, height: number, data: Uint8Array}} mask
 * @param {number[]} box left, top, right, bottom.
 */
export function resizedMask(mask, width, height, box) {
  const columns = nearest(mask.width, box[0], box[2], width);
  const rows = nearest(mask.height, box[1], box[3], height);
  const data = new Uint8Array(width * height);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const inside = rows[row] >= 0 && columns[column] >= 0;
      data[row * width + column] = inside ? mask.data[rows[row] * mask.width + columns[column]] : 0;
    }
  }
  return { width, height, data };
}

/** Return the pixel nearest to each of `count` new ones along an axis; -1 where there is none. */
function nearest(size, start, end, count) {
  const from = Math.fround(start);
  const step = Math.fround(Math.fround(end) - from) / count;
  const places = new Int32Array(count);
  let place = from + step * 0.5;
  for (let index = 0; index < count; index++, place += step) {
    places[index] = place >= 0 && Math.trunc(place) < size ? Math.trunc(place) : -1;
  }
  return places;
}

function wholeOf(picture) {
  return [0, 0, picture.width, picture.height];
}

function isWhole(picture, box) {
  return wholeOf(picture).every((value, index) => value === box[index]);
}
