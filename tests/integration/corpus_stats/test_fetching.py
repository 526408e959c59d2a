"""Fetching releases from a server on 127.0.0.1: checksums, broken transfers that go on, refusals with addresses."""

import hashlib
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from corpus_stats.errors import CorpusError
from corpus_stats.importers.fetching import fetch_release, missing_files, take_release
from corpus_stats.importers.published import PUBLISHED, PublishedFile, PublishedRelease
from tests.support.shared_data import released

CONTENT = {"preds/a.pt": bytes(range(256)) * 40, "b.csv": b"paragraph,count\r\n"}


class Server(ThreadingHTTPServer):
    """Serves `CONTENT`; notes the ranges it was asked for, and breaks off where it is told."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges, self.breaks_after, self.status = [], None, None

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}/data/"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        body = CONTENT.get(self.path.removeprefix("/data/"))
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        if self.server.status or body is None:
            self.send_error(self.server.status or 404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start : self.server.breaks_after])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def release(server):
    files = tuple(PublishedFile(p, hashlib.sha256(body).hexdigest(), len(body)) for p, body in CONTENT.items())
    return PublishedRelease("some-release", server.address, "Apache-2.0", files)


def test_files_are_fetched_once_and_progress_counts_their_bytes(release, server, tmp_path):
    seen = []
    fetch_release(release, tmp_path / "kept", seen.append)
    assert (tmp_path / "kept" / "a.pt").read_bytes() == CONTENT["preds/a.pt"]
    assert sum(seen) == release.byte_count
    assert not missing_files(release, tmp_path / "kept")
    fetch_release(release, tmp_path / "kept", seen.append)
    assert len(server.ranges) == 2, "the second time nothing is asked for"


def test_a_broken_transfer_goes_on_where_it_stopped(release, server, tmp_path):
    server.breaks_after = 1000
    with pytest.raises(CorpusError, match="what has arrived is kept"):
        fetch_release(release, tmp_path, lambda _: None)
    assert (tmp_path / "a.pt.part").stat().st_size == 1000
    assert not (tmp_path / "a.pt").exists()
    server.breaks_after = None
    fetch_release(release, tmp_path, lambda _: None)
    assert "bytes=1000-" in server.ranges
    assert (tmp_path / "a.pt").read_bytes() == CONTENT["preds/a.pt"]
    assert not list(tmp_path.glob("*.part"))


def test_another_file_than_the_published_one_is_refused(release, tmp_path):
    wrong = replace(release, files=(replace(release.files[0], sha256="0" * 64), release.files[1]))
    with pytest.raises(CorpusError, match="is not the published file"):
        fetch_release(wrong, tmp_path, lambda _: None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("status", [404, 429, 500])
def test_a_refusal_names_the_addresses(release, server, tmp_path, status):
    server.status = status
    with pytest.raises(CorpusError, match=f"answered {status}.*--data: .*preds/a.pt, .*b.csv"):
        fetch_release(release, tmp_path, lambda _: None)


def test_without_a_network_the_sentence_says_so(release, tmp_path):
    gone = replace(release, address="http://127.0.0.1:9/")
    with pytest.raises(CorpusError, match=r"cannot be had \(ConnectError, is there a network\?\)"):
        fetch_release(gone, tmp_path, lambda _: None)


def test_files_are_taken_from_a_folder_and_what_differs_is_said(release, tmp_path):
    given = tmp_path / "given" / "deep"
    given.mkdir(parents=True)
    (given / "a.pt").write_bytes(CONTENT["preds/a.pt"])
    (given / "b.csv").write_bytes(b"another")
    notes = take_release(release, tmp_path / "given", tmp_path / "kept")
    assert notes == [f"{given / 'b.csv'} is not the published file; it is used as it is."]
    assert (tmp_path / "kept" / "b.csv").read_bytes() == b"another"
    with pytest.raises(CorpusError, match=r"a\.pt of some-release is not below"):
        take_release(release, tmp_path / "kept" / "none", tmp_path / "more")


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_pinned_checksums_are_those_of_the_real_files(name, tmp_path):
    folder = released(name)
    wrong = {file.name for file in missing_files(PUBLISHED[name], folder)}
    assert wrong <= {"30_49_preds.pt", "mem_strings.csv"}, "one is not here, in the other a host name is masked"
