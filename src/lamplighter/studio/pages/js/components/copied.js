// Text that can be copied, such as a command.
import { useEffect, useState } from "preact/hooks";
import { html } from "../html.js";

/**
 * @param {string} text
 * @param {string} label what it is, for screen readers
 */
export function Copied({ text, label }) {
  const [said, setSaid] = useState("");
  useEffect(() => {
    if (!said) return undefined;
    const timer = setTimeout(() => setSaid(""), 2000);
    return () => clearTimeout(timer);
  }, [said]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setSaid("Copied");
    } catch {
      setSaid("Select and copy it");
    }
  };
  return html`
    <div class="copied">
      <pre tabindex="0" aria-label=${label}><code>${text}</code></pre>
      <button onClick=${copy} aria-label=${`Copy: ${label}`}>${said || "Copy"}</button>
      <span class="hidden" role="status">${said}</span>
    </div>
  `;
}
