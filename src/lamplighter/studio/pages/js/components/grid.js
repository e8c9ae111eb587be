// A grid of thumbnails: of 100,000 rows only those in sight are in the page.
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { thumbnailUrl } from "../api.js";
import { classOf } from "../files.js";
import { html } from "../html.js";
import { current, update, useStore } from "../store.js";

const CAPTION = 40; // pixels below each picture
const GAP = 8;
const EDGE = 40; // pixels from an edge at which a drag scrolls
const STILL = 80; // milliseconds after which a grid that was scrolled fast stands still
const BEYOND = 2; // lines above and below those in sight that are in the page, too
const DRAGGED = 6; // pixels after which a press is a drag
// Browsers draw nothing beyond some 16 million pixels: longer grids are scrolled in steps.
const TALLEST = 8_000_000;

/**
 * Show rows of the table of files; clicks, Shift, Ctrl, dragging and arrow keys select.
 *
 * @param {Int32Array|number[]} rows the rows to show, in their order
 * @param {number} size pixels of the side of a picture, about: the lines are filled
 * @param {number} [below] pixels below each picture, for its caption
 * @param {(row: number) => any} [caption] what stands below a picture; by default its class
 * @param {(row: number) => void} [onOpen] called on Enter and on a double click
 * @param {(event: KeyboardEvent) => boolean} [onKey] called for other keys; true where it was one
 * @param {string} label what the grid holds, for screen readers
 */
