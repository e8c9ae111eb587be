// Markup as tagged templates: html`<p>${text}</p>`. What is put in is escaped by Preact.
import { h } from "preact";
import htm from "htm";

export const html = htm.bind(h);
