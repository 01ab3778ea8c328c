// Frames in a second, as an average that follows within moments.

/** How far back frames count, in milliseconds. */
const WINDOW_MS = 2000;

export class Rate {
  #times = [];

  /** Count a frame at this time, in milliseconds, and return how many there are in a second. */
  count(now) {
    this.#times.push(now);
    // Two at least, however slow they are.
    while (this.#times.length > 2 && now - this.#times[0] > WINDOW_MS) {
      this.#times.shift();
    }
    const passed = now - this.#times[0];
    return passed ? (1000 * (this.#times.length - 1)) / passed : 0;
  }
}
