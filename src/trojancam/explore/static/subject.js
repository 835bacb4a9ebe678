/** The subject: which network looks at which image. */

import { chooseImage } from "./images.js";
import { el, field, options, write } from "./dom.js";
import { count, extent, whole } from "./numbers.js";
import { openNetwork } from "./opening.js";
import { mountImage } from "./placing.js";
import { telling } from "./share.js";
import { uploadImage } from "./uploads.js";

/** The sections for the network and the image. */
export function mountSubject(app) {
  return [network(app), image(app)];
}

function network(app) {
  const select = el("select", {
    id: "model",
    onChange: () => app.store.set({ model: select.value, explain: null }, { step: true }),
  });
  const notes = el("div", { class: "stack" }),
    facts = el("p", { class: "small quiet" });
  const file = el("input", {
    type: "file",
    hidden: true,
    "aria-label": "Model file",
    onChange: () => {
      const [chosen] = file.files;
      file.value = "";
      if (chosen) openNetwork(app, chosen);
    },
  });
  const open = el("button", { type: "button", onClick: () => file.click() }, "Open…");
  app.watch([], () => {
    const { model } = app;
    options(
      select,
      app.session.models.map(({ id, name }) => [id, name]),
      model.id,
    );
    const maps = model.layers.reduce((sum, layer) => sum + layer.feature_maps, 0);
    const layers = `${count(model.layers.length, "layer")} with ${count(maps, "feature map")}`;
    write(facts, `${model.classes.length} classes, ${layers}, images of ${extent(model.size)} pixels`);
    if (notes.dataset.model !== model.id)
      notes.replaceChildren(...(model.notes ?? []).map((note) => el("p", { class: "note" }, whole(note))));
    notes.dataset.model = model.id;
  });
  return el(
    "section",
    { class: "stack", "aria-label": "Network" },
    el("div", { class: "row end" }, el("div", { class: "grow" }, field("Network", select)), open, file),
    facts,
    notes,
  );
}

function image(app) {
  const title = el("div", { class: "name" }),
    source = el("div", { class: "small quiet" });
  const file = el("input", {
    type: "file",
    accept: "image/*",
    hidden: true,
    "aria-label": "Image file",
    onChange: () =>
      telling(async () => {
        const [chosen] = file.files;
        file.value = "";
        if (chosen) await uploadImage(app, chosen);
      }),
  });
  const step = (by, words, label) =>
    el("button", { type: "button", "aria-label": label, title: label, onClick: () => move(app, by) }, words);
  const back = step(-1, "‹", "Previous image"),
    on = step(1, "›", "Next image");
  app.watch([app.explanation], () => {
    const { image: chosen } = app.state,
      label = app.current(app.explanation)?.label;
    write(
      title,
      label === null || label === undefined
        ? chosen.upload
          ? "Your own image"
          : " "
        : (app.model.classes[label] ?? `class ${label}`),
    );
    write(
      source,
      chosen.upload ? "uploaded; without a class of its own" : `${chosen.split} image ${chosen.index} of ${total(app)}`,
    );
    back.disabled = Boolean(chosen.upload) || chosen.index === 0;
    on.disabled = Boolean(chosen.upload) || chosen.index + 1 >= total(app);
  });
  return el(
    "section",
    { "aria-label": "Image" },
    mountImage(app),
    el("div", { class: "image-line" }, title, source),
    el(
      "div",
      { class: "row" },
      back,
      on,
      el(
        "button",
        {
          type: "button",
          class: "grow",
          onClick: () => chooseImage(app, app.model, (image) => app.store.set({ image }, { step: true })),
        },
        "Choose…",
      ),
      el("button", { type: "button", onClick: () => file.click() }, "Upload…"),
      file,
    ),
  );
}

function total(app) {
  return app.session.data.splits[app.state.image.split] ?? 0;
}

function move(app, by) {
  const { split, index } = app.state.image;
  app.store.set({ image: { split, index: index + by } });
}
