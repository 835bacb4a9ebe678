/** Where a map is stimulated: everywhere, in a window, or in painted cells; and what becomes of the rest. */

import { unpack } from "./bits.js";
import { check, el, numberField, segments, write } from "./dom.js";

const PLACES = [
  ["all", "Whole map"],
  ["window", "Window"],
  ["paint", "Painted"],
];

export function mountWhereabouts(app) {
  const places = segments("Where", PLACES, (where) => app.store.set({ where, ...start(app, where) }), { wide: true });
  const rest = check("Set the rest of the map to zero", (zero) =>
    app.store.set({ rest: zero ? "zero" : "keep", stimulated: true }),
  );
  const numbers = ["Row", "Column", "Height", "Width"].map((words, at) =>
    numberField(words, { min: at < 2 ? "0" : "1" }, (value) => {
      const window = [...(app.state.window ?? [0, 0, 1, 1])];
      window[at] = value;
      app.store.set({ window: within(window, app.layer.size), stimulated: true });
    }),
  );
  const window = el("div", { class: "fields" }, numbers),
    brush = brushes(app),
    count = el("p", { class: "small quiet" });
  app.watch([], () => {
    const { state, layer } = app;
    if (state.map === null || !layer) return;
    places.choose(state.where);
    rest.hidden = state.where === "all";
    rest.input.checked = state.rest === "zero";
    window.hidden = state.where !== "window";
    brush.hidden = count.hidden = state.where !== "paint";
    const window_ = state.window ?? [0, 0, 1, 1];
    numbers.forEach((each, at) => {
      each.input.max = String(layer.size[at % 2] - window_[(at + 2) % 4]); // so that the window stays within the map
      each.show(window_[at]);
    });
    const cells = layer.size[0] * layer.size[1];
    write(count, `${unpack(state.paint, cells).reduce((sum, on) => sum + on, 0)} of ${cells} cells painted`);
  });
  return el("div", { class: "stack" }, places, window, brush, count, rest);
}

/** A window to begin with, in the middle. */
function start({ state, layer }, where) {
  const [rows, columns] = layer.size;
  if (where !== "window" || state.window) return where === "all" ? {} : { stimulated: state.stimulated };
  const [height, width] = [Math.ceil(rows / 4), Math.ceil(columns / 4)];
  return {
    window: [Math.floor((rows - height) / 2), Math.floor((columns - width) / 2), height, width],
    stimulated: true,
  };
}

function within([row, column, height, width], [rows, columns]) {
  const [top, left] = [Math.min(row, rows - 1), Math.min(column, columns - 1)];
  return [top, left, Math.min(height, rows - top), Math.min(width, columns - left)];
}

function brushes(app) {
  const tool = segments(
    "Tool",
    [
      ["paint", "Brush"],
      ["erase", "Eraser"],
    ],
    (value) => {
      app.brush.erase = value === "erase";
    },
  );
  const size = segments(
    "Width of the brush in cells",
    [
      ["1", "1"],
      ["2", "2"],
      ["3", "3"],
      ["5", "5"],
    ],
    (value) => {
      app.brush.size = Number(value);
    },
  );
  const clear = el("button", { type: "button", onClick: () => app.store.set({ paint: "" }) }, "Clear");
  tool.choose("paint");
  size.choose("1");
  return el("div", { class: "row" }, tool, size, clear);
}
