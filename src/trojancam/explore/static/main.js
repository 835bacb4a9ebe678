/** The explorer: the view, what the server says of it, and the parts of the page that show both. */

import { get } from "./api.js";
import { mountAnswer } from "./answer.js";
import { maybe, decode } from "./arrays.js";
import { mountCompare } from "./compare.js";
import { onTurn } from "./colour.js";
import { mountCrumbs } from "./crumbs.js";
import { mountHint } from "./hint.js";
import { listenToKeys } from "./keys.js";
import { mountSaid } from "./said.js";
import { el } from "./dom.js";
import { mountExcitement } from "./excitement.js";
import { mountGrid } from "./grid.js";
import { mountHeader } from "./header.js";
import { picture } from "./heat.js";
import { mountLayers } from "./layers.js";
import { mountMap } from "./map.js";
import { refusalPlace, watchConnection } from "./notices.js";
import { mountPrediction } from "./prediction.js";
import { Resource } from "./resource.js";
import { mountRepair } from "./repair.js";
import { replayed } from "./replay.js";
import { mountScan } from "./scan.js";
import { settler } from "./settling.js";
import { mountSift } from "./sift.js";
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
    this.sides = [new Resource("layer", layered), new Resource("layer", layered)]; // of both sides of a comparison
    this.detail = new Resource("map", detailed);
    this.strongest = new Resource("strongest", excited);
    this.preferred = new Resource("preferred", excited);
    this.searches = { strongest: false, preferred: false }; // which of these two were asked for
    this.sifting = false; // whether the defences were asked
    this.answer = new Resource("stimulate", answered);
    this.replays = [new Resource("stimulate", answered), new Resource("stimulate", answered)]; // before and after a repair
    this.defences = new Map(session.defences.map(({ name }) => [name, new Resource("sift", sifted)]));
    this.report = this.reportOf = null; // of the scan that is shown, once it is finished, and the network scanned
    this.repaired = this.repairedFrom = null; // the network that a repair gave, and the one that it came from
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

  /**
   * A resource's answer where it is of the network, the image, the layer and the feature map that are open; else null. An
   * answer for another trigger or strength stays until the next is there: one who drags sees every answer on the way.
   */
  current(resource) {
    const { value, question } = resource,
      { state } = this;
    if (!value || !shows(question.subject, state)) return null;
    const layer = question.layer ?? question.stimulation?.layer;
    const elsewhere = (layer && layer !== state.layer) || (question.map !== undefined && question.map !== state.map);
    return elsewhere ? null : value;
  }

  /** The answer for the second side of a comparison, where it is of its network and image; else null. */
  get other() {
    const { value, question } = this.second;
    return value && shows(question.subject, this.state.second) ? value : null;
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
    const chosen = open && state.map !== null && { model: state.model, layer: layer.name, map: state.map };
    for (const [name, wanted] of Object.entries(this.searches)) this[name].want((wanted && chosen) || null);
    const deed = open && wire.stimulation(state, layer, this.report);
    this.answer.want(deed ? { subject, stimulation: deed } : null);
    const explains = this.explanation.value?.explained ?? null;
    const comparing = state.view === "compare" && state.second;
    const ready = comparing && (state.second.explain === "own" || explains !== null);
    if (ready || !comparing) this.second.want(ready ? { subject: wire.second(state, explains) } : null);
    this.#askBoth(comparing, explains);
    this.#askReplay();
    this.#askDefences();
  }

  /** The same stimulation on the network before and after its repair; the class explained is the first one's. */
  #askReplay() {
    const deed = replayed(this),
      subject = wire.subject(this.state);
    const first = deed && { subject: { ...subject, model: this.repairedFrom }, stimulation: deed };
    this.replays[0].want(first);
    const explain = subject.explain ?? this.replays[0].value?.explained;
    const second = first && explain !== undefined && { subject: { ...subject, model: this.repaired.id, explain }, stimulation: deed };
    this.replays[1].want(second || null);
  }

  /** One defence after the other, so that the rest of the page is answered meanwhile. */
  #askDefences() {
    const { state } = this,
      open = this.sifting && state.view === "look" && !state.layer;
    let ready = open;
    for (const [defence, source] of this.defences) {
      source.want(ready ? { subject: wire.subject({ ...state, explain: null }), defence } : null);
      ready &&= !source.loading;
    }
  }

  /** The feature maps of one layer of each side, where one is open in the comparison. */
  #askBoth(comparing, explains) {
    const { state } = this,
      open = comparing && state.both !== null && explains !== null;
    const models = [this.model, comparing ? this.modelOf(state.second.model) : null];
    this.sides.forEach((side, at) => {
      const layer = open ? models[at].layers[state.both] : null;
      side.want(layer ? { subject: at ? wire.second(state, explains) : wire.subject(state), layer: layer.name } : null);
    });
  }
}

/** Whether a question is about this network and image. */
function shows(subject, { model, image }) {
  return subject.model === model && JSON.stringify(subject.image) === JSON.stringify(wire.picture(image));
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

/** What excites a feature map; the question says which one it is of. */
async function excited(answer) {
  return answer.image ? { ...answer, picture: await picture(answer.image) } : answer;
}

function sifted(answer) {
  return { ...answer, place: maybe(answer.place) };
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
  const look = el("div", { id: "look" }, mountHint(app), mountCrumbs(app), mountSaid(app), mountLayers(app), mountSift(app), mountGrid(app));
  look.append(el("div", { class: "bench", id: "bench" }, mountMap(app), mountStimulation(app), mountAnswer(app), mountExcitement(app)));
  main.replaceChildren(look, mountCompare(app), mountScan(app), mountRepair(app));
  app.watch([], () => {
    look.hidden = app.state.view !== "look";
    document.getElementById("bench").hidden = app.state.map === null;
  });
  app.store.addEventListener("change", () => app.ask());
  for (const source of [app.explanation, ...app.replays, ...app.defences.values()])
    source.addEventListener("change", () => app.ask());
  app.ask();
  listenToKeys(app);
  onTurn(() => app.store.tell());
  const resources = [app.explanation, app.second, app.layerMaps, ...app.sides, app.detail, app.answer, app.strongest, app.preferred, ...app.replays];
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
