// Try it
import { html } from "../html.js";

export function TryIt({ query, go }) {
  return html`<section class="try"><h1>Try it</h1></section>`;
}
