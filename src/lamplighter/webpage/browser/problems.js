/** What can be wrong with an image, told by a key of the page's table of texts. */

// As in Python: of a few bytes a file can ask for any number of pixels.
const MOST_BYTES = 2 ** 30;
const MOST_PIXELS = 2 ** 30;

export class ImageProblem extends Error {
  /**
   * @param {string} kind a text "problem-KIND" says it; "rare" is a JPEG that the browser is to try.
   */
  constructor(kind) {
    super(kind);
    this.kind = kind;
  }
}

/** Refuse an image whose decoding takes too much, before it is decoded. */
export function checkMemory(width, height, bytes) {
  if (width * height > MOST_PIXELS || bytes > MOST_BYTES) throw new ImageProblem("too-large");
}
