/**
 * The view as data: what is looked at and how. All of it is in the address after `#`, so that a link restores it.
 *
 * @typedef {{split: string, index: number} | {upload: string}} Picture
 * @typedef {{row: number, column: number, height: number, width: number, colour: string, opacity: number}} Square
 */

export const BLANK = Object.freeze({
  view: "look", // look, compare, scan or repair
  model: null,
  of: null, // the beginning of the model's fingerprint: a link says with it which network it was made for
  image: null, // Picture
  trigger: null, // Square, in pixels; colour as #rrggbb
  triggered: false, // whether the trigger is on the image
  method: "grad-cam", // that explains
  explain: null, // class to explain; null is the predicted one
  layer: null,
  map: null,
  sort: "contribution",
  blanks: false, // whether blank maps are shown
  scale: "shared", // of the feature maps
  layers: "own", // the scale of the layers' heat maps, and of both sides of a comparison
  signed: false,
  tiles: "image", // feature maps laid over the image, or as cells
  shows: "activations", // what the large map shows
  maps: null, // feature maps to stimulate: numbers, "all", or null for the one that is open
  stimulated: false,
  finding: null, // number of the scan's finding whose own stimulation is done instead
  kind: "replace",
  value: 1,
  unit: "map",
  rest: "keep",
  where: "all", // all, window or paint
  window: null, // row, column, height, width in cells
  paint: "", // painted cells, packed
  both: null, // in a comparison, the number of the layer whose feature maps stand side by side
  second: null, // {model, image, triggered, explain: "own" | "same"}
  scan: null, // the scan that is shown
  scanning: null, // what a scan is started with: {images, seed, methods}
  repair: null, // the repair that is shown
  repairing: null, // what a repair is started with: {images, budget, seed, force, method}
  replay: null, // what is replayed on both networks: "own", or the number of a finding
});

const CHOICES = {
  view: ["look", "compare", "scan", "repair"],
  sort: ["number", "contribution", "energy", "peak", "asr"],
  scale: ["shared", "own"],
  layers: ["own", "shared"],
  tiles: ["image", "cells"],
  shows: ["activations", "contributions", "heatmap"],
  where: ["all", "window", "paint"],
};
const KINDS = ["replace", "scale", "add", "zero"],
  UNITS = ["absolute", "map", "layer"],
  RESTS = ["keep", "zero"];

export const GREATEST_SEED = 2 ** 32 - 1;
export const GREATEST_STRENGTH = 1e6; // in any unit: further than any trigger drives a map, and far from what 32 bits hold

/** The view as the part of an address after `#`; what is as usual is left out. */
export function format(state) {
  const parts = {};
  for (const name of [
    "view",
    "model",
    "of",
    "layer",
    "map",
    "explain",
    "method",
    "sort",
    "scale",
    "layers",
    "tiles",
    "shows",
    "where",
    "scan",
    "finding",
    "both",
    "repair",
    "replay",
  ]) {
    if (state[name] !== BLANK[name]) parts[name] = state[name];
  }
  if (state.image) parts.image = picture(state.image);
  if (state.trigger) parts[state.triggered ? "trigger" : "trigger-off"] = square(state.trigger);
  if (state.blanks) parts.blank = "shown";
  if (state.signed) parts.signed = "yes";
  if (state.maps) parts.maps = state.maps;
  if (state.stimulated && state.finding === null) parts.do = [state.kind, state.value, state.unit, state.rest];
  if (state.window) parts.window = state.window;
  if (state.paint) parts.paint = state.paint;
  if (state.second) {
    const { model, image, triggered, explain } = state.second;
    parts.with = [model, picture(image), triggered ? "trigger" : "plain", explain];
  }
  if (state.scanning) parts.scanning = [state.scanning.images, state.scanning.seed, ...state.scanning.methods];
  if (state.repairing) {
    const { images, budget, seed, force, method } = state.repairing;
    parts.repairing = [images, budget, seed, force ? "forced" : "found", method];
  }
  return Object.entries(parts)
    .map(([name, value]) => `${name}=${encode(value)}`)
    .join("&");
}

