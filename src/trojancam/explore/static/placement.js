/** Where the cells of a layer lie in the image, and maps laid over it accordingly, as the package lays them. */

/** The same placement in an image that is drawn smaller. */
export function scaled({ rows, columns }, from, to) {
  const axis = ({ stride, offset }, at) => {
    const share = to[at] / from[at];
    return { stride: stride * share, offset: (offset + 0.5) * share - 0.5 };
  };
  return { rows: axis(rows, 0), columns: axis(columns, 1) };
}

/** A map at the size of the image: bilinear between the centres of the cells, the nearest cell beyond the outer ones. */
export function laidOver({ shape: [rows, columns], values }, placement, [height, width]) {
  const down = steps(placement.rows, rows, height),
    across = steps(placement.columns, columns, width);
  const laid = new Float32Array(height * width);
  for (let y = 0; y < height; y++) {
    const { first: top, second: bottom, share: v } = down[y];
    for (let x = 0; x < width; x++) {
      const { first: left, second: right, share: u } = across[x];
      const above = values[top * columns + left] * (1 - u) + values[top * columns + right] * u;
      const below = values[bottom * columns + left] * (1 - u) + values[bottom * columns + right] * u;
      laid[y * width + x] = above * (1 - v) + below * v;
    }
  }
  return { shape: [height, width], values: laid };
}

function steps({ stride, offset }, cells, pixels) {
  return Array.from({ length: pixels }, (_, pixel) => {
    const place = Math.min(cells - 1, Math.max(0, (pixel - offset) / stride));
    const first = Math.floor(place);
    return { first, second: Math.min(first + 1, cells - 1), share: place - first };
  });
}
