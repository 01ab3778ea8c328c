// The painted camera as a video file, in whatever format this browser can write.

/** The first that the browser knows: MP4 plays everywhere, WebM in all browsers. */
const TYPES = ["video/mp4;codecs=avc1.42E01F", "video/webm;codecs=vp9", "video/webm", "video/mp4"];
/** Long side, in pixels, to which smaller paintings are enlarged: encoders smear what is smaller. */
const SIDE = 640;
/** Bits a second; strokes are much detail. */
const RATE = 6e6;

export class Recorder {
  #canvas = document.createElement("canvas");
  #recorder = null;
  #track = null;
  #parts = [];
  #started = 0;

  /** Whether this browser can record at all. */
  static get available() {
    return Boolean(globalThis.MediaRecorder && HTMLCanvasElement.prototype.captureStream);
  }

  get running() {
    return this.#recorder !== null;
  }

  /** How long it has been recording. */
  get seconds() {
    return (performance.now() - this.#started) / 1000;
  }

  /** Start; the video has the shape of this canvas, the painting, from now on. */
  start({ width, height }) {
    const factor = Math.max(1, SIDE / Math.max(width, height));
    // Encoders want even sides.
    this.#canvas.width = 2 * Math.round((width * factor) / 2);
    this.#canvas.height = 2 * Math.round((height * factor) / 2);
    // Its context first: a canvas without one gives no stream.
    this.#canvas.getContext("2d", { alpha: false });
    // A frame each time that one is added, and none between.
    const stream = this.#canvas.captureStream(0);
    [this.#track] = stream.getVideoTracks();
    const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
    this.#recorder = new MediaRecorder(stream, { mimeType, videoBitsPerSecond: RATE });
    this.#parts = [];
    this.#recorder.addEventListener("dataavailable", ({ data }) => this.#parts.push(data));
    this.#recorder.start();
    this.#started = performance.now();
  }

  /** Add the painting as it is now, as in a mirror if that is how it is shown. */
  add(painted, mirrored) {
    const { width, height } = this.#canvas;
    const context = this.#canvas.getContext("2d", { alpha: false });
    // Another shape, after the camera was turned, fits inside.
    const factor = Math.min(width / painted.width, height / painted.height);
    const [wide, high] = [painted.width * factor, painted.height * factor];
    context.resetTransform();
    context.fillRect(0, 0, width, height);
    context.setTransform(mirrored ? -1 : 1, 0, 0, 1, width / 2, height / 2);
    context.imageSmoothingQuality = "high";
    context.drawImage(painted, -wide / 2, -high / 2, wide, high);
    this.#track.requestFrame();
  }

  /**
   * End the video.
   *
   * @returns {Promise<{blob: Blob, ending: string}>} The file, and the ending of its name.
   */
  async stop() {
    const recorder = this.#recorder;
    this.#recorder = null;
    if (recorder.state !== "inactive") {
      const stopped = new Promise((resolve) => recorder.addEventListener("stop", resolve, { once: true }));
      recorder.stop();
      await stopped;
    }
    this.#track.stop();
    const blob = new Blob(this.#parts, { type: recorder.mimeType });
    this.#parts = [];
    if (!blob.size) {
      throw new Error("Nothing was recorded; record until a frame has been painted.");
    }
    return { blob, ending: recorder.mimeType.startsWith("video/mp4") ? "mp4" : "webm" };
  }
}
