// Maps cut out of atlases and drawn. Without this script the atlases are shown as they are.

const SIDE = 96; // pixels of the longer side of a tile, and of the enlarged map
const ENLARGED = 640;
const [STRONGEST, RISE] = [0.95, 0.8]; // heat lets the image shine through: opacity is STRONGEST * heat ** RISE
const TOP = 252; // the highest level of an atlas

/** A number with so many digits, as the rest of the page has them. */
function number(value, digits = 3) {
  const small = value !== 0 && Math.abs(value) < 0.001;
  const words = small ? value.toExponential(digits - 1) : String(Number(value.toPrecision(digits)));
  return words.startsWith("-") ? `\u2212${words.slice(1)}` : words;
}

const percent = (value) => `${(100 * value).toFixed(value >= 0.0995 ? 0 : 1)}%`;

/** A pixel buffer of a picture as it is. */
function pixelsOf(image) {
  const canvas = Object.assign(document.createElement("canvas"), { width: image.naturalWidth, height: image.naturalHeight });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/** The maps of one figure: what is known of them, and how one is drawn. */
class Maps {
  constructor(figure) {
    this.figure = figure;
    this.data = JSON.parse(figure.querySelector("script").textContent);
    this.atlas = figure.querySelector(".atlas");
    this.legend = figure.querySelector(".legend");
    this.image = document.getElementById(this.data.image);
    this.pale = document.getElementById(`${this.data.image}-pale`);
    this.pictures = this.data.zero === null;
    const [height, width] = this.data.size;
    this.shape = [height / Math.max(height, width), width / Math.max(height, width)];
  }

  get images() {
    return [this.atlas, this.image, this.pale, ...this.figure.querySelectorAll(".legend img")];
  }

  canvas(side, canvas = document.createElement("canvas")) {
    canvas.height = Math.round(this.shape[0] * side);
    canvas.width = Math.round(this.shape[1] * side);
    return canvas;
  }

  /** Where a tile lies in the atlas: left and top. */
  corner(index) {
    const [height, width] = this.data.tile;
    return [1 + (index % this.data.columns) * (width + 1), 1 + Math.floor(index / this.data.columns) * (height + 1)];
  }

  /** A tile as it is, its cells where they lie in the image; beyond the outer ones, the nearest. */
  draw(canvas, index) {
    const context = canvas.getContext("2d");
    const [height, width] = this.data.tile;
    const [left, top] = this.corner(index);
    context.imageSmoothingEnabled = false;
    if (this.pictures) {
      context.drawImage(this.atlas, left, top, width, height, 0, 0, canvas.width, canvas.height);
    } else {
      const [rowOffset, rowStride, columnOffset, columnStride] = this.data.placed;
      const across = strips(columnOffset, columnStride, this.data.cells[1], width, canvas.width / this.data.size[1], canvas.width);
      const down = strips(rowOffset, rowStride, this.data.cells[0], height, canvas.height / this.data.size[0], canvas.height);
      for (const [x, w, toX, toW] of across) {
        for (const [y, h, toY, toH] of down) context.drawImage(this.atlas, left + x, top + y, w, h, toX, toY, toW, toH);
      }
    }
    if (!this.pictures || index > 0) this.outline(context, 2, 0.9);
  }

  outline(context, ...widths) {
    const scale = context.canvas.width / this.data.size[1];
    widths.forEach((width, place) => {
      context.strokeStyle = place ? "black" : "white";
      context.lineWidth = width;
      context.beginPath();
      for (const [x, y, toX, toY] of this.data.outline) {
        context.moveTo(x * scale, y * scale);
        context.lineTo(toX * scale, toY * scale);
      }
      context.stroke();
    });
  }

  /** A map as large as the canvas: `over` the pale image, its `cells` alone, or the `image` alone. */
  enlarge(canvas, index, view) {
    this.canvas(ENLARGED, canvas);
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    if (view === "image") context.drawImage(this.image, 0, 0, canvas.width, canvas.height);
    else if (view === "cells" || this.pictures) return this.draw(canvas, index);
    else context.putImageData(this.heat(context.createImageData(canvas.width, canvas.height), index), 0, 0);
    return this.outline(context, 4, 1.6);
  }

  /** The levels of a map, cell by cell, as indices of the palette: read back from the colours of the atlas. */
  levels(index) {
    this.pixels ??= pixelsOf(this.atlas);
    this.palette ??= pixelsOf(this.legend.querySelector("img")).data;
    this.levelOf ??= new Map(Array.from({ length: TOP + 1 }, (_, level) => [colourAt(this.palette, level), level]).reverse());
    const [rows, columns] = this.data.cells;
    const factor = this.data.tile[0] / rows;
    const [left, top] = this.corner(index);
    const found = new Float32Array(rows * columns);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const place = (top + row * factor) * this.pixels.width + left + column * factor;
        found[row * columns + column] = this.levelOf.get(colourAt(this.pixels.data, place)) ?? this.data.zero;
      }
    }
    return found;
  }

  /** Heat over the pale image, bilinear between the centres of the cells. */
  heat(target, index) {
    const levels = this.levels(index);
    this.base ??= pixelsOf(this.pale);
    const [rowOffset, rowStride, columnOffset, columnStride] = this.data.placed;
    const [rows, columns] = this.data.cells;
    const down = between(target.height, this.data.size[0], rowOffset, rowStride, rows);
    const across = between(target.width, this.data.size[1], columnOffset, columnStride, columns);
    for (let y = 0; y < target.height; y++) {
      const [above, below, v] = down[y];
      const baseRow = Math.floor((y * this.base.height) / target.height) * this.base.width;
      for (let x = 0; x < target.width; x++) {
        const [before, after, u] = across[x];
        const upper = (1 - u) * levels[above * columns + before] + u * levels[above * columns + after];
        const lower = (1 - u) * levels[below * columns + before] + u * levels[below * columns + after];
        const level = (1 - v) * upper + v * lower;
        const opacity = STRONGEST * (Math.abs(level - this.data.zero) / (TOP - this.data.zero)) ** RISE;
        const at = 4 * (y * target.width + x);
        const base = 4 * (baseRow + Math.floor((x * this.base.width) / target.width));
        const colour = 4 * Math.round(level);
        for (let c = 0; c < 3; c++) {
          target.data[at + c] = opacity * this.palette[colour + c] + (1 - opacity) * this.base.data[base + c];
        }
        target.data[at + 3] = 255;
      }
    }
    return target;
  }

  title(index) {
    return this.pictures ? this.data.names[index] : `${this.data.layer}, feature map ${this.data.names[index]}`;
  }

  /** What is known of a map, as words: its name, its value and what it means. */
  facts(index) {
    const { meanings } = this.data;
    if (this.pictures) return [["Shown", this.data.notes[index], meanings.note]];
    const known = Object.entries(this.data.numbers).map(([name, values]) => [this.data.titles[name], this.words(name, values[index]), meanings[name]]);
    const order = ranks(this.data.numbers.contribution ?? []);
    if (order.length) known.push(["Rank by contribution", `${order[index]} of ${order.length}`, meanings.rank]);
    return known;
  }

  words(name, value, digits) {
    if (value === null) return "\u2013";
    return this.data.shares.includes(name) ? percent(value) : number(value, digits);
  }
}

