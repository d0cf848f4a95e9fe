"""Finding and downloading LAFAN1, against a local server."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bvh import BVHError, lafan

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:ea9180\nsize 144051503\n"


class Server(ThreadingHTTPServer):
    """Serves ``content``; breaks off after ``limit`` bytes; honours ranges if told to."""

    content = CONTENT
    limit: int | None = None
    ranges = True
    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/lafan1.zip"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.requests.append(wanted)
        if self.server.status != 200:
            self.send_error(self.server.status)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        partial = wanted is not None and self.server.ranges
        body = self.server.content[start:] if partial else self.server.content
        self.send_response(206 if partial else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.limit])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MOTIONTOK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache"


def fetch(server: Server, **options: object) -> Path:
    return lafan.download(url=server.url, size=len(CONTENT), sha256=SHA256, timeout=10, **options)  # type: ignore[arg-type]


def test_the_archive_is_fetched_once(server: Server) -> None:
    seen: list[tuple[int, int]] = []
    path = fetch(server, progress=lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert fetch(server) == path
    assert len(server.requests) == 1
    assert lafan.find() == path
    assert [p.name for p in path.parent.iterdir()] == ["lafan1.zip"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_transfer_is_resumed(server: Server, ranges: bool) -> None:
    server.limit, server.ranges = 300_000, ranges
    with pytest.raises(BVHError, match=r"300000 of 1024000 bytes|IncompleteRead"):
        fetch(server)
    with pytest.raises(BVHError, match="not in"):
        lafan.find()
    server.limit = None
    assert fetch(server).read_bytes() == CONTENT
    assert server.requests == [None, "bytes=300000-"]


def test_a_wrong_checksum_is_refused_and_forgotten(server: Server) -> None:
    server.content = CONTENT[:-1] + b"!"
    with pytest.raises(BVHError, match="checksum"):
        fetch(server)
    server.content = CONTENT
    assert fetch(server).read_bytes() == CONTENT


def test_more_than_expected_is_refused(server: Server) -> None:
    server.content = CONTENT + b"more"
    with pytest.raises(BVHError, match="of 1024000 bytes"):
        fetch(server)
    server.content = CONTENT
    assert fetch(server).read_bytes() == CONTENT


def test_a_pointer_from_the_server_is_recognised(server: Server) -> None:
    server.content = POINTER
    with pytest.raises(BVHError, match="Git LFS pointer"):
        fetch(server)


def test_an_unwilling_server_is_explained(server: Server) -> None:
    server.status = 404
    with pytest.raises(BVHError, match=r"cannot be downloaded from http://127.*git lfs pull"):
        fetch(server)


def test_offline_it_says_how_to_get_it() -> None:
    with pytest.raises(BVHError, match=r"ubisoft-laforge-animation-dataset.*git lfs pull"):
        lafan.download(url="http://127.0.0.1:9/lafan1.zip", timeout=2)


def test_a_clone_of_the_official_repository_is_understood(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    (clone / "lafan1").mkdir(parents=True)
    archive = clone / "lafan1" / "lafan1.zip"
    archive.write_bytes(b"PK")
    assert lafan.find(clone) == archive
    assert lafan.find(clone / "lafan1") == archive
    assert lafan.find(archive) == archive
    archive.write_bytes(POINTER)
    with pytest.raises(BVHError, match=r"Git LFS pointer of \d+ bytes.*git lfs pull"):
        lafan.find(clone)


def test_a_folder_of_clips_goes_before_an_archive_in_it(tmp_path: Path) -> None:
    (tmp_path / "lafan1.zip").write_bytes(POINTER)
    (tmp_path / "walk1_subject1.bvh").write_text("")
    assert lafan.find(tmp_path) == tmp_path


def test_nothing_there_is_explained(tmp_path: Path) -> None:
    with pytest.raises(BVHError, match="no such file or folder; for LAFAN1, get it by"):
        lafan.find(tmp_path / "absent")
    with pytest.raises(BVHError, match="LAFAN1 is not in"):
        lafan.find()
