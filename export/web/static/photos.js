// Photos in and pictures out: decoding, scaling, saving.

/** One photo, upright, in its own size. */
export class Photo {
  /**
   * @param {CanvasImageSource} source What can be drawn on a canvas.
   * @param {number} width In pixels.
   * @param {number} height In pixels.
   * @param {string} name The file's, without its ending.
   */
  constructor(source, width, height, name) {
    Object.assign(this, { source, width, height, name });
  }

  /** Read a file; throws an Error of one sentence if this browser cannot. */
  static async read(blob, name = "photo") {
    let bitmap;
    try {
      // Phones store photos as the sensor was held, with metadata that says how to turn them.
      bitmap = await createImageBitmap(blob, { imageOrientation: "from-image" });
    } catch {
      throw new Error(`'${name}' is not a picture that this browser can read; choose a JPEG, PNG or WebP file.`);
    }
    return new Photo(bitmap, bitmap.width, bitmap.height, name.replace(/\.[^.]*$/, "") || "photo");
  }

  /** Tell the size that fits within a long side; null stands for no limit. */
  fit(side) {
    const factor = side === null ? 1 : Math.min(1, side / Math.max(this.width, this.height));
    return {
      width: Math.max(1, Math.round(this.width * factor)),
      height: Math.max(1, Math.round(this.height * factor)),
    };
  }

  /** Draw the photo at a size and return its pixels; throws an Error of one sentence if this browser cannot. */
  scale({ width, height }) {
    return draw(width, height, (context) => context.drawImage(this.source, 0, 0, width, height));
  }

  /** Draw as much of the photo as has this shape, at this size; of a high photo the upper part, where faces are. */
  crop({ width, height }) {
    const factor = Math.min(this.width / width, this.height / height);
    const [wide, high] = [width * factor, height * factor];
    return draw(width, height, (context) => {
      const [left, top] = [(this.width - wide) / 2, (this.height - high) / 5];
      context.drawImage(this.source, left, top, wide, high, 0, 0, width, height);
    });
  }

  /** Give the decoded pixels back at once, rather than when the browser comes round to it. */
  close() {
    this.source.close?.();
  }
}

/** Return what is drawn on white, where it is transparent. */
function draw(width, height, paint) {
  try {
    const context = new OffscreenCanvas(width, height).getContext("2d", { alpha: false, willReadFrequently: true });
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, height);
    context.imageSmoothingQuality = "high";
    paint(context);
    return context.getImageData(0, 0, width, height);
  } catch {
    // Phones have no context for a canvas above some 16 or 64 million pixels.
    throw new Error(`This browser cannot draw ${width} × ${height} pixels; choose a smaller long side.`);
  }
}

/** Offer a canvas as a download. */
export async function savePicture(canvas, name, type) {
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, type, 0.95));
  if (!blob) {
    throw new Error("The picture could not be saved; choose a smaller long side.");
  }
  save(blob, `${name}.${type === "image/jpeg" ? "jpg" : "png"}`);
}

/** Offer a file as a download. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // Some browsers read the blob only after the click has returned.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
