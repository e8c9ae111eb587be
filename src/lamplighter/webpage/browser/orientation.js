/** Which way up a photo was taken: EXIF's orientation, or XMP's where EXIF has none. */

import { segments } from "./jpeg.js";
import { chunks } from "./png.js";

const ORIENTATION = 0x0112;
const APP1 = 0xe1;
const SOS = 0xda;
const BYTES = { 1: 1, 3: 2, 4: 4 }; // of the types of whole numbers in TIFF
const XMP = "http://ns.adobe.com/xap/1.0/\0";

/** Return the orientation of a JPEG, 1..8; 1 where none is given. */
export function jpegOrientation(bytes) {
  let [exif, xmp] = [null, ""];
  try {
    for (const { marker, from, to } of segments(bytes)) {
      if (marker === SOS) break;
      if (marker !== APP1) continue;
      const content = bytes.subarray(from, to);
      if (startsWith(content, "Exif\0\0")) exif ??= content.subarray(6);
      else if (startsWith(content, XMP)) xmp = asText(content.subarray(XMP.length));
    }
  } catch {
    return 1; // of a damaged file; decoding will tell
  }
  return (exif && exifOrientation(exif)) ?? xmpOrientation(xmp) ?? 1;
}

/** Return the orientation of a PNG, 1..8; 1 where none is given. */
export function pngOrientation(bytes) {
  let [exif, xmp] = [null, ""];
  for (const { name, content } of chunks(bytes)) {
    if (name === "eXIf") exif = content;
    else if (name === "iTXt" && startsWith(content, "XML:com.adobe.xmp\0")) xmp = asText(content);
    else if (name === "tEXt" && startsWith(content, "Raw profile type exif\0")) {
      exif ??= ofHex(asText(content));
    }
  }
  return (exif && exifOrientation(exif)) ?? xmpOrientation(xmp) ?? 1;
}

/** Yield the chunks of a WebP: the name, where it begins, and the content. */
function* webpChunks(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 12; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at + 4, true);
    yield { name: asText(bytes.subarray(at, at + 4)), at, content: bytes.subarray(at + 8, at + 8 + length) };
    at += 8 + length + (length % 2);
  }
}

/** Return whether a file begins as a WebP. */
export function isWebp(bytes) {
  return startsWith(bytes, "RIFF") && startsWith(bytes.subarray(8), "WEBP");
}

/**
 * Return the orientation of a WebP, 1..8, and the file without it, since only some browsers heed it.
 *
 * @returns {{orientation: number, plain: Uint8Array}}
 */
export function takeWebpOrientation(bytes) {
  const plain = bytes.slice();
  let [exif, xmp] = [null, ""];
  for (const { name, at, content } of webpChunks(bytes)) {
    if (name === "XMP ") xmp = asText(content);
    if (name !== "EXIF") continue;
    exif = startsWith(content, "Exif\0\0") ? content.subarray(6) : content;
    plain.set([..."none"].map((letter) => letter.charCodeAt(0)), at); // a name that nobody reads
  }
  return { orientation: (exif && exifOrientation(exif)) ?? xmpOrientation(xmp) ?? 1, plain };
}

/**
 * Return the orientation in a block of EXIF, which is a TIFF file; null where there is none.
 *
 * @param {Uint8Array} tiff
 */
function exifOrientation(tiff) {
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength);
  try {
    const little = view.getUint16(0) === 0x4949;
    const directory = view.getUint32(4, little);
    for (let entry = 0; entry < view.getUint16(directory, little); entry++) {
      const at = directory + 2 + 12 * entry;
      if (view.getUint16(at, little) !== ORIENTATION) continue;
      const size = BYTES[view.getUint16(at + 2, little)];
      if (size === 1) return view.getUint8(at + 8);
      return size === 2 ? view.getUint16(at + 8, little) : size ? view.getUint32(at + 8, little) : null;
    }
  } catch {
    // Damaged EXIF says nothing about good pixels.
  }
  return null;
}

function xmpOrientation(text) {
  const found = /tiff:Orientation(?:="|>)([0-9])/.exec(text);
  return found ? Number(found[1]) : null;
}

/** Return the bytes of a profile that is written in hexadecimal, after three lines of words. */
function ofHex(text) {
  const digits = text.slice(text.indexOf("\0") + 1).split("\n").slice(3).join("");
  const bytes = (digits.match(/../g) ?? []).map((pair) => parseInt(pair, 16));
  return Uint8Array.from(bytes).subarray(6); // after "Exif\0\0"
}

function asText(bytes) {
  return new TextDecoder("latin1").decode(bytes);
}

function startsWith(bytes, text) {
  return [...text].every((character, index) => bytes[index] === character.charCodeAt(0));
}
