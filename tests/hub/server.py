"""A small Hugging Face hub on loopback: real HTTP, as much of the API as the hub's libraries ask for.

Repositories hold commits (path -> bytes) and branches. Every request is logged and the sent bytes of files are counted;
faults can be ordered: a status, a body that breaks off, a lack of permission. Not here: uploads, Xet, redirects to a
content network.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_API = re.compile(
    r"/api/(models|datasets)/(?P<repo>[^/]+/[^/]+)(?:/(?P<what>revision|tree|paths-info|refs)(?:/(?P<rest>.*))?)?"
)
_FILE = re.compile(r"/(?P<kind>datasets/)?(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")


@dataclass
class Repository:
    """Commits by full hash, and what each branch means now. `token`: only its bearer may read."""

    commits: dict[str, Mapping[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    token: str | None = None

    def commit(self, files: Mapping[str, bytes | str], branch: str = "main") -> str:
        """Add a commit, move the branch to it, and return its hash."""
        content = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
        digest = hashlib.sha1(f"{len(self.commits)} {sorted(content.items())}".encode())
        self.commits[digest.hexdigest()] = content
        self.branches[branch] = digest.hexdigest()
        return digest.hexdigest()


@dataclass
class Fault:
    """For the next `times` requests whose `METHOD /path` matches: answer `status`, or break off after `after_bytes`."""

    matching: str
    times: int = 1
    status: int | None = None
    after_bytes: int | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: {"X-Error-Message": "ordered fault"})


@dataclass(frozen=True)
class Request:
    """What a client asked."""

    method: str
    path: str
    authorization: str | None
    range: str | None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class HubServer(ThreadingHTTPServer):
    """The server; use it as a context manager."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.moved: dict[str, str] = {}
        self.faults: list[Fault] = []
        self.log: list[Request] = []
        self.sent = 0
        self.lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> HubServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def dataset(self, repo: str) -> Repository:
        """The data set `repo`, made when it is not there yet."""
        return self.repositories.setdefault(("datasets", repo), Repository())

    def model(self, repo: str) -> Repository:
        """The model `repo`, made when it is not there yet."""
        return self.repositories.setdefault(("models", repo), Repository())

    def asked(self, matching: str) -> list[Request]:
        """The logged requests whose `METHOD /path` matches."""
        return [request for request in self.log if re.search(matching, str(request))]

    def next_fault(self, request: Request) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times and re.search(fault.matching, str(request)):
                    fault.times -= 1
                    return fault
        return None


