"""A hub on loopback: the HTTP API that the Hugging Face hub's client uses, with faults on demand.

It is a real server for the real client: `HF_ENDPOINT=hub.url`. It also serves plain files under
/files/, as release pages do. A request is answered by a route: a method that is marked with the
addresses that it answers.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from huggingface_hub import constants
from ruamel.yaml import YAML

BLOCK = 1 << 14
TOKEN = "hf_writer"  # who shows it may write
IN_LFS = re.compile(
    r"\.(safetensors|bin|pt|pth|model|ckpt|npz|parquet|zip)$"
)  # as .gitattributes of a new repository
ROUTES: list[tuple[str, re.Pattern[str], Callable[..., None]]] = []


@dataclass(frozen=True)
class Blob:
    """A file's content, in git itself or in large-file storage."""

    data: bytes
    lfs: bool = False

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def git_blob(self) -> str:
        return hashlib.sha1(b"blob %d\0" % len(self.data) + self.data).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.git_blob


@dataclass
class Repository:
    """Commits, each a mapping of paths to blobs, and branches.

    Attributes:
        kind: 'models' or 'datasets'.
        name: 'owner/name'.
        gated: Whether only `members` may read files; 'manual': its owners decide who is one.
        members: The tokens of those who may.
        commits: The blobs of each commit, by path.
        branches: The commit of each branch.
    """

    kind: str  # models | datasets
    name: str
    gated: bool | str = False
    members: set[str] = field(default_factory=set)
    commits: dict[str, dict[str, Blob]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, files: Mapping[str, bytes | None], branch: str = "main") -> str:
        """Add files to a branch, remove those that are None, and return the new commit."""
        parent = self.branches.get(branch, "")
        blobs = {
            p: Blob(data, lfs=bool(IN_LFS.search(p)))
            for p, data in files.items()
            if data is not None
        }
        kept = {
            path: blob for path, blob in self.commits.get(parent, {}).items() if path not in files
        }
        tree = {**kept, **blobs}
        content = parent + "".join(f"{path} {blob.etag}\n" for path, blob in sorted(tree.items()))
        sha = hashlib.sha1(content.encode()).hexdigest()
        self.commits[sha] = tree
        self.branches[branch] = sha
        return sha

    def find(self, revision: str) -> str | None:
        """The commit of a branch's name or of itself."""
        sha = self.branches.get(revision, revision)
        return sha if sha in self.commits else None


@dataclass
class Fault:
    """What goes wrong with the next `times` requests of a method, with `where` in their path."""

    where: str
    status: int | None = None  # answered instead
    cut: int | None = None  # bytes of body, after which the connection is closed
    data: bytes | None = None  # sent instead of the file, with headers that fit it
    wait: float = 0.0  # s before each block of the body
    times: int = 1
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]


class Hub:
    """What the server holds, what it was asked, and what shall go wrong."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.files: dict[str, Blob] = {}  # under /files/
        self.uploads: dict[str, bytes] = {}  # by sha256, of no commit yet
        self.ranges = True  # may a part of a file be asked for
        self.etags = True  # of the files under /files/
        self.faults: list[Fault] = []
        self.log: list[Request] = []
        self.lock = threading.Lock()
        self.url = ""

    def repository(self, name: str, kind: str = "models", **facts: Any) -> Repository:
        """Create a repository."""
        made = self.repositories[kind, name] = Repository(kind, name, **facts)
        return made

    def asked(self, where: str, method: str = "GET") -> list[Request]:
        """The requests so far of that method whose path contains `where`."""
        return [
            request for request in self.log if request.method == method and where in request.path
        ]

    def fault(self, request: Request) -> Fault | None:
        """The fault that this request meets, counted."""
        with self.lock:
            self.log.append(request)
            for fault in self.faults:
                if fault.times and fault.method == request.method and fault.where in request.path:
                    fault.times -= 1
                    return fault
        return None

    def blob(self, sha256: str) -> Blob | None:
        """A blob of large-file storage."""
        every = (
            blob
            for repo in self.repositories.values()
            for tree in repo.commits.values()
            for blob in tree.values()
        )
        return next((blob for blob in every if blob.lfs and blob.sha256 == sha256), None)


def route(
    pattern: str, method: str = "GET"
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Mark a method of Handler that answers these addresses with the pattern's groups."""

    def mark(act: Callable[..., None]) -> Callable[..., None]:
        ROUTES.append((method, re.compile(pattern), act))
        return act

    return mark


