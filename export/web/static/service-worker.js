// What a static server cannot do: headers that allow threads, and a site that works offline.
//
// Threads share memory, which browsers allow only to pages served with the two headers below.

const HEADERS = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
};
// Several sites may share one host, each in its folder.
const CACHE = `onestroke ${self.registration.scope}`;
// Their names hold a version or a digest, so what is kept under such a name never ages.
const IMMUTABLE = /^(models|onnxruntime-web-[^/]+)\//;

self.addEventListener("install", (event) => {
  event.waitUntil(install());
});

self.addEventListener("activate", (event) => {
  event.waitUntil(self.clients.claim());
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method === "GET" && new URL(request.url).origin === self.location.origin) {
    event.respondWith(answer(request).then(isolate));
  }
});

self.addEventListener("message", (event) => {
  if (event.data.keep) {
    event.waitUntil(keep(event.data.keep, event.ports[0]));
  }
});

async function install() {
  const cache = await caches.open(CACHE);
  const site = await (await fetch("styles.json", { cache: "no-cache" })).json();
  await cache.addAll(site.shell.map((path) => new Request(path, { cache: "no-cache" })));
  await self.skipWaiting();
}

async function answer(request) {
  const cache = await caches.open(CACHE);
  // Within this site: a folder above it may be called models, too.
  const immutable = IMMUTABLE.test(request.url.slice(self.registration.scope.length));
  const kept = () => cache.match(request, { ignoreSearch: true, ignoreVary: true });
  if (immutable) {
    const found = await kept();
    if (found) {
      return found;
    }
  }
  try {
    // The network comes first for the small files, so that a new version of the site shows at once and as a whole.
    const fresh = await fetch(request.mode === "navigate" || immutable ? request : new Request(request, { cache: "no-cache" }));
    if (fresh.status === 200) {
      const copy = fresh.clone();
      // A full disk must not keep the page from working.
      cache.put(withoutSearch(request.url), copy).catch(() => {});
    }
    return fresh;
  } catch {
    return (await kept()) ?? Response.error();
  }
}

async function keep(paths, port) {
  try {
    const cache = await caches.open(CACHE);
    const wanted = new Set(paths.map((path) => new URL(path, self.registration.scope).href));
    for (const url of wanted) {
      if (!(await cache.match(url))) {
        await cache.add(url);
      }
    }
    for (const request of await cache.keys()) {
      if (!wanted.has(request.url)) {
        await cache.delete(request);
      }
    }
    port.postMessage({ kept: true });
  } catch {
    port.postMessage({ kept: false });
  }
}

function isolate(response) {
  // Errors and redirects have no body that could be wrapped.
  if (response.status === 0) {
    return response;
  }
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(HEADERS)) {
    headers.set(name, value);
  }
  const { status, statusText } = response;
  return new Response([204, 205, 304].includes(status) ? null : response.body, { status, statusText, headers });
}

function withoutSearch(address) {
  const url = new URL(address);
  url.search = "";
  return url.href;
}
