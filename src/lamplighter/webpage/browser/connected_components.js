/**
 * Connected patches and morphology on small masks, as `lamplighter.images.digits.connected_components`.
 *
 * @typedef {{width: number, height: number, data: Uint8Array}} Mask 1 where it holds, row by row.
 * @typedef {{width: number, height: number, data: Int32Array, count: number}} Labels patches
 *   numbered from 1 to `count`; 0 outside.
 * @typedef {{left: number, top: number, right: number, bottom: number}} Box the ends excluded.
 * @typedef {{label: number, ink: number, box: Box}} Blob a connected patch of ink.
 */

const RECTANGULAR = 0.87; // of the rectangle about it a sheet covers more, an ellipse 0.79
const CONVEX = 0.9; // of the convex hull
const ANGLES = Array.from({ length: 60 }, (_, index) => (index * 3 * Math.PI) / 180);

/** Return a mask of where `isIn(index)` holds. */
export function maskOf({ width, height }, isIn) {
  const data = new Uint8Array(width * height);
  for (let at = 0; at < data.length; at++) data[at] = isIn(at) ? 1 : 0;
  return { width, height, data };
}

/** Return how many pixels a mask covers. */
export function area(mask) {
  let covered = 0;
  for (const value of mask.data) covered += value;
  return covered;
}

/** Return the longer side of a box. */
export function longSide(box) {
  return Math.max(box.right - box.left, box.bottom - box.top);
}

/** Return the distance between two boxes, 0 where they overlap. */
export function gap(one, other) {
  const across = Math.max(one.left, other.left) - Math.min(one.right, other.right);
  const down = Math.max(one.top, other.top) - Math.min(one.bottom, other.bottom);
  return Math.max(across, down, 0);
}

/** Return the smallest box around two. */
export function joined(one, other) {
  return {
    left: Math.min(one.left, other.left),
    top: Math.min(one.top, other.top),
    right: Math.max(one.right, other.right),
    bottom: Math.max(one.bottom, other.bottom),
  };
}

/** Return the smallest box around what is other than 0; null where nothing is. */
export function boxOf({ width, height, data }, least = 0) {
  const box = { left: width, top: height, right: 0, bottom: 0 };
  for (let at = 0; at < data.length; at++) {
    if (!(data[at] > least)) continue;
    const [row, column] = [Math.floor(at / width), at % width];
    box.left = Math.min(box.left, column);
    box.right = Math.max(box.right, column + 1);
    box.top = Math.min(box.top, row);
    box.bottom = Math.max(box.bottom, row + 1);
  }
  return box.right > 0 ? box : null;
}

function root(parents, member) {
  while (parents[member] !== member) {
    parents[member] = parents[parents[member]];
    member = parents[member];
  }
  return member;
}

/** Yield the runs of a mask: row, start and end. */
function runsOf({ width, height, data }) {
  const runs = [];
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      if (!data[row * width + column]) continue;
      const start = column;
      while (column < width && data[row * width + column]) column++;
      runs.push([row, start, column]);
    }
  }
  return runs;
}

/**
 * Return the connected patches of a mask.
 *
 * Runs of each row are united with those that they touch in the row above, corners included.
 *
 * @param {Mask} mask
 * @returns {Labels}
 */
export function components(mask) {
  const runs = runsOf(mask);
  const parents = runs.map((_, index) => index);
  let above = 0;
  runs.forEach(([row, start, end], run) => {
    while (runs[above][0] < row - 1 || (runs[above][0] === row - 1 && runs[above][2] < start)) above++;
    for (let other = above; runs[other][0] === row - 1 && runs[other][1] <= end; other++) {
      parents[root(parents, other)] = root(parents, run);
    }
  });
  const roots = runs.map((_, run) => root(parents, run));
  const numbers = new Map([...new Set(roots)].sort((a, b) => a - b).map((one, index) => [one, index + 1]));
  const data = new Int32Array(mask.width * mask.height);
  runs.forEach(([row, start, end], run) => {
    data.fill(numbers.get(roots[run]), row * mask.width + start, row * mask.width + end);
  });
  return { width: mask.width, height: mask.height, data, count: numbers.size };
}

/**
 * Return each patch of `labels` with its box and the sum of its ink.
 *
 * @param {Labels} labels
 * @param {ArrayLike<number>} departure how much ink each pixel has.
 * @returns {Blob[]}
 */
export function blobs(labels, departure) {
  const found = Array.from({ length: labels.count }, (_, index) => ({
    label: index + 1,
    ink: 0,
    box: { left: labels.width, top: labels.height, right: 0, bottom: 0 },
  }));
  for (let at = 0; at < labels.data.length; at++) {
    if (labels.data[at] === 0) continue;
    const blob = found[labels.data[at] - 1];
    const [row, column] = [Math.floor(at / labels.width), at % labels.width];
    blob.ink += departure[at];
    blob.box.left = Math.min(blob.box.left, column);
    blob.box.right = Math.max(blob.box.right, column + 1);
    blob.box.top = Math.min(blob.box.top, row);
    blob.box.bottom = Math.max(blob.box.bottom, row + 1);
  }
  return found;
}

/** Return `plane` with a border of `size` pixels of `value` about it. */
export function padded({ width, height, data }, size, value = 0) {
  const result = new data.constructor((width + 2 * size) * (height + 2 * size)).fill(value);
  for (let row = 0; row < height; row++) {
    const part = data.subarray(row * width, (row + 1) * width);
    result.set(part, (row + size) * (width + 2 * size) + size);
  }
  return { width: width + 2 * size, height: height + 2 * size, data: result };
}

