/** Taking a view along: as Python code that gives the same numbers, as a picture, as JSON. */

import { post, request } from "./api.js";
import { copy } from "./clipboard.js";
import { openDialog } from "./dialog.js";
import { el } from "./dom.js";
import { toast } from "./notices.js";
import { whole } from "./numbers.js";
import * as wire from "./wire.js";

/** What the view is in the server's words: one question, or, in a comparison, one for each side. */
function questions(app) {
  const { state, layer, report } = app;
  if (state.view !== "compare") return [["", wire.view(state, layer, report)]];
  const explained = app.explanation.value?.explained ?? null;
  return [
    ["first", wire.explained(state, wire.subject(state))],
    ["second", wire.explained(state, wire.second(state, explained))],
  ];
}

export function saveCode(app) {
  return telling(async () => {
    const parts = [];
    for (const [side, question] of questions(app)) {
      const { python } = await post("code", question);
      parts.push(side ? `# The ${side} side of the comparison.\n${python}` : python);
    }
    showCode(parts.join("\n\n"));
  });
}

function showCode(python) {
  const button = el("button", { type: "button", class: "primary", onClick: () => copy(python, "Code") }, "Copy code");
  const code = el("pre", { tabIndex: 0, role: "region", "aria-label": "Python code" }, el("code", {}, python));
  openDialog(
    "The same result in Python",
    el("p", { class: "quiet words" }, "Run it where TrojanCAM is installed; it gives the numbers that the page shows."),
    code,
    el(
      "div",
      { class: "row" },
      button,
      el("button", { type: "button", onClick: () => save(new Blob([python]), "view.py") }, "Save as view.py"),
    ),
  );
}

export const savePicture = (app) => exported(app, "png");
export const saveNumbers = (app) => exported(app, "json");

function exported(app, format) {
  return telling(async () => {
    for (const [side, question] of questions(app)) {
      const response = await request("POST", `export?format=${format}`, { json: question });
      const name =
        /filename="?([^";]+)"?/.exec(response.headers.get("Content-Disposition") ?? "")?.[1] ?? `view.${format}`;
      save(await response.blob(), side ? name.replace(/(\.\w+)$/, `-${side}$1`) : name);
    }
  });
}

/** Hand a file to the person. */
export function save(blob, name) {
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Do it, or say in a dialog why it could not be done. */
export async function telling(deed) {
  try {
    return await deed();
  } catch (error) {
    if (error.name === "AbortError") return null;
    if (error.status === undefined) throw error;
    if (error.status === 0) toast(error.message);
    else openDialog("That did not work", el("p", { class: "refusal", role: "alert" }, whole(error.message)));
    return null;
  }
}
