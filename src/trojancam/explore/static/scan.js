/** A scan for backdoors: started, watched, cancelled; and from a finding to the feature map that it names. */

import { address, post, request } from "./api.js";
import { el, field, numberField, options, write } from "./dom.js";
import { findings } from "./findings.js";
import { follow } from "./following.js";
import { refusalPlace, toast } from "./notices.js";
import { roughly, whole } from "./numbers.js";
import { telling } from "./share.js";
import { GREATEST_SEED } from "./state.js";
import * as wire from "./wire.js";

const METHODS = [
  ["stimulation,additive,warp,all-to-all", "All searches"],
  ["stimulation", "Patches (stimulation maps)"],
  ["additive", "Whole image (smallest additive change)"],
  ["warp", "Warps (smallest warp)"],
  ["tone", "Tones (smallest tone)"],
  ["all-to-all", "Every class to another"],
  ["abs", "Artificial Brain Stimulation"],
  ["neural-cleanse", "Neural Cleanse"],
];
const WORDS = {
  running: "The scan is running.",
  cancelled: "The scan was cancelled.",
  finished: "The scan is finished.",
  failed: "The scan failed.",
};

export function mountScan(app) {
  const place = refusalPlace(),
    report = findings(app),
    shown = { id: undefined, status: null };
  let starting = false;
  const intro = el("p", { class: "quiet words" }),
    line = el("p", { "aria-live": "polite" }),
    bar = progress();
  const start = el(
    "button",
    { type: "button", class: "primary", id: "start-scan", onClick: () => begin() },
    "Start the scan",
  );
  const cancel = el(
    "button",
    { type: "button", id: "cancel-scan", onClick: () => telling(() => request("DELETE", `scans/${shown.id}`)) },
    "Cancel",
  );
  const page = el("a", { class: "button", target: "_blank", rel: "noopener" }, "Open the report page");
  const controls = settings(app),
    status = el("div", { class: "stack" }, line, bar.element, el("div", { class: "row" }, cancel, page));
  const section = el(
    "section",
    { class: "scan", id: "scan", "aria-label": "Scan" },
    el("h2", {}, "Is there a backdoor?"),
    intro,
    controls,
    el("div", {}, start),
    place,
    status,
    report,
  );

  async function begin() {
    place.show("");
    starting = true;
    check();
    try {
      const { id } = await post("scans", wire.scan(app.state));
      watch(id);
    } catch (error) {
      if (error.scan) place.show(error.message, () => watch(error.scan), "Look at the running scan");
      else place.show(error.message, begin);
    }
    starting = false;
    check();
  }

  const watch = (id) => app.store.set({ scan: id }, { step: true });

  /** Nothing is started while a setting is none. */
  function check() {
    start.disabled = starting || Boolean(controls.querySelector("[aria-invalid=true]"));
  }
  for (const event of ["input", "change", "focusout"]) controls.addEventListener(event, check);

  /** Feature maps now have success rates, and a finding can be stimulated. */
  function finished() {
    app.layerMaps.again();
    app.detail.again();
    app.store.tell();
  }

  function show() {
    const { status: now } = shown,
      running = now?.state === "running";
    status.hidden = !now;
    start.hidden = running;
    cancel.hidden = !running;
    page.hidden = now?.state !== "finished";
    page.href = address(`scans/${shown.id}/page`);
    controls.disabled = running;
    bar.element.hidden = !running;
    report.show(now?.report ?? null, now?.model);
    app.report = now?.report ?? null;
    if (!now) return;
    bar.show(now);
    const left = running && now.seconds_left !== null ? ` ${whole(roughly(now.seconds_left))}` : "";
    write(line, whole(now.message || WORDS[now.state]) + left);
  }

  /** Leave a finding that is not there, for then nobody knows how it was stimulated. */
  function leaveFinding(sentence) {
    if (app.state.finding === null) return;
    toast(sentence);
    app.store.set({ finding: null, stimulated: false });
  }

  function refused(error) {
    place.show(error.message);
    leaveFinding(error.message);
  }

  app.watch([], () => {
    section.hidden = app.state.view !== "scan";
    check();
    write(
      intro,
      `Scan “${app.model.name}”: is there a class that a small trigger could stand for? The scan works from clean test ` +
        "images and the network alone; it takes minutes, and goes on while you look around.",
    );
    if (app.state.scan === shown.id) return;
    Object.assign(shown, { id: app.state.scan, status: null });
    place.show("");
    follow(
      shown.id,
      (now) => {
        if (app.state.scan !== shown.id) return;
        shown.status = now;
        show();
        if (now.state === "finished") finished();
        if (now.state !== "running" && !now.report?.findings[app.state.finding])
          leaveFinding("The scan has no such finding; nothing is stimulated.");
      },
      refused,
    );
    show();
  });
  return section;
}

function settings(app) {
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
      METHODS.some(([name]) => name === chosen) ? METHODS : [...METHODS, [chosen, scanning.methods.join(", ")]],
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

function progress() {
  const filled = el("span"),
    element = el(
      "div",
      {
        class: "progress",
        role: "progressbar",
        "aria-label": "Progress of the scan",
        "aria-valuemin": "0",
        "aria-valuemax": "100",
      },
      filled,
    );
  const show = ({ done, total }) => {
    const share = total ? Math.min(1, done / total) : 0;
    filled.style.width = `${100 * share}%`;
    element.setAttribute("aria-valuenow", String(Math.round(100 * share)));
  };
  return { element, show };
}
