// The prompt of a site: DuckDB runs in this browser, over the site's own Parquet files. Nothing is
// fetched from elsewhere: DuckDB's own reader of Parquet would be, so hyparquet reads the files.

import { AsyncDuckDB, VoidLogger } from "./duckdb/duckdb-browser.js";
import { begin } from "./prompt.js";

const MOST_ROWS = 10_000;
const { Arrow } = window;
const database = open(); // at once: nothing takes longer
const hyparquet = Promise.all([import("./hyparquet/metadata.js"), import("./hyparquet/read.js")]);
const catalog = JSON.parse(document.getElementById("catalog").textContent);
const tables = new Map(); // by name, a promise that is kept once the table is there

// ---- from Parquet to DuckDB

const TYPES = {
  BYTE_ARRAY: () => new Arrow.Utf8(),
  INT32: () => new Arrow.Int32(),
  INT64: () => new Arrow.Int64(),
  FLOAT: () => new Arrow.Float32(),
  DOUBLE: () => new Arrow.Float64(),
  BOOLEAN: () => new Arrow.Bool(),
  FIXED_LEN_BYTE_ARRAY: () => new Arrow.Float32(), // float16, the only one that a site has
};

/** Return the fields of a file: name, and type of Arrow. A list is a group of a group of a value. */
function fieldsOf(metadata) {
  const [, ...elements] = metadata.schema;
  const fields = [];
  while (elements.length) {
    const element = elements.shift();
    const isList = element.num_children > 0;
    const leaf = isList ? elements.splice(0, 2)[1] : element;
    const type = TYPES[leaf.type]();
    fields.push({ name: element.name, type: isList ? new Arrow.List(new Arrow.Field("element", type, true)) : type });
  }
  return fields;
}

/** Return one bit per value, and how many are not set. */
function bitsOf(values, isSet) {
  const bits = new Uint8Array((values.length + 7) >> 3);
  let unset = 0;
  for (let i = 0; i < values.length; i++) {
    if (isSet(values[i])) bits[i >> 3] |= 1 << (i & 7);
    else unset++;
  }
  return [bits, unset];
}

function offsetsOf(values, sizeOf) {
  const offsets = new Int32Array(values.length + 1);
  for (let i = 0; i < values.length; i++) offsets[i + 1] = offsets[i] + sizeOf(values[i]);
  return offsets;
}

/** Put parts behind each other. */
function joined(parts, offsets, Type) {
  const all = new Type(offsets.at(-1));
  for (let i = 0; i < parts.length; i++) all.set(parts[i], offsets[i]);
  return all;
}

/** Return texts as bytes. Columns have few texts many times, so that each is encoded once. */
function encoded(texts) {
  const encoder = new TextEncoder();
  const known = new Map([[null, new Uint8Array()], [undefined, new Uint8Array()]]);
  return Array.from(texts, (text) => {
    if (!known.has(text)) known.set(text, encoder.encode(text));
    return known.get(text);
  });
}

/** Return what Arrow holds of the values of a column. Its own builders make code from texts. */
function dataOf(values, type) {
  const [nullBitmap, nullCount] = bitsOf(values, (value) => value !== null && value !== undefined);
  const has = { type, length: values.length, nullCount, nullBitmap };
  if (Arrow.DataType.isList(type)) {
    const lists = Array.from(values, (value) => value ?? []);
    const element = type.children[0].type;
    const valueOffsets = offsetsOf(lists, (list) => list.length);
    if (!Arrow.DataType.isFloat(element)) return Arrow.makeData({ ...has, valueOffsets, child: dataOf(lists.flat(), element) });
    const data = joined(lists, valueOffsets, Float32Array);
    return Arrow.makeData({ ...has, valueOffsets, child: Arrow.makeData({ type: element, length: data.length, data }) });
  }
  if (Arrow.DataType.isUtf8(type)) {
    const texts = encoded(values);
    const valueOffsets = offsetsOf(texts, (text) => text.length);
    return Arrow.makeData({ ...has, valueOffsets, data: joined(texts, valueOffsets, Uint8Array) });
  }
  if (Arrow.DataType.isBool(type)) return Arrow.makeData({ ...has, data: bitsOf(values, Boolean)[0] });
  if (values instanceof type.ArrayType) return Arrow.makeData({ ...has, data: values });
  const data = new type.ArrayType(values.length); // zeros, also where nothing is known
  for (let i = 0; i < data.length; i++) if (values[i] !== null && values[i] !== undefined) data[i] = values[i];
  return Arrow.makeData({ ...has, data });
}

function here(path) {
  return new URL(path, import.meta.url).href;
}

async function readTable(path) {
  const response = await fetch(here(`../../${path}`));
  if (!response.ok) throw new Error(`${path} could not be read: the server answered ${response.status}`);
  const file = await response.arrayBuffer();
  const [{ parquetMetadata }, { parquetRead }] = await hyparquet;
  const metadata = parquetMetadata(file);
  const parts = {}; // by column, its values in pages: rows as objects would take longer than all else
  await parquetRead({
    file, metadata,
    onChunk: ({ columnName, columnData }) => (parts[columnName] ??= []).push(columnData),
  });
  const columns = {};
  for (const { name, type } of fieldsOf(metadata)) {
    const [first = [], ...others] = parts[name] ?? [];
    const values = others.length ? [first, ...others].flatMap((part) => Array.from(part)) : first;
    columns[name] = new Arrow.Vector([dataOf(values, type)]);
  }
  return new Arrow.Table(columns);
}

