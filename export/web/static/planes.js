// Between the canvas's bytes (RGBA, row by row) and the network's planes (RGB, 0 to 255, one channel after the other).

/**
 * Lay pixels out as the network takes them.
 *
 * @param {Uint8ClampedArray} pixels RGBA; alpha is ignored, for photos.js has laid the photo on white.
 * @param {number} width In pixels.
 * @param {number} height In pixels.
 * @param {number} smallestSide Shorter sides are continued by their border, as export.runtime does it in Python.
 * @returns {{planes: Float32Array, width: number, height: number}} The planes and their size.
 */
export function toPlanes(pixels, width, height, smallestSide) {
  const wide = Math.max(width, smallestSide);
  const high = Math.max(height, smallestSide);
  const plane = wide * high;
  const planes = new Float32Array(3 * plane);
  for (let row = 0, to = 0; row < high; row++) {
    const start = Math.min(row, height - 1) * width;
    for (let column = 0; column < wide; column++, to++) {
      const from = 4 * (start + Math.min(column, width - 1));
      planes[to] = pixels[from];
      planes[plane + to] = pixels[from + 1];
      planes[2 * plane + to] = pixels[from + 2];
    }
  }
  return { planes, width: wide, height: high };
}

/**
 * Turn what the network gave into opaque pixels, without the border that toPlanes added.
 *
 * @param {Float32Array} planes RGB in 0 to 255, of `wide` columns.
 * @param {number} wide Columns of the planes.
 * @param {number} width Columns to keep.
 * @param {number} height Rows to keep.
 * @returns {Uint8ClampedArray} RGBA; values are clamped and rounded, halves to even, as NumPy's rint does.
 */
export function toPixels(planes, wide, width, height) {
  const plane = planes.length / 3;
  const pixels = new Uint8ClampedArray(4 * width * height);
  for (let row = 0, to = 0; row < height; row++) {
    for (let column = 0, from = row * wide; column < width; column++, from++, to += 4) {
      // A clamped array would turn NaN into black without a message.
      if (planes[from] !== planes[from]) {
        throw new Error("The style returned values that are not numbers; open this page with ?device=wasm at its end.");
      }
      pixels[to] = planes[from];
      pixels[to + 1] = planes[plane + from];
      pixels[to + 2] = planes[2 * plane + from];
      pixels[to + 3] = 255;
    }
  }
  return pixels;
}
