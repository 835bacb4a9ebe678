/** Feature maps that are stimulated together, as a person writes them. */

import { el, field, write } from "./dom.js";

/** Feature maps in a sentence. */
export function inWords(maps) {
  return maps.length === 1 ? `feature map ${maps[0]}` : `feature maps ${maps.join(", ")}`;
}

/** A field for their numbers; `change` is told them when they are some. */
export function chosenMaps(app, change) {
  const input = el("input", { type: "text", inputMode: "text", autocomplete: "off", spellcheck: false });
  const problem = el("span", { class: "small alarm", role: "alert" });
  input.addEventListener("input", () => {
    const count = app.layer.feature_maps,
      found = read(input.value, count);
    write(problem, found ? "" : `Give numbers from 0 to ${count - 1} with commas between them, each once, or “all”.`);
    input.setAttribute("aria-invalid", String(!found));
    if (found) change({ maps: found });
  });
  const element = el("div", {}, field("Feature maps stimulated together", input), problem);
  const show = ({ maps, map }) => {
    if (document.activeElement === input) return;
    input.value = maps === "all" ? "all" : (maps ?? [map]).join(", ");
    input.removeAttribute("aria-invalid");
    write(problem, "");
  };
  return { element, show };
}

/** Numbers of feature maps as a person writes them; null where they are not. */
function read(text, count) {
  if (text.trim() === "all") return "all";
  const parts = text.split(",").map((part) => part.trim());
  if (!parts.every((part) => /^\d+$/.test(part) && Number(part) < count)) return null;
  return new Set(parts).size === parts.length ? parts.map(Number) : null;
}
