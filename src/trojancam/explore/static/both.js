/** The feature maps of one layer of each side of a comparison, side by side, on one scale. */

import { peak, plane } from "./arrays.js";
import { Scale } from "./colour.js";
import { el, write } from "./dom.js";
import { caption, measures, order, tile } from "./grid.js";
import { legend } from "./legend.js";
import { refusalPlace } from "./notices.js";
import { count } from "./numbers.js";

const ZERO = 1e-12;

/** Both grids; `open(app, side, layer, map)` opens a feature map of a side. */
export function mountBoth(app, open) {
  const columns = [0, 1].map((side) => column(app, side, open)),
    bar = legend("right");
  const words = el("p", { class: "quiet small" });
  const element = el(
    "section",
    { id: "both-grids", "aria-label": "Feature maps of both sides" },
    el("div", { class: "tools" }, words, bar),
    el(
      "div",
      { class: "pair" },
      columns.map((each) => each.element),
    ),
  );
  app.watch([...app.sides, app.explanation, app.second], () => {
    const { state } = app;
    element.hidden = state.view !== "compare" || state.both === null;
    if (element.hidden) return;
    const found = sides(app);
    const ready = found.filter(Boolean);
    const limit = Math.max(0, ...ready.map(({ measured }) => peak(measured.contribution)));
    const scale = new Scale(limit);
    bar.show(scale, "logits per cell");
    const same = ready.length === 2 && ready[0].layer === ready[1].layer && sizes(ready[0]) === sizes(ready[1]);
    const together = same ? shownTogether(ready) : null;
    write(words, words_(same));
    columns.forEach((each, side) => each.show(found[side], scale, together));
  });
  return element;
}

function words_(same) {
  const order_ = same ? "Both sides stand in the order of the first." : "Each side stands in its own order.";
  return `What each feature map adds to the logit of its side's class, on one scale. Strongest first; blank maps are hidden. ${order_}`;
}

/** What is known of each side; null where its answer is not there yet. */
function sides(app) {
  const heads = [app.current(app.explanation), app.other],
    models = [app.model, app.modelOf(app.state.second.model)];
  return app.sides.map(({ value, question }, at) => {
    const layer = models[at].layers[app.state.both];
    if (!value || !heads[at] || question.layer !== layer?.name || question.subject.model !== models[at].id) return null;
    return { value, layer: layer.name, placed: layer, picture: heads[at].picture, measured: measures(value, false) };
  });
}

const sizes = ({ value }) => value.contributions.shape.join();

/** The maps that are not blank on both sides, in the order of the first side. */
function shownTogether([first, second]) {
  const most = first.measured.contribution.map((each, k) => Math.max(each, second.measured.contribution[k]));
  return order(most.length, first.measured.contribution).filter((k) => most[k] > ZERO);
}

function column(app, side, open) {
  const title = el("h3"),
    grid = el("div", { class: "grid" }),
    place = refusalPlace(),
    made = [];
  const element = el("section", { "aria-label": `Feature maps of the ${["first", "second"][side]} side` }, title, place, grid);
  const show = (found, scale, together) => {
    place.show(app.sides[side].error, () => app.sides[side].again());
    grid.classList.toggle("waiting", !found);
    if (!found) return made.forEach(({ empty }) => empty());
    const { value, layer, placed, picture, measured } = found,
      all = value.contributions.shape[0];
    const kept = together ?? order(all, measured.contribution).filter((k) => measured.contribution[k] > ZERO);
    write(title, `${layer}: ${count(all, "feature map")}, ${kept.length} shown`);
    while (made.length < all) made.push(tile(app, made.length, opener(made.length)));
    for (const k of kept) {
      const map = plane(value.contributions, k);
      const drawn = { signed: false, tiles: "image" };
      made[k].show(k, map, scale, placed, picture, drawn, caption("contribution", measured, k, map.values));
    }
    return grid.replaceChildren(...kept.map((k) => made[k].element));
  };
  const opener = (k) => () => open(app, side, app.sides[side].question.layer, k);
  return { element, show };
}
