/** The views, and what can be taken along: the link, the Python code, a picture, the numbers. */

import { copy } from "./clipboard.js";
import { el, mark } from "./dom.js";
import { saveCode, savePicture, saveNumbers } from "./share.js";

const VIEWS = [
  ["look", "Look"],
  ["compare", "Compare"],
  ["scan", "Scan"],
  ["repair", "Repair"],
];

export function mountHeader(app) {
  const tabs = VIEWS.map(([view, words]) => [
    view,
    el("button", { type: "button", class: "plain", onClick: () => app.store.set({ view }, { step: true }) }, words),
  ]);
  document.getElementById("views").append(...tabs.map(([, tab]) => tab));
  const button = (words, title, onClick) => el("button", { type: "button", title, onClick }, words);
  document.getElementById("share").append(
    button("Copy link", "The address that restores this view", () => copy(location.origin + app.store.link(), "Link")),
    button("Python", "The same result as Python code", () => saveCode(app)),
    button("PNG", "This view as a picture", () => savePicture(app)),
    button("JSON", "This view's numbers", () => saveNumbers(app)),
  );
  app.watch([], () => tabs.forEach(([view, tab]) => mark(tab, "aria-current", view === app.state.view && "page")));
}
