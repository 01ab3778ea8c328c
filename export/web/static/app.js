// The page: it handles what a person chooses. The work is done in the modules that it imports.

import { Camera } from "./camera.js";
import { keepColor } from "./color.js";
import { Comparison } from "./comparison.js";
import { Controls } from "./controls.js";
import { Engine, Replaced } from "./engine.js";
import { isolate, keep } from "./offline.js";
import { Photo, save, savePicture } from "./photos.js";
import { Rate } from "./rate.js";
import { Recorder } from "./recorder.js";
import { scaleSize } from "./stroke.js";
import { Thumbnails } from "./thumbnails.js";
import * as view from "./view.js";

const { element } = view;
const comparison = new Comparison(element("frame"));
const controls = new Controls(element("adjust"), { onRepaint: paintPhoto, onRecolor: recolor });
const recorder = new Recorder();
const camera = new Camera(() => {
  stopCamera();
  view.showError("The camera was switched off; start it again, or choose a photo.");
});

/** Bytes that WASM can address; a page gets no more. */
const MEMORY_LIMIT = 4e9;
/** A run longer than this is dropped, rather than waited for, when something else is asked. */
const PATIENCE_MS = 1000;
/** Long side, in pixels, of a photo that is shown before it is painted. */
const PREVIEW_SIDE = 1024;

let site = null;
let engine = null;
let thumbnails = null;
let photo = null;
/** Counts the photos that were asked for, because a small one is read before a large one that was chosen earlier. */
let asked = 0;
/** What is on the stage: the photo, its pixels, and how the network painted them; null if nothing is painted. */
let shown = null;
/** Counts what was asked for, so that only the latest is shown. */
let wish = 0;
/** Whether a photo is being painted, and whether something else was asked meanwhile, of which only the latest is painted. */
let painting = false;
let again = false;
/** Whether the browser is asked for the camera, which may take as long as the person thinks about it. */
let askingCamera = false;
/** Milliseconds per pixel of each style's last run. */
const speed = new Map();

async function main() {
  await isolate();
  try {
    site = await (await fetch("styles.json")).json();
  } catch {
    view.showError("The list of styles could not be loaded; reload the page.");
    return;
  }
  const cards = view.listStyles(site.styles);
  showStyle();
  const device = new URLSearchParams(location.search).get("device");
  engine = new Engine(site, { device, onProgress: view.showDownload, onStart: view.showDevice });
  thumbnails = new Thumbnails(engine, cards, (style, image) => view.showThumbnail(cards.get(style), image));
  connect();
  view.showState("idle");
  // At once and not with the first photo, so that the page is ready, and works offline, once it is loaded.
  try {
    const { precision, files } = await engine.start();
    const styles = site.styles.map((style) => (style.files[precision] ?? style.files.float32).path);
    view.showOffline(await keep([...site.shell, ...files, ...styles]));
  } catch (error) {
    report(error);
  }
  if (!engine.busy) {
    view.showProgress(false);
  }
}

function connect() {
  element("file").addEventListener("change", ({ target }) => {
    readFirst(target.files);
    // So that the same file can be chosen again.
    target.value = "";
  });
  element("sample").addEventListener("click", readSample);
  element("styles").addEventListener("change", () => {
    showStyle();
    paintPhoto();
  });
  element("size").addEventListener("change", paintPhoto);
  element("save").addEventListener("click", saveShown);
  element("camera").addEventListener("click", startCamera);
  element("stop").addEventListener("click", () => stopCamera());
  element("turn").addEventListener("click", turnCamera);
  element("snap").addEventListener("click", () => usePhoto(camera.take()));
  element("record").addEventListener("click", () => (recorder.running ? saveRecording() : startRecording()));
  element("controls").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("paste", ({ clipboardData }) => readFirst(clipboardData.files));
  connectDrops(element("stage"));
}

function connectDrops(stage) {
  // The whole page takes the drop: beside the stage the browser would open the photo in place of the page.
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    stage.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) {
      stage.classList.remove("over");
    }
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    stage.classList.remove("over");
    readFirst(event.dataTransfer.files);
  });
}

// Photos

function readFirst(files) {
  if (files.length) {
    const [file] = files;
    readPhoto(file, file.name);
  }
}

function readSample() {
  readPhoto(fetch("sample.jpg").then((answer) => answer.blob()), "cat.jpg");
}

/** Show a photo, unless another one is asked for while it is fetched and decoded. */
async function readPhoto(blob, name) {
  const mine = ++asked;
  try {
    const next = await Photo.read(await blob, name);
    if (mine === asked) {
      usePhoto(next);
    } else {
      next.close();
    }
  } catch (error) {
    if (mine === asked) {
      report(error);
    }
  }
}

function usePhoto(next) {
  // What is still being read was asked for earlier, also than a picture that the camera took.
  asked++;
  photo?.close();
  photo = next;
  element("empty").hidden = true;
  document.body.classList.add("with-photo");
  if (camera.running) {
    stopCamera();
  } else {
    paintPhoto();
  }
  view.awaitThumbnails();
  thumbnails.show(photo);
}

async function paintPhoto() {
  if (!photo || camera.running) {
    return;
  }
  engine.dropLongRun(PATIENCE_MS);
  wish++;
  // While a photo is painted anew, its last painting stays.
  if (shown?.photo !== photo) {
    shown = null;
    comparison.mirror(false);
    comparison.showPhoto(photo.scale(photo.fit(PREVIEW_SIDE)));
  }
  view.showState("working", "Painting…");
  again = true;
  if (painting) {
    return;
  }
  painting = true;
  thumbnails.pause();
  while (again && !camera.running) {
    again = false;
    await paintLatest(wish);
  }
  painting = false;
  if (!camera.running) {
    thumbnails.resume();
  }
}

