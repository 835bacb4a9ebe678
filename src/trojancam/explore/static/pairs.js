/** Classes before and after: the foremost of both, with two bars each. */

import { el, write } from "./dom.js";
import { fixed, greatest, percent } from "./numbers.js";

const LISTED = 5;

/** A list with `show(before, after, classes)`; `after` may be null. */
export function pairs() {
  const head = el(
    "li",
    { class: "head", "aria-hidden": "true" },
    el("span", {}, "logit and probability"),
    el("span", { class: "number" }, "before"),
    el("span", { class: "number" }, "after"),
  );
  const rows = Array.from({ length: LISTED }, row);
  const element = el(
    "ul",
    { class: "pairs" },
    head,
    rows.map((each) => each.element),
  );
  element.show = (before, after, classes) => {
    const foremost = foremostOf(before, after);
    rows.forEach((each, at) => each.show(foremost[at], before, after, classes));
  };
  return element;
}

/** The classes that are foremost after, with the one that was predicted before among them. */
function foremostOf(before, after) {
  const top = greatest((after ?? before).logits, LISTED);
  return top.includes(before.predicted) ? top : [...top.slice(0, LISTED - 1), before.predicted];
}

function row() {
  const name = el("span", { class: "class" });
  const cells = ["before", "after"].map((side) => {
    const filled = el("span");
    return {
      side,
      filled,
      bar: el("span", { class: `bar ${side}` }, filled),
      logit: el("span", { class: `number ${side}` }),
      share: el("span", { class: `number share ${side}` }),
    };
  });
  const element = el(
    "li",
    {},
    name,
    cells.map(({ logit }) => logit),
    el(
      "span",
      { class: "both" },
      cells.map(({ bar }) => bar),
    ),
    cells.map(({ share }) => share),
  );
  const show = (index, before, after, classes) => {
    element.hidden = index === undefined;
    if (element.hidden) return;
    write(name, classes[index] ?? `class ${index}`);
    name.title = classes[index] ?? "";
    element.dataset.class = String(index);
    for (const { side, logit, share, filled } of cells) {
      const answer = side === "before" ? before : after;
      write(logit, answer ? fixed(answer.logits[index]) : "–");
      write(share, answer ? percent(answer.probabilities[index]) : "");
      filled.style.width = `${answer ? 100 * answer.probabilities[index] : 0}%`;
    }
  };
  return { element, show };
}
