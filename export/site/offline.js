// The page's side of service-worker.js: what a static server cannot do, threads and working offline.

const RELOADED = "onestroke-reloaded";

/**
 * Register the service worker and reload the page once, so that its headers allow threads.
 *
 * @returns {Promise<boolean>} False if the page is about to reload and should start nothing.
 */
export async function isolate() {
  // Browsers offer no service worker to pages that came by plain http from another machine.
  if (!navigator.serviceWorker) {
    return true;
  }
  try {
    await navigator.serviceWorker.register("service-worker.js");
    if (crossOriginIsolated) {
      sessionStorage.removeItem(RELOADED);
      return true;
    }
    // Once only: a browser that isolates no page would reload for ever.
    if (sessionStorage.getItem(RELOADED)) {
      return true;
    }
    await navigator.serviceWorker.ready;
    sessionStorage.setItem(RELOADED, "yes");
    location.reload();
    return false;
  } catch {
    // Storage may be switched off; the page then paints with one thread, online.
    return true;
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