export function Grid({ rows, size = 128, below = CAPTION, caption, onOpen, onKey, label }) {
  const files = useStore((state) => state.files);
  const selection = useStore((state) => state.selection);
  const focused = useStore((state) => state.focused);
  const box = useRef(null);
  const [view, setView] = useState({ width: 0, height: 0, top: 0, fast: false });
  const anchor = useRef(-1);
  const [band, setBand] = useState(null);

  const columns = Math.max(1, Math.round((view.width - GAP) / (size + GAP)));
  const side = Math.max(16, Math.floor((view.width - GAP) / columns) - GAP);
  const cell = side + GAP;
  const line = side + below + GAP;
  const lines = Math.ceil(rows.length / columns);
  const full = lines * line + GAP;
  const tall = Math.min(full, TALLEST);
  // Where the grid is taller than a browser can draw, the scroll bar moves it faster.
  const factor = tall > view.height ? (full - view.height) / Math.max(1, tall - view.height) : 1;
  const top = full === tall ? view.top : view.top * factor;
  const first = Math.max(0, Math.floor(top / line) - BEYOND);
  const last = Math.min(lines, Math.ceil((top + view.height) / line) + 1 + BEYOND);
  const places = useMemo(() => {
    const found = new Map();
    for (let place = 0; place < rows.length; place++) found.set(rows[place], place);
    return found;
  }, [rows]);

  // The browser moves what is drawn by itself: it is drawn anew when other lines come into sight.
  const onScroll = useCallback(() => {
    const at = box.current.scrollTop;
    setView((before) => {
      const fast = Math.abs(at - before.top) > before.height;
      const same = full === tall && Math.floor(at / line) === Math.floor(before.top / line);
      return same && !fast ? before : { ...before, top: at, fast: before.fast || fast };
    });
  }, [line, full, tall]);
  useEffect(() => {
    // Pictures that fly by are not asked for.
    if (!view.fast) return undefined;
    const still = setTimeout(() => setView((before) => ({ ...before, fast: false })), STILL);
    return () => clearTimeout(still);
  }, [view]);

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

  useKeptFocus(rows, places);

  const upmost = useRef(0); // the place at the top left
  useLayoutEffect(() => {
    // Other columns, or a picture of another size: what was at the top stays there.
    box.current.scrollTop = (Math.floor(upmost.current / columns) * line) / factor;
  }, [columns, line]);
  upmost.current = Math.floor(top / line) * columns;

  useEffect(() => {
    // Fewer rows than before: what was in sight may be gone.
    if (view.top > Math.max(0, tall - view.height)) box.current.scrollTop = 0;
  }, [rows]);

  const topNow = () => box.current.scrollTop * (full === tall ? 1 : factor);

  const scrollTo = (place) => {
    const at = Math.floor(place / columns) * line;
    const bottom = at + line - view.height;
    if (at < topNow()) box.current.scrollTop = at / factor;
    else if (bottom > topNow()) box.current.scrollTop = (bottom + GAP) / factor;
  };

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
      const target = place >= 0 || event.key === "End" ? place + moves[event.key] : 0;
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
    const inside = column >= 0 && column < columns && (x - GAP) % cell < side && (y - GAP) % line < line - GAP;
    return inside && at >= 0 && at < rows.length ? at : -1;
  };

  const pointOf = (event) => {
    const bounds = box.current.getBoundingClientRect();
    return [event.clientX - bounds.left, event.clientY - bounds.top + topNow()];
  };

  const onPointerDown = (event) => {
    if (event.button !== 0 || event.pointerType === "touch") return;
    const element = box.current;
    if (event.clientX - element.getBoundingClientRect().left > element.clientWidth) return;
    const [x, y] = pointOf(event);
    const kept = event.ctrlKey || event.metaKey ? current().selection : new Set();
    let [dragged, latest, frame] = [null, event, 0];
    const draw = () => {
      const [toX, toY] = pointOf(latest);
      if (!dragged && Math.hypot(toX - x, toY - y) < DRAGGED) return;
      dragged = { left: Math.min(x, toX), top: Math.min(y, toY), right: Math.max(x, toX), bottom: Math.max(y, toY) };
      setBand(dragged);
      update({ selection: new Set([...kept, ...inBand(dragged)]) });
    };
    const move = (moved) => {
      latest = moved;
      draw();
    };
    const scroll = () => {
      const bounds = element.getBoundingClientRect();
      const beyond = Math.min(0, latest.clientY - bounds.top - EDGE) || Math.max(0, latest.clientY - bounds.bottom + EDGE);
      if (dragged && beyond) {
        element.scrollTop += beyond / 3;
        draw();
      }
      frame = requestAnimationFrame(scroll);
    };
    const up = () => {
      cancelAnimationFrame(frame);
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", up);
      removeEventListener("pointercancel", up);
      setBand(null);
      if (!dragged) return;
      // The click that follows a drag selects nothing; there is none where it ends elsewhere.
      const swallow = (click) => click.stopPropagation();
      addEventListener("click", swallow, { capture: true, once: true });
      setTimeout(() => removeEventListener("click", swallow, { capture: true }));
    };
    frame = requestAnimationFrame(scroll);
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
        if (place < rows.length && leftEdge < right && leftEdge + side > left) found.push(rows[place]);
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
  const drawn = new Set();
  const shift = top - view.top; // of what is drawn, where the scroll bar is faster than the grid
  for (let place = first * columns; place < Math.min(rows.length, last * columns); place++) {
    const row = rows[place];
    drawn.add(row);
    const style = `left:${GAP + (place % columns) * cell}px;top:${
      GAP + Math.floor(place / columns) * line - shift
    }px;width:${side}px;height:${line - GAP}px`;
    cells.push(html`
      <${Cell}
        key=${row}
        row=${row}
        place=${place}
        count=${rows.length}
        files=${files}
        size=${side}
        fast=${view.fast}
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
      aria-activedescendant=${drawn.has(focused) ? `row-${focused}` : undefined}
      tabindex="0"
      onScroll=${onScroll}
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

/**
 * Keep to what is in sight: what is selected and filtered out is selected no more, and where the
 * focused row is gone, such as by a label that a filter does not let pass, its follower takes over.
 */
function useKeptFocus(rows, places) {
  const place = useRef(-1);
  const focused = useStore((state) => state.focused);
  useLayoutEffect(() => {
    const before = current();
    const selection = new Set([...before.selection].filter((row) => places.has(row)));
    if (before.focused >= 0 && !places.has(before.focused) && rows.length) {
      const follower = place.current < 0 ? -1 : rows[Math.min(place.current, rows.length - 1)];
      if (selection.size === 0 && before.selection.size > 0 && follower >= 0) selection.add(follower);
      update({ selection, focused: follower });
    } else if (selection.size !== before.selection.size) {
      update({ selection });
    }
  }, [rows]);
  useLayoutEffect(() => {
    place.current = places.get(focused) ?? -1;
  }, [focused, rows]);
}

function Cell({ row, place, count, files, size, fast, style, selected, focused, caption }) {
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
      aria-label=${caption ? undefined : told /* else it is called by its caption */}
      title=${told}
    >
      <${Thumbnail} path=${path} scan=${files.scan} size=${size} fast=${fast} />
      <span class="caption">${caption ? caption(row) : name || html`<i>no label</i>`}</span>
    </div>
  `;
}

/** A picture of a file, or a sign that it cannot be read; `fast`: it only flies by. */
export function Thumbnail({ path, scan, size, fast = false }) {
  const [broken, setBroken] = useState(false);
  const asked = useRef(false);
  const image = useRef(null);
  asked.current ||= !fast;
  useEffect(() => setBroken(false), [path, scan]);
  useEffect(() => {
    const element = image.current;
    // A browser goes on loading pictures that are out of the page, before those that are in it.
    return () => element && !element.complete && element.removeAttribute("src");
  }, []);
  if (broken) {
    return html`<span class="broken" style=${`width:${size}px;height:${size}px`}>cannot be read</span>`;
  }
  return html`<img
    ref=${image}
    src=${asked.current ? thumbnailUrl(path, scan) : undefined}
    alt=""
    width=${size}
    height=${size}
    draggable=${false}
    decoding="async"
    onError=${(event) => event.target.hasAttribute("src") && setBroken(true)}
  />`;
}
