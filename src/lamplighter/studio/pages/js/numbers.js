// Numbers as people read them.
import { html } from "./html.js";

export const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)} %`;

/** An estimate, {value, low, high}, as "95.1 % (92.0 to 97.2)". */
export function Estimate({ of, digits = 1 }) {
  if (!of) return html`<span class="soft">none</span>`;
  const [low, high] = [of.low, of.high].map((end) => (100 * end).toFixed(digits));
  return html`<span class="estimate"
    >${percent(of.value, digits)} <span class="soft">(${low} to ${high})</span></span
  >`;
}

/** An estimate as a dot with its interval, on a line from 0 to 100 %; the words are beside it. */
export function Whisker({ of, from = 0 }) {
  const x = (share) => `${(100 * (Math.max(share, from) - from)) / (1 - from)}%`;
  return html`
    <svg class="whisker" aria-hidden="true">
      <line class="track" x1="0" x2="100%" y1="50%" y2="50%" />
      <line class="reach" x1=${x(of.low)} x2=${x(of.high)} y1="50%" y2="50%" />
      <circle cx=${x(of.value)} cy="50%" r="4" />
    </svg>
  `;
}

/** Seconds in words. */
export function spoken(seconds) {
  if (seconds < 1) return "less than a second";
  if (seconds < 99.5) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 100 ? `${minutes} min ${Math.round(seconds % 60)} s` : `${(seconds / 3600).toFixed(1)} h`;
}

export const counted = (count, one, many = `${one}s`) => `${count.toLocaleString()} ${count === 1 ? one : many}`;

/** When something was, in this machine's way of writing. */
export const when = (seconds) =>
  new Date(1000 * seconds).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
