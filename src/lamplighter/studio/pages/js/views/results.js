// Results
import { html } from "../html.js";

export function Results({ query, go }) {
  return html`<section class="results"><h1>Results</h1></section>`;
}
