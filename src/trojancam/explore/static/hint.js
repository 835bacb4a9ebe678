/** What to do first, said once: on the first visit, until it is dismissed. */

import { el } from "./dom.js";

const KEY = "trojancam-hint";
const STEPS = [
  "Put a trigger on the image, or choose another image. Where the file records no trigger, a yellow square is the example.",
  "Open a layer. Its feature maps that speak most for the class come first.",
  "Open a feature map and paint on it, or move the slider. The network answers at once.",
];

let dismissed = seen();

export function mountHint(app) {
  const element = el(
    "section",
    { id: "hint", "aria-label": "First steps", hidden: true },
    el("h3", {}, "First steps"),
    el(
      "ol",
      {},
      STEPS.map((step) => el("li", {}, step)),
    ),
    el("p", { class: "small quiet" }, "Arrow keys move between layers and feature maps. Escape goes up."),
    el("button", { type: "button", onClick: () => dismiss(element) }, "Got it"),
  );
  app.watch([], () => {
    element.hidden = dismissed || app.state.layer !== null;
  });
  return element;
}

function dismiss(element) {
  element.hidden = dismissed = true;
  document.getElementById("main").focus({ preventScroll: true });
  try {
    localStorage.setItem(KEY, "seen");
  } catch {
    /* a browser that keeps nothing shows it again */
  }
}

function seen() {
  try {
    return localStorage.getItem(KEY) !== null;
  } catch {
    return false;
  }
}
