// What the person is told, above all else.
import { useLayoutEffect, useRef } from "preact/hooks";
import { html } from "../html.js";
import { dismiss, useStore } from "../store.js";

export function Messages() {
  const messages = useStore((state) => state.messages);
  const box = useRef(null);
  useLayoutEffect(() => {
    // In front of all dialogs, also of those that were opened since.
    box.current.hidePopover();
    if (messages.length) box.current.showPopover();
  }, [messages]);
  return html`
    <div class="messages" ref=${box} popover="manual" role="status" aria-live="polite">
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
