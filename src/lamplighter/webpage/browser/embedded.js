/** What the page carries: blocks of base64, most of them packed with gzip, and two tables. */

/** Return the table in the block `id`, which is JSON. */
export function table(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

/**
 * Return the bytes in the block `id` and let go of its text; null where there is no such block.
 *
 * @returns {Promise<Uint8Array | null>}
 */
export async function unpacked(id) {
  const block = document.getElementById(id);
  if (!block) return null;
  const packed = fromBase64(block.textContent.trim());
  block.remove();
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}

/** Return floats of 16 bits, little-endian, as floats of 32. */
export function fromHalves(bytes) {
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
  return Float32Array.from(halves, (half) => {
    const [sign, exponent, fraction] = [half >> 15 ? -1 : 1, (half >> 10) & 31, half & 1023];
    if (exponent === 0) return sign * fraction * 2 ** -24;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  });
}