class _RefusalError(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes, and would be 40 ms apart
    server: HubServer

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(
            self.command, unquote(self.path), self.headers.get("Authorization"), self.headers.get("Range")
        )
        self.server.log.append(request)
        fault = self.server.next_fault(request)
        if fault is not None and fault.status is not None:
            self._send(fault.status, b"", fault.headers)
            return
        try:
            status, content, headers = self._route(body)
        except _RefusalError as refusal:
            headers = {"X-Error-Code": refusal.code, "X-Error-Message": str(refusal)}
            self._send(refusal.status, json.dumps({"error": str(refusal)}).encode(), headers)
            return
        self._send(status, content, headers, fault.after_bytes if fault else None)

    def _route(self, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        url = urlsplit(self.path)
        path = unquote(url.path)
        if path == "/":
            return 200, b"a small hub", {}
        for old, new in self.server.moved.items():
            if re.match(rf"(/api/models|/api/datasets|/datasets)?/{re.escape(old)}/(?!{re.escape(new)})", path):
                return 307, b"", {"Location": self.path.replace(old, new, 1)}
        if match := _API.fullmatch(path):
            repository = self._repository(match[1], match["repo"])
            return self._api(repository, match, parse_qs(url.query), body)
        if match := _FILE.fullmatch(path):
            repository = self._repository("datasets" if match["kind"] else "models", match["repo"])
            return self._file(repository, match["revision"], match["path"])
        raise _RefusalError(404, "", f"no such page: {path}")

    def _api(
        self, repository: Repository, match: re.Match[str], query: dict[str, list[str]], body: bytes
    ) -> tuple[int, bytes, dict[str, str]]:
        what, rest = match["what"], match["rest"] or "main"
        if what in (None, "revision"):
            commit = _commit(repository, rest if what else "main")
            siblings = [{"rfilename": name} for name in sorted(repository.commits[commit])]
            info = {"_id": "1", "id": match["repo"], "sha": commit, "siblings": siblings, "tags": [], "private": False}
            return 200, json.dumps({**info, "gated": False, "disabled": False, "downloads": 0, "likes": 0}).encode(), {}
        if what == "refs":
            branches = [
                {"name": n, "ref": f"refs/heads/{n}", "targetCommit": c} for n, c in repository.branches.items()
            ]
            return 200, json.dumps({"branches": branches, "tags": [], "converts": []}).encode(), {}
        revision, _, folder = rest.partition("/")
        files = repository.commits[_commit(repository, revision)]
        if what == "paths-info":
            asked = _form(self.headers.get("Content-Type", ""), body).get("paths", [])
            known = {entry["path"]: entry for entry in _tree(files, "", recursive=True)}
            return 200, json.dumps([known[name] for name in asked if name in known]).encode(), {}
        entries = _tree(files, folder, recursive=query.get("recursive", ["false"])[0].lower() == "true")
        if folder and not entries:
            raise _RefusalError(404, "EntryNotFound", f"{folder} does not exist on {revision}")
        return 200, json.dumps(entries).encode(), {}

    def _file(self, repository: Repository, revision: str, path: str) -> tuple[int, bytes, dict[str, str]]:
        commit = _commit(repository, revision)
        content = repository.commits[commit].get(path)
        headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if content is None:
            raise _RefusalError(404, "EntryNotFound", f"{path} does not exist on {revision}")
        headers["ETag"] = f'"{hashlib.sha1(content).hexdigest()}"'
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            return 200, content, headers
        first, last = int(asked[1]), int(asked[2] or len(content) - 1)
        if first >= len(content):
            return 416, b"", {"Content-Range": f"bytes */{len(content)}"}
        part = content[first : last + 1]
        return 206, part, {**headers, "Content-Range": f"bytes {first}-{first + len(part) - 1}/{len(content)}"}

    def _repository(self, kind: str, repo: str) -> Repository:
        repository = self.server.repositories.get((kind, repo))
        if repository is None:
            raise _RefusalError(404, "RepoNotFound", "Repository not found")
        if repository.token is not None:
            bearer = self.headers.get("Authorization")
            if bearer is None:
                raise _RefusalError(401, "GatedRepo", f"Access to {repo} is restricted. You must be authenticated.")
            if bearer != f"Bearer {repository.token}":
                raise _RefusalError(403, "GatedRepo", f"Access to {repo} is restricted and you are not in the list.")
        return repository

    def _send(self, status: int, content: bytes, headers: Mapping[str, str], after_bytes: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if "/resolve/" in self.path:
            with self.server.lock:
                self.server.sent += len(content)
        self.wfile.write(content if after_bytes is None else content[:after_bytes])
        if after_bytes is not None:
            self.close_connection = True


def _commit(repository: Repository, revision: str) -> str:
    commit = repository.branches.get(revision, revision)
    if commit not in repository.commits:
        raise _RefusalError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
    return commit


def _tree(files: Mapping[str, bytes], folder: str, *, recursive: bool) -> list[dict[str, Any]]:
    prefix = f"{folder.strip('/')}/" if folder.strip("/") else ""
    entries: dict[str, dict[str, Any]] = {}
    for path, content in sorted(files.items()):
        if not path.startswith(prefix):
            continue
        inner = path.removeprefix(prefix).split("/")
        for depth in range(1, len(inner)):
            name = prefix + "/".join(inner[:depth])
            if recursive or depth == 1:
                entries[name] = {
                    "type": "directory",
                    "path": name,
                    "oid": hashlib.sha1(name.encode()).hexdigest(),
                    "size": 0,
                }
        if recursive or len(inner) == 1:
            entries[path] = {
                "type": "file",
                "path": path,
                "oid": hashlib.sha1(content).hexdigest(),
                "size": len(content),
            }
    return list(entries.values())


def _form(kind: str, body: bytes) -> dict[str, list[str]]:
    """The fields of a form, or the lists of a JSON object."""
    if "json" in kind:
        return {name: [value] if isinstance(value, str) else value for name, value in json.loads(body).items()}
    return parse_qs(body.decode())
