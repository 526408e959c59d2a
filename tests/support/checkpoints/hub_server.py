"""A model hub on 127.0.0.1: what the real huggingface_hub client asks for, answered from memory and counted."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

Files = dict[str, bytes]


@dataclass
class Repository:
    """Commits by hash and what branches and tags point at."""

    commits: dict[str, Files] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def push(self, folder: Path, branch: str = "main") -> str:
        """Put the files of a folder on a branch as a new commit."""
        files = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
        commit = hashlib.sha1(repr((branch, len(self.commits), sorted(files))).encode()).hexdigest()
        self.commits[commit], self.branches[branch] = files, commit
        return commit

    def commit_of(self, revision: str) -> str | None:
        """The commit of a branch, tag or hash."""
        known = self.branches | self.tags | {commit: commit for commit in self.commits}
        return known.get(revision)


@dataclass
class Hub:
    """Repositories by id; `locked` ones answer 401, `broken` files stop in the middle; `asked` notes every request."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    locked: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def repository(self, name: str) -> Repository:
        """The repository of that id, made when it is not there."""
        return self.repositories.setdefault(name, Repository())

    def bodies_of(self, name: str) -> list[str]:
        """GET requests for the content of a file of that name."""
        return [line for line in self.asked if line.startswith("GET ") and line.endswith(f"/{name}")]


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serve a hub on a free port until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"hub": hub}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


NOWHERE = "http://127.0.0.1:9"
"""An address where nobody answers: no network."""


def point_client_at(monkeypatch: Any, url: str, cache: Path) -> None:
    """What HF_ENDPOINT and HF_HOME do, for a client that is imported already."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@contextmanager
def silence() -> Iterator[tuple[str, list[object]]]:
    """The address of somebody who takes every call and never says a word, and the calls so far."""
    calls: list[object] = []

    def _take(listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                calls.append(listening.accept())

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_take, args=(listening,), daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", calls


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        parts = path.strip("/").split("/")
        if parts[0] == "api":
            self._api("/".join(parts[2:4]), parts[4:])
        else:
            self._file("/".join(parts[:2]), parts[3], "/".join(parts[4:]), with_body)

    def _found(self, name: str, revision: str) -> tuple[Repository, str] | None:
        """Repository and commit, or None after the answer that says why not."""
        if name in self.hub.locked:
            self._send(401, b'{"error": "Invalid username or password."}')
        elif name not in self.hub.repositories:
            self._send(404, b'{"error": "Repository not found"}', {"X-Error-Code": "RepoNotFound"})
        elif (commit := self.hub.repositories[name].commit_of(revision)) is None:
            self._send(404, b'{"error": "Invalid rev id"}', {"X-Error-Code": "RevisionNotFound"})
        else:
            return self.hub.repositories[name], commit
        return None

    def _api(self, name: str, rest: list[str]) -> None:
        what = rest[0] if rest else "revision"
        revision = "/".join(rest[1:]) or "main"
        found = self._found(name, "main" if what == "refs" and name in self.hub.repositories else revision)
        if found is None:
            return
        repository, commit = found
        if what == "refs":
            self._json({
                "branches": [self._ref("heads", *ref) for ref in repository.branches.items()],
                "tags": [self._ref("tags", *ref) for ref in repository.tags.items()],
                "converts": [],
                "pullRequests": [],
            })  # fmt: skip
        elif what == "tree":
            files = repository.commits[commit].items()
            self._json([{"type": "file", "path": p, "size": len(b), "oid": _sha1(b)} for p, b in files])
        else:
            files = repository.commits[commit].items()
            siblings = [{"rfilename": p, "size": len(b), "blobId": _sha1(b)} for p, b in files]
            self._json({"id": name, "modelId": name, "sha": commit, "private": False, "tags": [], "siblings": siblings})

    @staticmethod
    def _ref(kind: str, name: str, commit: str) -> dict[str, str]:
        return {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": commit}

    def _file(self, name: str, revision: str, path: str, with_body: bool) -> None:
        found = self._found(name, revision)
        if found is None:
            return
        repository, commit = found
        body = repository.commits[commit].get(path)
        if body is None:
            self._send(404, b"Entry not found", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
            return
        headers = {"ETag": f'"{_sha1(body)}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        status, part = self._range(body, headers)
        self._send(status, part, headers, with_body, broken=path in self.hub.broken)

    def _range(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        asked = self.headers.get("Range", "")
        if not asked.startswith("bytes="):
            return 200, body
        first, _, last = asked.removeprefix("bytes=").partition("-")
        start, stop = int(first), int(last) + 1 if last else len(body)
        part = body[start:stop]
        headers["Content-Range"] = f"bytes {start}-{start + len(part) - 1}/{len(body)}"
        return 206, part

    def _json(self, content: Any) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _send(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, with_body: bool = True,
        broken: bool = False,
    ) -> None:  # fmt: skip
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body and self.command == "GET":
            self.wfile.write(body[: len(body) // 2] if broken else body)
            self.close_connection = self.close_connection or broken


def _sha1(body: bytes) -> str:
    return hashlib.sha1(body).hexdigest()
