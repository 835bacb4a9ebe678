/** Colour: values as colours on a scale with real limits, and heat laid over a pale image, as in the package's figures. */

import { TABLES } from "./colour_tables.js";

const ZERO = 1e-12;
export const DIMMED = 0.55;
const STRONGEST = 0.95,
  RISE = 0.8;

const tables = Object.fromEntries(
  Object.entries(TABLES).map(([name, text]) => [name, Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))]),
);
const NIGHT = { OrRd: "OrRd night", RdBu_r: "berlin" };
tables["OrRd night"] = reversed(tables.OrRd);

const night = window.matchMedia("(prefers-color-scheme: dark)");

/** Whether the page is dark; `onTurn` hears of it when that changes. */
export const dark = () => night.matches;
export const onTurn = (draw) => night.addEventListener("change", draw);

/** Colours for values from 0 to `limit`, or from `-limit` to `limit` where they are signed. */
export class Scale {
  constructor(limit, { signed = false, colours = signed ? "RdBu_r" : "OrRd" } = {}) {
    this.limit = limit;
    this.signed = signed;
    this.colours = colours;
  }

  /** On a dark page heat grows lighter, and the middle of signed values is dark. */
  get table() {
    return tables[dark() ? (NIGHT[this.colours] ?? this.colours) : this.colours];
  }

  get blank() {
    return !(this.limit > ZERO);
  }

  /** Where in the table (counted in bytes) the colour of a value starts. */
  at(value) {
    const top = this.blank ? 1 : this.limit;
    const share = this.signed ? (value + top) / (2 * top) : value / top;
    return 3 * Math.min(255, Math.max(0, Math.floor(share * 256)));
  }

  /** How much of the image a value hides. */
  opacity(value) {
    const heat = Math.min(1, Math.abs(value) / (this.blank ? 1 : this.limit));
    return this.signed || value > 0 ? STRONGEST * heat ** RISE : 0;
  }
}

/** A table from its other end. */
function reversed(table) {
  return Uint8Array.from(table, (_, at) => table[table.length - 3 * (Math.floor(at / 3) + 1) + (at % 3)]);
}

/** The image in pale grey at its full contrast, 0 to 255 for each pixel, so that every colour laid over it is heat. */
export function dimmed(pixels) {
  const grey = new Float64Array(pixels.length / 4);
  for (let at = 0; at < grey.length; at++) {
    grey[at] = (0.299 * pixels[4 * at] + 0.587 * pixels[4 * at + 1] + 0.114 * pixels[4 * at + 2]) / 255;
  }
  const sorted = grey.slice().sort();
  const low = quantile(sorted, 0.01),
    high = quantile(sorted, 0.99);
  return grey.map((value) => {
    const stretched = Math.min(1, Math.max(0, (value - low) / Math.max(high - low, 0.05)));
    return 255 * (1 - (1 - stretched) * (1 - DIMMED));
  });
}

function quantile(sorted, share) {
  const place = share * (sorted.length - 1),
    below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}
