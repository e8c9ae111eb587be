/**
 * JPEG files, decoded as Pillow and libjpeg-turbo do, so that a photo has the same pixels here.
 *
 * A browser decodes a JPEG in whole, and each a little differently; libjpeg decodes a large photo at
 * 1/2, 1/4 or 1/8 of its size, in the frequencies, which no browser offers. Sequential and
 * progressive files of 8 bits are read (ITU-T T.81), that is nearly all there are.
 */

import { joinedPlanes, enlarged } from "./jpeg_color.js";
import { flatBlock, inverseDct } from "./jpeg_dct.js";
import { BLOCK_READERS, BitReader, HuffmanTable, ScanState, ZIGZAG } from "./jpeg_entropy.js";
import { ImageProblem, checkMemory } from "./problems.js";

const SOI = 0xd8;
const EOI = 0xd9;
const SOS = 0xda;
const DQT = 0xdb;
const DHT = 0xc4;
const DRI = 0xdd;
const APP0 = 0xe0;
const APP14 = 0xee;
const FRAMES = [0xc0, 0xc1, 0xc2]; // baseline, extended sequential and progressive
const OTHER_FRAMES = [0xc3, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcd, 0xce, 0xcf];
const isSkipped = (marker) => (marker >= APP0 && marker <= 0xef) || [0xcc, 0xdc, 0xfe].includes(marker);
const isRestart = (marker) => marker >= 0xd0 && marker <= 0xd7;

/** Return whether a file begins as a JPEG. */
export function isJpeg(bytes) {
  return bytes[0] === 0xff && bytes[1] === SOI && bytes[2] === 0xff;
}

/**
 * Yield the segments of a JPEG up to its end, or as far as they are whole: the marker, and where its
 * content starts and ends. After a scan the one who reads it says where it ends, by `next(position)`.
 */
export function* segments(bytes, start = 2) {
  let position = start;
  while (position < bytes.length) {
    while (position < bytes.length && bytes[position] !== 0xff) position++;
    while (bytes[position] === 0xff) position++;
    const marker = bytes[position++];
    if (marker === undefined) return;
    if (marker <= 1 || isRestart(marker)) continue; // which have no content
    if (marker === EOI) {
      yield { marker, from: position, to: position };
      return;
    }
    const to = position + ((bytes[position] << 8) | bytes[position + 1]);
    if (!(to >= position + 2)) throw new ImageProblem("damaged");
    if (to > bytes.length) return;
    position = (yield { marker, from: position + 2, to }) ?? to;
  }
}

/**
 * Return the size of a JPEG from its header: width and height as stored, not turned.
 *
 * @throws {ImageProblem} there is none, or it is of a kind that is not read here.
 */
export function jpegSize(bytes) {
  for (const { marker, from } of segments(bytes)) {
    if (FRAMES.includes(marker) && bytes[from] === 8) {
      const [height, width] = [uint16(bytes, from + 1), uint16(bytes, from + 3)];
      if (width === 0 || height === 0) throw new ImageProblem("damaged");
      return { width, height };
    }
    if (FRAMES.includes(marker) || OTHER_FRAMES.includes(marker)) throw new ImageProblem("rare");
    if (marker === SOS) break;
  }
  throw new ImageProblem("damaged");
}

/**
 * Return a JPEG decoded at a scale, not turned upright: grey or RGB.
 *
 * @param {Uint8Array} bytes the file.
 * @param {1 | 2 | 4 | 8} reduction the scale is one part of so many.
 * @returns {Picture}
 * @throws {ImageProblem} it is damaged, cut short, too large, or of a kind that is not read here.
 */
export function decodeJpeg(bytes, reduction = 1) {
  return new JpegDecoder(bytes, reduction).decode();
}

class JpegDecoder {
  constructor(bytes, reduction) {
    this.bytes = bytes;
    this.reduction = reduction;
    this.quantizations = [];
    this.dcTables = [];
    this.acTables = [];
    this.restartInterval = 0;
    this.isJfif = false;
    this.adobe = null; // the transform that an Adobe segment names
    this.frame = null;
  }

