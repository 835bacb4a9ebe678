/** Settling a view: what is missing gets its default, and what does not exist is left, with a sentence. */

import { hex } from "./wire.js";
import { toast } from "./notices.js";

const DEED = ["kind", "value", "unit", "rest", "where", "window", "paint", "maps", "map", "layer", "stimulated"];

/**
 * A function that makes views whole for what this session has; `patch` is what a person has just changed, null where the
 * view comes from a link.
 */
export function settler(session) {
  let grid = null; // rows and columns of the layer that was open last
  return (state, patch = null) => {
    const settled = { ...state };
    if (patch && !("finding" in patch) && DEED.some((name) => name in patch)) settled.finding = null;
    const model = settleModel(session, settled, !patch);
    settleScan(session, settled);
    settled.image ??= firstImage(session);
    settleTrigger(model, settled);
    if (settled.explain !== null && settled.explain >= model.classes.length) settled.explain = null;
    if (session.methods && !session.methods.some(({ name }) => name === settled.method)) settled.method = "grad-cam";
    const layer = settleLayer(model, settled);
    if (layer) {
      settleCells(settled, layer.size, grid, patch);
      grid = layer.size;
    }
    settled.repairing ??= { images: 5, budget: 1, seed: 0, force: false, method: "ladder" };
    settled.scanning ??= { images: 100, seed: 0, methods: session.default_searches };
    if (settled.view === "compare") settleSecond(session, settled);
    if (settled.both !== null && settled.both >= model.layers.length) settled.both = null;
    return settled;
  };
}

function settleModel(session, settled, linked) {
  const found = session.models.find((model) => model.id === settled.model);
  const model = found ?? session.models[0],
    another = linked && settled.of && model.fingerprint && settled.of !== model.fingerprint;
  if (!found && settled.model) toast(`This explorer has no network “${settled.model}” open; it shows its first one.`);
  else if (another)
    toast(`This link was made for another network; what is shown here is of “${model.name}”.`);
  settled.model = model.id;
  settled.of = model.fingerprint ?? null;
  return model;
}

/** The Scan and Repair views follow what was running when the page was opened; nothing is stimulated as no scan did it. */
function settleScan(session, settled) {
  if (settled.view === "scan" && settled.scan === null && session.scan)
    [settled.scan, session.scan] = [session.scan, null];
  if (settled.view === "repair" && settled.repair === null && session.repair)
    [settled.repair, session.repair] = [session.repair, null];
  if (settled.finding !== null && settled.scan === null) Object.assign(settled, { finding: null, stimulated: false });
}

function firstImage(session) {
  const split = Object.keys(session.data.splits)[0];
  return { split, index: 0 };
}

/** A trigger lies within the image; one that was never placed is the one that the file records, or a yellow square. */
function settleTrigger(model, settled) {
  const [height, width] = model.size;
  if (!settled.trigger) {
    if (!settled.triggered) return;
    settled.trigger = usual(model);
  }
  const trigger = { ...settled.trigger };
  trigger.height = Math.min(trigger.height, height);
  trigger.width = Math.min(trigger.width, width);
  trigger.row = Math.max(0, Math.min(trigger.row, height - trigger.height));
  trigger.column = Math.max(0, Math.min(trigger.column, width - trigger.width));
  settled.trigger = trigger;
}

/** The trigger to begin with. */
export function usual(model) {
  if (model.recorded_trigger) return asSquare(model.recorded_trigger);
  const [height, width] = model.size,
    side = Math.max(1, Math.round(Math.min(height, width) / 8));
  return {
    row: Math.round(height / 16),
    column: Math.round(width / 16),
    height: side,
    width: side,
    colour: "#ffff00",
    opacity: 1,
  };
}

/** A trigger that a model file records, as the page places triggers. */
export function asSquare({ row, column, height, width, colour, opacity }) {
  return { row, column, height, width, colour: hex(colour), opacity };
}

function settleLayer(model, settled) {
  const layer = model.layers.find((each) => each.name === settled.layer);
  if (settled.layer && !layer) {
    toast(`${model.name} has no layer “${settled.layer}”; here are all that it has.`);
  }
  if (!layer) Object.assign(settled, { layer: null, map: null, stimulated: false, finding: null });
  else if (settled.map !== null && settled.map >= layer.feature_maps) settled.map = null;
  if (settled.map === null) Object.assign(settled, { stimulated: false, finding: null });
  return layer ?? null;
}

/**
 * Painted cells and a window are of one grid only: they stay behind where another one than `before` is opened, unless they
 * come with it. A window lies within its grid.
 */
function settleCells(settled, size, before, patch) {
  const another = patch && before?.some((cells, at) => cells !== size[at]),
    { paint, window } = settled;
  const fits = !window || [0, 1].every((at) => window[at] + window[at + 2] <= size[at]);
  if (another && !("paint" in patch)) settled.paint = "";
  if (!fits || (another && !("window" in patch))) settled.window = null;
  if (settled.paint !== paint || settled.window !== window)
    toast("The feature maps here have other cells: what was marked on them is cleared.");
}

/** Beside the first subject stands another network if there is one, else the same image with or without the trigger. */
function settleSecond(session, settled) {
  const known = settled.second && session.models.some((model) => model.id === settled.second.model);
  if (known) return;
  const other = session.models.find((model) => model.id !== settled.model);
  const triggered = other ? settled.triggered : !settled.triggered;
  settled.second = { model: other?.id ?? settled.model, image: settled.image, triggered, explain: "same" };
  if (triggered && !settled.trigger)
    settled.trigger = usual(session.models.find((model) => model.id === settled.model));
}
