/** The easel: a feature map's cells large, with what is painted outlined, and a cell that keys move. */

import { coloured } from "./heat.js";

const SIDE = 640; // canvas pixels, about, so that outlines stay fine

/** Draw cells enlarged; `marked` are outlined (one byte each, or null); `cursor` is framed. */
export function drawEasel(canvas, map, scale, marked, cursor) {
  const [rows, columns] = map.shape,
    cell = Math.max(4, Math.floor(SIDE / Math.max(rows, columns)));
  [canvas.width, canvas.height] = [columns * cell, rows * cell];
  const context = canvas.getContext("2d"),
    small = document.createElement("canvas");
  [small.width, small.height] = [columns, rows];
  small.getContext("2d").putImageData(coloured(map, scale), 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
  if (marked) {
    const outline = outlineOf(marked, rows, columns, cell);
    line(context, outline, "#000", 5);
    line(context, outline, "#fff", 2.5);
  }
  if (cursor) {
    const frame = new Path2D();
    frame.rect(cursor.column * cell + 2, cursor.row * cell + 2, cell - 4, cell - 4);
    line(context, frame, "#000", 4);
    line(context, frame, "#ff9d5c", 2, [6, 4]);
  }
}

/** The edges between cells that are marked and cells that are not. */
function outlineOf(marked, rows, columns, cell) {
  const path = new Path2D();
  const on = (row, column) =>
    row >= 0 && row < rows && column >= 0 && column < columns && marked[row * columns + column];
  const inset = 1.5;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      if (!on(row, column)) continue;
      const [top, left, bottom, right] = [row * cell, column * cell, (row + 1) * cell, (column + 1) * cell];
      const segment = (x1, y1, x2, y2) => {
        path.moveTo(x1, y1);
        path.lineTo(x2, y2);
      };
      if (!on(row - 1, column)) segment(left, top + inset, right, top + inset);
      if (!on(row + 1, column)) segment(left, bottom - inset, right, bottom - inset);
      if (!on(row, column - 1)) segment(left + inset, top, left + inset, bottom);
      if (!on(row, column + 1)) segment(right - inset, top, right - inset, bottom);
    }
  }
  return path;
}

function line(context, path, colour, width, dash = []) {
  Object.assign(context, { strokeStyle: colour, lineWidth: width, lineCap: width > 3 ? "square" : "butt" });
  context.setLineDash(dash);
  context.stroke(path);
}

/** The cell under a pointer; beyond the edge, the nearest one. */
export function cellAt(canvas, event, [rows, columns]) {
  const box = canvas.getBoundingClientRect();
  const within = (share, count) => Math.min(count - 1, Math.max(0, Math.floor(share * count)));
  return {
    row: within((event.clientY - box.top) / box.height, rows),
    column: within((event.clientX - box.left) / box.width, columns),
  };
}
