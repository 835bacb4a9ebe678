/** One feature map, large: its numbers, and its cells to paint on with the mouse, a finger or the keys. */

import { magnitude, peak } from "./arrays.js";
import { pack, unpack } from "./bits.js";
import { edited, stimulatedCells, stroke, windowBetween } from "./cells.js";
import { Scale } from "./colour.js";
import { el, segments, write } from "./dom.js";
import { cellAt, drawEasel } from "./easel.js";
import { clear, drawOver } from "./heat.js";
import { legend } from "./legend.js";
import { refusalPlace } from "./notices.js";
import { percent, short } from "./numbers.js";
import * as wire from "./wire.js";

const KEYS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const SHOWS = [
  ["activations", "Activations"],
  ["contributions", "Contributions"],
  ["heatmap", "Over the image"],
];

export function mountMap(app) {
  app.brush = { size: 1, erase: false };
  const canvas = el("canvas", { tabIndex: 0, role: "application", id: "easel" }),
    place = refusalPlace(),
    bar = legend();
  const shows = segments("What the map shows", SHOWS, (value) => app.store.set({ shows: value }));
  const read = el("p", { class: "small quiet", "aria-live": "polite" }),
    title = el("h2"),
    numbers = el("dl", { class: "numbers" });
  const cursor = { row: 0, column: 0, shown: false };
  const show = () => {
    const { state, layer } = app,
      detail = app.current(app.detail);
    if (!layer || state.map === null) return;
    shows.choose(state.shows);
    place.show(app.detail.error, () => app.detail.again());
    write(title, `Feature map ${state.map} of ${layer.name}`);
    canvas.setAttribute(
      "aria-label",
      `Feature map ${state.map} of ${layer.name}, ${layer.size[0]} by ${layer.size[1]} cells. ` +
        "Arrow keys move from cell to cell, Space paints or takes away.",
    );
    canvas.classList.toggle("waiting", !detail);
    numbers.classList.toggle("unknown", !detail);
    if (!detail) return clear(canvas);
    draw(app, canvas, bar, detail, cursor);
    facts(numbers, detail);
    return readOut(read, app, detail, cursor);
  };
  const redraw = (cell) => {
    Object.assign(cursor, cell);
    show();
  };
  byPointer(app, canvas, redraw);
  byKeys(app, canvas, cursor, redraw);
  app.watch([app.detail, app.explanation], show);
  return el(
    "section",
    { class: "easel", "aria-label": "Feature map" },
    el("div", { class: "wide row apart" }, title, shows),
    el("div", { class: "wide" }, place),
    el("div", { class: "stack" }, el("div", { class: "canvas" }, canvas), bar, read),
    numbers,
  );
}

function draw(app, canvas, bar, detail, cursor) {
  const { state } = app,
    picture = app.current(app.explanation)?.picture;
  if (state.shows === "heatmap" && picture) {
    const scale = new Scale(Math.max(0, peak(detail.heatmap.values)));
    drawOver(canvas, detail.heatmap, scale, picture);
    bar.show(scale, "contribution");
    return;
  }
  const contributions = state.shows === "contributions";
  const map = contributions ? detail.contributions : stimulated(app, detail);
  const scale = contributions
    ? new Scale(magnitude(map.values), { signed: true })
    : new Scale(Math.max(0, peak(map.values)), { colours: "viridis" });
  const partly = state.where !== "all";
  drawEasel(canvas, map, scale, partly ? stimulatedCells(state, map.shape) : null, cursor.shown ? cursor : null);
  bar.show(scale, contributions ? "contribution" : state.stimulated ? "activation, stimulated" : "activation", false);
}

/** The activations as they are stimulated; untouched as long as it is not known how a scan's finding does it. */
function stimulated({ state, layer, report }, detail) {
  const given = state.finding === null ? null : wire.stimulation(state, layer, report);
  return state.finding !== null && !given ? detail.activations : edited(detail.activations, state, detail, given);
}

