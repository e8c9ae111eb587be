// Train
import { html } from "../html.js";

export function Train({ query, go }) {
  return html`<section class="train"><h1>Train</h1></section>`;
}
