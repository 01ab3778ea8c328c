// The grid of styles on the person's own photo: small, painted one at a time, and only where they are looked at.

import { Replaced } from "./engine.js";

/** Pixels of a thumbnail: smaller, and strokes hide what the photo shows. All have one shape, so that rows align. */
const WIDTH = 240;
const HEIGHT = 180;

export class Thumbnails {
  #engine;
  #onPainted;
  #photo = null;
  #paused = false;
  /** Styles by their id: those on the screen, and those that wait to be painted. */
  #visible = new Set();
  #waiting = new Map();
  /** Counts the photos, so that what was painted of an earlier one is not shown. */
  #turn = 0;
  #working = false;

  /**
   * @param {Engine} engine Paints the thumbnails, one at a time.
   * @param {Map<object, HTMLElement>} cards Each style's place in the grid.
   * @param {function} onPainted Called with the style and its ImageData, or null if it could not be painted.
   */
  constructor(engine, cards, onPainted) {
    this.#engine = engine;
    this.#onPainted = onPainted;
    const styles = new Map([...cards].map(([style, card]) => [card, style]));
    const observer = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        this.#visible[isIntersecting ? "add" : "delete"](styles.get(target));
      }
      this.#work();
    });
    for (const card of styles.keys()) {
      observer.observe(card);
    }
    this.styles = [...cards.keys()];
  }

  /** Paint this photo in all styles; thumbnails of an earlier photo that are not painted yet never will be. */
  show(photo) {
    this.#turn++;
    this.#photo = photo.crop({ width: WIDTH, height: HEIGHT });
    this.#waiting = new Map(this.styles.map((style) => [style.id, style]));
    this.#work();
  }

  /** Leave the engine to the photo itself, or to the camera. */
  pause() {
    this.#paused = true;
  }

  resume() {
    this.#paused = false;
    this.#work();
  }

  async #work() {
    if (this.#working) {
      return;
    }
    this.#working = true;
    for (let style = this.#next(); style; style = this.#next()) {
      await this.#paint(style);
    }
    this.#working = false;
  }

  #next() {
    return this.#paused ? undefined : this.styles.find((style) => this.#waiting.has(style.id) && this.#visible.has(style));
  }

  async #paint(style) {
    const turn = this.#turn;
    let image = null;
    try {
      const { data, width, height } = this.#photo;
      const copy = new ImageData(new Uint8ClampedArray(data), width, height);
      ({ image } = await this.#engine.paint(style, copy, { small: true }));
    } catch (error) {
      if (error instanceof Replaced) {
        // It made way for the person's picture, and comes again.
        return;
      }
    }
    if (turn === this.#turn) {
      this.#waiting.delete(style.id);
      this.#onPainted(style, image);
    }
  }
}
