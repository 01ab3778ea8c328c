// The photo's own colors under the brightness of the painting, as export/runtime/color.py has them.

/** Brightness of a pixel: luma, the Y' of Y'CbCr (ITU-R BT.601-7). */
export function luma(pixels, at) {
  return 0.299 * pixels[at] + 0.587 * pixels[at + 1] + 0.114 * pixels[at + 2];
}

/**
 * Give a painting the photo's colors: luma of the painting, color differences of the photo.
 *
 * @param {ImageData} painted
 * @param {ImageData} photo Of the same size.
 * @returns {ImageData} A new picture.
 */
export function keepColor(painted, photo) {
  const kept = new ImageData(new Uint8ClampedArray(photo.data), photo.width, photo.height);
  const pixels = kept.data;
  for (let at = 0; at < pixels.length; at += 4) {
    const change = luma(painted.data, at) - luma(pixels, at);
    pixels[at] += change;
    pixels[at + 1] += change;
    pixels[at + 2] += change;
  }
  return kept;
}
