// The confusion matrix: each cell opens exactly its images.
import { html } from "../html.js";

const MOST_CELLS = 4000; // beyond, nobody finds a cell, and the page would be slow
const MOST_PAIRS = 100;

/**
 * @param {object} report as the server has it: `confusion` rows true, columns answered
 * @param {(cell: {truth?: string, answer?: string}) => string|null} link the address of a cell
 */
export function Confusion({ report, link }) {
  const names = report.classes.map(({ name }) => name);
  // Columns of classes that are never answered and have no image would be empty.
  const shown = names.map((_, place) => report.confusion.some((row) => row[place] > 0) || report.classes[place].support > 0);
  const columns = [...names.keys()].filter((place) => shown[place]);
  const rows = [...names.keys()].filter((place) => report.classes[place].support > 0);
  const opens = link({}) !== null;
  if (rows.length * columns.length > MOST_CELLS) {
    return html`<${Pairs} report=${report} names=${names} link=${link} />`;
  }
  const most = Math.max(1, ...rows.flatMap((row) => columns.map((column) => (row === column ? 0 : report.confusion[row][column]))));
  return html`
    <div class="wide confusion" tabindex="0" role="region" aria-label="Confusion matrix">
      <table>
        <caption class="soft">Rows: the label. Columns: the answer.${opens && " A number opens its images."}</caption>
        <thead>
          <tr>
            <td></td>
            ${columns.map((column) => html`<th scope="col" title=${names[column]}><span>${names[column]}</span></th>`)}
          </tr>
        </thead>
        <tbody>
          ${rows.map(
            (row) => html`
              <tr key=${row}>
                <th scope="row" title=${names[row]}>${names[row]}</th>
                ${columns.map(
                  (column) => html`<${Count}
                    count=${report.confusion[row][column]}
                    share=${row === column
                      ? report.confusion[row][column] / report.classes[row].support
                      : report.confusion[row][column] / most}
                    right=${row === column}
                    truth=${names[row]}
                    answer=${names[column]}
                    link=${link}
                  />`,
                )}
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
  `;
}

/** The most frequent mistakes as a list, where there are too many classes for a matrix. */
function Pairs({ report, names, link }) {
  const pairs = report.confusion
    .flatMap((row, truth) => row.map((count, answer) => ({ truth, answer, count })))
    .filter(({ truth, answer, count }) => truth !== answer && count > 0)
    .sort((a, b) => b.count - a.count)
    .slice(0, MOST_PAIRS);
  return html`
    <p class="soft">Of ${names.length.toLocaleString()} classes a matrix would be too large; these are the most frequent mistakes.</p>
    <div class="wide confusion" tabindex="0" role="region" aria-label="Most frequent mistakes">
      <table>
        <thead><tr><th scope="col">Label</th><th scope="col">Answer</th><th scope="col">Images</th></tr></thead>
        <tbody>
          ${pairs.map(({ truth, answer, count }) => html`
            <tr>
              <th scope="row">${names[truth]}</th>
              <th>${names[answer]}</th>
              <${Count} count=${count} share=${count / pairs[0].count} truth=${names[truth]} answer=${names[answer]} link=${link} />
            </tr>
          `)}
        </tbody>
      </table>
    </div>
  `;
}

function Count({ count, share, right, truth, answer, link }) {
  if (count === 0) return html`<td class=${right ? "diagonal" : ""}><span class="none" aria-label="0">·</span></td>`;
  const href = link({ truth, answer });
  const told = `${count} of ${truth} answered as ${answer}`;
  const style = `--share:${share.toFixed(2)}`;
  return html`
    <td class=${right ? "diagonal hit" : "miss"} style=${style}>
      ${href ? html`<a href=${href} aria-label=${told} title=${told}>${count.toLocaleString()}</a>` : count.toLocaleString()}
    </td>
  `;
}
