// Map
import { html } from "../html.js";

export function MapView({ query, go }) {
  return html`<section class="map"><h1>Map</h1></section>`;
}
