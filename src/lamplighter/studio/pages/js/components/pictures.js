// A grid of some images of a training, with words of their own; of files it selects and labels.
import { useMemo, useState } from "preact/hooks";
import { html } from "../html.js";
import { current, useStore } from "../store.js";
import { Grid } from "./grid.js";
import { LabelBar } from "./labels.js";
import { Viewer } from "./viewer.js";
import { galleryKeys } from "../views/gallery.js";

/**
 * @param {{path: string, words: any}[]} items in their order
 * @param {string} label what they are, for screen readers
 * @param {"photos"|"digits"} kind what `path` is: a file, or the number of a digit
 * @param {string} split of the digits
 */
export function Pictures({ items, label, kind, split }) {
  return kind === "digits"
    ? html`<${Digits} items=${items} label=${label} split=${split} />`
    : html`<${Files} items=${items} label=${label} />`;
}

function Files({ items, label }) {
  const files = useStore((state) => state.files);
  const selection = useStore((state) => state.selection);
  const [shown, setShown] = useState(null);
  const { rows, words } = useMemo(() => {
    const row = new Map(files?.paths.map((path, place) => [path, place]));
    const found = items.filter(({ path }) => row.has(path));
    return {
      rows: Int32Array.from(found, ({ path }) => row.get(path)),
      words: new Map(found.map((item) => [row.get(item.path), item.words])),
    };
  }, [files?.paths, items]);
  if (!files) return null;
  const chosen = [...selection].filter((row) => words.has(row)).sort((a, b) => a - b);
  const keys = (event) => galleryKeys(event, [...current().selection].filter((row) => words.has(row)));
  return html`
    <div class="pictures">
      <${Grid} rows=${rows} size=${128} label=${label} caption=${(row) => words.get(row)} onOpen=${setShown} onKey=${keys} />
      ${chosen.length > 0 && html`<${LabelBar} rows=${chosen} />`}
      ${shown !== null &&
      html`<${Viewer}
        row=${shown}
        rows=${rows}
        onChange=${setShown}
        onKey=${(event) => galleryKeys(event, [shown])}
        about=${(row) => html`<p>${words.get(row)}</p>`}
      />`}
    </div>
    ${rows.length < items.length &&
    html`<p class="soft">${items.length - rows.length} of these images are no longer in the folder.</p>`}
  `;
}

function Digits({ items, label, split }) {
  return html`
    <div class="digits" tabindex="0" role="region" aria-label=${label}>
      <ul>
        ${items.map(
          ({ path, words }) => html`
            <li key=${path}>
              <img src=${`/api/results/digit?split=${split}&number=${path}`} alt="" width="56" height="56" loading="lazy" />
              <span>${words}</span>
            </li>
          `,
        )}
      </ul>
    </div>
  `;
}
