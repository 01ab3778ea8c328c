// Larger and finer strokes: the network works on the photo at another scale, as export/runtime/stroke.py has it. There
// stand the reasons, the formula and what it was compared with; here are the same names and numbers.

import { luma } from "./color.js";
import { CUBIC, LANCZOS, TRIANGLE, findTaps, resample } from "./resample.js";

const RADIUS = 2;
const STEADINESS = 25;
const DETAIL = 100;
const LEAST_SHARE = 1 / 3;
const SHARPNESS = 2.5;
/** How far the maps reach, in rows of the smaller picture: two windows, and a row for scaling up. */
const HALO = 2 * RADIUS + 1;
/** Pixels of the smaller picture whose maps are in memory at a time. */
const STRIP = 2 ** 17;
/** Gain, offset, firm strokes, their least and largest values and the fitted painting of each channel, and one share. */
const MAPS = 19;

/** Tell the size of the picture that the network works on. */
export function scaleSize({ width, height }, stroke) {
  const scale = (side) => Math.max(1, Math.floor(side / stroke + 0.5));
  return { width: scale(width), height: scale(height) };
}

/** Scale a photo to what the network works on. */
export function scalePhoto(photo, stroke) {
  return scalePicture(photo, scaleSize(photo, stroke), stroke > 1 ? LANCZOS : CUBIC);
}

/** Scale a painting of finer strokes down to the photo's size. */
export function shrink(painted, size) {
  return scalePicture(painted, size, LANCZOS);
}

function scalePicture({ data, width, height }, size, filter) {
  const pixels = new Uint8ClampedArray(4 * size.width * size.height).fill(255);
  for (let channel = 0; channel < 3; channel++) {
    const plane = takePlane(width * height, (index) => data[4 * index + channel]);
    const scaled = resample(plane, width, height, size.width, size.height, filter);
    for (let index = 0; index < scaled.length; index++) {
      pixels[4 * index + channel] = scaled[index];
    }
  }
  return { data: pixels, width: size.width, height: size.height };
}

function takePlane(size, read) {
  const plane = new Float32Array(size);
  for (let index = 0; index < size; index++) {
    plane[index] = read(index);
  }
  return plane;
}

/**
 * Scale a painting of larger strokes up to the photo's size, with the edges of the photo.
 *
 * @param {{data: Uint8ClampedArray, width: number, height: number}} painted RGBA.
 * @param {object} scaled What was painted: the photo as scalePhoto returns it.
 * @param {object} photo The photo.
 * @returns {object} The same kind of picture, of the photo's size.
 */
export function enlarge(painted, scaled, photo) {
  const { width, height } = photo;
  const small = painted.width;
  const lost = measureLost(photo, painted);
  const data = new Uint8ClampedArray(4 * width * height).fill(255);
  const columns = findTaps(small, width, TRIANGLE);
  const rows = findTaps(painted.height, height, TRIANGLE);
  const last = ({ first, weights }) => first + weights.length;
  const most = Math.max(1, Math.floor(STRIP / small));
  for (let top = 0; top < height; ) {
    const start = Math.max(0, rows[top].first - HALO);
    let bottom = top + 1;
    while (bottom < height && last(rows[bottom]) + HALO - start <= Math.max(most, 4 * HALO)) {
      bottom++;
    }
    const end = Math.min(painted.height, last(rows[bottom - 1]) + HALO);
    const maps = makeMaps(painted, scaled, lost, start, end);
    for (let row = top; row < bottom; row++) {
      paintRow(data, photo.data, row * width, columns, mixRows(maps, MAPS * small, rows[row], start));
    }
    top = bottom;
  }
  return { data, width, height };
}

