// Curves over steps or epochs, drawn as they grow, with the same numbers as a table.
import { useEffect, useRef } from "preact/hooks";
import UPlot from "uplot";
import { html } from "../html.js";

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/**
 * @param {string} label what the plot shows, in words
 * @param {string} xLabel what its x axis counts
 * @param {{name: string, color: string, dashed?: boolean, dots?: boolean, values: (number|null)[]}[]} series
 *   `color` is one of the variables of the style sheet, such as "--blue"
 * @param {number[]} x rising
 * @param {number} [height] pixels
 * @param {[number, number]} [range] of the y axis; by default that of the values
 */
export function Plot({ label, xLabel, x, series, height = 190, range }) {
  const box = useRef(null);
  const plot = useRef(null);
  const names = series.map(({ name }) => name).join("\n");
  const data = [x, ...series.map(({ values }) => values)];

  useEffect(() => {
    plot.current = new UPlot(optionsOf(Math.max(160, box.current.clientWidth), { xLabel, series, height, range }), data, box.current);
    const observer = new ResizeObserver(() => {
      const width = box.current.clientWidth;
      if (width !== plot.current.width) plot.current.setSize({ width, height });
    });
    observer.observe(box.current);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const redraw = () => plot.current.redraw();
    dark.addEventListener("change", redraw);
    return () => {
      observer.disconnect();
      dark.removeEventListener("change", redraw);
      plot.current.destroy();
    };
  }, [names, xLabel, height]);

  useEffect(() => {
    plot.current?.setData(data);
  }, [x, series]);

  return html`<div class="plot" role="img" aria-label=${label} ref=${box}></div>`;
}

function optionsOf(width, { xLabel, series, height, range }) {
  const axis = {
    stroke: () => css("--soft"),
    grid: { stroke: () => css("--line"), width: 1 },
    ticks: { stroke: () => css("--line"), width: 1 },
    font: "12px system-ui",
  };
  return {
    width,
    height,
    cursor: { y: false, drag: { x: false, y: false } },
    legend: { live: true },
    scales: { x: { time: false }, y: range ? { range } : {} },
    axes: [
      { ...axis, label: xLabel, labelSize: 18, labelFont: "12px system-ui", size: 30, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000] },
      { ...axis, size: 52 },
    ],
    series: [
      { label: xLabel },
      ...series.map(({ name, color, dashed, dots }) => ({
        label: name,
        stroke: () => css(color),
        width: 2,
        dash: dashed ? [6, 4] : undefined,
        points: { show: Boolean(dots), size: 7 },
        spanGaps: true,
        value: (_, value) => (value == null ? "" : value.toPrecision(3)),
      })),
    ],
  };
}

/** The numbers of a plot as a table that can be unfolded; of many rows every so manieth. */
export function PlotTable({ x, xLabel, series, most = 60 }) {
  const every = Math.max(1, Math.ceil(x.length / most));
  const rows = [...x.keys()].filter((row) => row % every === 0 || row === x.length - 1);
  return html`
    <details class="numbers">
      <summary>As a table</summary>
      <div class="wide" tabindex="0" role="region" aria-label="Numbers of the plot">
        <table>
          <thead>
            <tr>
              <th scope="col">${xLabel}</th>
              ${series.map(({ name }) => html`<th scope="col">${name}</th>`)}
            </tr>
          </thead>
          <tbody>
            ${rows.map(
              (row) => html`<tr key=${row}>
                <td class="number">${x[row].toLocaleString()}</td>
                ${series.map(({ values }) => html`<td class="number">${values[row]?.toPrecision(4) ?? ""}</td>`)}
              </tr>`,
            )}
          </tbody>
        </table>
      </div>
    </details>
  `;
}
