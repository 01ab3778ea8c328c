// The page: it handles what a person chooses. The work is done in the modules that it imports.

import { Camera } from "./camera.js";
import { Comparison } from "./comparison.js";
import { Engine, Replaced } from "./engine.js";
import { isolate, keep } from "./offline.js";
import { Photo, save } from "./photos.js";
import * as view from "./view.js";

const { element } = view;
const comparison = new Comparison(element("frame"));
const camera = new Camera(() => {
  stopCamera();
  view.showError("The camera was switched off; start it again, or choose a photo.");
});

/** Bytes that WASM can address; a page gets no more. */
const MEMORY_LIMIT = 4e9;
/** A run longer than this is dropped, rather than waited for, when something else is asked. */
const PATIENCE_MS = 1000;

let site = null;
let engine = null;
let photo = null;
/** Counts what was asked for, so that only the latest is shown. */
let wish = 0;
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
  view.listStyles(site.styles);
  view.showLicense(chosenStyle().license);
  const device = new URLSearchParams(location.search).get("device");
  engine = new Engine(site, { device, onProgress: view.showDownload, onStart: view.showDevice });
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
    view.showLicense(chosenStyle().license);
    paintPhoto();
  });
  element("size").addEventListener("change", paintPhoto);
  element("save").addEventListener("click", savePicture);
  element("camera").addEventListener("click", startCamera);
  element("stop").addEventListener("click", () => stopCamera());
  element("turn").addEventListener("click", turnCamera);
  element("snap").addEventListener("click", () => usePhoto(camera.take()));
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

async function readFirst(files) {
  if (files.length) {
    const [file] = files;
    await readPhoto(file, file.name);
  }
}

async function readSample() {
  try {
    await readPhoto(await (await fetch("sample.jpg")).blob(), "cat.jpg");
  } catch (error) {
    report(error);
  }
}

async function readPhoto(blob, name) {
  try {
    usePhoto(await Photo.read(blob, name));
  } catch (error) {
    report(error);
  }
}

function usePhoto(next) {
  photo?.close();
  photo = next;
  element("empty").hidden = true;
  if (camera.running) {
    stopCamera();
  } else {
    paintPhoto();
  }
}

async function paintPhoto() {
  if (!photo || camera.running) {
    return;
  }
  const style = chosenStyle();
  const size = photo.fit(element("size").value === "full" ? null : Number(element("size").value));
  const pixels = size.width * size.height;
  const memory = pixels * style.bytes_per_pixel;
  view.showMemory(memory, MEMORY_LIMIT);
  engine.dropLongRun(PATIENCE_MS);
  const mine = ++wish;
  if (memory > MEMORY_LIMIT) {
    comparison.showPhoto(photo.scale(photo.fit(1024)));
    const needed = `${(memory / 1e9).toFixed(1)} GB, and a page gets at most 4`;
    view.showError(`${size.width} × ${size.height} pixels need some ${needed}; choose a smaller long side.`);
    return;
  }
  const image = photo.scale(size);
  comparison.showPhoto(image);
  view.showState("working", "Painting…", speed.has(style.id) ? speed.get(style.id) * pixels : null);
  const result = await run(mine, style, image);
  if (result) {
    speed.set(style.id, result.milliseconds / pixels);
    view.showTime("done", result.milliseconds, `for ${size.width} × ${size.height} pixels`);
  }
}

/** Repaint and show; returns null if it failed, which the page then shows, or if the result is no longer wanted. */
async function run(mine, style, image) {
  try {
    // A copy, because the pixels move to the worker and the page still has to show them.
    const copy = new ImageData(new Uint8ClampedArray(image.data), image.width, image.height);
    const result = await engine.paint(style, copy);
    if (mine !== wish) {
      return null;
    }
    view.showDevice(result);
    comparison.show(image, result.image);
    return result;
  } catch (error) {
    if (mine === wish) {
      report(error);
    }
    return null;
  }
}

async function savePicture() {
  try {
    await save(comparison.painted, `${photo.name}-${chosenStyle().id}`, element("format").value);
  } catch (error) {
    report(error);
  }
}

// The camera

async function startCamera() {
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
  view.showCamera(true);
  let shown = performance.now();
  while (mine === wish) {
    // A hidden page gets no frames to draw, and so spends no power on painting.
    await new Promise(requestAnimationFrame);
    const frame = camera.frame();
    // While it turns to the other side, the camera has no picture.
    if (mine !== wish || !frame.width) {
      continue;
    }
    comparison.mirror(camera.mirrored);
    const result = await run(mine, chosenStyle(), frame.scale(frame.fit(Number(element("live-size").value))));
    if (result) {
      const rate = 1000 / (performance.now() - shown);
      shown = performance.now();
      view.showTime("live", result.milliseconds, `a frame, ${rate.toFixed(rate < 10 ? 1 : 0)} a second`);
    } else if (mine === wish) {
      // The page shows the reason; another frame would fail the same way.
      wish++;
      camera.stop();
      view.showCamera(false);
    }
  }
}

async function turnCamera() {
  if (!(await withCamera(() => camera.turn()))) {
    // So that nobody waits for frames any more.
    wish++;
  }
}

/** Do something with the camera; show an error in the page, and return whether it worked. */
async function withCamera(act) {
  try {
    await act();
    return true;
  } catch (error) {
    // What was shown before stays: only the camera's own controls go.
    camera.stop();
    view.showCamera(false);
    report(error);
    return false;
  }
}

function stopCamera() {
  wish++;
  camera.stop();
  view.showCamera(false);
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
