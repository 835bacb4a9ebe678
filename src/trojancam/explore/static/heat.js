/** Heat maps on canvases: one canvas pixel for each pixel or cell, enlarged by the browser without blurring. */

import { dark, dimmed, DIMMED } from "./colour.js";

/** @typedef {import("./arrays.js").Values} Values */

const pictures = new Map();
const KEPT = 24;
const TILE = 112; // pixels that a picture has at most where many are drawn small

/** A picture's pixels and its pale grey, whole and `small`, from a data URL; the last few are kept. */
export async function picture(url) {
  if (!pictures.has(url)) {
    pictures.set(url, read(url));
    if (pictures.size > KEPT) pictures.delete(pictures.keys().next().value);
  }
  return pictures.get(url);
}

async function read(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  const [height, width] = [image.naturalHeight, image.naturalWidth];
  const whole = sampled(image, [height, width]);
  const share = TILE / Math.max(height, width);
  const small = share < 1 ? sampled(image, [Math.round(height * share), Math.round(width * share)]) : whole;
  return { ...whole, small };
}

function sampled(image, [rows, columns]) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [columns, rows];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, columns, rows);
  const pixels = context.getImageData(0, 0, columns, rows);
  const grey = dimmed(pixels.data);
  return { size: [rows, columns], pixels, grey, night: grey.map((each) => each - 255 * (1 - DIMMED)) };
}

/** The picture as it is. */
export function drawPicture(canvas, { size, pixels }) {
  fit(canvas, size);
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** Values at the size of the picture, laid over it: the hotter a place, the less of the picture shows. */
export function drawOver(canvas, { values }, scale, { size, grey: day, night }) {
  const pixels = new ImageData(size[1], size[0]),
    grey = dark() ? night : day,
    { table } = scale;
  for (let at = 0; at < grey.length; at++) {
    const value = values[at],
      from = scale.at(value),
      hidden = scale.opacity(value);
    for (let part = 0; part < 3; part++) {
      pixels.data[4 * at + part] = hidden * table[from + part] + (1 - hidden) * grey[at];
    }
    pixels.data[4 * at + 3] = 255;
  }
  fit(canvas, size);
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** Values as plain colours, a canvas pixel each. */
export function drawCells(canvas, { shape, values }, scale) {
  fit(canvas, shape);
  canvas.getContext("2d").putImageData(coloured({ shape, values }, scale), 0, 0);
}

/** The colours of values as image data. @param {Values} map */
export function coloured({ shape: [rows, columns], values }, scale) {
  const pixels = new ImageData(columns, rows),
    { table } = scale;
  for (let at = 0; at < values.length; at++) {
    const from = scale.at(values[at]);
    for (let part = 0; part < 3; part++) pixels.data[4 * at + part] = table[from + part];
    pixels.data[4 * at + 3] = 255;
  }
  return pixels;
}

/** A colour bar from the least to the greatest value of a scale; `laidOver` shows colours as they come out over grey. */
export function drawBar(canvas, scale, laidOver = true) {
  const count = 128,
    values = new Float32Array(count);
  for (let at = 0; at < count; at++) {
    const share = at / (count - 1);
    values[at] = scale.limit * (scale.signed ? 2 * share - 1 : share);
  }
  const map = { shape: [1, count], values };
  const ground = (shade) => new Float64Array(count).fill(255 * shade);
  if (laidOver) drawOver(canvas, map, scale, { size: [1, count], grey: ground(0.725), night: ground(0.275) });
  else drawCells(canvas, map, scale);
}

/** Nothing, where the answer that belongs there is still to come. */
export function clear(canvas) {
  canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
}

function fit(canvas, [rows, columns]) {
  if (canvas.width !== columns || canvas.height !== rows) [canvas.width, canvas.height] = [columns, rows];
}
