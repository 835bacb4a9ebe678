/** The image as the network sees it, and on it the trigger's frame: dragged, resized by its handle, or moved by keys. */

import { el } from "./dom.js";
import { clear, drawPicture } from "./heat.js";
import { refusalPlace } from "./notices.js";

const KEYS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/** The image, the trigger's frame over it, and a place for what is wrong with both. */
export function mountImage(app) {
  const canvas = el("canvas", { role: "img" }),
    place = refusalPlace();
  const square = el("div", { class: "trigger", tabIndex: 0, role: "application" }, el("div", { class: "handle" }));
  const change = (patch) => app.store.set({ trigger: { ...app.state.trigger, ...patch } });
  drag(app, square, canvas, change);
  square.addEventListener("keydown", (event) => {
    const step = KEYS[event.key];
    if (!step) return;
    event.preventDefault();
    const { row, column, height, width } = app.state.trigger;
    if (event.shiftKey) change({ height: Math.max(1, height + step[0]), width: Math.max(1, width + step[1]) });
    else change({ row: Math.max(0, row + step[0]), column: Math.max(0, column + step[1]) });
  });
  app.watch([app.explanation], () => {
    const { trigger, triggered } = app.state,
      [rows, columns] = app.model.size,
      value = app.current(app.explanation);
    if (value) drawPicture(canvas, value.picture);
    else if (!canvas.dataset.drawn) canvas.height = canvas.width = columns;
    else clear(canvas);
    canvas.classList.toggle("waiting", !value);
    canvas.dataset.drawn = "yes";
    canvas.setAttribute("aria-label", `The image as the network sees it${triggered ? ", with the trigger" : ""}`);
    place.show(app.explanation.error, () => app.explanation.again());
    square.hidden = !triggered;
    if (!triggered) return;
    const share = (part, whole) => `${(100 * part) / whole}%`;
    Object.assign(square.style, {
      top: share(trigger.row, rows),
      left: share(trigger.column, columns),
      height: share(trigger.height, rows),
      width: share(trigger.width, columns),
    });
    square.setAttribute(
      "aria-label",
      `Trigger at row ${trigger.row}, column ${trigger.column}, ${trigger.height} by ${trigger.width} pixels. ` +
        "Arrow keys move it, with Shift they resize it.",
    );
  });
  return el("div", { class: "stack" }, el("div", { class: "image", id: "image" }, canvas, square), place);
}

/** Drag the square to move it, its handle to resize it; in whole pixels of the image. */
function drag(app, square, canvas, change) {
  let begun = null;
  square.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    event.preventDefault();
    square.focus({ preventScroll: true });
    square.setPointerCapture(event.pointerId);
    begun = { x: event.clientX, y: event.clientY, trigger: app.state.trigger, sizing: event.target !== square };
  });
  square.addEventListener("pointermove", (event) => {
    if (!begun) return;
    const pixel = canvas.getBoundingClientRect().width / app.model.size[1],
      { trigger } = begun,
      [rows, columns] = app.model.size;
    const down = Math.round((event.clientY - begun.y) / pixel),
      across = Math.round((event.clientX - begun.x) / pixel);
    const within = (value, least, greatest) => Math.min(greatest, Math.max(least, value));
    const patch = begun.sizing
      ? {
          height: within(trigger.height + down, 1, rows - trigger.row),
          width: within(trigger.width + across, 1, columns - trigger.column),
        }
      : {
          row: within(trigger.row + down, 0, rows - trigger.height),
          column: within(trigger.column + across, 0, columns - trigger.width),
        };
    if (Object.entries(patch).some(([name, value]) => app.state.trigger[name] !== value)) change(patch);
  });
  for (const end of ["pointerup", "pointercancel"])
    square.addEventListener(end, () => {
      begun = null;
    });
}
