/** A repair: started, watched, cancelled; the ledger before and after, and any stimulation replayed on both networks. */

import { address, get } from "./api.js";
import { check, el, field, numberField, options, write } from "./dom.js";
import { child } from "./child.js";
import { mountReplay } from "./replay.js";
import { toast } from "./notices.js";
import { GREATEST_SEED } from "./state.js";
import * as wire from "./wire.js";

export function mountRepair(app) {
  const controls = settings(app),
    ledger = table(),
    intro = el("p", { class: "quiet words" });
  const save = el("a", { class: "button", download: "" }, "Save the repaired network"),
    beside = el("button", { type: "button", onClick: () => compare(app) }, "Compare both networks");
  let told = null;

  function show(now) {
    const finished = now?.state === "finished";
    app.repaired = finished ? (now.repaired ?? null) : null;
    app.repairedFrom = finished ? now.model : null;
    save.hidden = beside.hidden = !app.repaired;
    save.href = address(`repairs/${app.state.repair}/network`);
    ledger.show(finished ? now.words : null);
    if (finished && told !== app.state.repair) {
      told = app.state.repair;
      learn(app);
    }
  }

  const parts = child(app, {
    name: "repair",
    path: "repairs",
    noun: "repair",
    settings: controls,
    wanted: () => wire.repair(app.state, app.reportOf),
    show,
    refused: toast,
  });
  parts.row.append(save, beside);
  const section = el(
    "section",
    { class: "scan", id: "repair", "aria-label": "Repair" },
    el("h2", {}, "Remove what a scan found"),
    intro,
    controls,
    parts.parts,
    ledger.element,
    mountReplay(app),
  );
  app.watch([], () => {
    section.hidden = app.state.view !== "repair";
    const given = wire.scanTaken(app.state, app.reportOf);
    write(
      intro,
      `Repair “${app.model.name}” from a few clean test images of each class; the rest of them only measure. ` +
        (given ? "It removes what the scan in the Scan view found." : "The network is scanned first. This takes minutes."),
    );
  });
  return section;
}

/** The repaired network is one of those that can be looked at. */
async function learn(app) {
  const { models } = await get("session");
  if (models.length === app.session.models.length) return;
  app.session.models = models;
  app.store.refresh();
}

function compare(app) {
  const { image, triggered } = app.state;
  const second = { model: app.repaired.id, image, triggered, explain: "same" };
  app.store.set({ view: "compare", model: app.repairedFrom, second }, { step: true });
}

function settings(app) {
  const change = (patch) => app.store.set({ repairing: { ...app.state.repairing, ...patch } });
  const method = el("select", { onChange: () => change({ method: method.value }) });
  const images = numberField("Images of each class", { min: "2", max: "100" }, (value) => change({ images: value }));
  const budget = numberField("Points of accuracy it may cost", { min: "0", max: "100" }, (value) => change({ budget: value }));
  const seed = numberField("Seed", { min: "0", max: String(GREATEST_SEED) }, (value) => change({ seed: value }));
  const force = check("Repair even where the scan finds nothing", (on) => change({ force: on }));
  app.watch([], () => {
    const { repairing } = app.state;
    options(
      method,
      app.session.repairs.map(({ name, title }) => [name, title]),
      repairing.method,
    );
    images.show(repairing.images);
    budget.show(repairing.budget);
    seed.show(repairing.seed);
    force.input.checked = repairing.force;
  });
  return el(
    "fieldset",
    { class: "row end bare" },
    el("legend", { class: "unseen" }, "Settings of the repair"),
    field("Method", method),
    images,
    budget,
    seed,
    force,
  );
}

/** The verdict in the report's words, and the ledger side by side. */
function table() {
  const element = el("div", { class: "stack", id: "ledger" });
  let shown = null;
  const show = (words) => {
    if (words === shown) return;
    shown = words;
    element.replaceChildren(...(words ? parts(words) : []));
  };
  return { element, show };
}

function parts({ answer, tone, summary, rows, returns, limits }) {
  const head = ["", "Before", "After"].map((name) => el("th", { scope: "col" }, name || el("span", { class: "unseen" }, "What")));
  const body = rows.map(([what, ...values]) =>
    el("tr", {}, el("th", { scope: "row" }, what), values.map((value) => el("td", {}, value))),
  );
  const ledger = el("table", { class: "plain" }, el("thead", {}, el("tr", {}, head)), el("tbody", {}, body));
  return [
    el("p", { class: `verdict ${tone}` }, answer),
    el("p", { class: "words" }, summary),
    el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Before and after" }, ledger),
    el("p", { class: "words" }, el("b", {}, "How easily it comes back. "), returns),
    el(
      "div",
      { class: "words small" },
      el("p", {}, "What is not known:"),
      el("ul", { class: "limits" }, limits.map((limit) => el("li", {}, limit))),
    ),
  ];
}