  decode() {
    const reader = segments(this.bytes);
    let isWhole = false; // one scan may have it all; of several the end of the file tells
    for (let step = reader.next(); !step.done; ) {
      const { marker, from, to } = step.value;
      let position;
      if (marker === EOI) {
        isWhole = true;
      } else if (marker === SOS) {
        if (isWhole) throw new ImageProblem("damaged"); // nothing was left for another scan
        position = this.readScan(from, to);
        isWhole = !this.frame.inSeveralScans;
      } else {
        this.readSegment(marker, from, to);
      }
      step = reader.next(position);
    }
    const isComplete = this.frame?.components.every(({ quantization }) => quantization);
    if (!isWhole || !isComplete) throw new ImageProblem("damaged");
    return this.pixels();
  }

  readSegment(marker, from, to) {
    const text = String.fromCharCode(...this.bytes.subarray(from, Math.min(from + 5, to)));
    if (marker === DQT) this.readQuantization(from, to);
    else if (marker === DHT) this.readHuffman(from, to);
    else if (marker === DRI) this.restartInterval = uint16(this.bytes, from);
    else if (marker === APP0 && text === "JFIF\0") this.isJfif = true;
    else if (marker === APP14 && text === "Adobe") this.adobe = this.bytes[from + 11];
    else if (FRAMES.includes(marker)) this.readFrame(marker, from);
    else if (OTHER_FRAMES.includes(marker)) throw new ImageProblem("rare");
    else if (!isSkipped(marker)) throw new ImageProblem("damaged");
  }

  readQuantization(from, to) {
    let at = from;
    while (at < to) {
      const [precise, number] = [this.bytes[at] >> 4, this.bytes[at] & 15];
      at++;
      if (number > 3) throw new ImageProblem("damaged");
      const table = new Int32Array(64);
      for (let k = 0; k < 64; k++) {
        table[ZIGZAG[k]] = precise ? uint16(this.bytes, at) : this.bytes[at];
        at += precise ? 2 : 1;
      }
      this.quantizations[number] = table;
    }
  }

  readHuffman(from, to) {
    let at = from;
    while (at + 17 <= to) {
      const [isAc, number] = [this.bytes[at] >> 4, this.bytes[at] & 15];
      const counts = this.bytes.subarray(at + 1, at + 17);
      const length = counts.reduce((sum, count) => sum + count, 0);
      at += 17;
      const values = this.bytes.slice(at, at + length);
      const isRight = at + length <= to && isAc <= 1 && number <= 3 && (isAc || !values.some((v) => v > 15));
      if (!isRight) throw new ImageProblem("damaged");
      const table = new HuffmanTable(counts, values);
      (isAc ? this.acTables : this.dcTables)[number] = table;
      at += length;
    }
  }

  readFrame(marker, from) {
    const { bytes, reduction } = this;
    const { width, height } = jpegSize(bytes);
    if (this.frame) throw new ImageProblem("damaged");
    const components = [];
    for (let index = 0; index < bytes[from + 5]; index++) {
      const at = from + 6 + 3 * index;
      const [across, down] = [bytes[at + 1] >> 4, bytes[at + 1] & 15];
      if (!(across >= 1 && across <= 4 && down >= 1 && down <= 4)) throw new ImageProblem("damaged");
      components.push({ index, id: bytes[at], across, down, tableNumber: bytes[at + 2] });
    }
    if (![1, 3, 4].includes(components.length)) throw new ImageProblem("rare");
    const most = {
      across: Math.max(...components.map(({ across }) => across)),
      down: Math.max(...components.map(({ down }) => down)),
    };
    this.frame = { width, height, components, most, isProgressive: marker === 0xc2 };
    for (const component of components) this.layOut(component, 8 / reduction);
    checkMemory(width, height, this.memory(components));
  }

