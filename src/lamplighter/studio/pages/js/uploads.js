// Photos that are dropped on the page or chosen in it, on their way to a new folder.
import { ApiError, post } from "./api.js";

const AT_ONCE = 3; // files that are sent side by side

/** A file with its path in what was dropped or chosen: {path, file}. */

/** Return the files that an <input type="file"> holds. */
export const chosenFiles = (input) =>
  [...input.files].map((file) => ({ path: file.webkitRelativePath || file.name, file }));

/** Return the files in what was dropped, those in folders too. */
export async function droppedFiles(transfer) {
  // The entries are gone after the first pause: they are all asked for before.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const plain = [...transfer.files].map((file) => ({ path: file.name, file }));
  if (entries.length === 0) return plain;
  const found = [];
  for (const entry of entries) await gather(entry, found);
  return found;
}

async function gather(entry, found) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    found.push({ path: entry.fullPath.replace(/^\//, ""), file });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    // It gives a hundred at a time, and none at the end.
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return;
    for (const one of some) await gather(one, found);
  }
}

/**
 * Return what to send of files, and what to call their folder: {name, files, left}.
 *
 * Where all lie in one folder, it gives its name. `left` counts the files that are no photos.
 */
export function sorted(found, endings) {
  const hidden = ({ path }) => path.split("/").some((part) => part.startsWith("."));
  const taken = ({ path }) => endings.some((ending) => path.toLowerCase().endsWith(ending));
  const files = found.filter((one) => taken(one) && !hidden(one));
  const left = found.filter((one) => !hidden(one)).length - files.length;
  const tops = new Set(files.map(({ path }) => (path.includes("/") ? path.split("/")[0] : "")));
  const [top] = tops;
  if (tops.size === 1 && top) {
    const within = files.map(({ path, file }) => ({ path: path.slice(top.length + 1), file }));
    return { name: top, files: within, left };
  }
  const only = files.length === 1 ? files[0].path.replace(/\.[^.]*$/, "") : "Photos";
  return { name: only, files, left };
}

/**
 * Send files to a new folder, and return what the server says of the studio with it open.
 *
 * @param {string} name what the folder is to be called
 * @param {{path: string, file: File}[]} files
 * @param {(bytes: number, count: number) => void} onProgress told what has been sent so far
 * @param {AbortSignal} signal ends it; nothing stays of what was sent
 */
export async function bring(name, files, { onProgress, signal }) {
  const size = files.reduce((sum, { file }) => sum + file.size, 0);
  const { id } = await post("uploads", { name, size, count: files.length });
  try {
    await sendAll(id, files, onProgress, signal);
    return await post("uploads/finish", { id });
  } catch (error) {
    await post("uploads/cancel", { id }).catch(() => {});
    throw error;
  }
}

async function sendAll(id, files, onProgress, signal) {
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  let [next, done, bytes] = [0, 0, 0];
  const worker = async () => {
    while (next < files.length) {
      const { path, file } = files[next++];
      let before = 0;
      const advance = (sent) => {
        bytes += sent - before;
        before = sent;
        onProgress(bytes, done);
      };
      await sendOne(id, path, file, advance, either);
      advance(file.size);
      onProgress(bytes, ++done);
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  } catch (error) {
    failed.abort();
    throw error;
  }
}

// XMLHttpRequest, since fetch does not tell how much of a large file is sent.
function sendOne(id, path, file, onSent, signal) {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(stopped());
    const request = new XMLHttpRequest();
    const query = new URLSearchParams({ id, path });
    request.open("POST", `/api/uploads/file?${query}`);
    request.upload.onprogress = (event) => onSent(Math.min(event.loaded, file.size));
    request.onload = () => (request.status === 200 ? resolve() : reject(refused(request)));
    request.onerror = () => reject(refused(request));
    request.onabort = () => reject(stopped());
    signal.addEventListener("abort", () => request.abort(), { once: true });
    return request.send(file);
  });
}

const stopped = () => new DOMException("stopped", "AbortError");

function refused(request) {
  try {
    return new ApiError(JSON.parse(request.responseText).error, request.status);
  } catch {
    return new ApiError("A photo could not be sent: it may have changed, or the studio has ended.", 0);
  }
}
