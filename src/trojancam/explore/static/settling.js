/** Settling a view: what is missing gets its default, and what does not exist is left, with a sentence. */

import { hex } from "./wire.js";
import { toast } from "./notices.js";

const DEED = ["kind", "value", "unit", "rest", "where", "window", "paint", "maps", "map", "layer", "stimulated"];

/** A function that makes views whole for what this session has; `patch` is what a person has just changed. */
export function settler(session) {
  return (state, patch = {}) => {
    const settled = { ...state };
    if (!("finding" in patch) && DEED.some((name) => name in patch)) settled.finding = null;
    const model = settleModel(session, settled);
    settled.image ??= firstImage(session);
    settleTrigger(model, settled);
    if (settled.explain !== null && settled.explain >= model.classes.length) settled.explain = null;
    settleLayer(model, settled);
    settled.scanning ??= { images: 100, seed: 0, methods: ["stimulation"] };
    if (settled.view === "compare") settleSecond(session, settled);
    return settled;
  };
}

function settleModel(session, settled) {
  const found = session.models.find((model) => model.id === settled.model);
  if (!found && settled.model) toast(`This explorer has no network “${settled.model}” open; it shows its first one.`);
  const model = found ?? session.models[0];
  settled.model = model.id;
  return model;
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
