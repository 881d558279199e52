// DuckDB's worker, which by itself would take a second longer: it would compile when all else is
// loaded, count the bytes as they come, and tell every function of DuckDB to extensions, of which
// none is ever loaded here.

/** Compile DuckDB while it is loaded and unpacked: the file is gzip of its WebAssembly. */
async function compile() {
  const answer = await fetch("duckdb/duckdb-eh.wasm.packed");
  if (!answer.ok) throw new Error(`DuckDB cannot be read: HTTP status ${answer.status}`);
  const module = answer.body.pipeThrough(new DecompressionStream("gzip"));
  return WebAssembly.compileStreaming(new Response(module, { headers: { "Content-Type": "application/wasm" } }));
}
const compiled = compile();
compiled.catch((error) => setTimeout(() => { throw error; })); // so that the page hears of it

/** Return what DuckDB's script needs of an instance, a thirtieth: no C++, nothing for other modules. */
function needed(module, exports) {
  const linked = new Set(WebAssembly.Module.imports(module).map(({ name }) => name));
  const names = Object.keys(exports).filter((name) => !/^(_Z|orig\$)/.test(name) || linked.has(name));
  return Object.fromEntries(names.map((name) => [name, exports[name]]));
}

WebAssembly.instantiateStreaming = async (_, imports) => {
  const module = await compiled;
  const { exports } = await WebAssembly.instantiate(module, imports);
  return { module, instance: { exports: needed(module, exports) } };
};
self.fetch = async () => new Response(""); // DuckDB's script asks for the module, which is there
importScripts("duckdb/duckdb-browser-eh.worker.js");
