/** The prediction: what the network says of the image, and the class that heat maps explain. */

import { bars } from "./bars.js";
import { el, field, options } from "./dom.js";

export function mountPrediction(app) {
  const list = bars((explain) => app.store.set({ explain }));
  const select = el("select", {
    onChange: () => app.store.set({ explain: select.value === "" ? null : Number(select.value) }),
  });
  select.id = "explain";
  const method = el("select", { id: "method", onChange: () => app.store.set({ method: method.value }) });
  app.watch([app.explanation], () => {
    const value = app.current(app.explanation),
      { classes } = app.model;
    options(select, [["", "the predicted class"], ...classes.map((name, at) => [at, name])], app.state.explain ?? "");
    options(
      method,
      app.session.methods.map(({ name, title }) => [name, title]),
      app.state.method,
    );
    list.style.visibility = value ? "" : "hidden";
    if (value) list.show(value, classes, value.explained);
  });
  return el(
    "section",
    { class: "stack", "aria-label": "Prediction" },
    el(
      "div",
      {},
      el("h3", {}, "The network says"),
      el(
        "div",
        { class: "columns", "aria-hidden": "true" },
        el("span"),
        el("span", {}, "logit"),
        el("span", {}, "prob."),
      ),
      list,
    ),
    field("Heat maps explain", select),
    field("Method of the heat maps", method),
  );
}
