// What a camera shows, with the buttons that start and stop it.
import { useEffect } from "preact/hooks";
import { html } from "../html.js";

/**
 * @param {object} camera what `useCamera` returned
 * @param {object} video a ref to the video, for who takes pictures of it
 */
export function CameraView({ camera, video }) {
  const { stream, starting, error, devices, device } = camera;
  useEffect(() => {
    if (video.current) video.current.srcObject = stream;
  }, [stream]);
  return html`
    <div class="camera">
      <video ref=${video} hidden=${!stream} autoplay muted playsinline aria-label="What the camera shows"></video>
      ${!stream &&
      html`<p class="camera-off">${starting ? "Asking for the camera… Allow it where the browser asks." : "The camera is off."}</p>`}
      ${error && html`<p class="error" role="alert">${error}</p>`}
      <p class="buttons">
        ${stream || starting
          ? html`<button onClick=${camera.stop}>Stop the camera</button>`
          : html`<button class="main" onClick=${() => camera.start()}>Start the camera</button>`}
        ${devices.length > 1 &&
        html`<label>
          Camera
          <select value=${device} onChange=${(event) => camera.start(event.target.value)}>
            ${devices.map(({ deviceId, label }, place) => html`<option value=${deviceId}>${label || `camera ${place + 1}`}</option>`)}
          </select>
        </label>`}
      </p>
    </div>
  `;
}
