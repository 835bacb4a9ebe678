/** What is done to the activations: which kind of edit, how strongly, in which unit, in which feature maps. */

import { unitOf } from "./cells.js";
import { chosenMaps, inWords } from "./chosen_maps.js";
import { el, field, mark, options, segments, write } from "./dom.js";
import { short } from "./numbers.js";
import { GREATEST_STRENGTH } from "./state.js";

const KINDS = [
  ["replace", "Set to"],
  ["add", "Add"],
  ["scale", "Scale"],
  ["zero", "Zero"],
];
const UNITS = [
  ["map", "× the map's clean peak"],
  ["layer", "× the layer's clean peak"],
  ["absolute", "as an activation"],
];

export function mountDeed(app) {
  const change = (patch) => app.store.set({ ...patch, stimulated: true });
  const kinds = segments(
    "What happens to the activations",
    KINDS,
    (kind) => change({ kind, value: { replace: 1, add: 1, scale: 2 }[kind] ?? app.state.value }),
    { wide: true },
  );
  const slider = el("input", {
    type: "range",
    id: "strength",
    "aria-label": "Strength",
    onInput: () => change({ value: Number(slider.value) }),
  });
  const exact = el("input", {
    type: "number",
    step: "any",
    min: String(-GREATEST_STRENGTH),
    max: String(GREATEST_STRENGTH),
    "aria-label": "Strength as a number",
    "aria-describedby": "strength-problem",
    onInput: () => {
      if (judge() && exact.value !== "") change({ value: Number(exact.value) });
    },
    onBlur: () => {
      exact.value = written(app.state.value);
      judge();
    },
  });
  const problem = el("span", { class: "small alarm", role: "alert", id: "strength-problem" });
  const judge = () => {
    const good = exact.checkValidity();
    write(problem, good ? "" : `Strength: give a number from −${GREATEST_STRENGTH} to ${GREATEST_STRENGTH}.`);
    mark(exact, "aria-invalid", !good);
    return good;
  };
  const unit = el("select", { onChange: () => change({ unit: unit.value, value: converted(app, unit.value) }) });
  const scanned = el("p", { class: "note" }),
    amount = el("p", { class: "small quiet" }),
    maps = chosenMaps(app, change);
  const units = field("Strength counts", unit),
    strength = el("div", { class: "strength" }, slider, exact, units, problem);
  const reach = range();
  app.watch([app.detail], () => {
    const { state } = app,
      detail = app.current(app.detail);
    if (state.map === null) return;
    const found = state.finding === null ? null : app.report?.findings[state.finding];
    kinds.choose(found ? "" : state.kind);
    scanned.hidden = !found;
    if (found)
      write(
        scanned,
        `As the scan did it, in ${inWords(found.feature_maps)}${found.feature_maps.length > 1 ? " together" : ""}. Change anything, and it is yours.`,
      );
    strength.hidden = state.kind === "zero" || Boolean(found);
    units.hidden = state.kind === "scale";
    options(unit, UNITS, state.unit);
    const [low, high] = reach(state, detail);
    Object.assign(slider, { min: String(low), max: String(high), step: String((high - low) / 200) });
    slider.value = String(state.value);
    if (document.activeElement !== exact) exact.value = written(state.value);
    const size =
      detail && state.kind !== "scale" && state.kind !== "zero" ? short(state.value * unitOf(state, detail)) : null;
    write(
      amount,
      size === null
        ? ""
        : `An activation of ${size}. Clean peaks are those over a fixed set of test images, not of this image alone.`,
    );
    amount.hidden = size === null || Boolean(found);
    maps.element.hidden = Boolean(found);
    maps.show(state);
  });
  return el("div", { class: "stack" }, scanned, kinds, strength, amount, maps.element);
}

const written = (value) => String(Number(value.toPrecision(4)));

/**
 * How far the slider goes: four times the unit, or to a number given beside it, for triggers drive maps further. It does
 * not shrink again while the same map is stimulated in the same way: the slider would run away from the hand.
 */
function range() {
  let known = "",
    furthest = 0;
  return ({ kind, unit, value, layer, map }, detail) => {
    if (kind === "scale") return [Math.min(-2, value), Math.max(10, value)];
    const one = unit === "absolute" ? Math.max(detail?.clean_peak ?? 1, 1e-6) : 1,
      key = [kind, unit, layer, map, one].join();
    furthest = Math.max(key === known ? furthest : 4 * one, Math.abs(value));
    known = key;
    return [kind === "add" || value < 0 ? -furthest : 0, furthest];
  };
}

/** The same strength in another unit. */
function converted(app, unit) {
  const { state } = app,
    detail = app.current(app.detail);
  const one = detail && unitOf({ ...state, unit }, detail);
  return one ? Number(((state.value * unitOf(state, detail)) / one).toPrecision(6)) : state.value;
}
