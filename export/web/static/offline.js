// The page's side of service-worker.js: what a static server cannot do, threads and working offline.

const RELOADED = "onestroke-reloaded";
const PATIENCE_MS = 10_000;

/**
 * Register the service worker and, where its headers are missing, reload the page once, so that threads are allowed.
 *
 * Returns when the page may start; on the way to a reload that is never.
 */
export async function isolate() {
  // Browsers offer no service worker to pages that came by plain http from another machine.
  if (!navigator.serviceWorker) {
    return;
  }
  const registered = navigator.serviceWorker.register("service-worker.js");
  try {
    if (crossOriginIsolated) {
      // Whatever hinders the registration, a page that has its headers need not wait for it.
      registered.catch(() => {});
      sessionStorage.removeItem(RELOADED);
      return;
    }
    // Once only: a browser that isolates no page would reload forever.
    if (sessionStorage.getItem(RELOADED)) {
      return;
    }
    await registered;
    // If its installation fails, it is never ready.
    if (await Promise.race([navigator.serviceWorker.ready, later(PATIENCE_MS)])) {
      sessionStorage.setItem(RELOADED, "yes");
      // Browsers keep pages in memory after a reload, and may bring back this one, which has no threads.
      addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
      location.reload();
      // What follows runs only if the browser ignores that.
      await later(PATIENCE_MS);
    }
  } catch {
    // Storage may be switched off; the page then paints with one thread, online.
  }
}

/**
 * Keep these files for offline use, and forget those of earlier versions of the site.
 *
 * @param {string[]} files Paths relative to the page.
 * @returns {Promise<boolean>} Whether all are kept.
 */
export function keep(files) {
  const worker = navigator.serviceWorker?.controller;
  if (!worker) {
    return Promise.resolve(false);
  }
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = ({ data }) => resolve(data.kept);
    worker.postMessage({ keep: files }, [port2]);
  });
}

function later(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds, false));
}
