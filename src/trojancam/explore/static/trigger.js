/** The trigger in numbers: on or off, its place, size, colour and opacity. */

import { check, el, field, numberField, write } from "./dom.js";
import { asSquare, usual } from "./settling.js";

/** The section with the trigger's numbers; the square itself lies over the image. */
export function mountTrigger(app) {
  const change = (patch) => app.store.set({ trigger: { ...app.state.trigger, ...patch }, triggered: true });
  const on = check("Trigger on the image", (triggered) =>
    app.store.set({ triggered, trigger: app.state.trigger ?? usual(app.model) }),
  );
  on.input.id = "triggered";
  const numbers = [
    ["row", "Row", 0],
    ["column", "Column", 0],
    ["height", "Height", 1],
    ["width", "Width", 1],
  ].map(([name, words, min]) => [name, numberField(words, { min: String(min) }, (value) => change({ [name]: value }))]);
  const colour = el("input", { type: "color", onInput: () => change({ colour: colour.value }) });
  const opacity = el("input", {
    type: "range",
    min: "0.05",
    max: "1",
    step: "0.05",
    onInput: () => change({ opacity: Number(opacity.value) }),
  });
  const shown = el("span", {}, "Opacity");
  const recorded = el("button", {
    type: "button",
    class: "link small",
    onClick: () => app.store.set({ trigger: asSquare(app.model.recorded_trigger), triggered: true }),
  });
  const example = el("p", { class: "small quiet" });
  const found = el("button", {
    type: "button",
    class: "link small",
    onClick: () => app.store.set({ view: "scan" }, { step: true }),
  });
  const fields = el(
    "div",
    { class: "stack" },
    el(
      "div",
      { class: "fields" },
      numbers.map(([, each]) => each),
    ),
    el(
      "div",
      { class: "row" },
      el("div", { class: "grow" }, field("Colour", colour)),
      el("label", { class: "field grow" }, shown, opacity),
    ),
  );
  app.watch([], () => {
    const { trigger, triggered } = app.state,
      record = app.model.recorded_trigger;
    on.input.checked = triggered;
    fields.hidden = !triggered;
    recorded.hidden = !record;
    const finding = strongest(app);
    example.hidden = Boolean(record);
    write(
      example,
      "The square is an example: nobody has said that this network answers to it." +
        (finding ? "" : " A scan looks for a trigger that it does answer to."),
    );
    found.hidden = !finding;
    if (finding)
      write(found, `See the trigger that the scan recovered for “${app.model.classes[finding.target_class]}”`);
    if (record) {
      const target = record.target === null ? "each class another" : `“${app.model.classes[record.target]}”`;
      write(recorded, `Place it as the file records it: ${record.name}, for ${target}`);
    }
    if (!trigger) return;
    for (const [name, each] of numbers) {
      each.input.max = String(most(name, trigger, app.model.size));
      each.show(trigger[name]);
    }
    colour.value = trigger.colour;
    if (document.activeElement !== opacity) opacity.value = String(trigger.opacity);
    write(shown, `Opacity ${trigger.opacity.toFixed(2)}`);
  });
  return el("section", { class: "stack", "aria-label": "Trigger" }, on, example, fields, recorded, found);
}

/** The strongest finding with a recovered trigger of the scan that is shown, if that is one of this network. */
function strongest(app) {
  if (app.reportOf !== app.state.model) return null;
  return app.report?.findings.find(({ trigger }) => trigger) ?? null;
}

/** The greatest number with which the trigger still lies within the image. */
function most(name, { row, column, height, width }, [rows, columns]) {
  return { row: rows - height, column: columns - width, height: rows - row, width: columns - column }[name];
}
