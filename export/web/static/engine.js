// The page's side of the worker: promises for messages, and a fresh worker when an old one is stuck or broken.

/** A newer picture was asked for, so this one is no longer wanted. */
export class Replaced extends Error {}

export class Engine {
  #site;
  #device;
  #onProgress;
  #onStart;
  #worker = null;
  #started = null;
  #waiting = new Map();
  #next = 0;
  #paintingSince = null;

  /**
   * @param {object} site What styles.json holds.
   * @param {object} options
   * @param {string|null} options.device "webgpu" or "wasm" to insist on one.
   * @param {function} options.onProgress Called with {what, loaded, total} during downloads.
   * @param {function} options.onStart Called with {device, precision, threads, files} when the runtime is loaded.
   */
  constructor(site, { device, onProgress, onStart }) {
    this.#site = site;
    this.#device = device;
    this.#onProgress = onProgress;
    this.#onStart = onStart;
  }

  /** Load the runtime, once; further calls wait for the same. */
  start() {
    if (!this.#started) {
      this.#worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
      this.#worker.onmessage = ({ data }) => this.#receive(data);
      this.#worker.onerror = (event) => this.#end(new Error(`The painter stopped (${event.message}); reload the page.`));
      this.#started = this.#ask({ type: "start", site: this.#site, device: this.#device }).then((started) => {
        this.#onStart(started);
        return started;
      });
      // Callers that wait get the error; without one it must not count as unhandled.
      this.#started.catch(() => {});
    }
    return this.#started;
  }

  /**
   * Repaint a picture.
   *
   * @param {object} style One of the site's styles.
   * @param {ImageData} picture Its pixels are handed over: the caller keeps a copy if it needs one.
   * @param {object} settings
   * @param {number} settings.strength 0 to 1.5, for styles that have one; else 1.
   * @param {number} settings.stroke Size of the strokes; 2 is twice as large as trained.
   * @param {boolean} settings.small Whether it is a thumbnail: it then leaves the style in use loaded, and downloads
   *   without a word.
   * @returns {Promise<{image: ImageData, milliseconds: number, device: string, threads: number, note: string}>}
   */
  async paint(style, picture, { strength = 1, stroke = 1, small = false } = {}) {
    try {
      await this.start();
      this.#paintingSince ??= performance.now();
      const { width, height, data } = picture;
      const job = { type: "paint", style, pixels: data, width, height, strength, stroke, small };
      const result = await this.#ask(job, [data.buffer]);
      return { ...result, image: new ImageData(result.pixels, width, height) };
    } catch (error) {
      // A thumbnail takes nobody's picture with it.
      if (!(error instanceof Replaced) && !small) {
        // After a failed allocation the runtime's heap cannot be trusted, nor shrunk.
        this.#end(error);
      }
      throw error;
    }
  }

  /** Whether a picture is being painted, or waits for the runtime to load. */
  get busy() {
    return this.#waiting.size > 0;
  }

  /** Drop what has been painting for longer than this; what is nearly done, or still loading, is worth waiting for. */
  dropLongRun(milliseconds) {
    if (this.#paintingSince !== null && performance.now() - this.#paintingSince > milliseconds) {
      // There is no other way: a run in WASM receives no message until it is done.
      this.#end(new Replaced("a newer picture was asked for"));
    }
  }

  #ask(message, transfer = []) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, ...message }, transfer);
    });
  }

  #receive({ id, result, error, progress }) {
    if (progress) {
      this.#onProgress(progress);
      return;
    }
    const waiter = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (!this.busy) {
      this.#paintingSince = null;
    }
    if (error) {
      waiter?.reject(new Error(error));
    } else {
      waiter?.resolve(result);
    }
  }

  #end(reason) {
    this.#worker?.terminate();
    this.#worker = null;
    this.#started = null;
    this.#paintingSince = null;
    for (const { reject } of this.#waiting.values()) {
      reject(reason);
    }
    this.#waiting.clear();
  }
}
