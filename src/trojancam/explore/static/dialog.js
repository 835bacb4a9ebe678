/** A dialog with a title, closed by its button, by Escape or by a click beside it. */

import { el } from "./dom.js";

export function openDialog(title, ...body) {
  const close = el(
    "button",
    { type: "button", class: "plain", "aria-label": "Close", onClick: () => dialog.close() },
    "Close",
  );
  const dialog = el(
    "dialog",
    { "aria-label": title },
    el("header", {}, el("h2", {}, title), close),
    el("div", { class: "body" }, ...body),
  );
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
