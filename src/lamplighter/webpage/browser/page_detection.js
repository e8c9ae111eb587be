/** Leaves out desk, frame and shadow around a sheet with a digit, as `lamplighter.images.digits.page_detection`. */

import {
  area, blobs, boxOf, components, convexity, edge, filled, grown, holdsSquare, isInCorner, isStraight, longSide,
  maskOf, rectangularity, shrunk,
} from "./connected_components.js";
import { WEAK, look } from "./foreground.js";
import { roundHalfEven } from "./numbers.js";
import { ImageProblem } from "./problems.js";

const DEEPEST = 3; // surroundings in surroundings: a desk, a sheet on it, a box on that
const LEAST_PART = 50; // pixels in which a digit is looked for
const LONG = 0.12; // least length of a digit, of the part it stands in
const COVERING = 0.25; // most area of it
const BROAD = 0.33; // side of a square that no stroke holds, as a share of the digit's long side
const LARGE = [0.1, 0.5]; // area of a sheet or a shadow, of the picture: of more it is the ground
const ENCLOSED = 0.4; // long side of what no zero has inside, as a share of the zero's
const LEAST_HOLE = 5; // long side, in pixels, of what can be told to be a stroke
const CORNERED = 0.94; // area of a sheet, of the rectangle about it; thick digits covered up to 0.89
const THIN = [0.2, 0.3]; // area of a stroke, of the square of its length: without and with corners
const COMPACT = 0.75; // area of the hole of a digit, of its convex hull

/**
 * Return the part of a picture whose ground the digit stands on, and the view of it.
 *
 * A digit stands free of the edge of its ground. So what is joined to the edge (a desk, a shadow) is
 * left out, and of what surrounds (a sheet, a frame) the inside is taken, as long as a digit stands
 * free in what remains.
 *
 * @param {Picture} picture
 * @returns {{part: Mask, view: View}}
 * @throws {ImageProblem} nothing stands out from the background.
 */
export function findPart(picture) {
  let part = maskOf(picture, () => true);
  let view = look(picture, part);
  for (let depth = 0; depth < DEEPEST; depth++) {
    let isNarrower = false;
    for (const inner of narrower(view, part)) {
      const innerView = viewIfFree(picture, inner, view);
      if (innerView === null) continue;
      [part, view, isNarrower] = [inner, innerView, true];
      break;
    }
    if (!isNarrower) break;
  }
  return { part, view };
}

/** Yield what a part leaves without its outer patch, the longest, and what that holds. */
function* narrower(view, part) {
  const outer = view.blobs.reduce((best, blob) => (longSide(blob.box) > longSide(best.box) ? blob : best));
  const atEdge = labelsAtEdge(view, part);
  const inked = [...atEdge].filter((label) => label > 0);
  // At the edge of a sheet or a box anything is a remnant of it; at that of the picture a small
  // patch may be a piece of the digit.
  if (atEdge.has(outer.label) || (inked.length > 0 && !part.data.every(Boolean))) {
    const removed = grown(maskOf(part, (at) => inked.includes(view.labels.data[at])));
    yield maskOf(part, (at) => part.data[at] && !removed.data[at]);
  }
  const enclosed = filled(grown(maskOf(part, (at) => view.labels.data[at] === outer.label)));
  const inside = maskOf(part, (at) => enclosed.data[at] && part.data[at]);
  if (encloses(inside, outer, view) || (isStraight(inside) && holdsDigit(inside, outer, view))) {
    yield shrunk(inside); // so that a frame is joined to its edge
  }
}

/** Return the labels in a mask, 0 for no patch. */
function labelsIn(mask, labels) {
  const found = new Set();
  mask.data.forEach((isIn, at) => isIn && found.add(labels.data[at]));
  return found;
}

/** Return whether a patch lies inside the outer one that is too large for a speck. */
function encloses(inside, outer, view) {
  const found = labelsIn(inside, view.labels);
  const least = ENCLOSED * longSide(outer.box);
  return view.blobs.some(
    (blob) => blob.label !== outer.label && found.has(blob.label) && longSide(blob.box) >= least,
  );
}

/** Return whether inside the outer patch there may be a digit, not mere holes. */
function holdsDigit(inside, outer, view) {
  const holes = maskOf(inside, (at) => inside.data[at] && view.labels.data[at] !== outer.label);
  return [...labelsIn(holes, view.labels)].some((label) => label > 0) || holdsWriting(inside, holes);
}

/**
 * Return whether one of the holes in what is inside a patch is a stroke.
 *
 * A stroke is bent, or long and thin. The holes of a digit are neither: those of an 8, a 0 or a 6 are
 * compact. With the corners of a sheet about it, a stroke may be as thick as a marker's.
 */
export function holdsWriting(inside, holes) {
  const labels = components(holes);
  const thin = THIN[rectangularity(inside) > CORNERED ? 1 : 0];
  return blobs(labels, holes.data).some(({ label, ink, box }) => {
    if (longSide(box) < LEAST_HOLE) return false;
    return ink < thin * longSide(box) ** 2 || convexity(partOf(labels, box, label)) < COMPACT;
  });
}

/** Return the mask of a patch within its box. */
function partOf(labels, box, label) {
  const size = { width: box.right - box.left, height: box.bottom - box.top };
  return maskOf(size, (at) => {
    const [row, column] = [Math.floor(at / size.width), at % size.width];
    return labels.data[(box.top + row) * labels.width + box.left + column] === label;
  });
}

/** Return the view of a part if a digit stands free in it, as clear as in what is around; or null. */
function viewIfFree(picture, part, around) {
  const size = area(part);
  if (size < LEAST_PART) return null;
  let view;
  try {
    view = look(picture, part);
  } catch (error) {
    if (error instanceof ImageProblem) return null;
    throw error;
  }
  const box = boxOf(part);
  const least = LONG * Math.max(box.bottom - box.top - 1, box.right - box.left - 1);
  const atEdge = labelsAtEdge(view, part);
  const areas = new Map();
  for (const label of view.labels.data) areas.set(label, (areas.get(label) ?? 0) + 1);
  const isFree = view.blobs.some(
    (blob) =>
      longSide(blob.box) >= least &&
      !atEdge.has(blob.label) &&
      areas.get(blob.label) < COVERING * size, // not the hole of a zero
  );
  return isFree && view.peak > WEAK * around.peak ? view : null;
}

/** Return the labels of the patches joined to the edge of a part, 0 for none. */
function labelsAtEdge(view, part) {
  return labelsIn(edge(part), view.labels);
}

/**
 * Refuse ink, found in a whole picture, that is a sheet or a shadow.
 *
 * @throws {ImageProblem} it is large, too broad for strokes, and straight or in a corner.
 */
export function checkStrokes(ink) {
  const box = boxOf(ink);
  const share = area(ink) / ink.data.length;
  const isLarge = LARGE[0] < share && share < LARGE[1];
  if (!isLarge || !box) return;
  const side = roundHalfEven(BROAD * longSide(box));
  if (holdsSquare(ink, side) && (isInCorner(ink) || isStraight(filled(ink)))) {
    throw new ImageProblem("sheet");
  }
}
