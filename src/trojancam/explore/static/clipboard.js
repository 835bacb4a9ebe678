/** Copying text, also where the browser gives pages no clipboard: without encryption, from another machine. */

import { toast } from "./notices.js";

export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    toast(`${what} copied.`);
  } catch {
    toast(
      byHand(text)
        ? `${what} copied.`
        : `The browser refused the clipboard; select ${what.toLowerCase()} and copy it by hand.`,
    );
  }
}

function byHand(text) {
  const area = document.createElement("textarea");
  area.value = text;
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  return copied;
}