function facts(element, detail) {
  const pairs = [
    ["Weight", short(detail.weight)],
    ["Contribution, peak", short(Math.max(0, peak(detail.contributions.values)))],
    ["Contribution, sum", short(detail.contributions.values.reduce((sum, value) => sum + value, 0))],
    ["Activation peak here", short(detail.peak)],
    ["… on clean images", short(detail.clean_peak)],
    ["… of the layer", short(detail.layer_peak)],
    ...(detail.energy === null || detail.energy === undefined
      ? []
      : [["Energy in the trigger", `${percent(detail.energy)} (chance ${percent(detail.chance)})`]]),
    ["Stimulation ASR, alone", detail.asr === null || detail.asr === undefined ? "not scanned" : percent(detail.asr)],
  ];
  const key = JSON.stringify(pairs);
  if (element.dataset.key === key) return;
  element.dataset.key = key;
  element.replaceChildren(...pairs.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

function readOut(element, app, detail, cursor) {
  if (!cursor.shown) return write(element, "Paint on the cells, or move the slider: the network answers at once.");
  const { row, column } = cursor,
    {
      shape: [, columns],
      values,
    } = app.state.shows === "contributions" ? detail.contributions : detail.activations;
  const marked =
    app.state.where !== "all" && stimulatedCells(app.state, detail.activations.shape)[row * columns + column];
  return write(
    element,
    `Row ${row}, column ${column}: ${short(values[row * columns + column])}${marked ? ", stimulated" : ""}`,
  );
}

/** Painted cells as a change of the view; painting switches the stimulation on. */
export function painted(app, cells) {
  return { where: "paint", paint: cells.includes(1) ? pack(cells) : "", stimulated: true };
}

function byPointer(app, canvas, redraw) {
  let begun = null,
    last = null;
  const size = () => app.layer.size;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button || app.state.shows === "heatmap") return;
    canvas.setPointerCapture(event.pointerId);
    begun = last = cellAt(canvas, event, size());
    act(begun, begun);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (app.state.shows === "heatmap") return;
    const cell = cellAt(canvas, event, size());
    if (last && cell.row === last.row && cell.column === last.column && begun) return;
    if (begun) act(last, cell);
    last = cell;
    redraw({ ...cell, shown: true });
  });
  for (const end of ["pointerup", "pointercancel"])
    canvas.addEventListener(end, () => {
      begun = null;
    });
  canvas.addEventListener("pointerleave", () => {
    if (!begun && document.activeElement !== canvas) redraw({ shown: false });
  });

  function act(from, to) {
    if (app.state.where === "window") return app.store.set({ window: windowBetween(begun, to), stimulated: true });
    const cells = unpack(app.state.paint, size()[0] * size()[1]);
    return app.store.set(painted(app, stroke(cells, size(), from, to, app.brush)));
  }
}

function byKeys(app, canvas, cursor, redraw) {
  canvas.addEventListener("focus", () => {
    if (canvas.matches(":focus-visible")) redraw({ shown: true });
  });
  canvas.addEventListener("blur", () => redraw({ shown: false }));
  canvas.addEventListener("keydown", (event) => {
    const [rows, columns] = app.layer.size,
      step = KEYS[event.key];
    if (step) {
      event.preventDefault();
      const within = (value, count) => Math.min(count - 1, Math.max(0, value));
      redraw({
        row: within(cursor.row + step[0], rows),
        column: within(cursor.column + step[1], columns),
        shown: true,
      });
    } else if (event.key === " ") {
      event.preventDefault();
      press(app, cursor);
    }
  });
}

/** Space: paint the cell, or take it away; with a window, put its corner there. */
function press(app, { row, column }) {
  const {
    state,
    layer: {
      size: [rows, columns],
    },
  } = app;
  if (state.where === "window") {
    const [, , height, width] = state.window ?? [0, 0, 1, 1];
    return app.store.set({
      window: [row, column, Math.min(height, rows - row), Math.min(width, columns - column)],
      stimulated: true,
    });
  }
  const cells = unpack(state.paint, rows * columns),
    erase = Boolean(cells[row * columns + column]);
  return app.store.set(
    painted(app, stroke(cells, [rows, columns], { row, column }, { row, column }, { size: app.brush.size, erase })),
  );
}
