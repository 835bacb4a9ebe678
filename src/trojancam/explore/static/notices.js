/** What went wrong, as sentences on the page: beside what failed, above the page, or for a moment. */

import { connection } from "./api.js";
import { el, write } from "./dom.js";
import { whole } from "./numbers.js";

/** A place for a sentence, with a way out: to try again, or what `words` say. */
export function refusalPlace() {
  const element = el("div", { role: "alert" });
  element.show = (sentence, again, words = "Try again") => {
    const key = sentence || "";
    if (element.dataset.sentence === key) return;
    element.dataset.sentence = key;
    element.replaceChildren();
    if (!sentence) return;
    const button = again && el("button", { type: "button", class: "link", onClick: again }, words);
    element.append(el("p", { class: "refusal" }, el("span", {}, whole(sentence)), ...(button ? [button] : [])));
  };
  return element;
}

/** A sentence that goes by itself. */
export function toast(sentence) {
  const line = el("p", {}, whole(sentence));
  document.getElementById("toasts").append(line);
  setTimeout(() => line.remove(), 4000);
}

/** Say when the server is gone, and when it is back. */
export function watchConnection() {
  const banner = document.getElementById("banner");
  connection.addEventListener("gone", () => {
    document.documentElement.dataset.gone = "yes";
    banner.textContent =
      "The explorer's server does not answer; was it stopped? Start it again with “trojancam explore”: " +
      "this page looks for it every two seconds and then goes on.";
  });
  connection.addEventListener("shut", ({ detail }) => write(banner, whole(detail)));
  connection.addEventListener("back", () => {
    delete document.documentElement.dataset.gone;
    banner.textContent = "";
    toast("The explorer answers again.");
  });
}
