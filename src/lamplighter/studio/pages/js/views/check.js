// What is wrong with the photos: the audit, labels that look wrong, and what to label next.
import { html } from "../html.js";
import { Audit } from "../check/audit.js";
import { LabelNext, WrongLabels } from "../check/clinic.js";
import { openSuspects } from "../checks.js";
import { address } from "../router.js";
import { useStore } from "../store.js";

const TABS = [
  { name: "audit", label: "Photos", View: Audit },
  { name: "labels", label: "Labels that look wrong", View: WrongLabels },
  { name: "next", label: "Label next", View: LabelNext },
];

export function Check({ query, go }) {
  const files = useStore((state) => state.files);
  const checks = useStore((state) => state.checks);
  const chosen = TABS.find(({ name }) => name === query.tab) ?? TABS[0];
  const counts = {
    audit: checks.audit?.made ? checks.audit.findings.length : 0,
    labels: openSuspects(files).size,
    next: files.labels.reduce((count, label, row) => count + (label < 0 && !files.aside.has(row)), 0),
  };
  return html`
    <section class="check">
      <h1>Check</h1>
      <nav class="tabs" aria-label="Checks">
        ${TABS.map(
          ({ name, label }) => html`
            <a
              href=${address("check", { tab: name === "audit" ? "" : name })}
              aria-current=${name === chosen.name ? "page" : undefined}
            >
              ${label} ${counts[name] > 0 && html`<span class="badge">${counts[name].toLocaleString()}</span>`}
            </a>
          `,
        )}
      </nav>
      <${chosen.View} query=${query} go=${go} />
    </section>
  `;
}
