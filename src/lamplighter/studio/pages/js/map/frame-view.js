// The frame with the drawing, as a component: what is to be drawn goes in, what is pointed at comes out.
import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "../html.js";

/**
 * @param {{x: Float32Array, y: Float32Array, colours: Int32Array}} points
 * @param {object} look the colours, see palette.js
 * @param {number[]} selected places of the points that are selected
 * @param {number} pointed place of the point that keys act on, -1 for none
 * @param {string} tool "lasso" or "move"
 * @param {{change: string}|null} view a change of the view: "nearer", "farther" or "whole"
 * @param {(places: number[], how: string) => void} onSelect `how` is "set", "add" or "remove"
 * @param {(place: number, at: number[]) => void} onHover
 * @param {(event: object) => void} onKey called with what a key event says
 */
export function FrameView({ points, look, selected, pointed, tool, view, onSelect, onHover, onKey }) {
  const frame = useRef(null);
  const [ready, setReady] = useState(null);
  const heard = useRef({});
  heard.current = { onSelect, onHover, onKey };

  useEffect(() => {
    const listener = ({ origin, source, data }) => {
      if (origin !== location.origin || source !== frame.current?.contentWindow) return;
      if (data.kind === "ready") setReady(data);
      else if (data.kind === "select") heard.current.onSelect(data.places, data.how);
      else if (data.kind === "hover") heard.current.onHover(data.place, data.point);
      else if (data.kind === "key") heard.current.onKey(data);
    };
    addEventListener("message", listener);
    return () => removeEventListener("message", listener);
  }, []);

  const send = (kind, data) => {
    if (ready) frame.current.contentWindow.postMessage({ kind, ...data }, location.origin);
  };
  useEffect(() => {
    const { colours: palette, grey, ground, ink } = look;
    const { x, y, colours } = points;
    send("draw", { x, y, colours, palette: [...palette, grey], ground, ink });
  }, [ready, points, look]);
  useEffect(() => send("select", { places: selected }), [ready, points, selected]);
  useEffect(() => send("point", { place: pointed }), [ready, points, pointed]);
  useEffect(() => send("tool", { name: tool }), [ready, tool]);
  useEffect(() => view && send("view", view), [ready, view]);

  return html`
    <iframe ref=${frame} src="/pages/map-frame.html" title="Map of the photos" data-drawn-by=${ready?.by}></iframe>
    ${ready?.by === "canvas" &&
    ready.why !== "touch" &&
    html`<p class="soft drawn-by">This browser has no WebGL, so the map is drawn without it: slower where there are many photos.</p>`}
  `;
}
