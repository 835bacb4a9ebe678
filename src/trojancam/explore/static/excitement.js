/** What excites a feature map: the test images that drive it furthest, and an image that was made to drive it. */

import { el, write } from "./dom.js";
import { clear, drawPicture } from "./heat.js";
import { tilesOf } from "./images.js";
import { refusalPlace } from "./notices.js";
import { count, percent, short } from "./numbers.js";

export function mountExcitement(app) {
  const parts = [images(app), drawn(app)];
  return el(
    "section",
    { class: "excitement", id: "excitement", "aria-label": "What excites it" },
    el("h2", {}, "What excites it"),
    parts,
  );
}

/** A button that asks once, and again for each map that is opened afterwards. */
function search(app, name, words, hint) {
  const ask = () => {
    app.searches[name] = true;
    app.store.tell();
  };
  const button = el("button", { type: "button", onClick: ask }, words),
    place = refusalPlace(),
    line = el("p", { class: "small quiet", "aria-live": "polite" }, hint);
  const show = () => {
    const source = app[name],
      value = found(app, source);
    button.hidden = app.searches[name];
    place.show(source.error, () => source.again());
    if (app.searches[name] && !value) write(line, source.error ? "" : "Asking the network …");
    return value;
  };
  return { button, place, line, show };
}

/** The answer, where it is of the map that is open. */
function found({ state }, { value, question }) {
  const same = value && ["model", "layer", "map"].every((name) => question[name] === state[name]);
  return same ? value : null;
}

function images(app) {
  const hint = "The test images that drive this feature map furthest.";
  const { button, place, line, show } = search(app, "strongest", "Find the images that excite it most", hint);
  const tiles = el("div", { class: "tiles", role: "group", "aria-label": "Images that excite it most" });
  app.watch([app.strongest], () => {
    if (app.state.map === null) return;
    const value = show();
    tiles.hidden = !value;
    if (!value) return;
    write(line, `The strongest of ${count(value.of, "test image")}, with the activation that each reaches.`);
    const take = (image) => app.store.set({ image: { split: "test", index: image.index } }, { step: true });
    const label = ({ index, peak }) => `${index}: ${short(peak)}`;
    tiles.replaceChildren(...tilesOf(value, app.model.classes, take, label));
  });
  return el("div", { class: "stack" }, el("div", {}, button), line, place, tiles);
}

function drawn(app) {
  const hint = "An image made by gradient ascent from noise, so that this feature map answers strongly to it.";
  const { button, place, line, show } = search(app, "preferred", "Draw what it looks for", hint);
  const canvas = el("canvas", { class: "heat preferred", role: "img", id: "preferred" });
  app.watch([app.preferred], () => {
    if (app.state.map === null) return;
    const value = show();
    canvas.hidden = !value;
    if (!value) return clear(canvas);
    drawPicture(canvas, value.picture);
    const said = `“${app.model.classes[value.predicted]}” (${percent(value.probabilities[value.predicted])})`;
    canvas.setAttribute("aria-label", `An image that feature map ${app.state.map} prefers`);
    return write(
      line,
      `Made by gradient ascent. It drives the map to ${short(value.peak)}; clean images reach ${short(value.clean_peak)}. ` +
        `The network calls it ${said}.`,
    );
  });
  return el("div", { class: "stack" }, el("div", {}, button), line, place, canvas);
}
