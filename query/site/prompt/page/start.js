// Starts DuckDB before the page's other scripts are there, as it takes longest.

if (location.protocol !== "file:") { // from disk no worker starts; the page says what to do then
  const worker = new Worker(new URL("worker.js", document.currentScript.src));
  const failed = new Promise((_, reject) => { // by itself DuckDB would wait for ever
    worker.addEventListener("error", (event) => reject(new Error(event.message)));
  });
  window.started = { worker, failed };
}
