/** Opening a network: what its file alone may not say, asked before it is sent. */

import { openDialog } from "./dialog.js";
import { el } from "./dom.js";
import { refusalPlace } from "./notices.js";
import { openFile } from "./uploads.js";

const QUESTIONS = [
  {
    name: "architecture",
    words: "Architecture",
    hint: "For weights alone: a registered name, timm:NAME or torchvision:NAME.",
    known: "architectures",
  },
  {
    name: "preprocessing",
    words: "How it is fed",
    hint: "As the file says when empty; else the name of a usual way, such as rgb-imagenet or bgr-unit.",
    known: "preprocessings",
  },
  {
    name: "output",
    words: "Output",
    hint: "The name or number of the output that holds the logits, where there are several.",
  },
];

/** Ask what there is to say of a network's file, and open it; a refusal leaves the dialog open, with its sentence. */
export function openNetwork(app, file) {
  const questions = QUESTIONS.map((question) => ask(question, app.session[question.known] ?? [])),
    place = refusalPlace(),
    given = new AbortController();
  const open = el("button", { type: "submit", class: "primary" }, "Open");
  const cancel = el("button", { type: "button", onClick: () => dialog.close() }, "Cancel");
  const form = el(
    "form",
    { class: "stack asked", noValidate: true, onSubmit: (event) => send(event) },
    el("p", { class: "file" }, file.name),
    questions.map(({ element }) => element),
    place,
    el("div", { class: "row" }, open, cancel),
  );
  const dialog = openDialog("Open a network", form);
  dialog.addEventListener("close", () => given.abort());
  open.focus();

  async function send(event) {
    event.preventDefault();
    if (open.disabled) return;
    busy(true);
    place.show("");
    try {
      const said = Object.fromEntries(questions.map(({ name, input }) => [name, input.value.trim()]));
      await openFile(app, file, said, given.signal);
      dialog.close();
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error.status === undefined) throw error;
      place.show(error.message);
    } finally {
      busy(false);
    }
  }

  function busy(on) {
    open.disabled = on;
    open.textContent = on ? "Opening …" : "Open";
  }
}

/** A field that may stay empty, with a hint below it and names to choose from, where the session gives some. */
function ask({ name, words, hint, known }, names) {
  const input = el("input", {
    type: "text",
    id: `asked-${name}`,
    "aria-describedby": `hint-${name}`,
    autocomplete: "off",
    spellcheck: false,
    list: names.length ? `known-${known}` : null,
  });
  const list = names.length
    ? el(
        "datalist",
        { id: `known-${known}` },
        names.map((value) => el("option", { value })),
      )
    : null;
  const element = el(
    "div",
    { class: "field" },
    el("label", { htmlFor: input.id }, words, el("span", { class: "quiet" }, " (optional)")),
    input,
    el("p", { class: "small quiet", id: `hint-${name}` }, hint),
    list,
  );
  return { name, input, element };
}
