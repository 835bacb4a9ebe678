/** Numbers and names as the page writes them. */

const MINUS = "−";

/** Three significant digits; nothing where there is no number. */
export function short(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const digits = size >= 1000 || size < 0.001 ? value.toExponential(1) : String(Number(value.toPrecision(3)));
  return digits.replace(/-/g, MINUS);
}

/** So many digits after the point. */
export function fixed(value, digits = 2) {
  return value === null || value === undefined || Number.isNaN(value) ? "–" : value.toFixed(digits).replace("-", MINUS);
}

/** A share in per cent, with one digit. */
export function percent(share) {
  return share === null || share === undefined || Number.isNaN(share) ? "–" : `${(100 * share).toFixed(1)} %`;
}

/** Rows by columns. */
export function extent([rows, columns]) {
  return `${rows} × ${columns}`;
}

/** A time to come, roughly. */
export function roughly(seconds) {
  if (seconds < 90) return `about ${Math.max(1, Math.round(seconds))} s left`;
  return `about ${Math.round(seconds / 60)} min left`;
}

/** The places of the greatest values, greatest first. */
export function greatest(values, count) {
  return [...values.keys()].sort((a, b) => values[b] - values[a] || a - b).slice(0, count);
}

/** The plural where it is not one. */
export function count(number, thing) {
  return `${number} ${thing}${number === 1 ? "" : "s"}`;
}

/** A server's sentence as a page writes sentences: with a capital and a full stop. */
export function whole(sentence) {
  const text = sentence.trim();
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? "" : ".");
}
