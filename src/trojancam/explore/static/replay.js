/** Any stimulation replayed on both networks, the one that was repaired and the repaired one, side by side. */

import { magnitude } from "./arrays.js";
import { Scale } from "./colour.js";
import { el, field, options, write } from "./dom.js";
import { clear, drawOver } from "./heat.js";
import { inWords } from "./chosen_maps.js";
import { refusalPlace } from "./notices.js";
import { pairs } from "./pairs.js";
import { percent } from "./numbers.js";
import * as wire from "./wire.js";

const OWN = "own";

export function mountReplay(app) {
  const choice = el("select", { id: "replayed", onChange: () => app.store.set({ replay: choice.value }) }),
    words = el("p", { class: "quiet small words" });
  const sides = [0, 1].map((at) => side(app, at));
  const section = el(
    "section",
    { class: "stack", id: "replay", "aria-label": "The same stimulation on both networks" },
    el("h2", {}, "The same stimulation on both"),
    field("Stimulation", choice),
    words,
    el(
      "div",
      { class: "pair" },
      sides.map((each) => each.element),
    ),
  );
  app.watch([...app.replays, app.explanation], () => {
    section.hidden = !app.repaired || app.state.view !== "repair";
    if (section.hidden) return;
    const known = choices(app);
    options(choice, known.length ? known : [["", "none yet"]], chosen(app) ?? "");
    write(words, described(app));
    sides.forEach((each) => each.show());
  });
  return section;
}

/** What can be replayed: what is done by hand in the Look view, and what the scan did for each of its findings. */
function choices({ state, report, model }) {
  const own = state.stimulated && state.map !== null && state.finding === null ? [[OWN, "as set in the Look view"]] : [];
  const found = (report?.findings ?? []).map((finding, at) => [finding, at]).filter(([{ stimulation }]) => stimulation);
  return [...own, ...found.map(([{ target_class: target }, at]) => [String(at), `the scan's, for “${model.classes[target]}”`])];
}

function chosen(app) {
  const known = choices(app).map(([value]) => value);
  return known.includes(app.state.replay) ? app.state.replay : (known[0] ?? null);
}

/** The stimulation that is replayed, null where there is none. */
export function replayed(app) {
  if (!app.repaired || app.state.view !== "repair") return null;
  const which = chosen(app);
  if (which === null) return null;
  if (which !== OWN) return app.report.findings[Number(which)].stimulation;
  return wire.stimulation(app.state, app.layer, null);
}

function described(app) {
  const deed = replayed(app);
  if (!deed) return "Stimulate a feature map in the Look view, or scan the network: what was done then is replayed here.";
  const maps = deed.feature_maps === "all" ? "all feature maps" : inWords([deed.feature_maps].flat());
  return `In ${deed.layer}, ${maps}, on the image beside or above. Heat maps explain the class that the first network then names, on one scale.`;
}

function side(app, at) {
  const title = el("h3"),
    said = el("p", { class: "turned" }),
    list = pairs(),
    place = refusalPlace();
  const canvases = ["before", "after"].map((when) => ({ when, canvas: el("canvas", { class: "heat", role: "img" }) }));
  const figures = canvases.map(({ when, canvas }) => el("figure", {}, canvas, el("figcaption", { class: "small quiet" }, when)));
  const element = el(
    "section",
    { class: "side", "aria-label": at ? "Repaired network" : "Network before the repair" },
    title,
    said,
    list,
    place,
    el("div", { class: "twins" }, figures),
  );
  const show = () => {
    const source = app.replays[at],
      { value, error } = source,
      name = at ? app.repaired.name : app.modelOf(app.repairedFrom)?.name;
    write(title, name ?? "");
    place.show(error, () => source.again());
    write(said, value ? sentence(value, app.model.classes) : "");
    list.hidden = !value;
    if (value) list.show(value.before, value.after, app.model.classes);
    draw(app, value, canvases);
  };
  return { element, show };
}

function sentence({ before, after }, classes) {
  const [from, to] = [before.predicted, after.predicted];
  const share = percent(after.probabilities[to]);
  return from === to ? `Still “${classes[to]}”, ${share}` : `“${classes[from]}” becomes “${classes[to]}”, ${share}`;
}

/** The heat maps of the last layer, on the scale of both networks. */
function draw(app, value, canvases) {
  const { picture } = app.current(app.explanation) ?? {},
    all = app.replays.map((each) => each.value?.layers.at(-1)).filter(Boolean);
  const most = Math.max(0, ...all.flatMap(({ before, after }) => [magnitude(before.values), magnitude(after.values)]));
  for (const { when, canvas } of canvases) {
    canvas.hidden = !value;
    const last = value?.layers.at(-1);
    canvas.setAttribute("aria-label", last ? `${last.name}, ${when}` : when);
    if (last && picture) drawOver(canvas, last[when], new Scale(most), picture);
    else clear(canvas);
  }
}
