/** Numbers as numpy and Python reckon with them. */

/** Return `value` rounded to the nearest whole number, halves to the even one, as Python does. */
export function roundHalfEven(value) {
  const rounded = Math.round(value);
  return Math.abs(value % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/** Return `value`, at least `low` and at most `high`. */
export function clipped(value, low, high) {
  return value < low ? low : value > high ? high : value;
}

/**
 * Return the quantile of values, between two of them by linear interpolation, as numpy does.
 *
 * @param {ArrayLike<number>} values at least one; they stay as they are.
 * @param {number} share 0..1.
 */
export function quantile(values, share) {
  const sorted = Float64Array.from(values).sort();
  const place = share * (sorted.length - 1);
  const before = Math.floor(place);
  const [low, high] = [sorted[before], sorted[Math.min(before + 1, sorted.length - 1)]];
  const part = place - before;
  return part < 0.5 ? low + (high - low) * part : high - (high - low) * (1 - part);
}

/**
 * Return the sum of at most 128 values in the order in which numpy adds them: eight sums side by side.
 *
 * @param {ArrayLike<number>} values
 * @param {(sum: number) => number} [rounded] to the precision that is kept after each step.
 */
export function pairwiseSum(values, rounded = (sum) => sum) {
  const add = (a, b) => rounded(a + b);
  const whole = values.length < 8 ? 0 : values.length - (values.length % 8);
  let result = 0;
  if (whole > 0) {
    const sums = Array.from(values).slice(0, 8);
    for (let at = 8; at < whole; at++) sums[at % 8] = add(sums[at % 8], values[at]);
    const [a, b, c, d] = [0, 2, 4, 6].map((k) => add(sums[k], sums[k + 1]));
    result = add(add(a, b), add(c, d));
  }
  for (let at = whole; at < values.length; at++) result = add(result, values[at]);
  return result;
}

/** Return the mean of values. */
export function mean(values) {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}

/** Return the largest of values. */
export function largest(values) {
  let most = -Infinity;
  for (const value of values) if (value > most) most = value;
  return most;
}

/**
 * Return x of A x = b by Gaussian elimination with pivoting, for several b at once.
 *
 * @param {number[][]} matrix A, (n, n); it is used up.
 * @param {number[][]} right b, (n, m); it becomes x.
 */
export function solve(matrix, right) {
  const count = matrix.length;
  for (let column = 0; column < count; column++) {
    let pivot = column;
    for (let row = column + 1; row < count; row++) {
      if (Math.abs(matrix[row][column]) > Math.abs(matrix[pivot][column])) pivot = row;
    }
    [matrix[column], matrix[pivot]] = [matrix[pivot], matrix[column]];
    [right[column], right[pivot]] = [right[pivot], right[column]];
    for (let row = 0; row < count; row++) {
      if (row === column) continue;
      const factor = matrix[row][column] / matrix[column][column];
      for (let k = column; k < count; k++) matrix[row][k] -= factor * matrix[column][k];
      for (let k = 0; k < right[row].length; k++) right[row][k] -= factor * right[column][k];
    }
  }
  return right.map((values, row) => values.map((value) => value / matrix[row][row]));
}

/**
 * Return the direction in which a symmetric matrix stretches most: its eigenvector of length 1
 * with the largest eigenvalue, by Jacobi's rotations.
 *
 * @param {number[][]} symmetric (n, n), n at least 1.
 */
export function principalDirection(symmetric) {
  const a = symmetric.map((row) => [...row]);
  const count = a.length;
  const vectors = a.map((_, i) => a.map((_, j) => (i === j ? 1 : 0)));
  for (let sweep = 0; sweep < 50; sweep++) {
    let rest = 0;
    for (let p = 0; p < count; p++) for (let q = 0; q < p; q++) rest += Math.abs(a[p][q]);
    if (rest === 0) break;
    for (let p = 0; p < count; p++) for (let q = p + 1; q < count; q++) rotate(a, vectors, p, q);
  }
  let most = 0;
  for (let i = 1; i < count; i++) if (a[i][i] > a[most][most]) most = i;
  return vectors.map((row) => row[most]);
}

/** Turn the axes p and q so that a[p][q] becomes 0. */
function rotate(a, vectors, p, q) {
  if (a[p][q] === 0) return;
  const theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
  const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1));
  const cosine = 1 / Math.hypot(t, 1);
  const sine = t * cosine;
  const turn = (x, y) => [cosine * x - sine * y, sine * x + cosine * y];
  for (const row of a) [row[p], row[q]] = turn(row[p], row[q]);
  for (let k = 0; k < a.length; k++) [a[p][k], a[q][k]] = turn(a[p][k], a[q][k]);
  a[p][q] = a[q][p] = 0;
  for (const row of vectors) [row[p], row[q]] = turn(row[p], row[q]);
}
