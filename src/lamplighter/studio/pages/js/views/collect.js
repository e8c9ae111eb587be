// Collect
import { html } from "../html.js";

export function Collect({ query, go }) {
  return html`<section class="collect"><h1>Collect</h1></section>`;
}
