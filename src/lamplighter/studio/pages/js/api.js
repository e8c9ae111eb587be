// Requests to the studio's server.

/** What the server says of a request that failed; `message` is one sentence for the person. */
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

const GONE = "The studio does not answer. Start it again in the terminal, and open the address that it shows.";

async function answer(promise) {
  let response;
  try {
    response = await promise;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(GONE, 0);
  }
  const isJson = (response.headers.get("content-type") ?? "").startsWith("application/json");
  const body = isJson ? await response.json() : await response.text();
  if (!response.ok) throw new ApiError(isJson ? body.error : body || response.statusText, response.status);
  return body;
}

/** Return the JSON at `path`, such as "files"; `query` holds what stands after the "?". */
export function get(path, query = {}, { signal } = {}) {
  const search = new URLSearchParams(query).toString();
  return answer(fetch(`/api/${path}${search && `?${search}`}`, { signal }));
}

/** Send `body` as JSON and return the JSON of the answer. */
export function post(path, body = {}, { signal } = {}) {
  return answer(
    fetch(`/api/${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      signal,
    }),
  );
}

/** Send a Blob, a FormData or an ArrayBuffer, and return the JSON of the answer. */
export function send(path, body, { query = {}, signal } = {}) {
  const search = new URLSearchParams(query).toString();
  return answer(fetch(`/api/${path}${search && `?${search}`}`, { method: "POST", body, signal }));
}

/**
 * Return a path as part of an address.
 *
 * Bytes of a name that are no UTF-8 come from Python as lone surrogates, U+DC80 to U+DCFF, which
 * addresses cannot have: they go back as those bytes.
 */
const encoded = (path) =>
  path
    .split(/([\udc80-\udcff])/u)
    .map((part, place) => (place % 2 ? `%${(part.charCodeAt(0) - 0xdc00).toString(16)}` : encodeURIComponent(part)))
    .join("");

export const thumbnailUrl = (path, scan) => `/api/thumbnail?scan=${scan}&path=${encoded(path)}`;

export const imageUrl = (path, scan) => `/api/image?scan=${scan}&path=${encoded(path)}`;
