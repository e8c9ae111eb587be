/** From the bytes of an image file to an upright picture: JPEG and PNG as Pillow, others by the browser. */

import { decodeJpeg, isJpeg, jpegSize } from "./jpeg.js";
import { isWebp, jpegOrientation, pngOrientation, takeWebpOrientation } from "./orientation.js";
import { upright } from "./picture.js";
import { decodePng, isPng } from "./png.js";
import { ImageProblem, checkMemory } from "./problems.js";

const REDUCTIONS = [8, 4, 2, 1];

/**
 * Return the image in a file, upright: of an animation the first frame.
 *
 * @param {Uint8Array} bytes
 * @param {(size: number[]) => number[]} atLeast gives the (width, height) that are enough of an image
 *   of that width and height; a JPEG is then decoded at the smallest scale that has as many.
 * @returns {Promise<Picture>}
 * @throws {ImageProblem} it is no image, or damaged, too large, or of a kind that is not read here.
 */
export async function openImage(bytes, atLeast = (size) => size) {
  if (bytes.length === 0) throw new ImageProblem("empty");
  if (isPng(bytes)) return upright(await decodePng(bytes), pngOrientation(bytes));
  if (isJpeg(bytes)) return openJpeg(bytes, atLeast);
  if (isWebp(bytes)) {
    const { orientation, plain } = takeWebpOrientation(bytes);
    return upright(await decodeByBrowser(plain), orientation);
  }
  return decodeByBrowser(bytes);
}

async function openJpeg(bytes, atLeast) {
  try {
    const orientation = jpegOrientation(bytes);
    const lies = orientation >= 5 && orientation <= 8;
    const { width, height } = jpegSize(bytes);
    const wanted = atLeast(lies ? [height, width] : [width, height]).map((side) => Math.max(side, 1));
    if (lies) wanted.reverse();
    const most = Math.min(Math.floor(width / wanted[0]), Math.floor(height / wanted[1]));
    const reduction = REDUCTIONS.find((one) => one <= most) ?? 1;
    return upright(decodeJpeg(bytes, reduction), orientation);
  } catch (error) {
    if (error.kind === "rare") return decodeByBrowser(bytes); // arithmetic coding, 12 bits
    if (error instanceof RangeError) throw new ImageProblem("too-large"); // an array that is refused
    throw error;
  }
}

/** Return what the browser makes of a file: WebP, GIF, BMP, AVIF, and whatever else it knows. */
async function decodeByBrowser(bytes) {
  const options = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
  let bitmap;
  try {
    bitmap = await createImageBitmap(new Blob([bytes]), options);
  } catch {
    throw new ImageProblem("not-an-image");
  }
  try {
    checkMemory(bitmap.width, bitmap.height, 8 * bitmap.width * bitmap.height);
    return pixelsOf(bitmap, bitmap.width, bitmap.height);
  } finally {
    bitmap.close();
  }
}

/**
 * Return the pixels of what a canvas can draw, such as a frame of a camera.
 *
 * @returns {Picture} RGBA, or RGB where nothing is transparent.
 */
export function pixelsOf(source, width, height) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new ImageProblem("too-large");
  context.drawImage(source, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  let isOpaque = true;
  for (let at = 3; at < data.length && isOpaque; at += 4) isOpaque = data[at] === 255;
  if (!isOpaque) return { width, height, channels: 4, data: new Uint8Array(data.buffer) };
  const color = new Uint8Array(3 * width * height);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    color[to++] = data[from];
    color[to++] = data[from + 1];
    color[to++] = data[from + 2];
  }
  return { width, height, channels: 3, data: color };
}
