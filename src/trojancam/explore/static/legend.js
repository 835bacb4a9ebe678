/** A colour bar with the ends of its scale. */

import { el, write } from "./dom.js";
import { drawBar } from "./heat.js";
import { short } from "./numbers.js";

/** An element with `show(scale, words, laidOver)`. */
export function legend(extra = "") {
  const low = el("span"),
    high = el("span"),
    words = el("span");
  const bar = el("canvas", { "aria-hidden": "true" });
  const element = el("div", { class: `legend ${extra}` }, words, low, bar, high);
  element.show = (scale, text = "", laidOver = true) => {
    write(words, text);
    write(low, scale.signed ? short(-scale.limit) : "0");
    write(high, scale.blank ? "blank" : short(scale.limit));
    drawBar(bar, scale, laidOver);
  };
  return element;
}