class Handler(BaseHTTPRequestHandler):
    """One request. Every answer has a length, so that the connection can be used again."""

    hub: Hub
    current: Fault | None
    body: bytes
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.body = self.receive()
        self.current = self.hub.fault(Request(self.command, self.path, dict(self.headers)))
        if self.current is not None and self.current.status is not None:
            self.send(self.current.status, b"", self.current.headers)
            return
        path = unquote(urlsplit(self.path).path)
        method = "GET" if self.command == "HEAD" else self.command
        for its_method, pattern, act in ROUTES:
            match = pattern.fullmatch(path)
            if match and its_method == method:
                act(self, *match.groups())
                return
        self.refuse(404, "NotFound", f"no route for {method} {path}")

    do_HEAD = do_POST = do_PUT = do_GET

    def receive(self) -> bytes:
        """What a request brings."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, format: str, *args: Any) -> None:
        """Into hub.log, not onto the terminal."""

    @property
    def query(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.path).query).items()}

    @property
    def token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    # Repositories

    @route(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/revision/([^/]+))?")
    def info(self, kind: str, name: str, revision: str | None) -> None:
        found = self.find(kind, name, revision or "main")
        if found is not None:
            repo, sha = found
            blobs = self.query.get("blobs", "").lower() == "true"
            files = [
                {"rfilename": path, **(facts(blob) if blobs else {})}
                for path, blob in repo.commits[sha].items()
            ]
            gate = "auto" if repo.gated is True else repo.gated
            self.send_json(
                {
                    "id": name,
                    "sha": sha,
                    "private": False,
                    "gated": gate,
                    "tags": [],
                    "siblings": files,
                }
            )

    @route(r"/api/(models|datasets)/([^/]+/[^/]+)/tree/([^/]+)(?:/(.+))?")
    def tree(self, kind: str, name: str, revision: str, folder: str | None) -> None:
        found = self.find(kind, name, revision)
        if found is not None:
            tree, within = found[0].commits[found[1]], f"{folder.rstrip('/')}/" if folder else ""
            files = {path: blob for path, blob in tree.items() if path.startswith(within)}
            folders = {str(parent) for path in files for parent in PurePosixPath(path).parents[:-1]}
            entries = [
                {"type": "file", "path": path, **tree_facts(blob)} for path, blob in files.items()
            ]
            entries += [
                {"type": "directory", "path": p, "oid": "0" * 40}
                for p in folders
                if p.startswith(within)
            ]
            if self.query.get("recursive", "").lower() != "true":
                entries = [
                    entry for entry in entries if "/" not in entry["path"].removeprefix(within)
                ]
            self.send_json(entries)

    @route(r"/(?:(datasets)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
    def resolve(self, kind: str | None, name: str, revision: str, path: str) -> None:
        """Redirect to another host, which takes no tokens, for a large file; else to this one."""
        found = self.find(kind or "models", name, revision)
        if found is None or not self.may_read(found[0]):
            return
        repo, sha = found
        blob = repo.commits[sha].get(path)
        if blob is None:
            self.refuse(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": sha})
            return
        headers = {
            "X-Repo-Commit": sha,
            "X-Linked-Etag": f'"{blob.etag}"',
            "X-Linked-Size": str(len(blob.data)),
        }
        if blob.lfs:
            storage = self.hub.url.replace("127.0.0.1", "localhost")
            self.send(302, b"", {**headers, "Location": f"{storage}/storage/{blob.sha256}"})
        else:
            self.send(
                307,
                b"",
                {**headers, "Location": f"/api/resolve-cache/{repo.kind}/{name}/{sha}/{path}"},
            )

    @route(r"/api/resolve-cache/(models|datasets)/([^/]+/[^/]+)/([^/]+)/(.+)")
    def resolved(self, kind: str, name: str, sha: str, path: str) -> None:
        blob = self.hub.repositories[kind, name].commits[sha][path]
        self.send_file(blob, {"X-Repo-Commit": sha, "ETag": f'"{blob.etag}"'})

    @route(r"/storage/([0-9a-f]{64})")
    def storage(self, sha256: str) -> None:
        """As storage with signed addresses does, it refuses who sends a token as well."""
        blob = self.hub.blob(sha256)
        if self.token or blob is None:
            self.send(400 if self.token else 404, b"only one way of authorization is allowed")
        else:
            self.send_file(blob, {"ETag": f'"{blob.sha256}"'})

    @route(r"/api/(models|datasets)/([^/]+/[^/]+)/paths-info/([^/]+)", "POST")
    def paths_info(self, kind: str, name: str, revision: str) -> None:
        found = self.find(kind, name, revision)
        if found is not None:
            tree = found[0].commits[found[1]]
            paths = json.loads(self.body)["paths"]
            there = [
                {"type": "file", "path": path, **tree_facts(tree[path])}
                for path in paths
                if path in tree
            ]
            folders = [
                {"type": "directory", "path": p, "oid": "0" * 40}
                for p in paths
                if has_folder(tree, p)
            ]
            self.send_json(there + folders)

    # Uploads

    def may_write(self) -> bool:
        if self.token != TOKEN:
            self.refuse(403 if self.token else 401, "Forbidden", "This token may not write here")
        return self.token == TOKEN

    @route("/api/repos/create", "POST")
    def create(self) -> None:
        asked = json.loads(self.body)
        kind, name = f"{asked.get('type', 'model')}s", f"{asked['organization']}/{asked['name']}"
        if not self.may_write():
            return
        if (kind, name) in self.hub.repositories:
            self.refuse(409, "Conflict", "You already created this repo")
            return
        self.hub.repository(name, kind).commit({".gitattributes": b"*.parquet filter=lfs\n"})
        self.send_json({"url": f"{self.hub.url}/{kind}/{name}"})

    @route("/api/validate-yaml", "POST")
    def validate(self) -> None:
        """The metadata of a README.md: YAML between two lines of dashes, with a license."""
        found = re.match(r"---\n(.*?)\n---\n", json.loads(self.body)["content"], re.DOTALL)
        metadata = YAML(typ="safe").load(found[1]) if found else None
        errors = (
            []
            if metadata and "license" in metadata
            else [{"message": "no license in the metadata"}]
        )
        self.send(400 if errors else 200, json.dumps({"errors": errors, "warnings": []}).encode())

    @route(r"/api/(models|datasets)/([^/]+/[^/]+)/preupload/([^/]+)", "POST")
    def preupload(self, kind: str, name: str, revision: str) -> None:
        found = self.find(kind, name, revision)
        if found is not None and self.may_write():
            paths = [file["path"] for file in json.loads(self.body)["files"]]
            modes = {path: "lfs" if IN_LFS.search(path) else "regular" for path in paths}
            self.send_json(
                {
                    "files": [
                        {"path": p, "uploadMode": m, "shouldIgnore": False}
                        for p, m in modes.items()
                    ]
                }
            )

    @route(r"/(?:(datasets)/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", "POST")
    def batch(self, kind: str | None, name: str) -> None:
        """Where each file that is not in storage yet is to be put."""
        if self.find(kind or "models", name, "main") is None or not self.may_write():
            return
        objects = json.loads(self.body)["objects"]
        for one in objects:
            if self.hub.blob(one["oid"]) is None:
                one["actions"] = {"upload": {"href": f"{self.hub.url}/storage/{one['oid']}"}}
        self.send_json({"transfer": "basic", "objects": objects})

    @route(r"/storage/([0-9a-f]{64})", "PUT")
    def store(self, sha256: str) -> None:
        right = hashlib.sha256(self.body).hexdigest() == sha256
        if right:
            self.hub.uploads[sha256] = self.body
        self.send(200 if right else 400, b"")

    @route(r"/api/(models|datasets)/([^/]+/[^/]+)/commit/([^/]+)", "POST")
    def receive_commit(self, kind: str, name: str, branch: str) -> None:
        found = self.find(kind, name, branch)
        if found is None or not self.may_write():
            return
        repo, head = found
        lines = [json.loads(line) for line in self.body.splitlines()]
        if lines[0]["value"].get("parentCommit", head) != head:
            self.refuse(
                412,
                "PreconditionFailed",
                "A commit has happened since. Please refresh and try again.",
            )
            return
        files: dict[str, bytes | None] = {}
        for line in lines[1:]:
            value = line["value"]
            match line["key"]:
                case "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    stored = self.hub.blob(value["oid"])
                    files[value["path"]] = stored.data if stored else self.hub.uploads[value["oid"]]
                case "deletedFile":
                    files[value["path"]] = None
        sha = repo.commit(files, branch)
        self.send_json(
            {"commitUrl": f"{self.hub.url}/{kind}/{name}/commit/{sha}", "commitOid": sha}
        )

    # Plain files

    @route(r"/files/(.+)")
    def plain(self, name: str) -> None:
        blob = self.hub.files.get(name)
        if blob is None:
            self.send(404, b"no such file")
        else:
            self.send_file(blob, {"ETag": f'"{blob.sha256[:16]}"'} if self.hub.etags else {})

    @route(r"/moved/(.+)")
    def moved(self, address: str) -> None:
        self.send(302, b"", {"Location": address})

    # Answers

    def find(self, kind: str, name: str, revision: str) -> tuple[Repository, str] | None:
        """The repository and its commit; what is not there has been answered."""
        repo = self.hub.repositories.get((kind, name))
        if repo is None:
            self.refuse(404 if self.token else 401, "RepoNotFound", "Repository not found")
            return None
        sha = repo.find(revision)
        if sha is None:
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return repo, sha

    def may_read(self, repo: Repository) -> bool:
        if repo.gated and self.token not in repo.members:
            wish = "ask for access" if self.token else "log in"
            self.refuse(
                403 if self.token else 401,
                "GatedRepo",
                f"Access to {repo.name} is restricted: {wish}",
            )
            return False
        return True

    def refuse(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        body = json.dumps({"error": message}).encode()
        self.send(
            status, body, {"X-Error-Code": code, "X-Error-Message": message, **(headers or {})}
        )

    def send_json(self, content: Any) -> None:
        """Without spaces: not every reader parses JSON as one should."""
        self.send(
            200,
            json.dumps(content, separators=(",", ":")).encode(),
            {"Content-Type": "application/json"},
        )

    def send_file(self, blob: Blob, headers: dict[str, str]) -> None:
        """The whole file, or the part that was asked for if it is still of the same file."""
        fault = self.current
        data = blob.data if fault is None or fault.data is None else fault.data
        asked = (
            re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
            if self.hub.ranges
            else None
        )
        unchanged = self.headers.get("If-Range") in (None, headers.get("ETag"))
        if asked is None or not unchanged:
            self.send(200, data, headers)
            return
        begin = int(asked[1]) if asked[1] else max(0, len(data) - int(asked[2]))
        end = min(int(asked[2]) + 1, len(data)) if asked[1] and asked[2] else len(data)
        if begin >= len(data):
            self.send(416, b"", {**headers, "Content-Range": f"bytes */{len(data)}"})
        else:
            span = f"bytes {begin}-{end - 1}/{len(data)}"
            self.send(206, data[begin:end], {**headers, "Content-Range": span})

    def send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.write(body)

    def write(self, body: bytes) -> None:
        fault = self.current or Fault("")
        end = len(body) if fault.cut is None else fault.cut
        for begin in range(0, end, BLOCK):
            time.sleep(fault.wait)
            self.wfile.write(body[begin : min(begin + BLOCK, end)])
        if fault.cut is not None:
            self.wfile.flush()
            self.close_connection = True


def has_folder(tree: Mapping[str, Blob], path: str) -> bool:
    return any(file.startswith(f"{path}/") for file in tree)


def facts(blob: Blob) -> dict[str, Any]:
    """Of a file, as the hub lists those of a repository."""
    lfs = (
        {"lfs": {"sha256": blob.sha256, "size": len(blob.data), "pointerSize": 134}}
        if blob.lfs
        else {}
    )
    return {"size": len(blob.data), "blobId": blob.git_blob, **lfs}


def tree_facts(blob: Blob) -> dict[str, Any]:
    """Of a file, as the hub lists those of a folder."""
    lfs = (
        {"lfs": {"oid": blob.sha256, "size": len(blob.data), "pointerSize": 134}}
        if blob.lfs
        else {}
    )
    return {"oid": blob.git_blob, "size": len(blob.data), **lfs}


def set_client(patch: pytest.MonkeyPatch, url: str, home: Path) -> None:
    """Set the hub's client as HF_ENDPOINT and HF_HOME would, which it reads when imported."""
    patch.setattr(constants, "ENDPOINT", url)
    patch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    patch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    patch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    patch.setattr(
        constants, "HF_HUB_DISABLE_XET", True
    )  # files go up by the LFS protocol, which this hub speaks
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        patch.delenv(name, raising=False)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the tests."""


class Tunnel(socketserver.BaseRequestHandler):
    """A proxy's connection: whatever host is asked for, the hub is what answers."""

    port: int

    def handle(self) -> None:
        asked = b""
        while not asked.endswith(b"\r\n\r\n"):
            asked += self.request.recv(1)
        with socket.create_connection(("127.0.0.1", self.port)) as hub:
            self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=self.pump, args=(hub, self.request), daemon=True)
            back.start()
            self.pump(self.request, hub)
            back.join()

    @staticmethod
    def pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(BLOCK):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


class Proxy(socketserver.ThreadingTCPServer):
    daemon_threads = True


@contextmanager
def tunnel(hub: Hub) -> Iterator[str]:
    """Serve a proxy for https that leads every host to the hub, and yield its URL.

    It is for readers that know the address of one hub only.
    """
    port = int(hub.url.rpartition(":")[2])
    proxy = Proxy(("127.0.0.1", 0), type("HubTunnel", (Tunnel,), {"port": port}))
    thread = threading.Thread(
        target=proxy.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    )
    thread.start()
    try:
        yield f"http://127.0.0.1:{proxy.server_address[1]}"
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()


@contextmanager
def serving(certificate: Path | None = None) -> Iterator[Hub]:
    """Serve a hub on a free port of 127.0.0.1 until the block ends.

    certificate: A certificate with its key, in PEM, with which https is spoken.
    """
    hub = Hub()
    server = Server(("127.0.0.1", 0), type("HubHandler", (Handler,), {"hub": hub}))
    hub.url = f"{'http' if certificate is None else 'https'}://127.0.0.1:{server.server_port}"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    )
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
