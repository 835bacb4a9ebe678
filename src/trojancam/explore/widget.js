/** The widget in a notebook: sliders, and the picture and the sentence that Python makes of them. */

const SLIDERS = [
  ["image", "Image", "last_image"],
  ["layer", "Layer", "last_layer"],
  ["feature_map", "Feature map", "last_map"],
  ["strength", "Strength", "most"],
];

function render({ model, el }) {
  el.classList.add("trojancam-widget");
  const picture = document.createElement("img"),
    words = document.createElement("p"),
    controls = document.createElement("div");
  controls.className = "controls";
  words.setAttribute("aria-live", "polite");
  const shows = SLIDERS.map(([name, title, most]) => slider(model, controls, name, title, most));
  const show = () => {
    picture.src = model.get("picture");
    picture.alt = words.textContent = model.get("words");
    for (const each of shows) each();
  };
  model.on("change", show);
  el.append(picture, words, controls);
  show();
  return () => model.off("change", show);
}

function slider(model, controls, name, title, most) {
  const label = document.createElement("label"),
    input = document.createElement("input"),
    value = document.createElement("output");
  Object.assign(input, { type: "range", min: 0, step: name === "strength" ? 0.1 : 1 });
  input.addEventListener("input", () => {
    model.set(name, Number(input.value));
    model.save_changes();
  });
  label.append(title, input, value);
  controls.append(label);
  return () => {
    input.max = model.get(most);
    input.value = model.get(name);
    value.textContent = name === "layer" ? model.get("layer_name") : String(Number(model.get(name).toFixed(1)));
  };
}

export default { render };
