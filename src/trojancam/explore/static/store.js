/** Store: the one place that holds the view; it tells who listens, and keeps the address up to date. */

import { format, parse } from "./state.js";

const REST = 250; // ms without a change before the address is rewritten: browsers slow pages down that do it at every step

export class Store extends EventTarget {
  #timer = 0;

  /** @param {(state: object, patch?: object) => object} settle makes a view whole: what is missing or unknown gets its default */
  constructor(settle) {
    super();
    this.settle = settle;
    this.state = settle(parse(location.hash));
    window.addEventListener("popstate", () => this.#restore());
    window.addEventListener("hashchange", () => this.#restore());
  }

  /** Change the view; `step` makes it one that the back button returns from. */
  set(patch, { step = false } = {}) {
    if (step) this.#write();
    this.state = this.settle({ ...this.state, ...patch }, patch);
    if (step) {
      history.pushState(null, "", this.link());
      window.scrollTo({ top: Math.min(window.scrollY, document.getElementById("main").offsetTop) });
    } else {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#write(), REST);
    }
    this.tell();
  }

  /** Settle anew, because what exists has changed. */
  refresh() {
    this.state = this.settle(this.state);
    this.tell();
  }

  /** The address that restores this view. */
  link() {
    return `${location.pathname}${location.search}#${format(this.state)}`;
  }

  tell() {
    this.dispatchEvent(new Event("change"));
  }

  #write() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    history.replaceState(null, "", this.link());
  }

  #restore() {
    clearTimeout(this.#timer);
    this.state = this.settle(parse(location.hash));
    this.tell();
  }
}
