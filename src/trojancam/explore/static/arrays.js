/** Arrays as they come over the wire: a shape, and little-endian float32 in base64. */

/** @typedef {{shape: number[], values: Float32Array}} Values */

/** @returns {Values} */
export function decode({ shape, data }) {
  const text = atob(data);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  const view = new DataView(bytes.buffer);
  const values = new Float32Array(bytes.length / 4);
  for (let at = 0; at < values.length; at++) values[at] = view.getFloat32(4 * at, true);
  return { shape, values };
}

/** The same, or null where there is none. */
export function maybe(array) {
  return array ? decode(array) : null;
}

/** Map number k of `k h w`, without a copy. @returns {Values} */
export function plane({ shape: [, rows, columns], values }, k) {
  const size = rows * columns;
  return { shape: [rows, columns], values: values.subarray(k * size, (k + 1) * size) };
}

/** The greatest value, and the greatest in size. */
export function peak(values) {
  let most = -Infinity;
  for (const value of values) if (value > most) most = value;
  return most;
}
export function magnitude(values) {
  let most = 0;
  for (const value of values) most = Math.max(most, Math.abs(value));
  return most;
}
