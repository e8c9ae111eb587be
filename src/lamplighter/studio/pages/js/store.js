// What all views share: one object, replaced by each change, and who wants to know of changes.
import { useEffect, useReducer, useRef } from "preact/hooks";

let state = {
  studio: null, // what /api/state says: version, torch, folder, name
  files: null, // the table of files, see files.js
  jobs: {}, // the last job of each kind, see jobs.js
  selection: new Set(), // rows of the table
  focused: -1, // the row that keys act on
  messages: [], // what the person is told at the foot of the page
  connected: true,
};
const listeners = new Set();

/** Return what all views share as it is now. */
export const current = () => state;

/** Change parts of it. */
export function update(patch) {
  state = { ...state, ...patch };
  for (const listener of [...listeners]) listener();
}

/** Return a part of it; the component is drawn anew when that part is another one. */
export function useStore(select) {
  const [, redraw] = useReducer((count) => count + 1, 0);
  const seen = useRef();
  const chooser = useRef(select);
  chooser.current = select;
  seen.current = select(state);
  useEffect(() => {
    const listener = () => {
      if (chooser.current(state) !== seen.current) redraw();
    };
    listeners.add(listener);
    listener();
    return () => listeners.delete(listener);
  }, []);
  return seen.current;
}

/** Call `action` with a part of it now, and whenever that part is another one. */
export function watch(select, action) {
  let seen;
  const listener = () => {
    const part = select(state);
    if (part === seen) return;
    seen = part;
    action(part);
  };
  listeners.add(listener);
  listener();
}

let messages = 0;

/** Tell the person something at the foot of the page. `action` is {label, do}. */
export function tell(text, { kind = "note", action = null } = {}) {
  const message = { id: ++messages, text, kind, action };
  update({ messages: [...state.messages.slice(-2), message] });
  setTimeout(() => dismiss(message.id), kind === "error" ? 15000 : 6000);
}

export function dismiss(id) {
  if (state.messages.some((message) => message.id === id)) {
    update({ messages: state.messages.filter((message) => message.id !== id) });
  }
}

/** Do something that may fail; what went wrong is told at the foot of the page. */
export async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    if (error.name !== "AbortError") tell(error.message, { kind: "error" });
    return undefined;
  }
}
