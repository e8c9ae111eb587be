// Two trainings on the same held-out images, with McNemar's test.
import { useEffect, useState } from "preact/hooks";
import { get } from "../api.js";
import { html } from "../html.js";
import { counted, Estimate, percent } from "../numbers.js";
import { Pictures } from "./pictures.js";

/**
 * @param {object} run the training that is looked at
 * @param {object[]} runs all trainings
 * @param {string} split which images
 * @param {string} other the id of the other training; "" for none yet
 * @param {(id: string) => void} onChoose called with another one
 */
export function Comparison({ run, runs, split, other, onChoose }) {
  const [found, setFound] = useState(null);
  const others = runs.filter((one) => one.id !== run.id && one.kind === run.kind);
  const chosen = others.some(({ id }) => id === other) ? other : "";
  useEffect(() => {
    setFound(null);
    if (!chosen) return undefined;
    const stop = new AbortController();
    get("results/compare", { a: run.id, b: chosen, split }, { signal: stop.signal }).then(setFound, (error) => {
      if (error.name !== "AbortError") setFound({ error: error.message });
    });
    return () => stop.abort();
  }, [run.id, chosen, split]);
  if (others.length === 0) return html`<p class="soft">Train once more, with other methods or labels, to compare.</p>`;
  return html`
    <label>
      Compare with
      ${" "}<select value=${chosen} onChange=${(event) => onChoose(event.target.value)}>
        <option value="">…</option>
        ${others.map((one) => html`<option value=${one.id} selected=${one.id === chosen}>${one.name}</option>`)}
      </select>
    </label>
    ${found?.error && html`<p class="error" role="alert">${found.error}</p>`}
    ${found && !found.error && html`<${Outcome} found=${found} split=${split} />`}
  `;
}

function Outcome({ found, split }) {
  const { a, b, test } = found;
  const { value, low, high } = test.difference;
  const signed = (share) => `${share >= 0 ? "+" : "−"}${percent(Math.abs(share))}`;
  return html`
    <p aria-live="polite"><strong>${found.sentence}.</strong></p>
    <p class="soft">
      On ${counted(found.count, "image")} of ${split} that both have held
      out${found.relabelled > 0 && `; ${found.relabelled.toLocaleString()} whose label changed between them are left out`}.
      McNemar's test (exact, two-sided). ${a.name} minus ${b.name}: ${signed(value)} (95 % interval ${signed(low)} to
      ${" "}${signed(high)}).
    </p>
    <div class="wide" tabindex="0" role="region" aria-label="Comparison">
      <table>
        <thead>
          <tr>
            <td></td>
            <th scope="col">${b.name} right</th>
            <th scope="col">${b.name} wrong</th>
            <th scope="col">Accuracy</th>
          </tr>
        </thead>
        <tbody>
          <tr>
            <th scope="row">${a.name} right</th>
            <td class="number">${test.both.toLocaleString()}</td>
            <td class="number">${test.only_a.toLocaleString()}</td>
            <td><${Estimate} of=${found.accuracy[0]} /> <span class="soft">${a.name}</span></td>
          </tr>
          <tr>
            <th scope="row">${a.name} wrong</th>
            <td class="number">${test.only_b.toLocaleString()}</td>
            <td class="number">${test.neither.toLocaleString()}</td>
            <td><${Estimate} of=${found.accuracy[1]} /> <span class="soft">${b.name}</span></td>
          </tr>
        </tbody>
      </table>
    </div>
    ${found.differing.length > 0 &&
    html`
      <details>
        <summary>Images on which just one is right (${(test.only_a + test.only_b).toLocaleString()})</summary>
        <${Pictures}
          label="Images on which just one is right"
          items=${found.differing.map((one) => ({
            path: one.path,
            words: html`<strong>${one.truth}</strong><br />${a.name}: ${one.a}<br />${b.name}: ${one.b}`,
          }))}
          kind=${a.kind}
          split=${split}
        />
      </details>
    `}
  `;
}