/** Compute what is scaled up for rows of the smaller pictures: MAPS numbers a pixel, in the order of paintRow. */
function makeMaps(painted, scaled, lost, start, end) {
  const { width } = painted;
  const size = width * (end - start);
  const origin = width * start;
  const join = (plane, radius, act) => combine(plane, width, end - start, radius, act);
  const average = (plane, radius) => {
    const sums = join(plane, radius, (one, other) => one + other);
    const count = (2 * radius + 1) ** 2;
    return takePlane(size, (index) => sums[index] / count);
  };
  const light = takePlane(size, (index) => luma(scaled.data, 4 * (origin + index)));
  const guide = average(light, RADIUS);
  const squares = average(takePlane(size, (index) => light[index] * light[index]), RADIUS);
  const maps = new Float32Array(MAPS * size);
  for (let channel = 0; channel < 3; channel++) {
    const plane = takePlane(size, (index) => painted.data[4 * (origin + index) + channel]);
    const mean = average(plane, RADIUS);
    const products = average(takePlane(size, (index) => plane[index] * light[index]), RADIUS);
    const slope = takePlane(size, (index) => {
      const covariance = products[index] - guide[index] * mean[index];
      return covariance / (squares[index] - guide[index] * guide[index] + STEADINESS);
    });
    const offset = average(takePlane(size, (index) => mean[index] - slope[index] * guide[index]), RADIUS);
    const gain = average(slope, RADIUS);
    const near = average(plane, 1);
    const [least, largest] = [join(plane, 1, Math.min), join(plane, 1, Math.max)];
    for (let index = 0, at = channel; index < size; index++, at += MAPS) {
      maps[at] = gain[index];
      maps[at + 3] = offset[index];
      maps[at + 6] = plane[index] + SHARPNESS * (plane[index] - near[index]);
      maps[at + 9] = least[index];
      maps[at + 12] = largest[index];
      maps[at + 15] = gain[index] * light[index] + offset[index];
    }
  }
  const detail = average(average(lost.subarray(origin, origin + size), 1), 1);
  for (let index = 0; index < size; index++) {
    maps[MAPS * index + 18] = LEAST_SHARE + ((1 - LEAST_SHARE) * DETAIL) / (DETAIL + detail[index]);
  }
  return maps;
}

/** Interpolate a row between those of maps that begin with row `start`. */
function mixRows(maps, length, { first, weights }, start) {
  const mixed = new Float32Array(length);
  for (let tap = 0; tap < weights.length; tap++) {
    const weight = weights[tap];
    for (let index = 0, from = (first - start + tap) * length; index < length; index++, from++) {
      mixed[index] += weight * maps[from];
    }
  }
  return mixed;
}

function paintRow(data, photo, from, columns, mixed) {
  const values = new Float32Array(MAPS);
  for (let column = 0, at = 4 * from; column < columns.length; column++, at += 4) {
    const { first, weights } = columns[column];
    values.fill(0);
    for (let tap = 0; tap < weights.length; tap++) {
      const weight = weights[tap];
      for (let map = 0, taken = MAPS * (first + tap); map < MAPS; map++, taken++) {
        values[map] += weight * mixed[taken];
      }
    }
    const light = luma(photo, at);
    for (let channel = 0; channel < 3; channel++) {
      const firm = Math.min(Math.max(values[6 + channel], values[9 + channel]), values[12 + channel]);
      const fitted = values[15 + channel];
      data[at + channel] = values[channel] * light + values[3 + channel] + values[18] * (firm - fitted);
    }
  }
}

/** Measure the variance that the photo's luma loses when it is scaled down to this size. */
function measureLost({ data, width, height }, size) {
  const light = takePlane(width * height, (index) => luma(data, 4 * index));
  const scale = (plane) => resample(plane, width, height, size.width, size.height, TRIANGLE);
  const mean = scale(light);
  const square = scale(takePlane(light.length, (index) => light[index] * light[index]));
  return takePlane(mean.length, (index) => Math.max(0, square[index] - mean[index] * mean[index]));
}

/** Combine the values of each window of 2 * radius + 1 on each side, borders repeated. */
function combine(plane, width, height, radius, join) {
  const across = new Float32Array(plane.length);
  for (let row = 0, at = 0; row < height; row++) {
    for (let column = 0; column < width; column++, at++) {
      const start = row * width;
      let value = plane[start + Math.max(0, column - radius)];
      for (let step = 1 - radius; step <= radius; step++) {
        value = join(value, plane[start + Math.min(width - 1, Math.max(0, column + step))]);
      }
      across[at] = value;
    }
  }
  const combined = new Float32Array(plane.length);
  for (let row = 0, at = 0; row < height; row++) {
    for (let column = 0; column < width; column++, at++) {
      let value = across[Math.max(0, row - radius) * width + column];
      for (let step = 1 - radius; step <= radius; step++) {
        value = join(value, across[Math.min(height - 1, Math.max(0, row + step)) * width + column]);
      }
      combined[at] = value;
    }
  }
  return combined;
}
