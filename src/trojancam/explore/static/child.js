/** A scan or a repair on the page: begun, followed, cancelled, with its progress and a way to its report. */

import { address, post, request } from "./api.js";
import { el, write } from "./dom.js";
import { follow } from "./following.js";
import { refusalPlace } from "./notices.js";
import { roughly, whole } from "./numbers.js";
import { telling } from "./share.js";

/**
 * The controls of one kind of child. `name` is the name in the view of the one that is shown, `path` where it is asked for,
 * `wanted()` what it is begun with, `settings` an element with fields; `show(status)` and `refused(sentence)` hear how it goes.
 */
export function child(app, { name, path, noun, settings, wanted, show, refused }) {
  const place = refusalPlace(),
    line = el("p", { "aria-live": "polite" }),
    bar = progress(`Progress of the ${noun}`),
    shown = { id: undefined, status: null };
  let starting = false;
  const start = el(
    "button",
    { type: "button", class: "primary", id: `start-${noun}`, onClick: () => begin() },
    `Start the ${noun}`,
  );
  const cancel = el(
    "button",
    { type: "button", id: `cancel-${noun}`, onClick: () => telling(() => request("DELETE", `${path}/${shown.id}`)) },
    "Cancel",
  );
  const page = el("a", { class: "button", target: "_blank", rel: "noopener" }, "Open the report page");
  const row = el("div", { class: "row" }, cancel, page),
    status = el("div", { class: "stack" }, line, bar.element, row);

  async function begin() {
    place.show("");
    starting = true;
    check();
    try {
      watch((await post(path, wanted())).id);
    } catch (error) {
      if (error.scan) place.show(error.message, () => watch(error.scan), `Look at the running ${noun}`);
      else place.show(error.message, begin);
    }
    starting = false;
    check();
  }

  const watch = (id) => app.store.set({ [name]: id }, { step: true });

  /** Nothing is started while a setting is none. */
  function check() {
    start.disabled = starting || Boolean(settings.querySelector("[aria-invalid=true]"));
  }
  for (const event of ["input", "change", "focusout"]) settings.addEventListener(event, check);

  function draw() {
    const { status: now } = shown,
      running = now?.state === "running";
    status.hidden = !now;
    start.hidden = running;
    cancel.hidden = !running;
    page.hidden = now?.state !== "finished";
    page.href = address(`${path}/${shown.id}/page`);
    settings.disabled = running;
    bar.element.hidden = !running;
    show(now);
    if (!now) return;
    bar.show(now);
    const left = running && now.seconds_left !== null ? ` ${whole(roughly(now.seconds_left))}` : "";
    write(line, whole(now.message || `the ${noun} is ${now.state}`) + left);
  }

  app.watch([], () => {
    check();
    const id = app.state[name];
    if (id === shown.id) return;
    Object.assign(shown, { id, status: null });
    place.show("");
    follow(
      path,
      id,
      (now) => {
        if (app.state[name] !== id) return;
        shown.status = now;
        draw();
      },
      (error) => {
        place.show(error.message);
        refused(error.message);
      },
    );
    draw();
  });
  return { parts: [el("div", {}, start), place, status], row };
}

function progress(label) {
  const filled = el("span"),
    element = el(
      "div",
      { class: "progress", role: "progressbar", "aria-label": label, "aria-valuemin": "0", "aria-valuemax": "100" },
      filled,
    );
  const show = ({ done, total }) => {
    const share = total ? Math.min(1, done / total) : 0;
    filled.style.width = `${100 * share}%`;
    element.setAttribute("aria-valuenow", String(Math.round(100 * share)));
  };
  return { element, show };
}
