/** What a camera sees, a few times a second. */

const EVERY = 250; // milliseconds between two looks

/**
 * Show a camera in a video element and look at its frames until it is stopped.
 *
 * @param {HTMLVideoElement} video
 * @param {(video: HTMLVideoElement) => Promise<void>} onFrame
 * @returns {Promise<() => void>} what stops it.
 * @throws {DOMException} there is no camera, or it may not be used.
 */
export async function startCamera(video, onFrame) {
  const constraints = { video: { facingMode: { ideal: "environment" } } };
  const stream = await navigator.mediaDevices.getUserMedia(constraints);
  video.srcObject = stream;
  await video.play();
  let isOn = true;
  const stop = () => {
    isOn = false;
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
  };
  (async () => {
    while (isOn) {
      if (video.videoWidth > 0) await onFrame(video);
      await new Promise((resolve) => setTimeout(resolve, EVERY));
    }
  })();
  return stop;
}
