// What the page shows: state, progress, device, errors, and which controls are there.

export const element = (id) => document.getElementById(id);
const stage = element("stage");

/** Bytes above which phones may refuse. */
const MUCH_MEMORY = 1.5e9;

let ticking = 0;

/**
 * Offer the styles as cards, the first one chosen.
 *
 * @returns {Map<object, HTMLElement>} The card of each style.
 */
export function listStyles(styles) {
  const cards = styles.map((style, index) => {
    const card = document.createElement("label");
    card.className = "style";
    card.title = style.title;
    const input = Object.assign(document.createElement("input"), {
      type: "radio", name: "style", value: style.id, checked: index === 0,
    });
    const picture = document.createElement("div");
    picture.append(Object.assign(document.createElement("img"), { src: style.thumbnail, alt: "" }));
    const title = Object.assign(document.createElement("span"), { textContent: style.title });
    card.append(input, picture, title);
    return card;
  });
  element("styles").replaceChildren(...cards);
  return new Map(styles.map((style, index) => [style, cards[index]]));
}

/** Let all cards wait for their thumbnails of a new photo. */
export function awaitThumbnails() {
  for (const card of element("styles").children) {
    card.classList.remove("failed");
    card.classList.add("waiting");
  }
}

/** Show a style on the person's own photo; null if it could not be painted, which leaves the sample. */
export function showThumbnail(card, image) {
  card.classList.remove("waiting");
  if (!image) {
    card.classList.add("failed");
    return;
  }
  const picture = card.querySelector("div");
  const canvas = picture.querySelector("canvas") ?? document.createElement("canvas");
  Object.assign(canvas, { width: image.width, height: image.height });
  canvas.getContext("2d").putImageData(image, 0, 0);
  picture.replaceChildren(canvas);
}

/** Return the chosen style's id. */
export function chosenId() {
  return document.querySelector("input[name=style]:checked").value;
}

/**
 * Show what the page is doing.
 *
 * @param {string} state "idle", "working", "done" or "live"; the stage carries it for whoever looks from outside.
 * @param {string|Array<string|Node>} message For the line below the picture.
 * @param {number|null} expectedMs How long it will take, if that is known.
 */
export function showState(state, message = "", expectedMs = null) {
  stage.dataset.state = state;
  element("error").hidden = true;
  // A screen reader would read every frame's time aloud.
  element("status").setAttribute("aria-live", state === "live" ? "off" : "polite");
  element("status").replaceChildren(...(Array.isArray(message) ? message : [message]));
  // An error, of a file that is no picture, say, leaves a finished painting, which can still be saved.
  if (state !== "error") {
    element("save").disabled = state !== "done";
  }
  // Without a painted frame there is no shape for the video.
  element("record").disabled = state !== "live" && element("recording").hidden;
  // While idle the bar belongs to the downloads.
  if (state !== "idle") {
    showProgress(state === "working", expectedMs);
  }
}

/** Show a time, and what it was for. */
export function showTime(state, milliseconds, purpose) {
  const text = milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
  const time = Object.assign(document.createElement("strong"), { textContent: text });
  showState(state, [time, ` ${purpose}`]);
}

/** Show one sentence on what went wrong and what to do. */
export function showError(sentence) {
  showState("error");
  element("error").textContent = sentence;
  element("error").hidden = false;
}

/** Show or hide the bar; with an expectation it fills, without one it sweeps. */
export function showProgress(visible, expectedMs = null) {
  const bar = element("progress");
  clearInterval(ticking);
  bar.hidden = !visible;
  bar.removeAttribute("value");
  if (visible && expectedMs > 1000) {
    const started = performance.now();
    // It stops short of the end, because the expected time is an estimate.
    ticking = setInterval(() => (bar.value = 1 - Math.exp((-2 * (performance.now() - started)) / expectedMs)), 200);
  }
}

/** Show how far a download is. */
export function showDownload({ what, loaded, total }) {
  const bar = element("progress");
  bar.hidden = false;
  if (loaded === total) {
    // What follows, compiling or painting, reports no progress.
    bar.removeAttribute("value");
    element("device").textContent = "";
  } else {
    bar.value = loaded / total;
    element("device").textContent = `Loading ${what}, ${Math.round((100 * loaded) / total)} %`;
  }
}

/** Show where the network computes. */
export function showDevice({ device, threads, note = "" }) {
  const kind = device === "webgpu" ? "WebGPU" : `WASM, ${threads} ${threads === 1 ? "thread" : "threads"}`;
  element("device").textContent = note ? `${kind} (${note})` : kind;
}

/** Warn of much memory. */
export function showMemory(memory, limit) {
  const warning = element("warning");
  warning.hidden = !(memory > MUCH_MEMORY && memory <= limit);
  warning.textContent = `This size takes about ${(memory / 1e9).toFixed(1)} GB of memory; a phone may not have it.`;
}

/** Show under what terms the chosen style may be used. */
export function showLicense({ title, license }) {
  element("license").textContent = `${title}: ${license}`;
}

/** Swap the controls of photos for those of the camera, or back. */
export function showCamera(running) {
  element("sources").hidden = running;
  element("camera-controls").hidden = !running;
  element("size-label").hidden = running;
  element("live-size-label").hidden = !running;
  for (const identity of ["format-label", "save"]) {
    element(identity).hidden = running;
  }
  element("live").hidden = true;
  // The button that was pressed is gone; keys go on from the one in its place.
  element(running ? "snap" : "camera").focus({ focusVisible: false });
}

/** Show how many frames are painted in a second, over the picture. */
export function showRate(rate) {
  element("live").hidden = false;
  element("rate").textContent = `${rate.toFixed(rate < 10 ? 1 : 0)} fps`;
}

/** Show whether the painting is recorded, and for how long; null stands for not at all. */
export function showRecording(seconds) {
  const running = seconds !== null;
  const rest = Object.assign(document.createElement("span"), { className: "roomy", textContent: " recording" });
  element("record").replaceChildren(...(running ? ["Stop", rest] : ["Record"]));
  // A video has one size from its first frame to its last.
  element("live-size").disabled = running;
  element("recording").hidden = !running;
  if (running) {
    element("recording").textContent = `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
  }
}

/** Say that the page needs no network any more. */
export function showOffline(kept) {
  document.body.dataset.offline = kept;
  element("offline").textContent = kept ? "This page now works offline." : "";
}
