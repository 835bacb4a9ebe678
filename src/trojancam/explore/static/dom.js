/** Elements: made in one expression, and the few controls that the page has many of. */

/**
 * An element with attributes, listeners and children. `onClick` and the like are listeners; `class`, `aria-label` and so
 * on are attributes; false and null leave an attribute out; everything else that the element knows is a property.
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2).toLowerCase(), value);
    else if (name in element && !name.includes("-") && name !== "list") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Set an attribute, or take it away. */
export function mark(element, name, value) {
  if (value === null || value === false) element.removeAttribute(name);
  else element.setAttribute(name, value === true ? "true" : value);
}

/** Text that is only touched where it changes, so that live regions are not read again. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** The same for text with elements in it. */
export function rewrite(element, parts) {
  const text = parts.map((part) => part.textContent ?? part).join("");
  if (element.textContent !== text) element.replaceChildren(...parts);
}

let numbered = 0;

/** One of several, as joined buttons: a radio group. `set(value)` chooses without telling `onChange`. */
export function segments(label, options, onChange, { wide = false } = {}) {
  const name = `segments-${++numbered}`;
  const inputs = options.map(([value]) => el("input", { type: "radio", name, value, onChange: () => onChange(value) }));
  const labels = options.map(([, words], at) => el("label", {}, inputs[at], words));
  const element = el("fieldset", { class: `segments${wide ? " wide" : ""}` }, el("legend", {}, label), labels);
  element.choose = (value) =>
    inputs.forEach((input) => {
      input.checked = input.value === value;
    });
  element.enable = (value, enabled) =>
    inputs.forEach((input) => {
      if (input.value === value) input.disabled = !enabled;
    });
  return element;
}

/** A labelled control. */
export function field(label, control) {
  return el("label", { class: "field" }, el("span", {}, label), control);
}

/**
 * A whole number that is told while it lies within its limits, `min` and `max`. Where it does not, what was there before the
 * typing counts, for what was typed so far is no number that anybody meant; once the field is left, the nearest one counts.
 */
export function numberField(label, limits, onChange) {
  const input = el("input", { type: "number", step: "1", ...limits }),
    problem = el("span", { class: "small alarm", role: "alert", id: `problem-${++numbered}` });
  let typing = false,
    kept = null, // what it was before the typing
    told = null;
  const tell = (value) => {
    if (value !== told) onChange((told = value));
  };
  const judge = () => {
    const good = !typing || (input.value !== "" && input.checkValidity());
    write(problem, good ? "" : `${label}: give a whole number from ${input.min} to ${input.max}.`);
    mark(input, "aria-invalid", !good);
    return good;
  };
  input.setAttribute("aria-describedby", problem.id);
  input.addEventListener("input", () => {
    typing = true;
    tell(judge() ? Number(input.value) : kept);
  });
  for (const left of ["change", "blur"])
    input.addEventListener(left, () => {
      if (!typing) return;
      const value = input.checkVisibility() ? nearest(input, kept) : told; // what has gone with its view is not taken
      typing = false;
      tell(value);
      element.show(value);
    });
  const element = el("div", { class: "number-field" }, field(label, input), problem);
  element.input = input;
  element.show = (value) => {
    if (typing && value === told) return;
    typing = false; // it was changed elsewhere meanwhile
    kept = told = value;
    input.value = String(value);
    judge();
  };
  return element;
}

/** The whole number within the limits that is nearest to what was typed; `otherwise` where that is no number. */
function nearest(input, otherwise) {
  if (input.value === "") return otherwise;
  return Math.max(Number(input.min), Math.min(Number(input.max), Math.round(Number(input.value))));
}

/** A switch with words beside it. */
export function check(words, onChange) {
  const input = el("input", { type: "checkbox", onChange: () => onChange(input.checked) });
  const element = el("label", { class: "check" }, input, words);
  element.input = input;
  return element;
}

/** The options of a select element, as `[value, words]`; untouched where they are the same already. */
export function options(select, pairs, chosen) {
  const key = JSON.stringify(pairs);
  if (select.dataset.key !== key) {
    select.replaceChildren(...pairs.map(([value, words]) => el("option", { value }, words)));
    select.dataset.key = key;
  }
  select.value = String(chosen);
}
