/** The explorer: the view, what the server says of it, and the parts of the page that show both. */

import { get } from "./api.js";
import { mountAnswer } from "./answer.js";
import { maybe, decode } from "./arrays.js";
import { mountCompare } from "./compare.js";
import { mountCrumbs } from "./crumbs.js";
import { el } from "./dom.js";
import { mountGrid } from "./grid.js";
import { mountHeader } from "./header.js";
import { picture } from "./heat.js";
import { mountLayers } from "./layers.js";
import { mountMap } from "./map.js";
import { refusalPlace, watchConnection } from "./notices.js";
import { mountPrediction } from "./prediction.js";
import { Resource } from "./resource.js";
import { mountScan } from "./scan.js";
import { settler } from "./settling.js";
import { mountStimulation } from "./stimulation.js";
import { Store } from "./store.js";
import { mountSubject } from "./subject.js";
import { mountTrigger } from "./trigger.js";
import * as wire from "./wire.js";

/** What the parts of the page share. */
class App {
  constructor(session) {
    this.session = session;
    this.store = new Store(settler(session));
    this.explanation = new Resource("explain", explained);
    this.second = new Resource("explain", explained);
    this.layerMaps = new Resource("layer", layered);
    this.detail = new Resource("map", detailed);
    this.answer = new Resource("stimulate", answered);
    this.report = null; // of the scan that is shown, once it is finished
  }

  get state() {
    return this.store.state;
  }
  get model() {
    return this.modelOf(this.state.model);
  }
  get layer() {
    return this.model.layers.find((layer) => layer.name === this.state.layer) ?? null;
  }

  modelOf(id) {
    return this.session.models.find((model) => model.id === id);
  }

  /** A resource's answer where it is of the network, the layer and the feature map that are open; else null. */
  current(resource) {
    const { value, question } = resource,
      { state } = this;
    if (!value || question.subject.model !== state.model) return null;
    const layer = question.layer ?? question.stimulation?.layer;
    const elsewhere = (layer && layer !== state.layer) || (question.map !== undefined && question.map !== state.map);
    return elsewhere ? null : value;
  }

  /** Whenever the view or one of these answers changes, `show()`; and now. */
  watch(resources, show) {
    for (const source of [this.store, ...resources]) source.addEventListener("change", show);
    show();
  }

  /** Ask for what the view needs, and for nothing else. */
  ask() {
    const { state, layer } = this,
      subject = wire.subject(state);
    const open = state.view === "look" && layer;
    this.explanation.want({ subject });
    this.layerMaps.want(open ? { subject, layer: layer.name } : null);
    this.detail.want(open && state.map !== null ? { subject, layer: layer.name, map: state.map } : null);
    const deed = open && wire.stimulation(state, layer, this.report);
    this.answer.want(deed ? { subject, stimulation: deed } : null);
    const explains = this.explanation.value?.explained ?? null;
    const comparing = state.view === "compare" && state.second;
    const ready = comparing && (state.second.explain === "own" || explains !== null);
    if (ready || !comparing) this.second.want(ready ? { subject: wire.second(state, explains) } : null);
  }
}

async function explained(answer) {
  const layers = answer.layers.map((layer) => ({ ...layer, heatmap: decode(layer.heatmap) }));
  return { ...answer, layers, picture: await picture(answer.image) };
}

function layered(answer) {
  const { contributions, weights, peaks, energy, asr, layer_map: layerMap } = answer;
  return {
    ...answer,
    contributions: decode(contributions),
    weights: decode(weights),
    peaks: decode(peaks),
    energy: maybe(energy),
    asr: maybe(asr),
    layerMap: decode(layerMap),
  };
}

function detailed(answer) {
  const { activations, contributions, heatmap } = answer;
  return {
    ...answer,
    activations: decode(activations),
    contributions: decode(contributions),
    heatmap: decode(heatmap),
  };
}

function answered(answer) {
  const layers = answer.layers.map((layer) => ({
    name: layer.name,
    before: decode(layer.before),
    after: decode(layer.after),
    difference: decode(layer.difference),
  }));
  return { ...answer, layers };
}

function mount(app) {
  const main = document.getElementById("main"),
    side = document.getElementById("subject");
  mountHeader(app);
  side.append(...mountSubject(app), mountTrigger(app), mountPrediction(app));
  const look = el("div", { id: "look" }, mountCrumbs(app), mountLayers(app), mountGrid(app));
  look.append(el("div", { class: "bench", id: "bench" }, mountMap(app), mountStimulation(app), mountAnswer(app)));
  main.replaceChildren(look, mountCompare(app), mountScan(app));
  app.watch([], () => {
    look.hidden = app.state.view !== "look";
    document.getElementById("bench").hidden = app.state.map === null;
  });
  app.store.addEventListener("change", () => app.ask());
  app.explanation.addEventListener("change", () => app.ask());
  app.ask();
  const resources = [app.explanation, app.second, app.layerMaps, app.detail, app.answer];
  app.watch(resources, () => main.setAttribute("aria-busy", String(resources.some(({ loading }) => loading))));
}

async function start() {
  watchConnection();
  const main = document.getElementById("main");
  try {
    mount(new App(await get("session")));
    document.documentElement.dataset.ready = "yes";
  } catch (error) {
    const place = refusalPlace();
    place.show(error.message, () => location.reload());
    main.replaceChildren(place);
    if (error.status === undefined) throw error;
  }
}

start();
