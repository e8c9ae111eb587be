// The methods compared: what each gains and costs.
import { html } from "../html.js";
import { Estimate, Whisker } from "../numbers.js";

/**
 * @param {object[]} rungs those that are done, as the server has them
 * @param {{name: string, words: string}[]} [waiting] those that are not, and why
 * @param {string} [chosen] the name of the best
 */
export function Ladder({ rungs, waiting = [], chosen }) {
  const lowest = Math.min(1, ...rungs.map((rung) => rung.validation.accuracy.low));
  const from = Math.floor(10 * lowest) / 10;
  return html`
    <div class="wide" tabindex="0" role="region" aria-label="Methods compared">
      <table class="ladder">
        <caption class="hidden">Methods, with their scores on the validation images and their costs</caption>
        <thead>
          <tr>
            <th scope="col">Method</th>
            <th scope="col">Accuracy (95 % interval)</th>
            <th scope="col" aria-hidden="true">${rungs.length > 0 && html`<span class="ends"><span>${100 * from} %</span><span>100 %</span></span>`}</th>
            <th scope="col">Macro-F1 (95 % interval)</th>
            <th scope="col" class="number">Training</th>
            <th scope="col" class="number">One image</th>
          </tr>
        </thead>
        <tbody>
          ${rungs.map(
            (rung) => html`
              <tr key=${rung.name} class=${rung.name === chosen ? "chosen" : ""}>
                <th scope="row" title=${rung.summary}>${rung.name}${rung.name === chosen && " (kept)"}</th>
                <td><${Estimate} of=${rung.validation.accuracy} /></td>
                <td><${Whisker} of=${rung.validation.accuracy} from=${from} /></td>
                <td><${Estimate} of=${rung.validation.macro_f1} /></td>
                <td class="number">${rung.training_seconds.toFixed(1)} s</td>
                <td class="number">${(1000 * rung.seconds_per_image).toFixed(1)} ms</td>
              </tr>
            `,
          )}
          ${waiting.map(
            ({ name, words }) => html`
              <tr key=${name} class="waiting">
                <th scope="row">${name}</th>
                <td colspan="5">${words}</td>
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
  `;
}
