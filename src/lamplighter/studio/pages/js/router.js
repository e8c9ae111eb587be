// Each view has an address: #/gallery?class=cat&split=test. What is after "?" are its settings.
import { useEffect, useState } from "preact/hooks";

/** Return {view, query} of the address; `query` is a plain object of texts. */
export function route() {
  const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { view: path || "gallery", query: Object.fromEntries(new URLSearchParams(search)) };
}

/** Return the address of a view; settings that are empty are left out. */
export function address(view, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value != null);
  const search = new URLSearchParams(given).toString();
  return `#/${view}${search && `?${search}`}`;
}

/** Go to a view; `replace` keeps the step out of the browser's history. */
export function go(view, query = {}, { replace = false } = {}) {
  const target = address(view, query);
  if (target === location.hash) return;
  if (replace) {
    history.replaceState(null, "", target);
    dispatchEvent(new Event("hashchange"));
  } else {
    location.hash = target;
  }
}

/** Return the route; the component is drawn anew when it changes. */
export function useRoute() {
  const [now, setNow] = useState(route);
  useEffect(() => {
    const changed = () => setNow(route());
    addEventListener("hashchange", changed);
    changed(); // it may have been since this was drawn
    return () => removeEventListener("hashchange", changed);
  }, []);
  return now;
}
