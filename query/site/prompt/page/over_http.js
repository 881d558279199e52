// The prompt of `matterzoo serve`: the server answers.

import { begin } from "./prompt.js";

async function ask(sql) {
  const response = await fetch("query", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ sql }),
  });
  const found = await response.json();
  if (found.error !== undefined) throw new Error(found.error);
  return found;
}

const about = await (await fetch("about")).json();
document.title = `${about.store} · matterzoo`;
document.getElementById("store").textContent = about.store;
if (about.pages) {
  const link = document.createElement("a");
  link.href = "pages/";
  link.textContent = "Its report.";
  document.getElementById("about").append(" ", link);
}
begin(ask, about.examples, "vega.js", undefined, about.columns);
