// Take away
import { html } from "../html.js";

export function TakeAway({ query, go }) {
  return html`<section class="take-away"><h1>Take away</h1></section>`;
}
