from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fiducial.data import download
from fiducial.data.download import fetch, known_hashes, verify, write_atomically
from fiducial.errors import InputError

CONTENT = bytes(range(256)) * 40
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """A local server that notes the ranges it was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """/ranges continues, /whole always sends everything, /cut breaks off, anything else is missing."""

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append(wanted)  # type: ignore[attr-defined]
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.path == "/ranges" else 0
        if self.path not in ("/ranges", "/whole", "/cut"):
            self.send_error(404)
            return
        if start >= len(CONTENT):
            self.send_error(416)
            return
        body = CONTENT[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:1000] if self.path == "/cut" else body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_file_arrives_and_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    for _ in range(2):
        assert fetch(f"{server.url}/whole", path, md5=MD5, size=len(CONTENT)).read_bytes() == CONTENT
    assert server.asked == [None]
    assert left(path.parent) == ["file"]


def test_interrupted_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(InputError, match=r"no connection: .*(ended after 1000 of 10240 bytes|Incomplete)"):
        fetch(f"{server.url}/cut", path, md5=MD5)
    assert left(tmp_path) == ["file.part"]
    assert fetch(f"{server.url}/ranges", path, md5=MD5).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000-"]
    assert left(tmp_path) == ["file"]


def test_server_without_ranges_begins_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT[:500])
    assert fetch(f"{server.url}/whole", tmp_path / "file", md5=MD5).read_bytes() == CONTENT


def test_part_that_is_whole_or_too_long_begins_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT + b"more")
    assert fetch(f"{server.url}/ranges", tmp_path / "file", md5=MD5).read_bytes() == CONTENT
    assert server.asked == [f"bytes={len(CONTENT) + 4}-", None]


def test_wrong_content_leaves_nothing_behind(server: Server, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"wrong checksum: expected md5 {'0' * 32}, got {MD5}; what came was removed"):
        fetch(f"{server.url}/whole", tmp_path / "file", md5="0" * 32)
    assert left(tmp_path) == []
    with pytest.raises(InputError, match="wrong size: expected 5 bytes, the server offers 10240"):
        fetch(f"{server.url}/whole", tmp_path / "file", md5=MD5, size=5)
    assert left(tmp_path) == []


def test_jobs_that_start_together_fetch_once(server: Server, tmp_path: Path) -> None:
    jobs = [
        threading.Thread(target=fetch, args=(f"{server.url}/whole", tmp_path / "file"), kwargs={"md5": MD5})
        for _ in range(4)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert len(server.asked) == 1
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_refusal_and_no_network_tell_what_to_do(server: Server, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the server answered 404 .*; fetch http.* by hand and put it at .*file"):
        fetch(f"{server.url}/missing", tmp_path / "file", md5=MD5)
    server.server_close()
    with pytest.raises(InputError, match=r"no connection: .*refused.*; fetch http.* by hand"):
        fetch("http://127.0.0.1:1/file", tmp_path / "file", md5=MD5)
    assert left(tmp_path) == []


def test_full_disk_and_foreign_folder(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = download.shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage._replace(free=100))
    with pytest.raises(InputError, match="file: the disk is full: 0 MB are free"):
        fetch(f"{server.url}/whole", tmp_path / "file", md5=MD5)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(download, "_receive", refuse)
    with pytest.raises(InputError, match="its folder cannot be written to; choose another data folder"):
        fetch(f"{server.url}/whole", tmp_path / "file", md5=MD5)


def test_hashes_are_remembered_until_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, cache = tmp_path / "file", tmp_path / "cache"
    path.write_bytes(CONTENT)
    expected = {"md5": MD5, "sha256": hashlib.sha256(CONTENT).hexdigest()}
    assert known_hashes(path, cache) == known_hashes(path, None) == expected
    with monkeypatch.context() as patch:
        patch.setattr(download, "hashes", lambda _: pytest.fail("hashed again"))
        assert known_hashes(path, cache) == expected
    next((cache / "hashes").iterdir()).write_text("{broken")
    assert known_hashes(path, cache) == expected
    path.write_bytes(CONTENT + b"x")
    assert known_hashes(path, cache)["md5"] == hashlib.md5(CONTENT + b"x").hexdigest()
    with pytest.raises(InputError, match=f"wrong checksum: expected md5 {MD5}"):
        verify(path, MD5, cache=cache)
    with pytest.raises(InputError, match="gone: cannot be read: No such file"):
        known_hashes(tmp_path / "gone", cache)


def test_small_files_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write_atomically(tmp_path / "new" / "note", "one")
    write_atomically(tmp_path / "new" / "note", "two")
    assert [path.read_text() for path in (tmp_path / "new").iterdir()] == ["two"]
    with pytest.raises(InputError, match="cannot be written"):
        write_atomically(tmp_path / "new" / "note" / "below", "three")
