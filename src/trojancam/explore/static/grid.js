/** A layer's feature maps as a grid: sorted, filtered, on one scale or each on its own, over the image or as cells. */

import { magnitude, peak, plane } from "./arrays.js";
import { Scale } from "./colour.js";
import { check, el, options, segments, write } from "./dom.js";
import { clear, drawCells, drawOver } from "./heat.js";
import { legend } from "./legend.js";
import { refusalPlace } from "./notices.js";
import { extent, percent, short } from "./numbers.js";
import { laidOver, scaled } from "./placement.js";

const ZERO = 1e-12;
const PLACES = 12; // frames that stand for maps to come
const SORTS = {
  number: "Number",
  contribution: "Contribution",
  energy: "Energy in the trigger",
  peak: "Activation peak",
  asr: "ASR in the scan",
};

/** What each order counts, for every map; null where it was not measured. */
export function measures(maps, signed) {
  const count = maps.contributions.shape[0],
    of = signed ? magnitude : (values) => Math.max(0, peak(values));
  const contribution = Float32Array.from({ length: count }, (_, k) => of(plane(maps.contributions, k).values));
  return {
    number: null,
    contribution,
    energy: maps.energy?.values ?? null,
    peak: maps.peaks.values,
    asr: maps.asr?.values ?? null,
  };
}

/** The maps in their order: greatest first, those without a number last. */
export function order(count, values) {
  const rank = (k) => (Number.isNaN(values[k]) ? -Infinity : values[k]);
  const numbers = Array.from({ length: count }, (_, k) => k);
  return values ? numbers.sort((a, b) => rank(b) - rank(a) || a - b) : numbers;
}

export function mountGrid(app) {
  const grid = el("div", { class: "grid" }),
    place = refusalPlace(),
    title = el("h2"),
    words = el("p", { class: "quiet small" });
  const sort = el("select", { id: "sort", onChange: () => app.store.set({ sort: sort.value }) });
  const set = (name) => (value) => app.store.set({ [name]: value });
  const scales = segments(
    "Scale of the feature maps",
    [
      ["shared", "One scale"],
      ["own", "Own scale each"],
    ],
    set("scale"),
  );
  const tiles = segments(
    "How feature maps are drawn",
    [
      ["image", "Over the image"],
      ["cells", "Cells"],
    ],
    set("tiles"),
  );
  const signed = check("Signed", set("signed")),
    hide = check("Hide blank", (hidden) => app.store.set({ blanks: !hidden }));
  const none = el("p", { hidden: true }, "All feature maps of this layer are blank here. Show blank ones to see them.");
  const bar = legend("right");
  const tools = el(
    "div",
    { class: "tools" },
    el("label", { class: "field" }, el("span", {}, "Sort by"), sort),
    scales,
    tiles,
    signed,
    hide,
    bar,
  );
  const made = [];

  const show = () => {
    const { layer, state } = app,
      value = app.current(app.layerMaps),
      { picture } = app.current(app.explanation) ?? {};
    section.hidden = !layer || state.map !== null;
    if (section.hidden) return;
    place.show(app.layerMaps.error, () => app.layerMaps.again());
    write(title, `${layer.name}: ${layer.feature_maps} feature maps of ${extent(layer.size)} cells`);
    [signed.input.checked, hide.input.checked] = [state.signed, !state.blanks];
    scales.choose(state.scale);
    tiles.choose(state.tiles);
    const ready = value && picture;
    grid.classList.toggle("waiting", !ready);
    if (ready) fill(layer, value, picture, state);
    else wait(layer);
  };

  /** Empty frames: the maps that were here are of something else. */
  function wait(layer) {
    write(words, "Asking the network …");
    while (made.length < layer.feature_maps) made.push(tile(app, made.length, opener(app, made.length)));
    if (!grid.children.length)
      grid.replaceChildren(...made.slice(0, Math.min(PLACES, layer.feature_maps)).map(({ element }) => element));
    for (const { element, empty } of made) if (element.isConnected) empty();
  }

  function fill(layer, value, picture, state) {
    const found = measures(value, state.signed),
      count = layer.feature_maps;
    options(
      sort,
      Object.entries(SORTS).filter(([name]) => name === "number" || found[name]),
      found[state.sort] ? state.sort : "number",
    );
    const blanks = found.contribution.filter((each) => each <= ZERO).length;
    const shown = order(count, found[state.sort]).filter((k) => state.blanks || found.contribution[k] > ZERO);
    const blank = `${blanks} of ${count} ${blanks === 1 ? "is" : "are"} blank${state.blanks ? "" : " and hidden"}`;
    write(words, `What each adds to the logit of the explained class, cell by cell. ${blank}.`);
    const limit = Math.max(0, peak(found.contribution)),
      options_ = { signed: state.signed };
    bar.show(
      new Scale(state.scale === "shared" ? limit : 1, options_),
      state.scale === "shared" ? "logits per cell" : "share of each map's peak",
      state.tiles === "image",
    );
    while (made.length < count) made.push(tile(app, made.length, opener(app, made.length)));
    for (const k of shown) {
      const scale = new Scale(state.scale === "shared" ? limit : found.contribution[k], options_);
      made[k].show(
        k,
        plane(value.contributions, k),
        scale,
        layer,
        picture,
        state,
        caption(state.sort, found, k, plane(value.contributions, k).values),
      );
    }
    const wanted = shown.map((k) => made[k].element);
    if (wanted.length !== grid.children.length || wanted.some((each, at) => grid.children[at] !== each))
      grid.replaceChildren(...wanted);
    none.hidden = Boolean(wanted.length);
  }

  const section = el("section", { id: "grid", "aria-label": "Feature maps" }, title, words, tools, place, none, grid);
  app.watch([app.layerMaps, app.explanation], show);
  return section;
}

/** Opens a feature map of the layer that is open. */
function opener(app, k) {
  return () => {
    app.store.set({ map: k, maps: null, stimulated: false }, { step: true });
    document.getElementById("easel").focus({ preventScroll: true });
  };
}

/** What stands below a map: what it is sorted by, else its contribution; signed where the view is. */
export function caption(sort, found, k, values) {
  const name = found[sort] ? sort : "contribution",
    value = found[name][k];
  if (name === "contribution" && -Math.min(...values) === value && value > 0) return short(-value);
  return name === "energy" || name === "asr" ? percent(value) : short(value);
}

/** The tile of a feature map; `open` is what a click does. */
export function tile(app, k, open) {
  const canvas = el("canvas", { class: "heat", "aria-hidden": "true" }),
    number = el("b", {}, el("span", { class: "unseen" }, "Feature map "), String(k)),
    value = el("span");
  const element = el(
    "button",
    { type: "button", class: "map", onClick: open },
    canvas,
    el("span", { class: "line" }, number, value),
  );
  const show = (index, map, scale, layer, picture, state, words) => {
    write(value, words);
    element.title = `Feature map ${index}: open it to stimulate it`;
    const kept = state.signed ? map : { ...map, values: map.values.map((each) => Math.max(0, each)) };
    if (state.tiles === "cells") return drawCells(canvas, kept, scale);
    const { small } = picture,
      placement = scaled(layer.placement, picture.size, small.size);
    return drawOver(canvas, laidOver(kept, placement, small.size), scale, small);
  };
  const empty = () => {
    write(value, "");
    clear(canvas);
  };
  element.dataset.map = String(k);
  return { element, show, empty };
}
