// Check
import { html } from "../html.js";

export function Check({ query, go }) {
  return html`<section class="check"><h1>Check</h1></section>`;
}
