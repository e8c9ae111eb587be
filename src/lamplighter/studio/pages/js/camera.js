// The camera of this machine: asked for when it is needed, and let go when it is not.
import { useEffect, useRef, useState } from "preact/hooks";

const WIDTH = 640; // pixels that are asked for; networks see fewer

const REASONS = {
  NotAllowedError: "The browser may not use the camera. Allow it in the site settings beside the address, then start it again.",
  SecurityError: "The browser may not use the camera. Allow it in the site settings beside the address, then start it again.",
  NotFoundError: "No camera is found. Plug one in, then start it again.",
  OverconstrainedError: "That camera is no longer there. Choose another one.",
  NotReadableError: "The camera does not start: another program may be using it. Close that, then start it again.",
  AbortError: "The camera does not start: another program may be using it. Close that, then start it again.",
};
const NO_CAMERAS =
  "This page may not use cameras. Open the studio at the address with 127.0.0.1 that the terminal shows.";
const UNPLUGGED = "The camera was unplugged, or another program took it. Start it again when it is back.";

/**
 * Return a camera: {stream, starting, error, devices, device, start, stop}.
 *
 * `start(id)` asks for it, by default the one that was used last; `error` is one sentence, "" where
 * nothing is wrong. It stops with the view that uses it.
 */
export function useCamera() {
  const [state, setState] = useState({ stream: null, starting: false, error: "", devices: [], device: "" });
  const live = useRef(null);
  const asked = useRef(0);

  const stop = (error = "") => {
    asked.current++;
    for (const track of live.current?.getTracks() ?? []) {
      track.onended = null;
      track.stop();
    }
    live.current = null;
    setState((before) => ({ ...before, stream: null, starting: false, error }));
  };

  const start = async (device = state.device) => {
    stop();
    if (!navigator.mediaDevices?.getUserMedia) return stop(NO_CAMERAS);
    const turn = ++asked.current;
    setState((before) => ({ ...before, starting: true }));
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        audio: false,
        video: { width: { ideal: WIDTH }, ...(device ? { deviceId: { exact: device } } : {}) },
      });
    } catch (error) {
      if (turn === asked.current) stop(REASONS[error.name] ?? `The camera does not start: ${error.message || error.name}.`);
      return undefined;
    }
    if (turn !== asked.current) {
      for (const track of stream.getTracks()) track.stop(); // stopped while it was starting
      return undefined;
    }
    const [track] = stream.getVideoTracks();
    track.onended = () => stop(UNPLUGGED);
    live.current = stream;
    const devices = (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === "videoinput");
    setState({ stream, starting: false, error: "", devices, device: track.getSettings().deviceId ?? "" });
    return undefined;
  };

  useEffect(() => () => stop(), []);
  return { ...state, start, stop: () => stop() };
}

/**
 * Return what a video shows right now as a JPEG, or null where it shows nothing yet.
 *
 * @param {HTMLVideoElement} video
 * @param {HTMLCanvasElement} canvas drawn on, to be used again
 * @param {number} side pixels of the shorter side that are enough
 */
export function frameOf(video, canvas, side = 480) {
  const { videoWidth, videoHeight } = video;
  if (!videoWidth) return Promise.resolve(null);
  const scale = Math.min(1, side / Math.min(videoWidth, videoHeight));
  canvas.width = Math.round(videoWidth * scale);
  canvas.height = Math.round(videoHeight * scale);
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
}

/**
 * Follow the pictures of a video: `next()` waits until there is one that was not waited for before,
 * and gives false where the video has stood still for half a second.
 *
 * @param {HTMLVideoElement} video
 */
export function framesOf(video) {
  let going = true;
  let fresh = false;
  let wake = null;
  const seen = () => {
    if (!going) return;
    fresh = true;
    wake?.();
    follow();
  };
  const follow = () =>
    video.requestVideoFrameCallback ? video.requestVideoFrameCallback(seen) : requestAnimationFrame(seen);
  follow();
  return {
    async next() {
      if (!fresh) {
        await new Promise((resolve) => {
          wake = resolve;
          setTimeout(resolve, 500);
        });
        wake = null;
      }
      const found = fresh;
      fresh = false;
      return found;
    },
    stop() {
      going = false;
      wake?.();
    },
  };
}
