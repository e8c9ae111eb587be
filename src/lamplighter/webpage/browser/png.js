/**
 * PNG files, decoded as Pillow does: 16 bits become 8, transparency an alpha channel.
 *
 * A browser would apply color profiles, which the classifier never saw applied, and a canvas keeps
 * colors only multiplied by their alpha. (ISO/IEC 15948:2004.)
 */

import { toColor } from "./picture.js";
import { ImageProblem, checkMemory } from "./problems.js";

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const GREY = 0;
const COLOR = 2;
const PALETTE = 3;
const GREY_ALPHA = 4;
const COLOR_ALPHA = 6;
const SAMPLES = { [GREY]: 1, [COLOR]: 3, [PALETTE]: 1, [GREY_ALPHA]: 2, [COLOR_ALPHA]: 4 };
// Adam7: where each pass begins, and its steps across and down.
const PASSES = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
];

/** Return whether a file begins as a PNG. */
export function isPng(bytes) {
  return SIGNATURE.every((byte, index) => bytes[index] === byte);
}

/** Yield the chunks of a PNG: the name, and its content. */
export function* chunks(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 8; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at);
    const name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    yield { name, content: bytes.subarray(at + 8, at + 8 + length) };
    at += length + 12;
  }
}

/**
 * Return the picture in a PNG, not turned upright.
 *
 * @param {Uint8Array} bytes the file.
 * @returns {Promise<Picture>}
 * @throws {ImageProblem} it is damaged, cut short or too large.
 */
export async function decodePng(bytes) {
  const file = { data: [] };
  for (const { name, content } of chunks(bytes)) {
    if (name === "IHDR") file.header = readHeader(content);
    else if (name === "PLTE") file.palette = content;
    else if (name === "tRNS") file.transparency = content;
    else if (name === "IDAT") file.data.push(content);
    else if (file.data.length > 0) break;
  }
  if (!file.header || (file.header.type === PALETTE && !file.palette)) throw new ImageProblem("damaged");
  const samples = await readSamples(file.header, file.data);
  return asPicture(file, samples);
}

function readHeader(content) {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  if (content.length < 13) throw new ImageProblem("damaged");
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  const [bits, type, interlaced] = [content[8], content[9], content[12] === 1];
  const isKnown = SAMPLES[type] && [1, 2, 4, 8, 16].includes(bits);
  if (!isKnown || width === 0 || height === 0) throw new ImageProblem("damaged");
  checkMemory(width, height, 4 * width * height * Math.max(1, bits / 8));
  return { width, height, bits, type, interlaced };
}

/** Return all samples, each whole, of the image row by row; those of 16 bits as such. */
async function readSamples(header, parts) {
  const { width, height, bits, type, interlaced } = header;
  const count = SAMPLES[type];
  const passes = interlaced ? PASSES : [[0, 0, 1, 1]];
  const areas = passes.map(([left, top, across, down]) => ({
    left,
    top,
    across,
    down,
    columns: Math.max(0, Math.ceil((width - left) / across)),
    rows: Math.max(0, Math.ceil((height - top) / down)),
  }));
  const rowBytes = ({ columns }) => Math.ceil((columns * count * bits) / 8);
  const used = areas.filter(({ columns, rows }) => columns > 0 && rows > 0);
  const total = used.reduce((sum, area) => sum + area.rows * (rowBytes(area) + 1), 0);
  const filtered = await inflated(parts, total);
  const samples = new (bits === 16 ? Uint16Array : Uint8Array)(width * height * count);
  let from = 0;
  for (const area of used) {
    const length = rowBytes(area);
    unfilter(filtered, from, area.rows, length, Math.ceil((count * bits) / 8));
    for (let row = 0; row < area.rows; row++) {
      const start = from + row * (length + 1) + 1;
      const to = ((area.top + row * area.down) * width + area.left) * count;
      spread(filtered, start, samples, to, area.columns, area.across, count, bits);
    }
    from += area.rows * (length + 1);
  }
  return samples;
}

/** Write the samples of a row of bytes to their places, `step` pixels apart. */
function spread(bytes, start, samples, to, columns, step, count, bits) {
  if (bits === 8 && step === 1) {
    samples.set(bytes.subarray(start, start + columns * count), to);
    return;
  }
  const mask = (1 << bits) - 1;
  for (let column = 0, k = 0; column < columns; column++) {
    for (let channel = 0; channel < count; channel++, k++) {
      const place = to + column * step * count + channel;
      if (bits === 8) samples[place] = bytes[start + k];
      else if (bits === 16) samples[place] = (bytes[start + 2 * k] << 8) | bytes[start + 2 * k + 1];
      else samples[place] = (bytes[start + ((k * bits) >> 3)] >> (8 - bits - ((k * bits) & 7))) & mask;
    }
  }
}

