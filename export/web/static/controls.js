// How the chosen style paints: its strength, the size of its strokes, and whose colors.

/** What all of them are unless somebody chooses: the style as trained. */
export const AS_TRAINED = { strength: 1, stroke: 1, preserveColor: false };

export class Controls {
  #strength;
  #stroke;
  #color;
  #note;
  #reset;
  /** Also while a style is chosen that has only one. */
  #wanted = AS_TRAINED.strength;

  /**
   * @param {HTMLElement} group Holds the inputs #strength, #stroke and #preserve-color, and the button #reset.
   * @param {object} options
   * @param {function} options.onRepaint Called when the network has to paint anew.
   * @param {function} options.onRecolor Called when the colors are to be others.
   */
  constructor(group, { onRepaint, onRecolor }) {
    const find = (identity) => group.querySelector(`#${identity}`);
    [this.#strength, this.#stroke, this.#color] = ["strength", "stroke", "preserve-color"].map(find);
    [this.#note, this.#reset] = ["strength-note", "reset"].map(find);
    for (const slider of [this.#strength, this.#stroke]) {
      // While it moves, and once it has been let go.
      slider.addEventListener("input", () => this.#update());
      slider.addEventListener("change", onRepaint);
    }
    this.#strength.addEventListener("input", () => (this.#wanted = Number(this.#strength.value)));
    this.#color.addEventListener("change", () => {
      this.#update();
      onRecolor();
    });
    this.#reset.addEventListener("click", () => {
      this.#wanted = AS_TRAINED.strength;
      this.#strength.value = AS_TRAINED.strength;
      this.#stroke.value = Math.log2(AS_TRAINED.stroke);
      this.#color.checked = AS_TRAINED.preserveColor;
      this.#update();
      // The button goes; keys go on from the first that it has set back.
      (this.#strength.disabled ? this.#stroke : this.#strength).focus({ focusVisible: false });
      onRepaint();
    });
    this.#update();
  }

  /** What is chosen; a stroke of 2 is twice as large as the style was trained with. */
  get settings() {
    return {
      strength: Number(this.#strength.value),
      stroke: 2 ** Number(this.#stroke.value),
      preserveColor: this.#color.checked,
    };
  }

  /** Offer what this style can do. */
  setStyle({ strength }) {
    this.#strength.disabled = !strength;
    this.#strength.value = strength ? this.#wanted : AS_TRAINED.strength;
    this.#note.hidden = Boolean(strength);
    this.#update();
  }

  #update() {
    const { strength, stroke, preserveColor } = this.settings;
    describe(this.#strength, `${Math.round(100 * strength)}%`);
    describe(this.#stroke, `${Number(stroke.toFixed(1))}×`);
    this.#reset.hidden = strength === AS_TRAINED.strength && stroke === AS_TRAINED.stroke && !preserveColor;
  }
}

/** Show a slider's value in words, and how far it is filled. */
function describe(slider, text) {
  slider.parentElement.querySelector("output").textContent = text;
  slider.setAttribute("aria-valuetext", text);
  slider.style.setProperty("--at", (slider.value - slider.min) / (slider.max - slider.min));
}
