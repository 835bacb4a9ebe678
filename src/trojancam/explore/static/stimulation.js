/** The stimulation: its controls, and the prediction that comes of it. */

import { mountDeed } from "./deed.js";
import { el, rewrite } from "./dom.js";
import { refusalPlace } from "./notices.js";
import { pairs } from "./pairs.js";
import { BLANK } from "./state.js";
import { mountWhereabouts } from "./whereabouts.js";

const PARTS = ["stimulated", "kind", "value", "unit", "rest", "where", "window", "paint", "maps"];
const UNTOUCHED = Object.fromEntries(PARTS.map((name) => [name, BLANK[name]]));

export function mountStimulation(app) {
  const place = refusalPlace(),
    turned = el("p", { class: "turned", "aria-live": "polite" }),
    list = pairs();
  const reset = el(
    "button",
    {
      type: "button",
      class: "link small",
      onClick: () => app.store.set(UNTOUCHED),
    },
    "Reset",
  );
  const element = el(
    "aside",
    { class: "panel", id: "stimulation", "aria-label": "Stimulation" },
    el("div", { class: "heading" }, el("h2", {}, "Stimulate"), reset),
    el("div", { class: "stack", role: "group", "aria-label": "The network's answer" }, turned, place, list),
    mountDeed(app),
    mountWhereabouts(app),
  );
  app.watch([app.answer, app.explanation], () => {
    const { state, model } = app;
    if (state.map === null) return;
    const value = state.stimulated ? app.current(app.answer) : null,
      before = app.current(app.explanation);
    place.show(app.answer.error, () => app.answer.again());
    reset.hidden = !state.stimulated && !state.paint && !state.window;
    rewrite(turned, sentence(value, model.classes, state));
    if (value) list.show(value.before, value.after, model.classes);
    else if (before) list.show(before, null, model.classes);
  });
  return element;
}

function sentence(value, classes, state) {
  if (!value) {
    if (state.stimulated && state.where === "paint" && !state.paint) return ["Paint at least one cell."];
    if (state.stimulated && state.where === "window" && !state.window) return ["Draw a window on the map."];
    return [state.stimulated ? "Asking the network …" : "Without stimulation"];
  }
  const [from, to] = [value.before.predicted, value.after.predicted];
  if (from === to) return [`Still “${classes[to]}”`];
  return [`“${classes[from]}” becomes `, el("span", { class: "to" }, `“${classes[to]}”`)];
}
