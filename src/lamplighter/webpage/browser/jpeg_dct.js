/**
 * The inverse DCT of a block, at scales 1, 1/2, 1/4 and 1/8, to the last bit as libjpeg-turbo has it.
 *
 * The accurate integer method of C. Loeffler, A. Ligtenberg and G. Moschytz (1989, "Practical fast
 * 1-D DCT algorithms with 11 multiplications"): first along columns, then along rows, with constants
 * of 13 bits after the point. At a reduced scale the high frequencies are left out, which is both
 * quicker and smoother than to throw pixels away.
 */

const CONST_BITS = 13;
const PASS1_BITS = 2; // that the first pass keeps after the point
const fixed = (value) => Math.round(value * (1 << CONST_BITS));

const F_0_211 = fixed(0.211164243);
const F_0_298 = fixed(0.298631336);
const F_0_390 = fixed(0.390180644);
const F_0_509 = fixed(0.509795579);
const F_0_541 = fixed(0.5411961);
const F_0_601 = fixed(0.601344887);
const F_0_720 = fixed(0.720959822);
const F_0_765 = fixed(0.765366865);
const F_0_850 = fixed(0.850430095);
const F_0_899 = fixed(0.899976223);
const F_1_061 = fixed(1.061594337);
const F_1_175 = fixed(1.175875602);
const F_1_272 = fixed(1.27275858);
const F_1_451 = fixed(1.451774981);
const F_1_501 = fixed(1.50132111);
const F_1_847 = fixed(1.847759065);
const F_1_961 = fixed(1.96157056);
const F_2_053 = fixed(2.053119869);
const F_2_172 = fixed(2.172734803);
const F_2_562 = fixed(2.562915447);
const F_3_072 = fixed(3.072711026);
const F_3_624 = fixed(3.624509785);

const values = new Int32Array(64); // of the block, multiplied by its quantization table
const halfway = new Int32Array(64); // after the first pass

/** Return `value` / 2^bits, rounded. */
function descaled(value, bits) {
  return (value + (1 << (bits - 1))) >> bits;
}

/** One pass of 8 values, from `source` to `target`, each `step` apart, of `bits` after the point. */
function pass8(source, target, at, step, bits) {
  const s0 = source[at];
  const s1 = source[at + step];
  const s2 = source[at + 2 * step];
  const s3 = source[at + 3 * step];
  const s4 = source[at + 4 * step];
  const s5 = source[at + 5 * step];
  const s6 = source[at + 6 * step];
  const s7 = source[at + 7 * step];
  // Even part.
  const turned = (s2 + s6) * F_0_541;
  const low = turned - s6 * F_1_847;
  const high = turned + s2 * F_0_765;
  const sum = (s0 + s4) << CONST_BITS;
  const difference = (s0 - s4) << CONST_BITS;
  const e0 = sum + high;
  const e3 = sum - high;
  const e1 = difference + low;
  const e2 = difference - low;
  // Odd part.
  const both = (s7 + s3 + s5 + s1) * F_1_175;
  const z1 = (s7 + s1) * -F_0_899;
  const z2 = (s5 + s3) * -F_2_562;
  const z3 = both - (s7 + s3) * F_1_961;
  const z4 = both - (s5 + s1) * F_0_390;
  const o0 = s7 * F_0_298 + z1 + z3;
  const o1 = s5 * F_2_053 + z2 + z4;
  const o2 = s3 * F_3_072 + z2 + z3;
  const o3 = s1 * F_1_501 + z1 + z4;
  target[at] = descaled(e0 + o3, bits);
  target[at + 7 * step] = descaled(e0 - o3, bits);
  target[at + step] = descaled(e1 + o2, bits);
  target[at + 6 * step] = descaled(e1 - o2, bits);
  target[at + 2 * step] = descaled(e2 + o1, bits);
  target[at + 5 * step] = descaled(e2 - o1, bits);
  target[at + 3 * step] = descaled(e3 + o0, bits);
  target[at + 4 * step] = descaled(e3 - o0, bits);
}

/** One pass that makes 4 values of 8, of which the fifth is not needed. */
function pass4(source, target, at, step, bits) {
  const s0 = source[at] << (CONST_BITS + 1);
  const s1 = source[at + step];
  const s2 = source[at + 2 * step];
  const s3 = source[at + 3 * step];
  const s5 = source[at + 5 * step];
  const s6 = source[at + 6 * step];
  const s7 = source[at + 7 * step];
  const even = s2 * F_1_847 - s6 * F_0_765;
  const inner = -s7 * F_0_211 + s5 * F_1_451 - s3 * F_2_172 + s1 * F_1_061;
  const outer = -s7 * F_0_509 - s5 * F_0_601 + s3 * F_0_899 + s1 * F_2_562;
  target[at] = descaled(s0 + even + outer, bits + 1);
  target[at + 3 * step] = descaled(s0 + even - outer, bits + 1);
  target[at + step] = descaled(s0 - even + inner, bits + 1);
  target[at + 2 * step] = descaled(s0 - even - inner, bits + 1);
}

/** One pass that makes 2 values of 8, of which the odd ones and the first are needed. */
function pass2(source, target, at, step, bits) {
  const s0 = source[at] << (CONST_BITS + 2);
  const odd =
    -source[at + 7 * step] * F_0_720 +
    source[at + 5 * step] * F_0_850 -
    source[at + 3 * step] * F_1_272 +
    source[at + step] * F_3_624;
  target[at] = descaled(s0 + odd, bits + 2);
  target[at + step] = descaled(s0 - odd, bits + 2);
}

const PASSES = { 8: pass8, 4: pass4, 2: pass2 };

/**
 * Write the samples of a block to a plane.
 *
 * @param {Int16Array} coefficients of the block, row by row, from `at` on.
 * @param {Int32Array} quantization what each was divided by.
 * @param {8 | 4 | 2} size samples along each side of the result.
 * @param {Uint8ClampedArray} plane of samples, `stride` in each row; the block begins at `to`.
 */
export function inverseDct(coefficients, at, quantization, size, plane, to, stride) {
  for (let k = 0; k < 64; k++) values[k] = coefficients[at + k] * quantization[k];
  if (size === 8) twoPasses(pass8, 8, plane, to, stride);
  else if (size === 4) twoPasses(pass4, 4, plane, to, stride);
  else twoPasses(pass2, 2, plane, to, stride);
}

function twoPasses(pass, size, plane, to, stride) {
  for (let column = 0; column < 8; column++) {
    if (size < 8 && column === 4) continue; // which the second pass does not look at
    pass(values, halfway, column, 8, CONST_BITS - PASS1_BITS);
  }
  for (let row = 0; row < size; row++) {
    pass(halfway, values, 8 * row, 1, CONST_BITS + PASS1_BITS + 3);
    const end = to + row * stride;
    for (let column = 0; column < size; column++) plane[end + column] = values[8 * row + column] + 128;
  }
}

/** Write a block of one level throughout, of which `dc` is the only coefficient. */
export function flatBlock(dc, size, plane, to, stride) {
  const level = descaled(dc, 3) + 128;
  for (let row = 0; row < size; row++) {
    const start = to + row * stride;
    for (let column = 0; column < size; column++) plane[start + column] = level;
  }
}