/** Put a table into DuckDB. What could not be read is tried again when it is next asked for. */
async function load(name) {
  const [connection, ...parts] = await Promise.all([database, ...catalog.tables[name].map(readTable)]);
  for (const [i, part] of parts.entries()) {
    await connection.insertArrowTable(part, { name, create: i === 0 });
  }
}

/** Load the tables that a statement names; if it names none, all but the vectors, which are large. */
async function require(sql, tell) {
  const words = new Set(sql.toLowerCase().match(/\w+/g));
  const all = Object.keys(catalog.tables);
  const named = all.filter((name) => words.has(name));
  const wanted = named.length ? named : all.filter((name) => name !== "vectors");
  for (const name of wanted) {
    if (!tables.has(name)) tables.set(name, load(name));
    tables.get(name).catch(() => tables.delete(name));
  }
  tell(`loading ${wanted.join(", ")} …`);
  await Promise.all(wanted.map((name) => tables.get(name)));
}

// ---- DuckDB

async function open() {
  const { worker, failed } = window.started; // see start.js
  const duckdb = new AsyncDuckDB(new VoidLogger(), worker);
  await Promise.race([duckdb.instantiate(here("duckdb/")), failed]);
  await duckdb.open({ query: { castDecimalToDouble: true, castTimestampToDate: true } });
  const connection = await duckdb.connect();
  // Extensions would come from a server of DuckDB's.
  await connection.query("SET autoinstall_known_extensions = false; SET autoload_known_extensions = false");
  return connection;
}

/** Define the macros, once; the first statement has none of them. */
async function defineMacros() {
  const answer = await fetch(here("macros.sql"));
  if (!answer.ok) throw new Error(`macros.sql cannot be read: HTTP status ${answer.status}`);
  await (await database).query(await answer.text());
}
let macros = null;
const NEEDS_STORE = "Of matterzoo's functions only cka and mutual_knn are in this page. The others need the store, and " +
  "matterzoo: matterzoo query \"FROM …\", or matterzoo serve, which has this prompt over a store.";

// ---- from DuckDB to the prompt

const NAMES = { Utf8: "VARCHAR", Bool: "BOOLEAN", Int8: "TINYINT", Int16: "SMALLINT", Int32: "INTEGER", Int64: "BIGINT", Uint64: "UBIGINT", Uint32: "UINTEGER", Float32: "FLOAT", Float64: "DOUBLE" };

function typeName(type) {
  if (Arrow.DataType.isList(type)) return `${typeName(type.children[0].type)}[]`;
  return NAMES[String(type)] ?? String(type).replace(/<.*/s, "").toUpperCase();
}

function plain(value) {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  if (value instanceof Date) return value.toISOString();
  if (value === null || typeof value !== "object") return value ?? null;
  if (typeof value.toJSON === "function") return plain(value.toJSON());
  if (ArrayBuffer.isView(value) || Array.isArray(value)) return Array.from(value, plain);
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plain(each)]));
}

async function ask(sql, tell) {
  const start = performance.now();
  await require(sql, tell);
  if (sql !== catalog.examples[0].sql) {
    macros ??= defineMacros().catch((error) => {
      macros = null; // what could not be read is tried again
      throw error;
    });
    await macros;
  }
  const connection = await database;
  tell("running …");
  const found = await connection.query(sql).catch((error) => {
    const message = error.message.replace(/(\n\nLINE \d+:[^]*)\1\s*$/, "$1"); // it points twice
    if (!/Function with name \w+ does not exist/.test(message)) throw new Error(message);
    throw new Error(`${message.replace(/\nDid you mean [^\n]*/, "")}\n\n${NEEDS_STORE}`);
  });
  const rows = [];
  const columns = found.schema.fields.map(({ type }, place) => {
    const column = found.getChildAt(place);
    const isTime = Arrow.DataType.isDate(type) || Arrow.DataType.isTimestamp(type); // ms since 1970
    return { get: (i) => (isTime && column.get(i) !== null ? new Date(column.get(i)) : column.get(i)) };
  });
  for (let i = 0; i < Math.min(found.numRows, MOST_ROWS); i++) {
    rows.push(columns.map((column) => plain(column.get(i))));
  }
  return {
    columns: found.schema.fields.map(({ name, type }) => ({ name, type: typeName(type) })),
    rows,
    is_cut: found.numRows > MOST_ROWS,
    seconds: (performance.now() - start) / 1000,
  };
}

// Pages of the site lead here with a statement.
const linked = new URLSearchParams(location.hash.slice(1)).get("sql");
begin(ask, catalog.examples, here("../vega.js"), linked ?? undefined, catalog.columns);
