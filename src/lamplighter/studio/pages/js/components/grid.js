// A grid of thumbnails: of 100,000 rows only those in sight are in the page.
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { thumbnailUrl } from "../api.js";
import { classOf } from "../files.js";
import { html } from "../html.js";
import { current, update, useStore } from "../store.js";

const CAPTION = 40; // pixels below each picture
const GAP = 8;
const BEYOND = 2; // lines above and below those in sight that are in the page, too
const DRAGGED = 6; // pixels after which a press is a drag
// Browsers draw nothing beyond some 16 million pixels: longer grids are scrolled in steps.
const TALLEST = 8_000_000;

/**
 * Show rows of the table of files; clicks, Shift, Ctrl, dragging and arrow keys select.
 *
 * @param {Int32Array|number[]} rows the rows to show, in their order
 * @param {number} size pixels of the longer side of a picture
 * @param {(row: number) => any} [caption] what stands below a picture; by default its class
 * @param {(row: number) => void} [onOpen] called on Enter and on a double click
 * @param {(event: KeyboardEvent) => boolean} [onKey] called for other keys; true where it was one
 * @param {string} label what the grid holds, for screen readers
 */
export function Grid({ rows, size = 128, caption, onOpen, onKey, label }) {
  const files = useStore((state) => state.files);
  const selection = useStore((state) => state.selection);
  const focused = useStore((state) => state.focused);
  const box = useRef(null);
  const [view, setView] = useState({ width: 0, height: 0, top: 0 });
  const anchor = useRef(-1);
  const [band, setBand] = useState(null);

  const cell = size + GAP;
  const line = size + CAPTION + GAP;
  const columns = Math.max(1, Math.floor((view.width - GAP) / cell));
  const lines = Math.ceil(rows.length / columns);
  const full = lines * line + GAP;
  const tall = Math.min(full, TALLEST);
  // Where the grid is taller than a browser can draw, the scroll bar moves it faster.
  const factor = tall > view.height ? (full - view.height) / Math.max(1, tall - view.height) : 1;
  const top = full === tall ? view.top : view.top * factor;
  const first = Math.max(0, Math.floor(top / line) - BEYOND);
  const last = Math.min(lines, Math.ceil((top + view.height) / line) + BEYOND);
  const places = useMemo(() => {
    const found = new Map();
    for (let place = 0; place < rows.length; place++) found.set(rows[place], place);
    return found;
  }, [rows]);

  useLayoutEffect(() => {
    const element = box.current;
    const measure = () =>
      setView((before) => ({
        ...before,
        width: element.clientWidth,
        height: element.clientHeight,
      }));
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  useEffect(() => {
    // Other rows: back to the top, unless the first ones are as before.
    if (box.current && view.top > Math.max(0, full - view.height)) box.current.scrollTop = 0;
  }, [rows]);

  const scrollTo = useCallback(
    (place) => {
      const at = Math.floor(place / columns) * line;
      const element = box.current;
      const bottom = at + line - view.height;
      if (at < top) element.scrollTop = at / factor;
      else if (bottom > top) element.scrollTop = (bottom + GAP) / factor;
    },
    [columns, line, top, factor, view.height],
  );

  const select = useCallback(
    (place, { extend = false, toggle = false } = {}) => {
      const row = rows[place];
      let chosen;
      if (extend && anchor.current >= 0) {
        const [from, to] = [Math.min(anchor.current, place), Math.max(anchor.current, place)];
        chosen = new Set(toggle ? current().selection : []);
        for (let between = from; between <= to; between++) chosen.add(rows[between]);
      } else {
        anchor.current = place;
        chosen = new Set(toggle ? current().selection : []);
        if (toggle && chosen.has(row)) chosen.delete(row);
        else chosen.add(row);
      }
      update({ selection: chosen, focused: row });
    },
    [rows],
  );

  const onKeyDown = (event) => {
    const place = places.get(focused) ?? -1;
    const page = Math.max(1, Math.floor(view.height / line)) * columns;
    const moves = {
      ArrowRight: 1,
      ArrowLeft: -1,
      ArrowDown: columns,
      ArrowUp: -columns,
      PageDown: page,
      PageUp: -page,
      Home: -rows.length,
      End: rows.length,
    };
    if (event.key in moves && rows.length) {
      const target = place < 0 ? 0 : place + moves[event.key];
      const to = Math.min(rows.length - 1, Math.max(0, target));
      if (event.ctrlKey || event.metaKey) update({ focused: rows[to] });
      else select(to, { extend: event.shiftKey });
      scrollTo(to);
    } else if (event.key === " " && place >= 0) {
      select(place, { toggle: true });
    } else if (event.key === "Enter" && place >= 0 && onOpen) {
      onOpen(focused);
    } else if (event.key === "Escape" && current().selection.size) {
      update({ selection: new Set() });
    } else if (event.key.toLowerCase() === "a" && (event.ctrlKey || event.metaKey)) {
      update({ selection: new Set(rows) });
    } else if (!onKey?.(event)) {
      return;
    }
    event.preventDefault();
  };

  const placeAt = (x, y) => {
    const column = Math.floor((x - GAP) / cell);
    const at = Math.floor((y - GAP) / line) * columns + column;
    const inside = column >= 0 && column < columns && (x - GAP) % cell < size && (y - GAP) % line < line - GAP;
    return inside && at >= 0 && at < rows.length ? at : -1;
  };

  const pointOf = (event) => {
    const bounds = box.current.getBoundingClientRect();
    return [event.clientX - bounds.left, event.clientY - bounds.top + top];
  };

  const onPointerDown = (event) => {
    if (event.button !== 0 || event.pointerType === "touch") return;
    const element = box.current;
    if (event.clientX - element.getBoundingClientRect().left > element.clientWidth) return;
    const [x, y] = pointOf(event);
    const start = { x, y, kept: event.ctrlKey || event.metaKey ? current().selection : new Set() };
    let dragged = null;
    const move = (moved) => {
      const [toX, toY] = pointOf(moved);
      if (!dragged && Math.hypot(toX - x, toY - y) < DRAGGED) return;
      dragged = { left: Math.min(x, toX), top: Math.min(y, toY), right: Math.max(x, toX), bottom: Math.max(y, toY) };
      setBand(dragged);
      update({ selection: new Set([...start.kept, ...inBand(dragged)]) });
    };
    const up = () => {
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", up);
      removeEventListener("pointercancel", up);
      setBand(null);
      if (dragged) addEventListener("click", (click) => click.stopPropagation(), { capture: true, once: true });
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", up);
    addEventListener("pointercancel", up);
  };

  const inBand = ({ left, top: above, right, bottom }) => {
    const found = [];
    const from = Math.max(0, Math.floor((above - GAP) / line));
    const to = Math.min(lines - 1, Math.floor((bottom - GAP) / line));
    for (let at = from; at <= to; at++) {
      for (let column = 0; column < columns; column++) {
        const place = at * columns + column;
        const leftEdge = GAP + column * cell;
        if (place < rows.length && leftEdge < right && leftEdge + size > left) found.push(rows[place]);
      }
    }
    return found;
  };

  const onClick = (event) => {
    const [x, y] = pointOf(event);
    const place = placeAt(x, y);
    const touch = event.pointerType === "touch";
    if (place >= 0) {
      select(place, {
        extend: event.shiftKey,
        toggle: event.ctrlKey || event.metaKey || (touch && current().selection.size > 0),
      });
    } else if (!event.shiftKey) {
      update({ selection: new Set() });
    }
  };

  const onDblClick = (event) => {
    const place = placeAt(...pointOf(event));
    if (place >= 0) onOpen?.(rows[place]);
  };

  const cells = [];
  const shift = top - view.top; // of what is drawn, where the scroll bar is faster than the grid
  for (let place = first * columns; place < Math.min(rows.length, last * columns); place++) {
    const row = rows[place];
    const style = `left:${GAP + (place % columns) * cell}px;top:${
      GAP + Math.floor(place / columns) * line - shift
    }px;width:${size}px;height:${line - GAP}px`;
    cells.push(html`
      <${Cell}
        key=${row}
        row=${row}
        place=${place}
        count=${rows.length}
        files=${files}
        size=${size}
        style=${style}
        selected=${selection.has(row)}
        focused=${row === focused}
        caption=${caption}
      />
    `);
  }
  return html`
    <div
      class="grid"
      ref=${box}
      role="listbox"
      aria-label=${label}
      aria-multiselectable="true"
      aria-activedescendant=${places.has(focused) ? `row-${focused}` : undefined}
      tabindex="0"
      onScroll=${(event) => setView((before) => ({ ...before, top: event.target.scrollTop }))}
      onKeyDown=${onKeyDown}
      onPointerDown=${onPointerDown}
      onClick=${onClick}
      onDblClick=${onDblClick}
    >
      <div class="grid-space" style=${`height:${tall}px`}>
        ${cells}
        ${band &&
        html`<div
          class="band"
          style=${`left:${band.left}px;top:${band.top - shift}px;width:${band.right - band.left}px;height:${
            band.bottom - band.top
          }px`}
        ></div>`}
      </div>
    </div>
  `;
}

function Cell({ row, place, count, files, size, style, selected, focused, caption }) {
  const path = files.paths[row];
  const aside = files.aside.get(row);
  const name = classOf(files, row);
  const told = [path, name || "no label", aside && `set aside: ${aside}`].filter(Boolean).join(", ");
  return html`
    <div
      id=${`row-${row}`}
      class=${`cell${selected ? " selected" : ""}${focused ? " focused" : ""}${aside ? " aside" : ""}`}
      style=${style}
      role="option"
      aria-selected=${selected}
      aria-posinset=${place + 1}
      aria-setsize=${count}
      aria-label=${told}
      title=${told}
    >
      <${Thumbnail} path=${path} scan=${files.scan} size=${size} />
      <span class="caption">${caption ? caption(row) : name || html`<i>no label</i>`}</span>
    </div>
  `;
}

/** A picture of a file, or a sign that it cannot be read. */
export function Thumbnail({ path, scan, size }) {
  const [broken, setBroken] = useState(false);
  useEffect(() => setBroken(false), [path, scan]);
  if (broken) {
    return html`<span class="broken" style=${`width:${size}px;height:${size}px`}>cannot be read</span>`;
  }
  return html`<img
    src=${thumbnailUrl(path, scan)}
    alt=""
    width=${size}
    height=${size}
    draggable=${false}
    decoding="async"
    onError=${() => setBroken(true)}
  />`;
}