/** The colour of a pixel as one number. */
const colourAt = (data, place) => (data[4 * place] << 16) | (data[4 * place + 1] << 8) | data[4 * place + 2];

/** The place of each value in their order, the greatest first. */
function ranks(values) {
  const order = values.map((_, index) => index).sort((a, b) => values[b] - values[a]);
  const found = [];
  order.forEach((index, place) => (found[index] = place + 1));
  return found;
}

/** Along one axis: the cells as [from, width, to, width on the canvas], with a strip of the outer ones where they do not reach. */
function strips(offset, stride, cells, tile, scale, extent) {
  const first = Math.round((offset + 0.5 - stride / 2) * scale);
  const last = Math.round((offset + 0.5 - stride / 2 + stride * cells) * scale);
  const found = [[0, tile, first, last - first]];
  if (first > 0) found.push([0, 1, 0, first]);
  if (last < extent) found.push([tile - 1, 1, last, extent - last]);
  return found;
}

/** For every pixel along one axis: the two cells it lies between, and how near it is to the second. */
function between(pixels, size, offset, stride, cells) {
  return Array.from({ length: pixels }, (_, pixel) => {
    const place = ((pixel + 0.5) * size) / pixels - 0.5;
    const cell = Math.min(Math.max((place - offset) / stride, 0), cells - 1);
    const first = Math.floor(cell);
    return [first, Math.min(first + 1, cells - 1), cell - first];
  });
}
