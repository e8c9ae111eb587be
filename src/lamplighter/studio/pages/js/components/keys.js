// What the keys of the gallery do.
import { html } from "../html.js";
import { useStore } from "../store.js";
import { keysOf } from "./labels.js";
import { Panel } from "./panel.js";

const KEYS = [
  ["Arrows, Home, End, Page up, Page down", "go through the images"],
  ["Shift and these", "select all that lie between"],
  ["Ctrl and these, then Space", "select one more, or one less"],
  ["Ctrl A, Escape", "select all that are shown, or none"],
  ["1 to 9, letters", "label what is selected"],
  ["0", "take the label away"],
  ["Delete", "set aside, or take back"],
  ["Ctrl Z, Ctrl Shift Z", "undo, redo"],
  ["Enter", "show the image large; arrows go on, Escape closes"],
  ["Tab", "go to the filters, the grid, the buttons"],
];

/** @param {() => void} onClose called when it is closed */
export function Keys({ onClose }) {
  const names = useStore((state) => state.files.classNames);
  const letters = new Map([...keysOf(names)].map(([letter, place]) => [place, letter]));
  return html`
    <${Panel} title="Keys" onClose=${onClose}>
      <dl class="keys">
        ${KEYS.map(([keys, words]) => html`<dt>${keys}</dt><dd>${words}</dd>`)}
      </dl>
      ${names.length > 0 && html`<h3>Keys of the classes</h3>`}
      <dl class="keys narrow">
        ${names.map(
          (name, place) => html`
            <dt>${[place < 9 && place + 1, letters.get(place)].filter(Boolean).join(", ") || "no key"}</dt>
            <dd>${name}</dd>
          `,
        )}
      </dl>
      <p class="soft">
        With the mouse: click, Shift and click, Ctrl and click, or drag around images; double-click
        shows one large.
      </p>
    <//>
  `;
}
