/** The answer in pictures: the heat maps of this and all later layers before and after a stimulation, and their difference. */

import { magnitude } from "./arrays.js";
import { Scale } from "./colour.js";
import { el, write } from "./dom.js";
import { drawOver } from "./heat.js";
import { short } from "./numbers.js";

const COLUMNS = ["before", "after", "difference"];

export function mountAnswer(app) {
  const title = el("h2", {}, "Where it looks then"),
    words = el("p", { class: "quiet small words" }),
    body = el("tbody");
  const table = el(
    "table",
    {},
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        el("th", { scope: "col" }, "Layer"),
        COLUMNS.map((name) => el("th", { scope: "col" }, name[0].toUpperCase() + name.slice(1))),
      ),
    ),
    body,
  );
  const made = new Map();
  const section = el(
    "section",
    { class: "answers", id: "answer", "aria-label": "Heat maps before and after" },
    title,
    words,
    el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Heat maps by layer" }, table),
  );
  app.watch([app.answer, app.explanation], () => {
    const value = app.state.stimulated ? app.current(app.answer) : null,
      { picture } = app.current(app.explanation) ?? {};
    section.hidden = !value || !picture;
    if (section.hidden) return;
    write(
      words,
      `Both explain “${app.model.classes[value.explained]}” and share a scale, layer by layer; ` +
        "in the difference red speaks more for it than before, blue less.",
    );
    for (const found of value.layers) {
      if (!made.has(found.name)) made.set(found.name, row(found.name));
      made.get(found.name).show(found, picture);
    }
    const wanted = value.layers.map((found) => made.get(found.name).element);
    if (wanted.length !== body.children.length || wanted.some((each, at) => body.children[at] !== each))
      body.replaceChildren(...wanted);
  });
  return section;
}

function row(name) {
  const cells = COLUMNS.map((column) => ({
    column,
    canvas: el("canvas", { class: "heat", role: "img" }),
    words: el("div"),
  }));
  const element = el(
    "tr",
    {},
    el("th", { scope: "row" }, name),
    cells.map(({ canvas, words }) => el("td", {}, canvas, words)),
  );
  element.dataset.layer = name;
  const show = (found, picture) => {
    const shared = new Scale(Math.max(magnitude(found.before.values), magnitude(found.after.values)));
    const change = new Scale(magnitude(found.difference.values), { signed: true });
    for (const { column, canvas, words } of cells) {
      const scale = column === "difference" ? change : shared,
        most = magnitude(found[column].values);
      drawOver(canvas, found[column], scale, picture);
      canvas.setAttribute("aria-label", `${name}, ${column}: peak ${short(most)}`);
      write(words, scale.blank ? "blank" : column === "difference" ? `up to ±${short(most)}` : `peak ${short(most)}`);
    }
  };
  return { element, show };
}
