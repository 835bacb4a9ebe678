/** Cells of a feature map: strokes of a brush, windows, and what a stimulation makes of activations. */

import { unpack } from "./bits.js";

/** The cells that are stimulated, one byte each. */
export function stimulatedCells(state, [rows, columns]) {
  if (state.where === "paint") return unpack(state.paint, rows * columns);
  const cells = new Uint8Array(rows * columns);
  if (state.where === "all") return cells.fill(1);
  const [top, left, height, width] = state.window ?? [0, 0, 0, 0];
  for (let row = top; row < Math.min(rows, top + height); row++) {
    for (let column = left; column < Math.min(columns, left + width); column++) cells[row * columns + column] = 1;
  }
  return cells;
}

/** Paint (or take away) a stroke from one cell to another with a square brush. */
export function stroke(cells, [rows, columns], from, to, { size, erase }) {
  const painted = cells.slice(),
    reach = Math.floor((size - 1) / 2);
  const steps = Math.max(Math.abs(to.row - from.row), Math.abs(to.column - from.column), 1);
  for (let step = 0; step <= steps; step++) {
    const top = Math.round(from.row + ((to.row - from.row) * step) / steps) - reach;
    const left = Math.round(from.column + ((to.column - from.column) * step) / steps) - reach;
    for (let row = Math.max(0, top); row < Math.min(rows, top + size); row++) {
      for (let column = Math.max(0, left); column < Math.min(columns, left + size); column++) {
        painted[row * columns + column] = erase ? 0 : 1;
      }
    }
  }
  return painted;
}

/** The window between two cells. */
export function windowBetween(from, to) {
  const row = Math.min(from.row, to.row),
    column = Math.min(from.column, to.column);
  return [row, column, Math.abs(from.row - to.row) + 1, Math.abs(from.column - to.column) + 1];
}

/** How much one unit of strength is, in activation. */
export function unitOf(state, detail) {
  if (state.kind === "scale") return 1;
  return { absolute: 1, map: detail.clean_peak, layer: detail.layer_peak }[state.unit];
}

/** The map's activations as the stimulation makes them; `given` is a scan's own, which may name each cell's activation. */
export function edited({ shape, values }, state, detail, given) {
  if (given && Array.isArray(given.value)) return { shape, values: pasted(values, shape, state, given) };
  if (given) state = { ...state, ...asView(given) };
  const here = state.maps === null || state.maps === "all" || state.maps.includes(state.map);
  if (!state.stimulated || !here) return { shape, values };
  const cells = stimulatedCells(state, shape),
    amount = state.value * unitOf(state, detail);
  if (!cells.includes(1)) return { shape, values };
  const deed = { replace: () => amount, scale: (old) => old * amount, add: (old) => old + amount, zero: () => 0 }[
    state.kind
  ];
  return { shape, values: values.map((old, at) => (cells[at] ? deed(old) : state.rest === "zero" ? 0 : old)) };
}

/** A scan's own stimulation in the words of the view. */
function asView({ kind, value, unit, rest, feature_maps: maps }) {
  return { kind, value, unit, rest, maps: maps === "all" ? maps : [maps].flat() };
}

function pasted(values, shape, state, { feature_maps: maps, value, rest }) {
  const at = [maps].flat().indexOf(state.map),
    cells = stimulatedCells(state, shape),
    amounts = [value[at] ?? []].flat(2);
  if (at < 0) return values;
  return values.map((old, cell) => (cells[cell] ? (amounts[cell] ?? amounts[0]) : rest === "zero" ? 0 : old));
}
