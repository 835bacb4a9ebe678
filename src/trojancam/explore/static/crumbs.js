/** Where one is: all layers, a layer, a feature map; with a step to the neighbouring map. */

import { el } from "./dom.js";

export function mountCrumbs(app) {
  const element = el("nav", { class: "crumbs", "aria-label": "Where you are" });
  const go = (words, patch) =>
    el(
      "span",
      { class: "step" },
      el("button", { type: "button", class: "plain", onClick: () => app.store.set(patch, { step: true }) }, words),
    );
  const here = (words) => el("span", { class: "step" }, el("strong", { "aria-current": "location" }, words));
  const beside = (map, words, label, count) =>
    el(
      "button",
      {
        type: "button",
        "aria-label": label,
        title: label,
        disabled: map < 0 || map >= count,
        onClick: () => app.store.set({ map, maps: null }),
      },
      words,
    );
  let shown = "";
  app.watch([], () => {
    const { layer, map } = app.state,
      key = JSON.stringify([app.state.model, layer, map]);
    if (key === shown) return;
    shown = key;
    const inside = element.contains(document.activeElement),
      focused = document.activeElement.getAttribute("aria-label");
    const parts = [layer ? go("All layers", { layer: null, map: null, stimulated: false }) : here("All layers")];
    if (layer) parts.push(map === null ? here(layer) : go(layer, { map: null, stimulated: false }));
    if (map !== null) {
      const count = app.layer.feature_maps;
      parts.push(
        here(`Feature map ${map}`),
        beside(map - 1, "‹", "Previous feature map", count),
        beside(map + 1, "›", "Next feature map", count),
      );
    }
    element.replaceChildren(...parts);
    if (!inside) return;
    const same = focused && element.querySelector(`[aria-label="${focused}"]:enabled`);
    (same || document.getElementById("main")).focus({ preventScroll: true });
  });
  return element;
}
