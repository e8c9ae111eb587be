/**
 * The entropy-coded data of a JPEG: bits, Huffman codes and the coefficients of blocks.
 *
 * ITU-T T.81 (1992): annex F for sequential scans, annex G for progressive ones.
 */

import { ImageProblem } from "./problems.js";

/** From the order in which coefficients are stored to their place in a block, row by row. */
export const ZIGZAG = new Uint8Array([
  0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13,
  6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38,
  31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
  // Damaged data may run past the end of a block.
  63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63,
]);
const QUICK = 9; // bits that are looked up at once; longer codes are rare

/** The codes of a DHT segment. */
export class HuffmanTable {
  /**
   * @param {Uint8Array} counts how many codes there are of each length 1..16.
   * @param {Uint8Array} values what they stand for, the shortest code first.
   * @throws {ImageProblem} there are more codes than their lengths allow.
   */
  constructor(counts, values) {
    this.values = values;
    this.quick = new Uint16Array(1 << QUICK); // length << 8 | value; 0 where the code is longer
    this.last = new Int32Array(17).fill(-1); // the largest code of each length
    this.offset = new Int32Array(17); // from a code of that length to its value
    let code = 0;
    let index = 0;
    for (let length = 1; length <= 16; length++) {
      this.offset[length] = index - code;
      for (let k = 0; k < counts[length - 1]; k++, code++, index++) {
        if (length > QUICK) continue;
        const from = code << (QUICK - length);
        this.quick.fill((length << 8) | values[index], from, from + (1 << (QUICK - length)));
      }
      if (code > 1 << length) throw new ImageProblem("damaged");
      if (counts[length - 1] > 0) this.last[length] = code - 1;
      code <<= 1;
    }
  }
}

/** Reads bits of entropy-coded data. Where the data ends, or a marker stands in it, it reads 0. */
export class BitReader {
  constructor(bytes, position) {
    this.bytes = bytes;
    this.position = position;
    this.reset();
  }

  /** Forget the bits that were read ahead, as at a restart marker. */
  reset() {
    this.bits = 0;
    this.count = 0; // bits in `bits` that are not used yet
    this.invented = 0; // how many zeros were added behind the last true bit
    this.ended = false; // whether the file ends here, where more is needed
  }

  /** Whether more bits were used than there are. */
  get isEmpty() {
    return this.invented > this.count;
  }

  fill() {
    const { bytes } = this;
    while (this.count <= 24) {
      let byte = bytes[this.position];
      if (byte === undefined) {
        this.ended = true;
        byte = 0;
        this.invented += 8;
      } else if (byte === 0xff) {
        let next = this.position + 1;
        while (bytes[next] === 0xff) next++;
        if (bytes[next] === 0) {
          this.position = next + 1;
        } else {
          this.ended = next >= bytes.length;
          byte = 0;
          this.invented += 8;
        }
      } else {
        this.position++;
      }
      this.bits = (this.bits << 8) | byte;
      this.count += 8;
    }
  }

  /** Return the next `count` bits, 0..16. */
  take(count) {
    if (this.count < count) this.fill();
    this.count -= count;
    return (this.bits >>> this.count) & ((1 << count) - 1);
  }

  /** Return a number of `size` bits, of which the first tells the sign (T.81, F.2.2.1). */
  signed(size) {
    const value = this.take(size);
    return value < 1 << (size - 1) ? value - (1 << size) + 1 : value;
  }

  /** Return what the next code stands for. */
  decode(table) {
    if (this.count < 16) this.fill();
    const found = table.quick[(this.bits >>> (this.count - QUICK)) & ((1 << QUICK) - 1)];
    if (found !== 0) {
      this.count -= found >> 8;
      return found & 255;
    }
    for (let length = QUICK + 1; length <= 16; length++) {
      const code = (this.bits >>> (this.count - length)) & ((1 << length) - 1);
      if (code <= table.last[length]) {
        this.count -= length;
        return table.values[code + table.offset[length]];
      }
    }
    this.count -= 16; // no code: the data is damaged, and libjpeg goes on with a zero
    return 0;
  }
}

