/** Painted cells as text for links: one bit a cell, row by row, in base64 as addresses may hold it. */

/** @param {Uint8Array} cells @returns {string} */
export function pack(cells) {
  const bytes = new Uint8Array(Math.ceil(cells.length / 8));
  cells.forEach((on, at) => {
    if (on) bytes[at >> 3] |= 128 >> (at & 7);
  });
  return btoa(String.fromCharCode(...bytes))
    .replace(/\+/g, "-")
    .replace(/\//g, "_")
    .replace(/=+$/, "");
}

/** The cells that `pack` wrote; what is damaged or too short counts as not painted. */
export function unpack(text, count) {
  const cells = new Uint8Array(count);
  let bytes = "";
  try {
    bytes = atob((text ?? "").replace(/-/g, "+").replace(/_/g, "/"));
  } catch {
    return cells;
  }
  for (let at = 0; at < Math.min(count, 8 * bytes.length); at++) {
    cells[at] = (bytes.charCodeAt(at >> 3) >> (7 - (at & 7))) & 1;
  }
  return cells;
}