  /** Set how large a component is: in blocks, and in samples at the scale of the result. */
  layOut(component, least) {
    const { width, height, most } = this.frame;
    // Color at half the resolution needs half the reduction, as far as blocks of 8 x 8 allow.
    let size = least;
    const fits = (full, own) => (full * least) % (own * size * 2) === 0;
    while (size < 8 && fits(most.across, component.across) && fits(most.down, component.down)) size *= 2;
    const share = (whole, own, full, unit) => Math.ceil((whole * own * unit) / (full * 8));
    component.size = size;
    component.width = share(width, component.across, most.across, size);
    component.height = share(height, component.down, most.down, size);
    component.blocksAcross = Math.ceil(Math.ceil((width * component.across) / most.across) / 8);
    component.blocksDown = Math.ceil(Math.ceil((height * component.down) / most.down) / 8);
    component.paddedAcross = Math.ceil(width / (8 * most.across)) * component.across;
    component.paddedDown = Math.ceil(height / (8 * most.down)) * component.down;
    component.stride = component.paddedAcross * size;
  }

  /** Return the bytes that pixels, planes and, in several scans, coefficients take. */
  memory(components) {
    const { width, height } = this.frame;
    const pixels = (components.length * width * height) / this.reduction ** 2;
    const kept = components.map(({ paddedAcross, paddedDown, size }) => {
      return paddedAcross * paddedDown * (size ** 2 + 128);
    });
    return pixels + kept.reduce((sum, bytes) => sum + bytes, 0);
  }

  /** Read a scan and return where it ends. */
  readScan(from, to) {
    const { bytes, frame } = this;
    if (!frame) throw new ImageProblem("damaged");
    const count = bytes[from];
    const scanned = [];
    for (let k = 0; k < count; k++) {
      const [id, tables] = [bytes[from + 1 + 2 * k], bytes[from + 2 + 2 * k]];
      const component = frame.components.find((one) => one.id === id && !scanned.includes(one));
      if (!component) throw new ImageProblem("damaged");
      component.dcTable = this.dcTables[tables >> 4];
      component.acTable = this.acTables[tables & 15];
      component.quantization ??= this.quantizations[component.tableNumber]?.slice();
      if (!component.quantization) throw new ImageProblem("damaged");
      scanned.push(component);
    }
    frame.inSeveralScans ??= frame.isProgressive || count < frame.components.length;
    for (const component of frame.components) this.allocate(component);
    const at = from + 1 + 2 * count;
    const band = { spectralStart: bytes[at], spectralEnd: Math.min(bytes[at + 1], 63) };
    const bits = new BitReader(bytes, to);
    const shifts = { shiftBefore: bytes[at + 2] >> 4, shift: bytes[at + 2] & 15 };
    const state = new ScanState(bits, { ...band, ...shifts });
    this.readBlocks(scanned, state, this.blockReader(state, scanned));
    if (bits.ended) throw new ImageProblem("damaged"); // as libjpeg, which reads ahead, too
    return bits.position;
  }

  /** Make room for a component's samples and, in several scans, its coefficients. */
  allocate(component) {
    const blocks = component.paddedAcross * component.paddedDown;
    component.plane ??= new Uint8ClampedArray(blocks * component.size ** 2);
    if (this.frame.inSeveralScans) component.coefficients ??= new Int16Array(64 * blocks);
  }

  /** Return what reads one block of a scan, with the codes that it needs. */
  blockReader({ spectralStart, shiftBefore }, scanned) {
    const needs = (name) => {
      if (!scanned.every((component) => component[name])) throw new ImageProblem("damaged");
    };
    if (!this.frame.isProgressive) {
      needs("dcTable");
      needs("acTable");
      return BLOCK_READERS.sequential;
    }
    if (spectralStart === 0) {
      if (shiftBefore > 0) return BLOCK_READERS.refinedDc;
      needs("dcTable");
      return BLOCK_READERS.firstDc;
    }
    needs("acTable");
    return shiftBefore > 0 ? BLOCK_READERS.refinedAc : BLOCK_READERS.firstAc;
  }