/** Return the largest value within `radius` of each pixel. */
export function spreadOut(plane, radius) {
  const { width, height, data } = plane;
  const reach = Math.trunc(radius);
  const result = data.slice();
  for (let down = -reach; down <= reach; down++) {
    for (let across = -reach; across <= reach; across++) {
      if (down * down + across * across > radius * radius) continue;
      const [first, last] = [Math.max(0, -across), Math.min(width, width - across)];
      for (let row = Math.max(0, -down); row < Math.min(height, height - down); row++) {
        const from = (row + down) * width + across;
        for (let column = first; column < last; column++) {
          const value = data[from + column];
          if (value > result[row * width + column]) result[row * width + column] = value;
        }
      }
    }
  }
  return { width, height, data: result };
}

/** Return a mask with the pixels beside it, where strokes fade out. */
export function grown(mask) {
  return spreadOut(mask, 1.5);
}

/** Return a mask together with what it encloses. */
export function filled(mask) {
  const around = padded(maskOf(mask, (at) => !mask.data[at]), 1, 1);
  const outside = components(around);
  const data = new Uint8Array(mask.width * mask.height);
  for (let row = 0; row < mask.height; row++) {
    for (let column = 0; column < mask.width; column++) {
      const label = outside.data[(row + 1) * around.width + column + 1];
      data[row * mask.width + column] = label === outside.data[0] ? 0 : 1;
    }
  }
  return { width: mask.width, height: mask.height, data };
}

/** Return a mask without the pixels less than 3 from one outside it or the border. */
export function shrunk(mask) {
  const outside = spreadOut(padded(maskOf(mask, (at) => !mask.data[at]), 1, 1), 3);
  return maskOf(mask, (at) => {
    const [row, column] = [Math.floor(at / mask.width), at % mask.width];
    return outside.data[(row + 1) * outside.width + column + 1] === 0;
  });
}

/** Return the pixels of a mask beside one outside it or beyond the image. */
export function edge(mask) {
  const { width, height, data } = mask;
  return maskOf(mask, (at) => {
    if (!data[at]) return false;
    const [row, column] = [Math.floor(at / width), at % width];
    const isInner = row > 0 && column > 0 && row < height - 1 && column < width - 1;
    return !(isInner && data[at - width] && data[at + width] && data[at - 1] && data[at + 1]);
  });
}

/** Return whether a mask covers one of the four corners. */
export function isInCorner({ width, height, data }) {
  return [0, width - 1, (height - 1) * width, height * width - 1].some((at) => data[at]);
}

/** Return whether a mask is a rectangle, upright or turned, or a corner cut off. */
export function isStraight(mask) {
  if (rectangularity(mask) > RECTANGULAR) return true;
  return isInCorner(mask) && convexity(mask) > CONVEX;
}

/** Return what share of the smallest rectangle about it, upright or turned, a mask covers. */
export function rectangularity(mask) {
  const sides = spans(mask).map(([least, most]) => most - least + 1);
  const rectangles = sides.map((side, k) => side * sides[(k + sides.length / 2) % sides.length]);
  return area(mask) / Math.min(...rectangles);
}

/** Return what share of its convex hull a mask covers, 0..1. */
export function convexity(mask) {
  const ends = spans(mask);
  const hull = maskOf(mask, (at) => {
    const [row, column] = [Math.floor(at / mask.width), at % mask.width];
    return ANGLES.every((angle, k) => {
      const place = column * Math.cos(angle) + row * Math.sin(angle);
      return place >= ends[k][0] - 0.5 && place <= ends[k][1] + 0.5;
    });
  });
  return area(mask) / area(hull);
}

/** Return from where to where a mask reaches along each angle. */
function spans(mask) {
  const outline = edge(mask);
  const ends = ANGLES.map(() => [Infinity, -Infinity]);
  const directions = ANGLES.map((angle) => [Math.cos(angle), Math.sin(angle)]);
  for (let at = 0; at < outline.data.length; at++) {
    if (!outline.data[at]) continue;
    const [y, x] = [Math.floor(at / mask.width), at % mask.width];
    directions.forEach(([cosine, sine], k) => {
      const place = cosine * x + sine * y;
      if (place < ends[k][0]) ends[k][0] = place;
      if (place > ends[k][1]) ends[k][1] = place;
    });
  }
  return ends;
}

/** Return whether a mask covers a square of `side` pixels somewhere. */
export function holdsSquare(mask, side) {
  side = Math.max(side, 1);
  if (side > Math.min(mask.width, mask.height)) return false;
  return squareSums(mask, side).data.some((sum) => sum === side * side);
}

/** Return a mask with all pixels at most `reach` rows and columns from it. */
export function widened(mask, reach) {
  const sums = squareSums(padded(mask, reach), 2 * reach + 1);
  return maskOf(mask, (at) => sums.data[at] > 0);
}

/** Return how much of each square of `side` pixels within a mask is covered. */
function squareSums({ width, height, data }, side) {
  const stride = width + 1;
  const sums = new Int32Array(stride * (height + 1));
  for (let row = 0; row < height; row++) {
    let along = 0;
    for (let column = 0; column < width; column++) {
      along += data[row * width + column];
      sums[(row + 1) * stride + column + 1] = sums[row * stride + column + 1] + along;
    }
  }
  const result = { width: width - side + 1, height: height - side + 1 };
  result.data = new Int32Array(result.width * result.height);
  for (let row = 0, at = 0; row < result.height; row++) {
    for (let column = 0; column < result.width; column++, at++) {
      const [above, below] = [row * stride + column, (row + side) * stride + column];
      result.data[at] = sums[below + side] - sums[above + side] - sums[below] + sums[above];
    }
  }
  return result;
}
