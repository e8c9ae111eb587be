// Which points are drawn, in which order and colour, and which one lies next to another.

/**
 * Return the points to draw: those without a colour of their own first, so that they lie below.
 *
 * Without a choice of names the first ones have colours, as many as there are; with one, those chosen.
 *
 * @param {{rows: number[], x: number[], y: number[]}} map what `/api/map` says
 * @param {object} files the table of files; rows that are set aside are left out
 * @param {{names: string[], place: (row: number) => number}} colouring
 * @param {string[]} lit the names that were chosen
 * @param {number} most how many colours there are; this number stands for none
 */
export function arrange(map, files, colouring, lit, most) {
  const { names, place } = colouring;
  const counts = new Array(names.length).fill(0);
  const there = [];
  for (let number = 0; number < map.rows.length; number++) {
    if (files.aside.has(map.rows[number])) continue;
    there.push(number);
    counts[place(map.rows[number])]++;
  }
  const colours = coloursOfNames(names, counts, lit, most);
  const colourOf = (number) => colours[place(map.rows[number])];
  const order = [
    ...there.filter((number) => colourOf(number) === most),
    ...there.filter((number) => colourOf(number) !== most),
  ];
  return {
    rows: Int32Array.from(order, (number) => map.rows[number]),
    x: Float32Array.from(order, (number) => map.x[number]),
    y: Float32Array.from(order, (number) => map.y[number]),
    colours: Int32Array.from(order, colourOf),
    legend: names.map((name, number) => ({ name, count: counts[number], colour: colours[number] })),
  };
}

/** Return the colour of each name: its own where that is free, else the next free one. */
function coloursOfNames(names, counts, lit, most) {
  const chosen = new Set(lit.filter((name) => names.includes(name)));
  const wanted = names.map((name, number) => counts[number] > 0 && (!chosen.size || chosen.has(name)));
  const taken = new Set();
  return names.map((name, number) => {
    if (!wanted[number] || taken.size === most) return most;
    let colour = number % most;
    while (taken.has(colour)) colour = (colour + 1) % most;
    taken.add(colour);
    return colour;
  });
}

const DIRECTIONS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

export const isArrow = (key) => key in DIRECTIONS;

/** Return the point that an arrow key goes to from another: the nearest one on that side, or -1. */
export function neighbor(points, from, key) {
  const [rightward, upward] = DIRECTIONS[key];
  const [x, y] = from < 0 ? [0, 0] : [points.x[from], points.y[from]];
  let nearest = Infinity;
  let found = -1;
  for (let place = 0; place < points.x.length; place++) {
    if (place === from) continue;
    const [right, up] = [points.x[place] - x, points.y[place] - y];
    const along = right * rightward + up * upward;
    const across = Math.abs(right * upward) + Math.abs(up * rightward);
    if (from >= 0 && (along <= 0 || across > along)) continue;
    const apart = along * along + 4 * across * across;
    if (apart < nearest) [nearest, found] = [apart, place];
  }
  return found;
}
