// DuckDB's worker, which by itself would take a second longer: it would compile when all else is
// loaded, count the bytes as they come, and tell every function of DuckDB to extensions, of which
// none is ever loaded here.

const fetchModule = fetch.bind(self, "duckdb/duckdb-eh.wasm");
const compiled = WebAssembly.compileStreaming(fetchModule()).catch(async (error) => {
  const answer = await fetchModule(); // a host may not know the type of such a file
  if (!answer.ok) throw error;
  return WebAssembly.compile(await answer.arrayBuffer());
});
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
