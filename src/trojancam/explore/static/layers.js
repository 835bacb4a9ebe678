/** Every layer's heat map over the image: large at first, a strip to choose from once a layer is open. */

import { magnitude } from "./arrays.js";
import { Scale } from "./colour.js";
import { el, mark, segments, write } from "./dom.js";
import { clear, drawOver } from "./heat.js";
import { legend } from "./legend.js";
import { refusalPlace } from "./notices.js";
import { extent, percent, short } from "./numbers.js";

/** What opening a layer changes in the view; painted cells are those of one layer. */
export function opened(layer) {
  return { view: "look", layer, map: null, maps: null, stimulated: false, window: null, paint: "", where: "all" };
}

/** A layer's card with `show(layer, facts, scale, picture, current)`. */
export function card(onOpen) {
  const canvas = el("canvas", { class: "heat", "aria-hidden": "true" }),
    name = el("b"),
    size = el("span"),
    share = el("span");
  const why = el("span", { class: "why" });
  const element = el(
    "button",
    { type: "button", class: "layer", onClick: onOpen },
    canvas,
    el("span", { class: "text" }, name, el("span", { class: "facts" }, size, share), why),
  );
  element.show = (layer, found, scale, picture, current = false) => {
    write(name, found.name);
    write(size, layer ? `${layer.feature_maps} maps, ${extent(layer.size)}` : "");
    const energy = found.energy === null || found.energy === undefined ? "" : `${percent(found.energy)} in trigger`;
    write(share, energy || (found.peak > 0 ? `peak ${short(found.peak)}` : ""));
    write(why, found.blank ? `blank: ${found.blank}` : (found.diagnoses ?? []).join("; "));
    mark(element, "aria-current", current && "true");
    element.title = `${found.name}: open its feature maps`;
    element.classList.remove("waiting");
    drawOver(canvas, found.heatmap, scale, picture);
  };
  element.wait = (layer, current = false) => {
    write(name, layer.name);
    write(size, `${layer.feature_maps} maps, ${extent(layer.size)}`);
    write(share, "");
    write(why, "");
    mark(element, "aria-current", current && "true");
    element.classList.add("waiting");
    clear(canvas);
  };
  return element;
}

export function mountLayers(app) {
  const cards = el("div", { class: "layers" }),
    bar = legend("right"),
    place = refusalPlace(),
    title = el("h2");
  const scales = segments(
    "Scale of the heat maps",
    [
      ["own", "Own scale each"],
      ["shared", "One scale"],
    ],
    (value) => app.store.set({ layers: value }),
  );
  const tools = el("div", { class: "tools" }, scales, bar),
    words = el("p", { class: "quiet words" });
  const intro = el("div", {}, title, words, tools);
  const made = new Map();
  const show = () => {
    const { error } = app.explanation,
      value = app.current(app.explanation),
      { layer: open, layers: scale } = app.state;
    intro.hidden = Boolean(open);
    cards.className = open ? "strip" : "layers";
    place.show(open ? "" : error, () => app.explanation.again());
    const card_ = (name) => {
      if (!made.has(name))
        made.set(
          name,
          card(() => app.store.set(opened(name), { step: true })),
        );
      return made.get(name);
    };
    const names = (value?.layers ?? app.model.layers).map(({ name }) => name),
      wanted = names.map(card_);
    if (wanted.length !== cards.children.length || wanted.some((each, at) => cards.children[at] !== each))
      cards.replaceChildren(...wanted);
    if (!value) return app.model.layers.forEach((layer) => made.get(layer.name).wait(layer, layer.name === open));
    const { classes } = app.model,
      limit = Math.max(...value.layers.map(({ heatmap }) => magnitude(heatmap.values)));
    scales.choose(scale);
    write(title, `What speaks for “${classes[value.explained] ?? value.explained}”, layer by layer`);
    write(
      words,
      "The stronger the colour of a place, the more it speaks for the class. " +
        "Open a layer to see its feature maps.",
    );
    const shared = new Scale(limit);
    bar.show(
      scale === "shared" ? shared : new Scale(1),
      scale === "shared" ? "logits per cell" : "share of each layer's peak",
    );
    for (const found of value.layers) {
      const own = new Scale(magnitude(found.heatmap.values));
      const layer = app.model.layers.find((each) => each.name === found.name);
      made
        .get(found.name)
        .show(layer, found, scale === "shared" && !open ? shared : own, value.picture, found.name === open);
    }
    return undefined;
  };
  app.watch([app.explanation], show);
  return el("section", { id: "layers", "aria-label": "Layers" }, intro, place, cards);
}
