// The worker that paints: it alone holds ONNX Runtime, so that the page never freezes.
//
// It takes {id, type: "start" | "paint", ...} and answers {id, result} or {id, error};
// between them it sends {progress: {what, loaded, total}} for what it downloads.

import { toPixels, toPlanes } from "./planes.js";
import { enlarge, scalePhoto, shrink } from "./stroke.js";

let ort = null;
let site = null;
let device = null; // "webgpu" or "wasm"
let precision = "float32";
let threads = 1;
let note = "";
// One session at a time: each keeps the memory of its largest picture, hundreds of megabytes.
let open = { id: null, session: null };

// A session runs one picture at a time, so messages wait for those before them.
let before = Promise.resolve();
self.onmessage = ({ data }) => {
  before = before.then(() => answer(data));
};

async function answer(message) {
  try {
    const result = await { start, paint }[message.type](message);
    self.postMessage({ id: message.id, result }, result.pixels ? [result.pixels.buffer] : []);
  } catch (error) {
    self.postMessage({ id: message.id, error: sentence(error) });
  }
}

/** Choose where to compute and load the runtime's build for it. */
async function start(options) {
  site = options.site;
  const adapter = options.device === "wasm" ? null : await findAdapter(options.device === "webgpu");
  if (options.device === "webgpu" && !adapter) {
    throw new Error("This browser has no WebGPU; open this page without ?device=webgpu.");
  }
  device = adapter ? "webgpu" : "wasm";
  // Native float16 halves the download and the memory; WASM has no such arithmetic and would convert at every layer.
  precision = adapter?.features.has("shader-f16") ? "float16" : "float32";
  const build = site.runtime.builds[device];
  const folder = new URL(site.runtime.folder, self.location.href);
  const [module, binary] = await Promise.all([
    import(new URL(build.script, folder).href),
    download(new URL(build.binary.path, folder), build.binary.bytes, "runtime"),
  ]);
  ort = module;
  threads = self.crossOriginIsolated ? countThreads() : 1;
  ort.env.logLevel = "error";
  ort.env.wasm.wasmPaths = folder.href;
  ort.env.wasm.wasmBinary = binary;
  ort.env.wasm.numThreads = threads;
  const files = [build.script, build.loader, build.binary.path].map((name) => site.runtime.folder + name);
  return { device, precision, threads, files };
}

/** Repaint one picture; milliseconds are the time of the network and of scaling, without download and preparations. */
async function paint({ style, pixels, width, height, strength, stroke, small }) {
  const picture = { data: pixels, width, height };
  if (small && open.id !== style.id) {
    const session = await loadStyle(style, false);
    try {
      return await repaint(session, style, picture, strength, stroke);
    } finally {
      await session.release();
    }
  }
  await openStyle(style);
  return repaint(open.session, style, picture, strength, stroke);
}

async function repaint(session, style, picture, strength, wanted) {
  const started = performance.now();
  // Scaling would soften what the style is to leave as it is.
  const stroke = style.strength && strength === 0 ? 1 : wanted;
  const scaled = stroke === 1 ? picture : scalePhoto(picture, stroke);
  let painted = await run(session, scaled, style.strength ? strength : null);
  if (stroke > 1) {
    painted = enlarge(painted, scaled, picture);
  } else if (stroke < 1) {
    painted = shrink(painted, picture);
  }
  const { width, height } = picture;
  return { pixels: painted.data, width, height, milliseconds: performance.now() - started, device, threads, note };
}

/** Run the network; strength is null for those that take none. */
async function run(session, { data, width, height }, strength) {
  const { contract } = site;
  const input = toPlanes(data, width, height, contract.smallest_side);
  const feeds = { [contract.input]: new ort.Tensor("float32", input.planes, [1, 3, input.height, input.width]) };
  if (strength !== null) {
    feeds[contract.strength] = new ort.Tensor("float32", [strength], []);
  }
  const answers = await session.run(feeds);
  const output = answers[contract.output];
  const planes = await output.getData();
  const painted = toPixels(planes, input.width, width, height);
  for (const tensor of [output, ...Object.values(feeds)]) {
    tensor.dispose();
  }
  return { data: painted, width, height };
}

async function openStyle(style) {
  if (open.id === style.id) {
    return;
  }
  await open.session?.release();
  open = { id: null, session: null };
  open = { session: await loadStyle(style, true), id: style.id };
}

async function loadStyle(style, announced) {
  const content = await fetchStyle(style, announced);
  try {
    return await createSession(content, device);
  } catch (error) {
    if (device === "wasm") {
      throw error;
    }
    // Some graphics drivers promise WebGPU and fail; the same runtime computes on the processor, and the page says so.
    [device, precision, note] = ["wasm", "float32", "WebGPU failed"];
    return createSession(await fetchStyle(style, announced), device);
  }
}

function fetchStyle(style, announced) {
  const file = chooseFile(style, precision);
  return download(new URL(file.path, self.location.href), file.bytes, announced ? style.title : null);
}

function createSession(content, provider) {
  return ort.InferenceSession.create(content, {
    executionProviders: [provider],
    graphOptimizationLevel: "all",
    // Sizes change from photo to photo, and what an arena keeps of a large one is missing for the next.
    enableMemPattern: false,
    enableCpuMemArena: false,
    logSeverityLevel: 3,
  });
}

function chooseFile(style, wanted) {
  return style.files[wanted] ?? style.files.float32;
}

async function findAdapter(wanted) {
  try {
    const adapter = await self.navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
    // A graphics card that is emulated in software is slower than WASM; it is used only if the address asks for it.
    return adapter && (wanted || !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter)) ? adapter : null;
  } catch {
    return null;
  }
}

function countThreads() {
  const cores = self.navigator.hardwareConcurrency || 1;
  // Above four, half of the reported cores are hardware threads that share an arithmetic unit, or a phone's slow cores.
  return Math.min(8, cores <= 4 ? cores : Math.max(4, Math.ceil(cores / 2)));
}

/** Fetch a file and report progress, if it has a name; `bytes` is its size, which a compressed answer does not state. */
async function download(url, bytes, what) {
  let answer;
  try {
    answer = await fetch(url);
  } catch {
    throw new Error(`'${url.pathname}' could not be loaded; connect to the network and try again.`);
  }
  if (!answer.ok) {
    throw new Error(`'${url.pathname}' could not be loaded (${answer.status}); put the whole site on the server.`);
  }
  const content = new Uint8Array(bytes);
  const reader = answer.body.getReader();
  let loaded = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) {
      break;
    }
    if (loaded + value.length > bytes) {
      throw new Error(`'${url.pathname}' is not the file that this site was built with; build and upload it again.`);
    }
    content.set(value, loaded);
    loaded += value.length;
    if (what) {
      self.postMessage({ progress: { what, loaded, total: bytes } });
    }
  }
  if (loaded !== bytes) {
    throw new Error(`'${url.pathname}' broke off after ${loaded} of ${bytes} bytes; try again.`);
  }
  return content;
}

/** Put any error into one sentence for the page. */
function sentence(error) {
  const message = String(error?.message ?? error).split("\n")[0];
  if (/bad_alloc|out of memory|memory access out of bounds|allocat|unreachable|aborted/i.test(message)) {
    return "There was not enough memory for this picture; choose a smaller long side.";
  }
  return /[.!]$/.test(message) ? message : `The style could not be run (${message}); reload the page.`;
}
