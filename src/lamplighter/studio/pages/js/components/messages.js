// What the person is told at the foot of the page.
import { html } from "../html.js";
import { dismiss, useStore } from "../store.js";

export function Messages() {
  const messages = useStore((state) => state.messages);
  return html`
    <div class="messages" role="status" aria-live="polite">
      ${messages.map(
        ({ id, text, kind, action }) => html`
          <p key=${id} class=${kind} role=${kind === "error" ? "alert" : undefined}>
            <span>${text}</span>
            ${action &&
            html`<button
              onClick=${() => {
                dismiss(id);
                action.do();
              }}
            >
              ${action.label}
            </button>`}
            <button class="plain" aria-label="Dismiss" onClick=${() => dismiss(id)}>×</button>
          </p>
        `,
      )}
    </div>
  `;
}
