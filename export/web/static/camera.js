// The camera: start, grab frames, turn to the other one, stop.

import { Photo } from "./photos.js";

export class Camera {
  #video = document.createElement("video");
  #stream = null;
  #facing = "user";
  #onLost;

  /** @param {function} onLost Called when the camera is unplugged, or taken away in the browser's settings. */
  constructor(onLost) {
    this.#onLost = onLost;
    // Without these, iOS opens a player over the page.
    this.#video.muted = true;
    this.#video.playsInline = true;
  }

  get running() {
    return this.#stream !== null;
  }

  /** Whether frames show the person in front of the screen, who expects a mirror. */
  get mirrored() {
    return this.#stream?.getVideoTracks()[0]?.getSettings().facingMode !== "environment";
  }

  /** Whether there is another one to turn to; browsers tell only after the first was allowed. */
  async hasOther() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    return devices.filter(({ kind }) => kind === "videoinput").length > 1;
  }

  /** Start; throws an Error of one sentence if there is no camera or it is not allowed. */
  async start() {
    if (!navigator.mediaDevices) {
      throw new Error("Cameras work only on pages served by https or from localhost; choose a photo instead.");
    }
    try {
      this.#stream = await navigator.mediaDevices.getUserMedia({
        video: { facingMode: this.#facing, width: { ideal: 1280 }, height: { ideal: 720 } },
      });
    } catch (error) {
      throw new Error(explain(error));
    }
    // Not fired by a stop of our own.
    this.#stream.getVideoTracks()[0].addEventListener("ended", this.#onLost);
    this.#video.srcObject = this.#stream;
    await this.#video.play();
  }

  /** Turn to the camera on the other side of a phone. */
  async turn() {
    this.stop();
    this.#facing = this.#facing === "user" ? "environment" : "user";
    await this.start();
  }

  /** Return the frame of this moment as a photo; it is the video itself, so scale it before the next frame. */
  frame() {
    return new Photo(this.#video, this.#video.videoWidth, this.#video.videoHeight, "camera");
  }

  /** Return the frame of this moment as a photo that stays, seen as the page showed it. */
  take() {
    const { videoWidth: width, videoHeight: height } = this.#video;
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d");
    if (this.mirrored) {
      context.setTransform(-1, 0, 0, 1, width, 0);
    }
    context.drawImage(this.#video, 0, 0);
    return new Photo(canvas, width, height, "camera");
  }

  stop() {
    for (const track of this.#stream?.getTracks() ?? []) {
      track.stop();
    }
    this.#stream = null;
    this.#video.srcObject = null;
  }
}

function explain(error) {
  const reasons = {
    NotAllowedError: "The camera is not allowed here; allow it beside the page's address, or choose a photo.",
    NotFoundError: "There is no camera; choose a photo instead.",
    NotReadableError: "Another program holds the camera; close it, or choose a photo.",
  };
  return reasons[error.name] ?? `The camera does not start (${error.message}); choose a photo instead.`;
}
