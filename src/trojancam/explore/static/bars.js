/** Classes as bars: their names, logits and probabilities. */

import { el, mark, write } from "./dom.js";
import { fixed, greatest, percent } from "./numbers.js";

const LISTED = 5;

/** A list with `show(answer, classes, explained)`; a click on a class says that it is to be explained. */
export function bars(onExplain) {
  const rows = Array.from({ length: LISTED }, () => row(onExplain));
  const element = el(
    "ul",
    { class: "bars" },
    rows.map((each) => each.element),
  );
  element.show = (answer, classes, explained) => {
    const ordered = greatest(answer.logits, LISTED);
    rows.forEach((each, at) => each.show(ordered[at], answer, classes, explained));
  };
  return element;
}

function row(onExplain) {
  const name = el("span", { class: "class" }),
    logit = el("span", { class: "number quiet" }),
    share = el("span", { class: "number" });
  const filled = el("span");
  let shown = 0;
  const button = el(
    "button",
    { type: "button", onClick: () => onExplain(shown) },
    name,
    logit,
    share,
    el("span", { class: "bar" }, filled),
  );
  const element = el("li", {}, button);
  const show = (index, { logits, probabilities }, classes, explained) => {
    element.hidden = index === undefined;
    if (element.hidden) return;
    shown = index;
    write(name, classes[index] ?? `class ${index}`);
    write(logit, fixed(logits[index]));
    write(share, percent(probabilities[index]));
    button.title = `${classes[index]}: heat maps explain this class when it is pressed`;
    filled.style.width = `${100 * probabilities[index]}%`;
    mark(button, "aria-pressed", index === explained ? "true" : "false");
    button.dataset.class = String(index);
  };
  return { element, show };
}
