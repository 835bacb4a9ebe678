/** The view in the server's words: what is asked of it. */

import { unpack } from "./bits.js";

/** The subject: which network sees which picture, and what is explained. */
export function subject(state) {
  return { ...seen(state.model, state.image, state.triggered ? state.trigger : null, state.explain), ...by(state) };
}

/** The second subject of a comparison; `explained` is the class explained of the first. */
export function second(state, explained) {
  const { model, image, triggered, explain } = state.second;
  const shown = seen(model, image, triggered ? state.trigger : null, explain === "own" ? null : explained);
  return { ...shown, ...by(state) };
}

const by = ({ method }) => ({ method });

/** An image in the server's words. */
export function picture(image) {
  return image.upload ? { upload: image.upload } : { split: image.split, index: image.index };
}

function seen(model, image, trigger, explain) {
  return { model, image: picture(image), trigger: trigger && { ...trigger, colour: rgb(trigger.colour) }, explain };
}

/**
 * The stimulation, or null where none is on or none could be: no painted cell, no window yet. With `report`, of the scan
 * that is shown, the one of a finding.
 */
export function stimulation(state, layer, report) {
  if (!state.stimulated || state.map === null || !layer) return null;
  if (state.finding !== null) return report?.findings[state.finding]?.stimulation ?? null;
  const cells = state.where === "paint" ? unpack(state.paint, layer.size[0] * layer.size[1]) : null;
  if (cells && !cells.includes(1)) return null;
  if (state.where === "window" && !state.window) return null;
  return {
    layer: layer.name,
    feature_maps: state.maps ?? [state.map],
    kind: state.kind,
    value: state.value,
    unit: state.kind === "scale" ? "absolute" : state.unit,
    rest: state.rest,
    window: state.where === "window" ? state.window : null,
    mask: cells && rows(cells, layer.size),
  };
}

/** A scan of the network that is looked at. */
export function scan(state) {
  return { model: state.model, ...state.scanning };
}

/** A repair of the network that is looked at; it takes the findings of the scan that is shown, if that is of this network. */
export function repair(state, reportOf) {
  return { model: state.model, ...state.repairing, scan: scanTaken(state, reportOf) };
}

/** The scan whose findings a repair takes over. */
export function scanTaken(state, reportOf) {
  return reportOf === state.model ? state.scan : null;
}

/** What is exported and written as code: the view that is open now. */
export function view(state, layer, report) {
  if (state.view === "scan") return scanned(state);
  if (state.view === "repair") return repaired(state);
  const what = explained(state, subject(state));
  if (!layer || state.view === "compare") return what;
  if (state.map === null) return { ...what, view: "layer", layer: layer.name };
  const deed = stimulation(state, layer, report);
  if (deed) return { ...what, view: "stimulate", stimulation: deed };
  return { ...what, view: "map", layer: layer.name, map: state.map };
}

/** Layers of a subject, as the page draws them. */
export function explained(state, subject_) {
  return { view: "explain", subject: subject_, ...drawn(state) };
}

function scanned(state) {
  const { model, scan: begun, scanning } = state;
  return { view: "scan", model, scan: begun, scanning: begun ? null : scanning, ...drawn(state) };
}

function repaired(state) {
  const { model, repair: begun, repairing } = state;
  return { view: "repair", model, repair: begun, repairing: begun ? null : repairing, ...drawn(state) };
}

/** How the page draws what it shows. */
function drawn({ signed, scale, sort, blanks, tiles, shows, layers }) {
  return { signed, scale, sort, blanks, tiles, shows, layers };
}

function rgb(colour) {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16) / 255);
}

/** A colour of the wire, three shares, as #rrggbb. */
export function hex(shares) {
  return `#${shares
    .map((share) =>
      Math.round(255 * share)
        .toString(16)
        .padStart(2, "0"),
    )
    .join("")}`;
}

function rows(cells, [height, width]) {
  return Array.from({ length: height }, (_, row) => Array.from(cells.subarray(row * width, (row + 1) * width)));
}