/** The view that `format` wrote; parts that are damaged are as usual. */
export function parse(text) {
  const given = Object.fromEntries(text.replace(/^#/, "").split("&").filter(Boolean).map(pair));
  const state = { ...BLANK };
  for (const [name, choices] of Object.entries(CHOICES)) if (choices.includes(given[name])) state[name] = given[name];
  for (const name of ["model", "layer", "scan", "method", "repair", "replay"]) if (given[name]) state[name] = given[name];
  for (const name of ["map", "explain", "finding", "both"]) state[name] = whole(given[name]);
  if (/^[0-9a-f]{8}$/.test(given.of ?? "")) state.of = given.of;
  state.image = readPicture(given.image);
  state.trigger = readSquare(given.trigger ?? given["trigger-off"]);
  state.triggered = Boolean(given.trigger && state.trigger);
  state.blanks = given.blank === "shown";
  state.signed = given.signed === "yes";
  state.maps = given.maps === "all" ? "all" : numbers(given.maps);
  if (given.do) Object.assign(state, readDeed(given.do));
  state.stimulated ||= state.finding !== null;
  state.window = numbers(given.window, 4);
  state.paint = given.paint ?? "";
  state.second = readSecond(given.with);
  state.scanning = readScanning(given.scanning);
  state.repairing = readRepairing(given.repairing);
  return state;
}

const encode = (value) => encodeURIComponent(String(value)).replace(/%2C/g, ",").replace(/%3A/g, ":");
const picture = (image) => (image.upload ? `upload:${image.upload}` : `${image.split}:${image.index}`);
const square = (trigger) => [
  trigger.row,
  trigger.column,
  trigger.height,
  trigger.width,
  trigger.colour.slice(1),
  trigger.opacity,
];

function pair(part) {
  const at = part.indexOf("=");
  const name = at < 0 ? part : part.slice(0, at);
  try {
    return [name, at < 0 ? "" : decodeURIComponent(part.slice(at + 1))];
  } catch {
    return [name, ""];
  }
}

function whole(text, most = 9_999_999) {
  return /^\d{1,10}$/.test(text ?? "") && Number(text) <= most ? Number(text) : null;
}

function numbers(text, count) {
  const found = (text ?? "").split(",").map((part) => whole(part));
  return found.includes(null) || (count && found.length !== count) ? null : found;
}

function readPicture(text) {
  const [split, rest] = [(text ?? "").replace(/:[^:]*$/, ""), (text ?? "").split(":").pop()];
  if (split === "upload") return rest ? { upload: rest } : null;
  return split && whole(rest) !== null ? { split, index: whole(rest) } : null;
}

function readSquare(text) {
  const [row, column, height, width, colour, opacity] = (text ?? "").split(",");
  const found = [row, column, height, width].map((part) => whole(part));
  const good =
    !found.includes(null) && found[2] && found[3] && /^[0-9a-f]{6}$/i.test(colour ?? "") && Number(opacity) > 0;
  if (!good) return null;
  return {
    row: found[0],
    column: found[1],
    height: found[2],
    width: found[3],
    colour: `#${colour.toLowerCase()}`,
    opacity: Math.min(1, Number(opacity)),
  };
}

function readDeed(text) {
  const [kind, value, unit, rest] = text.split(",");
  const good =
    KINDS.includes(kind) &&
    UNITS.includes(unit) &&
    RESTS.includes(rest) &&
    value !== "" &&
    Math.abs(Number(value)) <= GREATEST_STRENGTH;
  return good ? { stimulated: true, kind, value: Number(value), unit, rest } : {};
}

function readSecond(text) {
  const [model, image, triggered, explain] = (text ?? "").split(",");
  const found = readPicture(image);
  return model && found
    ? { model, image: found, triggered: triggered === "trigger", explain: explain === "own" ? "own" : "same" }
    : null;
}

function readRepairing(text) {
  const [images, budget, seed, forced, method] = (text ?? "").split(",");
  const found = { images: whole(images), budget: whole(budget, 100), seed: whole(seed, GREATEST_SEED) };
  return Object.values(found).includes(null) || !method ? null : { ...found, force: forced === "forced", method };
}

function readScanning(text) {
  const [images, seed, ...methods] = (text ?? "").split(",");
  const found = { images: whole(images), seed: whole(seed, GREATEST_SEED), methods };
  return found.images !== null && found.seed !== null && methods.length ? found : null;
}