/** Return the first `length` bytes of what zlib packed. */
async function inflated(parts, length) {
  const result = new Uint8Array(length);
  const reader = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  let at = 0;
  try {
    while (at < length) {
      const { done, value } = await reader.read();
      if (done) break;
      result.set(value.subarray(0, length - at), at);
      at += value.length;
    }
    await reader.cancel();
  } catch {
    // What came before the damage may be all there is to the image.
  }
  if (at < length) throw new ImageProblem("damaged");
  return result;
}

/** Undo the filters of rows, which say how each byte differs from its neighbors; in place. */
function unfilter(bytes, from, rows, length, step) {
  let above = new Uint8Array(length);
  for (let row = 0; row < rows; row++) {
    const start = from + row * (length + 1);
    const line = bytes.subarray(start + 1, start + 1 + length);
    const undo = FILTERS[bytes[start]];
    if (!undo) throw new ImageProblem("damaged");
    undo(line, above, step);
    above = line;
  }
}

/** What undoes each filter of a row: by the row above it, and the pixel `step` bytes to the left. */
const FILTERS = [
  function none() {},
  function sub(line, above, step) {
    for (let k = step; k < line.length; k++) line[k] += line[k - step];
  },
  function up(line, above) {
    for (let k = 0; k < line.length; k++) line[k] += above[k];
  },
  function average(line, above, step) {
    for (let k = 0; k < line.length; k++) line[k] += ((k < step ? 0 : line[k - step]) + above[k]) >> 1;
  },
  function nearest(line, above, step) {
    for (let k = 0; k < Math.min(step, line.length); k++) line[k] += above[k];
    for (let k = step; k < line.length; k++) line[k] += paeth(line[k - step], above[k], above[k - step]);
  },
];

/** Return the neighbor that is nearest to left + up - corner. */
function paeth(left, up, corner) {
  const [toLeft, toUp] = [Math.abs(up - corner), Math.abs(left - corner)];
  const toCorner = Math.abs(left + up - 2 * corner);
  if (toLeft <= toUp && toLeft <= toCorner) return left;
  return toUp <= toCorner ? up : corner;
}

function asPicture({ header, palette, transparency }, samples) {
  const { width, height, bits, type } = header;
  if (type === PALETTE) return ofPalette(width, height, samples, palette, transparency);
  if (type === GREY && bits === 16) {
    const grey = Uint8Array.from(samples, (value) => Math.round(value / 257));
    return { width, height, channels: 1, data: grey };
  }
  const most = (1 << bits) - 1;
  const to8 = bits === 16 ? (value) => value >> 8 : bits === 8 ? null : (value) => value * (255 / most);
  const data = to8 ? Uint8Array.from(samples, to8) : samples;
  if (type === COLOR_ALPHA) return { width, height, channels: 4, data };
  if (type === GREY_ALPHA) return withAlpha(width, height, data);
  const picture = { width, height, channels: type === GREY ? 1 : 3, data };
  return transparency ? withTransparency(picture, transparency, bits) : picture;
}

function ofPalette(width, height, samples, palette, transparency) {
  const channels = transparency ? 4 : 3;
  const data = new Uint8Array(width * height * channels);
  for (let pixel = 0; pixel < samples.length; pixel++) {
    const index = samples[pixel];
    for (let k = 0; k < 3; k++) data[pixel * channels + k] = palette[3 * index + k] ?? 0;
    if (transparency) data[pixel * 4 + 3] = transparency[index] ?? 255;
  }
  return { width, height, channels, data };
}

/** Return RGBA of grey and alpha. */
function withAlpha(width, height, pairs) {
  const data = new Uint8Array(width * height * 4);
  for (let pixel = 0; pixel < width * height; pixel++) {
    data.fill(pairs[2 * pixel], 4 * pixel, 4 * pixel + 3);
    data[4 * pixel + 3] = pairs[2 * pixel + 1];
  }
  return { width, height, channels: 4, data };
}

/** Return RGBA of a picture of which one color is transparent, compared in 8 bits as in Pillow. */
function withTransparency(picture, content, bits) {
  const wanted = [1, 3, 5].map((at) => content[picture.channels === 1 ? 1 : at]);
  if (picture.channels === 1 && bits === 1) wanted.fill(content[0] || content[1] ? 255 : 0);
  const { width, height } = picture;
  const color = toColor(picture).data;
  const data = new Uint8Array(width * height * 4);
  for (let pixel = 0; pixel < width * height; pixel++) {
    const own = color.subarray(3 * pixel, 3 * pixel + 3);
    data.set(own, 4 * pixel);
    data[4 * pixel + 3] = own.every((value, k) => value === wanted[k]) ? 0 : 255;
  }
  return { width, height, channels: 4, data };
}