async function paintLatest(mine) {
  const style = chosenStyle();
  const { strength, stroke } = controls.settings;
  const size = photo.fit(element("size").value === "full" ? null : Number(element("size").value));
  const scaled = scaleSize(size, stroke);
  const pixels = scaled.width * scaled.height;
  const memory = pixels * style.bytes_per_pixel;
  view.showMemory(memory, MEMORY_LIMIT);
  if (memory > MEMORY_LIMIT) {
    const needed = `${(memory / 1e9).toFixed(1)} GB, and a page gets at most 4`;
    const remedy = stroke < 1 ? "a smaller long side or larger strokes" : "a smaller long side";
    view.showError(`${size.width} × ${size.height} pixels need some ${needed}; choose ${remedy}.`);
    return;
  }
  view.showState("working", "Painting…", speed.has(style.id) ? speed.get(style.id) * pixels : null);
  const result = await run(mine, style, photo, size, { strength, stroke });
  if (result) {
    speed.set(style.id, result.milliseconds / pixels);
    view.showTime("done", result.milliseconds, `for ${size.width} × ${size.height} pixels`);
  }
}

/** Scale, repaint and show; returns null if it failed, which the page shows, or if the result is no longer wanted. */
async function run(mine, style, source, size, settings) {
  try {
    const image = source.scale(size);
    // A copy, because the pixels move to the worker and the page still has to show them.
    const copy = new ImageData(new Uint8ClampedArray(image.data), image.width, image.height);
    const result = await engine.paint(style, copy, settings);
    if (mine !== wish) {
      return null;
    }
    view.showDevice(result);
    shown = { photo, image, painted: result.image };
    recolor();
    return result;
  } catch (error) {
    if (mine === wish) {
      report(error);
    }
    return null;
  }
}

/** Show what is painted in its own colors, or in those of the photo. */
function recolor() {
  if (shown) {
    const { image, painted } = shown;
    comparison.show(image, controls.settings.preserveColor ? keepColor(painted, image) : painted);
  }
}

async function saveShown() {
  try {
    await savePicture(comparison.painted, `${photo.name}-${chosenStyle().id}`, element("format").value);
  } catch (error) {
    report(error);
  }
}

// The camera

async function startCamera() {
  if (askingCamera) {
    return;
  }
  engine.dropLongRun(PATIENCE_MS);
  const mine = ++wish;
  view.showState("working", "Starting the camera…");
  if (!(await withCamera(() => camera.start()))) {
    return;
  }
  if (mine !== wish) {
    // A photo was chosen while the browser asked for permission.
    camera.stop();
    return;
  }
  element("empty").hidden = true;
  thumbnails.pause();
  view.showCamera(true);
  element("record").hidden = !Recorder.available;
  element("turn").hidden = !(await camera.hasOther());
  const rate = new Rate();
  while (mine === wish) {
    // A hidden page gets no frames to draw, and so spends no power on painting.
    await new Promise(requestAnimationFrame);
    const frame = camera.frame();
    // While it turns to the other side, the camera has no picture.
    if (mine !== wish || !frame.width) {
      continue;
    }
    comparison.mirror(camera.mirrored);
    const size = frame.fit(Number(element("live-size").value));
    const result = await run(mine, chosenStyle(), frame, size, controls.settings);
    if (result) {
      showFrame(result, size, rate);
    } else if (mine === wish) {
      // The page shows the reason; another frame would fail the same way.
      wish++;
      endCamera();
    }
  }
}

function showFrame({ milliseconds }, { width, height }, rate) {
  view.showTime("live", milliseconds, `a frame of ${width} × ${height} pixels`);
  view.showRate(rate.count(performance.now()));
  if (recorder.running) {
    recorder.add(comparison.painted, camera.mirrored);
    view.showRecording(recorder.seconds);
  }
}

function startRecording() {
  try {
    recorder.start(comparison.painted);
    recorder.add(comparison.painted, camera.mirrored);
    view.showRecording(0);
  } catch (error) {
    view.showError(`This browser does not record (${error.message}); take a picture instead.`);
  }
}

async function saveRecording() {
  view.showRecording(null);
  try {
    const { blob, ending } = await recorder.stop();
    save(blob, `camera-${chosenStyle().id}.${ending}`);
  } catch (error) {
    report(error);
  }
}

async function turnCamera() {
  if (askingCamera) {
    return;
  }
  if (!(await withCamera(() => camera.turn()))) {
    // So that nobody waits for frames any more.
    wish++;
  }
}

/** Do something with the camera; show an error in the page, and return whether it worked. */
async function withCamera(act) {
  askingCamera = true;
  try {
    await act();
    return true;
  } catch (error) {
    // What was shown before stays: only the camera's own controls go.
    endCamera();
    report(error);
    return false;
  } finally {
    askingCamera = false;
  }
}

/** End the camera and what it was used for; the last picture stays. */
function endCamera() {
  camera.stop();
  if (recorder.running) {
    saveRecording();
  }
  view.showCamera(false);
  thumbnails.resume();
}

function stopCamera() {
  wish++;
  endCamera();
  shown = null;
  comparison.mirror(false);
  if (photo) {
    paintPhoto();
  } else {
    comparison.hide();
    element("empty").hidden = false;
    view.showState("idle");
    view.showProgress(false);
  }
}

// Parts of the above

function showStyle() {
  const style = chosenStyle();
  view.showLicense(style);
  controls.setStyle(style);
}

function chosenStyle() {
  return site.styles.find((style) => style.id === view.chosenId());
}

/** Show an error, but not that of a run which was dropped on purpose. */
function report(error) {
  if (!(error instanceof Replaced)) {
    view.showError(error.message);
  }
}

main();