/** The state of a scan that goes from block to block; a restart marker begins it anew. */
export class ScanState {
  constructor(bits, { spectralStart, spectralEnd, shiftBefore, shift }) {
    this.bits = bits;
    this.spectralStart = spectralStart;
    this.spectralEnd = spectralEnd;
    this.shiftBefore = shiftBefore;
    this.shift = shift;
    this.restart();
  }

  restart() {
    this.predictions = new Int32Array(256); // of the DC coefficient, by component
    this.emptyBlocks = 0; // how many blocks of this band are still without new coefficients
  }
}

/** Read the difference of a DC coefficient and return the coefficient. */
function nextDc(state, component) {
  const size = state.bits.decode(component.dcTable);
  if (size > 0) state.predictions[component.index] += state.bits.signed(size & 15);
  return state.predictions[component.index];
}

/**
 * Functions that read one block: (state, component, coefficients, at), where `coefficients` holds
 * the block from `at` on.
 */
export const BLOCK_READERS = {
  /** Also returns the place of the last coefficient, 0..63. */
  sequential(state, component, coefficients, at) {
    const { bits } = state;
    const { acTable } = component;
    let last = 0;
    coefficients[at] = nextDc(state, component);
    for (let k = 1; k < 64; k++) {
      const code = bits.decode(acTable);
      const size = code & 15;
      if (size === 0) {
        if (code !== 0xf0) break; // the end of the block
        k += 15;
      } else {
        k += code >> 4;
        last = k;
        coefficients[at + ZIGZAG[k]] = bits.signed(size);
      }
    }
    return last; // 0 where the block is flat
  },

  firstDc(state, component, coefficients, at) {
    coefficients[at] = nextDc(state, component) << state.shift;
  },

  refinedDc(state, component, coefficients, at) {
    if (state.bits.take(1)) coefficients[at] |= 1 << state.shift;
  },

  firstAc(state, component, coefficients, at) {
    if (state.emptyBlocks > 0) {
      state.emptyBlocks--;
      return;
    }
    const { bits, shift } = state;
    for (let k = state.spectralStart; k <= state.spectralEnd; k++) {
      const code = bits.decode(component.acTable);
      const [run, size] = [code >> 4, code & 15];
      if (size > 0) {
        k += run;
        coefficients[at + ZIGZAG[k]] = bits.signed(size) << shift;
      } else if (run === 15) {
        k += 15;
      } else {
        state.emptyBlocks = (1 << run) - 1 + bits.take(run);
        return;
      }
    }
  },

  refinedAc(state, component, coefficients, at) {
    const { bits, shift, spectralEnd } = state;
    let k = state.spectralStart;
    while (state.emptyBlocks === 0 && k <= spectralEnd) {
      const code = bits.decode(component.acTable);
      let run = code >> 4;
      let fresh = 0;
      if ((code & 15) > 0) {
        fresh = bits.take(1) ? 1 << shift : -1 << shift;
      } else if (run < 15) {
        state.emptyBlocks = (1 << run) + bits.take(run);
        break;
      }
      for (; k <= spectralEnd; k++) {
        const place = at + ZIGZAG[k];
        if (coefficients[place] !== 0) refine(bits, coefficients, place, shift);
        else if (run-- === 0) break;
      }
      if (fresh !== 0 && k <= 63) coefficients[at + ZIGZAG[k]] = fresh;
      k++;
    }
    if (state.emptyBlocks > 0) {
      for (; k <= spectralEnd; k++) {
        const place = at + ZIGZAG[k];
        if (coefficients[place] !== 0) refine(bits, coefficients, place, shift);
      }
      state.emptyBlocks--;
    }
  },
};

/** Read one more bit of a coefficient that is known to be other than 0. */
function refine(bits, coefficients, place, shift) {
  const value = coefficients[place];
  if (bits.take(1) && (Math.abs(value) & (1 << shift)) === 0) {
    coefficients[place] += value > 0 ? 1 << shift : -1 << shift;
  }
}
