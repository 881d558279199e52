"""A real Firefox that opens pages and says what it found: figures, complaints, what was fetched.

No driver of Firefox is in Debian, so a script in the page says what it found.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
_PATIENCE = 240.0  # s, for a page on a machine that is busy
PROBE = """
const said = [];
for (const kind of ["error", "warn"]) console[kind] = (...words) => said.push(words.join(" "));
addEventListener("error", (event) => said.push(event.message));
addEventListener("unhandledrejection", (event) => said.push(String(event.reason)));
addEventListener("securitypolicyviolation", (event) => said.push(event.violatedDirective));
addEventListener("load", async () => {
  const places = [...document.querySelectorAll(".canvas")].filter((place) => place.offsetParent);
  const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
  for (const place of places) {
    place.scrollIntoView();
    const until = performance.now() + 20000;
    while (!place.querySelector("svg.marks") && performance.now() < until) await wait(50);
  }
  const choice = document.querySelector(".structure select");
  while (choice && !choice.options.length) await wait(50);
  choice?.onchange();
  document.querySelector("th button")?.click();
  await wait(100);
  const fetched = performance.getEntriesByType("resource").map((entry) => entry.name);
  const found = {
    said, fetched: fetched.filter((url) => !url.startsWith(location.origin)), places: places.length,
    figures: document.querySelectorAll("svg.marks").length, agent: navigator.userAgent,
    structures: document.querySelectorAll(".drawing svg path").length,
    sorted: document.querySelectorAll("th[aria-sort]").length,
  };
  const sent = await fetch("/found", { method: "POST", body: JSON.stringify(found) });
  const next = await sent.text();
  if (next) location.href = next;
});
"""


@contextmanager
def probed(folder: Path, pages: Sequence[str], found: Queue[dict[str, Any]]) -> Iterator[str]:
    """Serve a folder, its pages with the probe, which goes on to further pages."""
    digest = base64.b64encode(hashlib.sha256(PROBE.encode()).digest()).decode()
    left = list(pages)

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *words: Any) -> None:
            super().__init__(*words, directory=str(folder))

        def do_GET(self) -> None:
            if not self.path.endswith(".html"):
                return super().do_GET()
            text = (folder / self.path.lstrip("/")).read_text()
            text = text.replace("script-src ", f"connect-src 'self'; script-src 'sha256-{digest}' ")
            self.answer(text.replace("</title>", f"</title><script>{PROBE}</script>", 1))
            return None

        def do_POST(self) -> None:
            found.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.answer(f"/{left.pop(0)}" if left else "")

        def answer(self, text: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def look(folder: Path, pages: Sequence[str], profile: Path) -> list[dict[str, Any]]:
    """Open pages of a folder in Firefox, and return what the probe found in each."""
    found: Queue[dict[str, Any]] = Queue()
    profile.mkdir()
    command = [str(FIREFOX), "--headless", "--no-remote", "--profile", str(profile)]
    with probed(folder, pages[1:], found) as address:
        running = subprocess.Popen(
            [*command, f"{address}/{pages[0]}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            return [found.get(timeout=_PATIENCE) for _ in pages]
        finally:
            running.terminate()
            running.wait(30)
