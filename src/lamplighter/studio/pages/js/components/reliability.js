// How often answers are right, by how sure they are.
import { html } from "../html.js";
import { Estimate, percent } from "../numbers.js";

const SIDE = 260;
const LEFT = 44;
const BELOW = 40;

/**
 * @param {object} values as the server has them: of each bin count, confidence, accuracy, low, high
 * @param {(range: string) => string|null} link the address of the images of a bin
 */
export function Reliability({ values, link }) {
  const bins = [...values.count.keys()].filter((bin) => values.count[bin] > 0);
  const between = (bin) => {
    const count = values.count.length;
    return [bin / count, (bin + 1) / count].map((end) => Number(end.toFixed(4)));
  };
  return html`
    <div class="side-by-side">
      <${Diagram} values=${values} bins=${bins} />
      <div>
        <p>
          Calibration error: <${Estimate} of=${values.error} />. Where dots are on the dashed line, an answer that is
          80 % sure is right 8 times in 10. Below it, answers are too sure.
          ${values.temperature !== 1 && html` Scores are divided by a temperature of ${values.temperature.toFixed(2)}.`}
        </p>
        <div class="wide" tabindex="0" role="region" aria-label="Reliability as a table">
          <table>
            <thead>
              <tr>
                <th scope="col">Confidence</th>
                <th scope="col">Images</th>
                <th scope="col">Mean</th>
                <th scope="col">Right (95 % interval)</th>
              </tr>
            </thead>
            <tbody>
              ${bins.map((bin) => {
                const [low, high] = between(bin);
                const words = `${percent(low, 0)} to ${percent(high, 0)}`;
                const href = link(`${low}-${high}`);
                return html`
                  <tr key=${bin}>
                    <th scope="row">${href ? html`<a href=${href}>${words}</a>` : words}</th>
                    <td class="number">${values.count[bin].toLocaleString()}</td>
                    <td class="number">${percent(values.confidence[bin])}</td>
                    <td><${Estimate} of=${{ value: values.accuracy[bin], low: values.low[bin], high: values.high[bin] }} /></td>
                  </tr>
                `;
              })}
            </tbody>
          </table>
        </div>
      </div>
    </div>
  `;
}

function Diagram({ values, bins }) {
  const x = (share) => LEFT + SIDE * share;
  const y = (share) => 10 + SIDE * (1 - share);
  const most = Math.max(...values.count);
  return html`
    <svg
      class="diagram"
      viewBox=${`0 0 ${LEFT + SIDE + 24} ${SIDE + BELOW + 12}`}
      role="img"
      aria-label="Reliability plot: the share of right answers over their confidence; the table beside it has the numbers"
    >
      <${Frame} x=${x} y=${y} xLabel="confidence" yLabel="right" />
      <line class="ideal" x1=${x(0)} y1=${y(0)} x2=${x(1)} y2=${y(1)} />
      ${bins.map((bin) => {
        const width = SIDE / values.count.length;
        const height = 0.22 * SIDE * (values.count[bin] / most);
        return html`<rect class="amount" x=${x(bin / values.count.length) + 1} y=${y(0) - height} width=${width - 2} height=${height} />`;
      })}
      ${bins.map((bin) => {
        const at = x(values.confidence[bin]);
        return html`
          <line class="reach" x1=${at} x2=${at} y1=${y(values.low[bin])} y2=${y(values.high[bin])} />
          <circle cx=${at} cy=${y(values.accuracy[bin])} r="4.5" />
        `;
      })}
    </svg>
  `;
}

/** Axes from 0 to 100 %. */
export function Frame({ x, y, xLabel, yLabel, from = 0 }) {
  const ticks = [0, 0.25, 0.5, 0.75, 1];
  const middle = (y(1) + y(from)) / 2;
  return html`
    ${ticks.map(
      (tick) => html`
        <line class="grid-line" x1=${x(tick)} x2=${x(tick)} y1=${y(1)} y2=${y(from)} />
        <text x=${x(tick)} y=${y(from) + 16} text-anchor="middle">${100 * tick} %</text>
      `,
    )}
    ${ticks.map((tick) => {
      const share = from + tick * (1 - from);
      return html`
        <line class="grid-line" x1=${x(0)} x2=${x(1)} y1=${y(share)} y2=${y(share)} />
        <text x=${x(0) - 5} y=${y(share) + 4} text-anchor="end">${Math.round(100 * share)}</text>
      `;
    })}
    <text x=${(x(0) + x(1)) / 2} y=${y(from) + 34} text-anchor="middle">${xLabel}</text>
    <text x="10" y=${middle} text-anchor="middle" transform=${`rotate(-90 10 ${middle})`}>${yLabel}, %</text>
  `;
}
