// One picture of a file with what is known of it, as a button.
import { useEffect, useState } from "preact/hooks";
import { thumbnailUrl } from "../api.js";
import { classOf } from "../files.js";
import { html } from "../html.js";

/**
 * A thumbnail that is loaded when it comes into sight.
 *
 * @param {object} files the table of files
 * @param {number} row
 * @param {() => void} [onClick] makes it a button
 * @param {any} [children] what stands below it; by default its class
 * @param {string} [tone] a class of CSS
 */
export function Picture({ files, row, onClick, children, tone = "" }) {
  const path = files.paths[row];
  const [broken, setBroken] = useState(false);
  useEffect(() => setBroken(false), [path, files.scan]);
  const aside = files.aside.get(row);
  const name = classOf(files, row) || "no label";
  const picture = broken
    ? html`<span class="broken">cannot be read</span>`
    : html`<img
        src=${thumbnailUrl(path, files.scan)}
        alt=""
        loading="lazy"
        decoding="async"
        draggable=${false}
        onError=${() => setBroken(true)}
      />`;
  const told = [path, name, aside && `set aside: ${aside}`].filter(Boolean).join(", ");
  return html`
    <figure class=${`picture ${tone} ${aside ? "aside" : ""}`} title=${told}>
      ${onClick
        ? html`<button class="plain" aria-label=${`Show ${told}`} onClick=${onClick}>${picture}</button>`
        : picture}
      <figcaption>${children ?? name}</figcaption>
    </figure>
  `;
}
