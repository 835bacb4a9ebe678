/** Choosing an image: thumbnails of the data set, page by page, of all classes or one. */

import { get } from "./api.js";
import { openDialog } from "./dialog.js";
import { el, field, options, write } from "./dom.js";
import { refusalPlace } from "./notices.js";
import { Latest } from "./latest.js";

const PAGE = 60,
  ACROSS = 10,
  SHOWN = 60;

/** Open the chooser; `take` is given the image that was chosen. */
export function chooseImage(app, model, take) {
  const splits = Object.keys(app.session.data.splits),
    latest = new Latest();
  const view = { split: splits[0], start: 0, class: "" };
  const tiles = el("div", { class: "tiles", "aria-label": "Images", role: "group" }),
    line = el("span", { class: "quiet" }),
    place = refusalPlace();
  const classes = el("select", { onChange: () => show({ class: classes.value, start: 0 }) });
  options(classes, [["", "all classes"], ...model.classes.map((name, at) => [at, name])], "");
  const back = el("button", { type: "button", onClick: () => show({ start: view.start - PAGE }) }, "‹ Previous");
  const on = el("button", { type: "button", onClick: () => show({ start: view.start + PAGE }) }, "Next ›");
  const dialog = openDialog(
    "Choose an image",
    el("div", { class: "row end apart" }, el("div", { class: "grow" }, field("Class", classes)), back, on),
    line,
    place,
    tiles,
  );

  async function show(change = {}) {
    Object.assign(view, change);
    try {
      const page = await latest.run((signal) =>
        get(`images?${new URLSearchParams({ model: model.id, count: PAGE, ...view })}`, { signal }),
      );
      if (!page) return;
      place.show("");
      back.disabled = view.start === 0;
      on.disabled = view.start + PAGE >= page.total;
      const last = Math.min(view.start + PAGE, page.total);
      write(line, page.total ? `${view.start + 1} to ${last} of ${page.total}` : "There is no image of this class.");
      const choose = ({ index }) => {
        dialog.close();
        take({ split: view.split, index });
      };
      tiles.replaceChildren(...tilesOf(page, model.classes, choose));
    } catch (error) {
      place.show(error.message, () => show());
    }
  }

  return show();
}

/** Buttons with a thumbnail each, cut from the atlas of a page of images; `words` say what stands below. */
export function tilesOf(page, classes, take, words = ({ index }) => String(index)) {
  const columns = Math.min(ACROSS, page.images.length),
    tall = (SHOWN * page.tile[0]) / page.tile[1];
  return page.images.map((image, at) => {
    const thumb = el("span", { class: "thumb" }),
      name = classes[image.label] ?? `class ${image.label}`;
    thumb.style.backgroundImage = `url("${page.atlas}")`;
    thumb.style.backgroundSize = `${columns * SHOWN}px auto`;
    thumb.style.backgroundPosition = `${-SHOWN * (at % ACROSS)}px ${-tall * Math.floor(at / ACROSS)}px`;
    const given = { type: "button", title: name, "aria-label": `Image ${image.index}: ${name}`, onClick: () => take(image) };
    return el("button", given, thumb, words(image));
  });
}