  readBlocks(scanned, state, readBlock) {
    const alone = scanned.length === 1;
    const columns = alone ? scanned[0].blocksAcross : scanned[0].paddedAcross / scanned[0].across;
    const rows = alone ? scanned[0].blocksDown : scanned[0].paddedDown / scanned[0].down;
    let left = this.restartInterval;
    let isEmpty = false; // whether data is missing up to the next restart: the rest stays grey
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        if (this.restartInterval > 0 && left-- === 0) {
          left = this.restartInterval - 1;
          isEmpty = !this.restart(state);
        }
        const reader = isEmpty ? leaveEmpty : readBlock;
        for (const component of scanned) {
          const wide = alone ? 1 : component.across;
          const high = alone ? 1 : component.down;
          for (let down = row * high; down < (row + 1) * high; down++) {
            for (let across = column * wide; across < (column + 1) * wide; across++) {
              this.readOne(component, down, across, state, reader);
            }
          }
        }
        if (!isEmpty && state.bits.isEmpty) {
          if (state.bits.ended) throw new ImageProblem("damaged");
          isEmpty = true;
        }
      }
    }
  }

  /** Read a block; of a scan that has all of it, turn it into samples at once. */
  readOne(component, row, column, state, readBlock) {
    if (component.coefficients) {
      const at = 64 * (row * component.paddedAcross + column);
      readBlock(state, component, component.coefficients, at);
      return;
    }
    const last = readBlock(state, component, single, 0);
    this.transform(component, single, 0, row, column, last === 0);
    if (last === 0) single[0] = 0;
    else single.fill(0);
  }

  transform(component, coefficients, at, row, column, isFlat) {
    const { size, stride, plane, quantization } = component;
    const to = row * size * stride + column * size;
    if (isFlat || size === 1) flatBlock(coefficients[at] * quantization[0], size, plane, to, stride);
    else inverseDct(coefficients, at, quantization, size, plane, to, stride);
  }

  /** Go to the restart marker that is due, and return whether it is there. */
  restart(state) {
    const { bits } = state;
    const { bytes } = this;
    let position = bits.position;
    while (position < bytes.length && !(bytes[position] === 0xff && bytes[position + 1] > 1)) position++;
    while (bytes[position + 1] === 0xff) position++;
    const isThere = isRestart(bytes[position + 1]);
    bits.position = isThere ? position + 2 : position;
    bits.reset();
    state.restart();
    return isThere;
  }

  pixels() {
    const { frame, reduction } = this;
    const { components, most } = frame;
    for (const component of components) {
      if (!component.coefficients) continue;
      for (let row = 0; row < component.paddedDown; row++) {
        for (let column = 0; column < component.paddedAcross; column++) {
          const at = 64 * (row * component.paddedAcross + column);
          this.transform(component, component.coefficients, at, row, column, false);
        }
      }
      component.coefficients = null; // before more is taken
    }
    const least = 8 / reduction;
    const planes = components.map((component) => {
      const across = (most.across * least) / (component.across * component.size);
      const down = (most.down * least) / (component.down * component.size);
      if (!Number.isInteger(across) || !Number.isInteger(down)) throw new ImageProblem("rare");
      return enlarged(component, across, down, least > 1);
    });
    const [width, height] = [frame.width, frame.height].map((side) => Math.ceil(side / reduction));
    return joinedPlanes(planes, width, height, this.colorKind());
  }

  /** Return what the components mean, as libjpeg guesses it. */
  colorKind() {
    const ids = this.frame.components.map(({ id }) => id);
    if (ids.length === 1) return "grey";
    if (ids.length === 4) return this.adobe === 2 ? "ycck" : "cmyk";
    if (this.isJfif) return "ycc";
    if (this.adobe !== null) return this.adobe === 0 ? "rgb" : "ycc";
    return String.fromCharCode(...ids) === "RGB" ? "rgb" : "ycc";
  }
}

const single = new Int16Array(64); // the coefficients of one block; zeros in between

/** Read nothing of a block whose data is missing. */
function leaveEmpty() {
  return 0;
}

function uint16(bytes, at) {
  return (bytes[at] << 8) | bytes[at + 1];
}
