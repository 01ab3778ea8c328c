// Scaling planes of numbers as Pillow does: pixel centers at half steps, filters as wide as the pixels of the smaller of
// the two pictures, weights that sum to 1 at the borders, too. A browser's own scaling is not the same in any two.

/** How far each filter reaches, and its weight at a distance, in pixels of the smaller picture. */
export const TRIANGLE = { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) };
export const CUBIC = {
  support: 2,
  // Keys 1981, a = -0.5.
  weight: (x) => {
    const far = Math.abs(x);
    if (far < 1) {
      return (1.5 * far - 2.5) * far * far + 1;
    }
    return far < 2 ? ((-0.5 * far + 2.5) * far - 4) * far + 2 : 0;
  },
};
export const LANCZOS = { support: 3, weight: (x) => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0) };

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/**
 * Find what each pixel of a scaled row or column is made of.
 *
 * @param {number} from Pixels before.
 * @param {number} to Pixels afterwards.
 * @param {object} filter One of the above.
 * @returns {Array<{first: number, weights: Float64Array}>} Per pixel the first one that it takes, and the weights from
 *   there on.
 */
export function findTaps(from, to, filter) {
  const step = from / to;
  const width = Math.max(1, step);
  const reach = filter.support * width;
  return Array.from({ length: to }, (_, index) => {
    const center = (index + 0.5) * step;
    const first = Math.max(0, Math.floor(center - reach + 0.5));
    const end = Math.min(from, Math.floor(center + reach + 0.5));
    const weights = new Float64Array(end - first).map((_, tap) => filter.weight((first + tap + 0.5 - center) / width));
    const sum = weights.reduce((one, other) => one + other, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

/**
 * Scale a plane.
 *
 * @param {Float32Array} plane Row by row.
 * @param {number} width Of the plane.
 * @param {number} height Of the plane.
 * @param {number} toWidth Of what is returned.
 * @param {number} toHeight Of what is returned.
 * @param {object} filter One of the above.
 * @returns {Float32Array} Neither rounded nor clamped.
 */
export function resample(plane, width, height, toWidth, toHeight, filter) {
  const narrowed = new Float32Array(toWidth * height);
  const columns = findTaps(width, toWidth, filter);
  for (let row = 0, to = 0; row < height; row++) {
    for (let column = 0; column < toWidth; column++, to++) {
      const { first, weights } = columns[column];
      let sum = 0;
      for (let tap = 0, at = row * width + first; tap < weights.length; tap++, at++) {
        sum += weights[tap] * plane[at];
      }
      narrowed[to] = sum;
    }
  }
  const scaled = new Float32Array(toWidth * toHeight);
  const rows = findTaps(height, toHeight, filter);
  for (let row = 0, to = 0; row < toHeight; row++) {
    const { first, weights } = rows[row];
    for (let column = 0; column < toWidth; column++, to++) {
      let sum = 0;
      for (let tap = 0, at = first * toWidth + column; tap < weights.length; tap++, at += toWidth) {
        sum += weights[tap] * narrowed[at];
      }
      scaled[to] = sum;
    }
  }
  return scaled;
}
