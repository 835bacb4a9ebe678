/** A scan for backdoors: started, watched, cancelled; and from a finding to the feature map that it names. */

import { child } from "./child.js";
import { el, field, numberField, options, write } from "./dom.js";
import { findings } from "./findings.js";
import { toast } from "./notices.js";
import { GREATEST_SEED } from "./state.js";
import * as wire from "./wire.js";

export function mountScan(app) {
  const report = findings(app),
    intro = el("p", { class: "quiet words" }),
    controls = settings(app);
  let told = null;

  function show(now) {
    report.show(now?.report ?? null, now?.model, now?.words);
    app.report = now?.report ?? null;
    app.reportOf = now?.report ? now.model : null;
    if (now?.state === "finished" && told !== app.state.scan) {
      told = app.state.scan;
      finished();
    }
    if (now && now.state !== "running" && !now.report?.findings[app.state.finding])
      leaveFinding("The scan has no such finding; nothing is stimulated.");
  }

  /** Feature maps now have success rates, and a finding can be stimulated. */
  function finished() {
    app.layerMaps.again();
    app.detail.again();
    app.store.tell();
  }

  /** Leave a finding that is not there, for then nobody knows how it was stimulated. */
  function leaveFinding(sentence) {
    if (app.state.finding === null) return;
    toast(sentence);
    app.store.set({ finding: null, stimulated: false });
  }

  const { parts } = child(app, {
    name: "scan",
    path: "scans",
    noun: "scan",
    settings: controls,
    wanted: () => wire.scan(app.state),
    show,
    refused: leaveFinding,
  });
  const section = el(
    "section",
    { class: "scan", id: "scan", "aria-label": "Scan" },
    el("h2", {}, "Is there a backdoor?"),
    intro,
    controls,
    parts,
    report,
  );
  app.watch([], () => {
    section.hidden = app.state.view !== "scan";
    write(
      intro,
      `Scan “${app.model.name}”: is there a class that a small trigger could stand for? The scan works from clean test ` +
        "images and the network alone; it takes minutes, and goes on while you look around.",
    );
  });
  return section;
}

function settings(app) {
  const offered = [
    [app.session.default_searches.join(","), "The default searches"],
    ...app.session.searches.map(({ name, title }) => [name, title]),
  ];
  const change = (patch) => app.store.set({ scanning: { ...app.state.scanning, ...patch } });
  const images = numberField("Clean test images", { min: "4", max: "2000" }, (value) => change({ images: value }));
  const seed = numberField("Seed", { min: "0", max: String(GREATEST_SEED) }, (value) => change({ seed: value }));
  const method = el("select", { onChange: () => change({ methods: method.value.split(",") }) });
  app.watch([], () => {
    const { scanning } = app.state,
      chosen = scanning.methods.join(",");
    images.show(scanning.images);
    seed.show(scanning.seed);
    options(
      method,
      offered.some(([name]) => name === chosen) ? offered : [...offered, [chosen, scanning.methods.join(", ")]],
      chosen,
    );
  });
  const element = el(
    "fieldset",
    { class: "row end bare" },
    el("legend", { class: "unseen" }, "Settings of the scan"),
    field("Method", method),
    images,
    seed,
  );
  return element;
}
