// The filters of the gallery as lists to choose from.
import { useMemo } from "preact/hooks";
import { html } from "../html.js";
import { allFilters } from "../filters.js";

/**
 * @param {object} files the table of files
 * @param {object} query the settings of the address
 * @param {(changed: object) => void} onChange called with the settings that change
 * @param children further lists, such as for the order
 */
export function Filters({ files, query, onChange, children }) {
  const shown = useMemo(
    () => allFilters().map((filter) => ({ ...filter, choices: filter.options?.(files, query) ?? [] })),
    [files, query],
  );
  return html`
    <div class="filters" role="group" aria-label="Filters">
      <input
        type="search"
        placeholder="Text in the name"
        aria-label="Text in the name"
        value=${query.text ?? ""}
        onInput=${(event) => onChange({ text: event.target.value })}
      />
      ${shown.map(({ key, label, choices, words }) => {
        const value = query[key] ?? "";
        if (choices.length === 0) {
          if (!value || key === "text") return null;
          return html`<button class="chip" onClick=${() => onChange({ [key]: "" })}>
            ${words ? words(value, query) : `${label}: ${value}`} <span aria-hidden="true">×</span
            ><span class="hidden">remove this filter</span>
          </button>`;
        }
        return html`
          <select
            aria-label=${label}
            value=${value}
            onChange=${(event) => onChange({ [key]: event.target.value })}
          >
            <option value="">${label}: all</option>
            ${choices.map(
              ([name, words_, count]) =>
                html`<option value=${name} selected=${name === value}>
                  ${words_} (${count.toLocaleString()})
                </option>`,
            )}
          </select>
        `;
      })}
      ${children}
    </div>
  `;
}
