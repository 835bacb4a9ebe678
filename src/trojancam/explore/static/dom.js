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

/** A number that is told when it is one and lies within its limits. */
export function numberField(label, limits, onChange) {
  const input = el("input", { type: "number", step: "1", ...limits });
  input.addEventListener("input", () => {
    if (input.value !== "" && input.checkValidity()) onChange(Number(input.value));
  });
  const element = field(label, input);
  element.input = input;
  element.show = (value) => {
    if (document.activeElement !== input || input.value === "") input.value = String(value);
  };
  return element;
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
