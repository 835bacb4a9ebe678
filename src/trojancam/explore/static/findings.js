/** What a scan found: its verdict, and its findings with a way to the feature maps that each names. */

import { el } from "./dom.js";
import { percent, short } from "./numbers.js";

const HEADINGS = ["Class", "Recovered trigger", "Score", "REASR", "Stimulation ASR", "Where it is"];

export function findings(app) {
  const element = el("div", { class: "stack", id: "findings" });
  let shown = null;
  element.show = (report, model, words) => {
    if (report === shown) return;
    shown = report;
    element.replaceChildren(...(report ? parts(app, report, model, words) : []));
  };
  return element;
}

/** The verdict in the words of the report's page, what was searched, the findings, and what no scan can see. */
function parts(app, report, model, words) {
  const parts_ = [
    el("p", { class: `verdict ${words.tone}` }, words.answer),
    el("p", { class: "words" }, words.summary),
    el("p", { class: "words quiet" }, words.weighed.join(" ")),
    ...covered(report.coverage),
    limits(words.limits),
  ];
  if (!report.findings.length) return parts_;
  const rows = report.findings.map((finding) => row(app, report, model, finding));
  const table = el(
    "table",
    { class: "plain" },
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        HEADINGS.map((heading, at) => el("th", { scope: "col", class: at > 1 && at < 5 ? "number" : "" }, heading)),
      ),
    ),
    el("tbody", {}, rows),
  );
  const found = el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Findings" }, table);
  return [...parts_.slice(0, 3), found, ...parts_.slice(3)];
}

/** What no scan can see. */
function limits(sentences) {
  const listed = sentences.map((sentence) => el("li", {}, sentence));
  return el("div", { class: "words small" }, el("p", {}, "What this scan could not see:"), el("ul", { class: "limits" }, listed));
}

/** What was searched, and what was not. */
function covered(coverage) {
  const searched = coverage.searched.map((each) => `${each.method} (${each.families.join(", ")})`).join("; "),
    missing = coverage.not_searched.map((each) => `${each.what} (${each.why})`).join("; ");
  return [
    ["Searched", searched],
    ["Not searched", missing],
  ]
    .filter(([, words]) => words)
    .map(([name, words]) => el("p", { class: "words small" }, `${name}: ${words}.`));
}

function row(app, report, model, finding) {
  const name = report.class_names[finding.target_class] ?? `class ${finding.target_class}`;
  const picture = finding.trigger
    ? el("img", { src: `data:image/png;base64,${finding.trigger.png}`, alt: `The trigger recovered for ${name}` })
    : "–";
  const ways = finding.feature_maps.map((map) =>
    el(
      "button",
      { type: "button", onClick: () => look(app, model, report, finding, map) },
      `${finding.layer}, map ${map}`,
    ),
  );
  const number = (text) => el("td", { class: "number" }, text);
  return el(
    "tr",
    {},
    el("th", { scope: "row" }, name),
    el("td", {}, picture),
    number(short(finding.score)),
    number(percent(finding.reasr)),
    number(percent(finding.stimulation_asr)),
    el("td", {}, ways.length ? el("div", { class: "row" }, ways) : "–"),
  );
}

/** Look at a feature map that a finding names, stimulated as the scan stimulated it, with its class explained. */
function look(app, model, report, finding, map) {
  const deed = finding.stimulation,
    number = deed && deed.layer === finding.layer ? report.findings.indexOf(finding) : null;
  const window = deed?.window ?? null;
  app.store.set(
    {
      view: "look",
      model,
      layer: finding.layer,
      map,
      maps: null,
      explain: finding.target_class,
      finding: number,
      stimulated: number !== null,
      kind: "replace",
      value: 1,
      unit: "map",
      rest: deed?.rest ?? "keep",
      window,
      paint: "",
      where: window ? "window" : "all",
    },
    { step: true },
  );
  document.getElementById("easel").focus({ preventScroll: true });
}
