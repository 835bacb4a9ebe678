/** Comparison: two images, or two networks, side by side, layer by layer. */

import { magnitude } from "./arrays.js";
import { Scale } from "./colour.js";
import { check, el, field, options, segments, write } from "./dom.js";
import { clear, drawPicture } from "./heat.js";
import { chooseImage } from "./images.js";
import { mountBoth } from "./both.js";
import { card, opened } from "./layers.js";
import { refusalPlace } from "./notices.js";
import { fixed, percent } from "./numbers.js";
import { usual } from "./settling.js";

export function mountCompare(app) {
  const first = side("First", firstControls(app)),
    second = side("Second", secondControls(app));
  const places = [refusalPlace(), refusalPlace()],
    ladder = el("div", { class: "rungs" }),
    rungs = [];
  const scales = segments(
    "Scale of the comparison",
    [
      ["own", "Own scale each"],
      ["shared", "One scale for each pair"],
    ],
    (value) => app.store.set({ layers: value }),
  );
  const layers = el("select", {
    id: "both",
    onChange: () => app.store.set({ both: layers.value === "" ? null : Number(layers.value) }),
  });
  const section = el(
    "section",
    { id: "compare", "aria-label": "Comparison" },
    el(
      "div",
      { class: "tools" },
      el("h2", {}, "Side by side"),
      scales,
      el("button", { type: "button", onClick: () => swap(app) }, "Swap sides"),
      el("label", { class: "field" }, el("span", {}, "Feature maps of"), layers),
    ),
    el("div", { class: "pair" }, el("div", {}, first.element, places[0]), el("div", {}, second.element, places[1])),
    mountBoth(app, open),
    ladder,
  );
  app.watch([app.explanation, app.second], () => {
    section.hidden = app.state.view !== "compare";
    if (section.hidden) return;
    const other = app.modelOf(app.state.second.model);
    const pairs = app.model.layers.map(({ name }, at) => [at, pairName(name, other.layers[at]?.name)]);
    options(layers, [["", "no layer"], ...pairs], app.state.both ?? "");
    ladder.hidden = app.state.both !== null;
    const answers = [app.current(app.explanation), app.other];
    scales.choose(app.state.layers);
    places.forEach((place, at) => {
      const source = [app.explanation, app.second][at];
      place.show(source.error, () => source.again());
    });
    [first, second].forEach((each, at) => each.show(answers[at], [app.model, other][at]));
    const count = Math.max(...answers.map((answer) => answer?.layers.length ?? 0));
    while (rungs.length < count) rungs.push(rung(app, rungs.length));
    rungs.forEach((each, at) => each.show(answers, [app.model, other], at, app.state.layers));
    if (ladder.children.length !== rungs.length) ladder.replaceChildren(...rungs.map((each) => each.element));
  });
  return section;
}

/** Both layers by name; one name where they have the same. */
function pairName(first, second) {
  return second === undefined || second === first ? first : `${first} and ${second}`;
}

/** The head of a side: its image and what its network says. */
function side(name, controls) {
  const canvas = el("canvas", { role: "img" }),
    title = el("h3"),
    says = el("p"),
    numbers = el("p", { class: "quiet small" });
  const element = el(
    "section",
    { class: "side", "aria-label": `${name} side` },
    el("div", { class: "head" }, canvas, el("div", { class: "stack" }, title, says, numbers)),
    controls,
  );
  const show = (answer, model) => {
    write(title, model.name);
    canvas.classList.toggle("waiting", !answer);
    if (!answer) {
      clear(canvas);
      write(says, "Asking the network …");
      write(numbers, "");
      return;
    }
    drawPicture(canvas, answer.picture);
    canvas.setAttribute("aria-label", `The image that ${model.name} sees`);
    const same = answer.explained === answer.predicted;
    write(says, inWords(answer, answer.predicted, model));
    write(numbers, `explained: ${same ? "this class" : inWords(answer, answer.explained, model)}`);
  };
  return { element, show };
}

function inWords({ probabilities, logits }, index, model) {
  return `“${model.classes[index]}”, ${percent(probabilities[index])}, logit ${fixed(logits[index])}`;
}

function firstControls(app) {
  const note = el("p", { class: "small quiet" }, "Network, image and trigger of this side are those beside or above.");
  app.watch([], () => {
    note.hidden = app.state.view !== "compare";
  });
  return note;
}

function secondControls(app) {
  const change = (patch) => app.store.set({ second: { ...app.state.second, ...patch } });
  const network = el("select", { id: "second-model", onChange: () => change({ model: network.value }) });
  const image = el(
    "button",
    {
      type: "button",
      onClick: () => chooseImage(app, app.modelOf(app.state.second.model), (chosen) => change({ image: chosen })),
    },
    "Choose image…",
  );
  const same = el("button", { type: "button", onClick: () => change({ image: app.state.image }) }, "Same image");
  const trigger = check("With the trigger", (triggered) =>
    app.store.set({ trigger: app.state.trigger ?? usual(app.model), second: { ...app.state.second, triggered } }),
  );
  const explain = segments(
    "Class explained on the second side",
    [
      ["same", "Same class"],
      ["own", "Its own"],
    ],
    (value) => change({ explain: value }),
  );
  app.watch([], () => {
    const { second } = app.state;
    if (!second) return;
    options(
      network,
      app.session.models.map(({ id, name }) => [id, name]),
      second.model,
    );
    trigger.input.checked = second.triggered;
    explain.choose(second.explain);
    same.disabled = JSON.stringify(second.image) === JSON.stringify(app.state.image);
  });
  return el(
    "div",
    { class: "stack" },
    field("Network", network),
    el("div", { class: "row" }, image, same, trigger),
    el("div", { class: "row" }, el("span", { class: "small quiet" }, "Explain"), explain),
  );
}

/** One layer of each side. */
function rung(app, at) {
  const cards = [0, 1].map((side) => card(() => open(app, side, cards[side].layer)));
  const element = el("div", { class: "rung" }, cards);
  const show = (answers, models, index, scale) => {
    const found = answers.map((answer) => answer?.layers[index] ?? null);
    element.hidden = !found.some(Boolean);
    const limits = found.map((each) => (each ? magnitude(each.heatmap.values) : 0)),
      most = Math.max(...limits);
    cards.forEach((each, side) => {
      each.style.visibility = found[side] ? "" : "hidden";
      if (!found[side]) return;
      each.layer = found[side].name;
      const layer = models[side].layers.find(({ name }) => name === each.layer);
      each.show(layer, found[side], new Scale(scale === "shared" ? most : limits[side]), answers[side].picture);
    });
  };
  return { element, show };
}

/** Open a layer of a side: the second one then is what is looked at. */
function open(app, side, layer, map = null) {
  const { model, image, triggered } = app.state.second;
  const moved = side ? { model, image, triggered, explain: app.second.value.explained } : {};
  app.store.set({ ...opened(layer), map, ...moved }, { step: true });
}

function swap(app) {
  const { second, model, image, triggered } = app.state;
  app.store.set({
    model: second.model,
    image: second.image,
    triggered: second.triggered,
    second: { ...second, model, image, triggered },
  });
}
