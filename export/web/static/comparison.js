// The photo and the painting, one over the other, with a divider that pointer and keys move.

export class Comparison {
  #frame;
  #photo;
  #painted;
  #split;

  /** @param {HTMLElement} frame Holds #photo, #painted and the range #split. */
  constructor(frame) {
    this.#frame = frame;
    this.#photo = frame.querySelector("#photo");
    this.#painted = frame.querySelector("#painted");
    this.#split = frame.querySelector("#split");
    this.#split.addEventListener("input", () => this.#update());
    // The pointer may take hold anywhere, which a range's own small thumb would not allow.
    frame.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !frame.classList.contains("compared")) {
        return;
      }
      frame.setPointerCapture(event.pointerId);
      this.#follow(event);
      // Else the press would take the focus away, and the arrow keys would do nothing afterwards.
      event.preventDefault();
      this.#split.focus({ preventScroll: true, focusVisible: false });
    });
    frame.addEventListener("pointermove", (event) => {
      if (frame.hasPointerCapture(event.pointerId)) {
        this.#follow(event);
      }
    });
    this.#update();
  }

  /** The canvas that holds the painting. */
  get painted() {
    return this.#painted;
  }

  /** Show a photo that is not painted yet. */
  showPhoto(image) {
    this.#shape(image);
    this.#frame.classList.remove("compared");
    draw(this.#photo, image);
    this.#frame.hidden = false;
  }

  /** Show a photo and its painting. */
  show(image, painted) {
    this.#shape(image);
    draw(this.#photo, image);
    draw(this.#painted, painted);
    this.#frame.classList.add("compared");
    this.#frame.hidden = false;
  }

  /** Show both as in a mirror, which is how people know themselves. */
  mirror(mirrored) {
    this.#frame.classList.toggle("mirrored", mirrored);
  }

  /** Show nothing. */
  hide() {
    this.#frame.hidden = true;
    this.#frame.parentElement.style.removeProperty("--ratio");
  }

  #shape({ width, height }) {
    // On phones the stage, too, takes the picture's shape.
    this.#frame.parentElement.style.setProperty("--ratio", width / height);
  }

  #follow(event) {
    const { left, width } = this.#frame.getBoundingClientRect();
    this.#split.value = Math.round((100 * (event.clientX - left)) / width);
    this.#update();
  }

  #update() {
    this.#frame.style.setProperty("--split", `${this.#split.value}%`);
    this.#split.setAttribute("aria-valuetext", `${this.#split.value} % photo, the rest painted`);
  }
}

function draw(canvas, image) {
  if (canvas.width !== image.width || canvas.height !== image.height) {
    canvas.width = image.width;
    canvas.height = image.height;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}
