/** What the network says, in one line that stays in sight: without and with what is done to a feature map. */

import { el, write } from "./dom.js";
import { percent } from "./numbers.js";

export function mountSaid(app) {
  const plain = el("span"),
    arrow = el("span", { class: "arrow" }, "→"),
    then = el("span");
  const element = el("p", { id: "said", "aria-hidden": "true" }, plain, arrow, then);
  app.watch([app.explanation, app.answer], () => {
    const { state, model } = app,
      before = app.current(app.explanation),
      after = state.stimulated ? app.current(app.answer) : null;
    write(plain, before ? words(after?.before ?? before, model) : "Asking the network …");
    arrow.hidden = then.hidden = !state.stimulated || !before;
    write(then, after ? `stimulated: ${words(after.after, model)}` : state.stimulated ? "…" : "");
    const turned = after && after.after.predicted !== after.before.predicted;
    then.classList.toggle("turned", Boolean(turned));
  });
  return element;
}

function words({ predicted, probabilities }, { classes }) {
  return `“${classes[predicted] ?? predicted}” ${percent(probabilities[predicted])}`;
}
