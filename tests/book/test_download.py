"""Downloads from a server that does not do what it should."""

import dataclasses
import hashlib
import multiprocessing
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from attend import corpus, download
from attend.corpus import text_of
from attend.download import DOWNLOADS, Download, fetch

CONTENT = b"One day, a cat.\n<|endoftext|>\nThe end.\n" * 20_000


class Server(BaseHTTPRequestHandler):
    """Sends what its path names; remembers what was asked."""

    asked: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self):
        kind, range_ = self.path.strip("/"), self.headers["Range"]
        self.asked.append((kind, range_))
        body = {"other": CONTENT[::-1], "long": CONTENT + b"x", "short": CONTENT[:99]}.get(
            kind, CONTENT
        )
        start = int(range_.split("=")[1].strip("-")) if range_ and kind != "no-ranges" else 0
        if kind == "gone" or (kind == "416" and range_):
            return self.send_error(404 if kind == "gone" else 416)
        if kind == "moved":
            self.send_response(302)
            self.send_header("Location", "/right")
            return self.end_headers()
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if kind != "endless":
            self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        if kind == "slow":
            time.sleep(0.5)
        try:
            if kind in ("cut", "stall"):  # half of what is missing, then no more
                self.wfile.write(body[start : start + (len(body) - start) // 2])
                self.wfile.flush()
                time.sleep(2 * (kind == "stall"))
            else:
                self.wfile.write(body[start:])
            while kind == "endless":
                self.wfile.write(bytes(1 << 20))
        except OSError:
            pass  # the client has seen enough
        return self.close_connection

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        running.daemon_threads = True
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.fixture(params=list(DOWNLOADS))
def wanted(request, server, tmp_path, monkeypatch):
    """One of the two texts, at this server's addresses: `wanted("cut", "right")`."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(download, "PATIENCE", 1)
    Server.asked.clear()

    def at(*kinds: str) -> Download:
        it = dataclasses.replace(
            DOWNLOADS[request.param],
            size=len(CONTENT),
            sha256=hashlib.sha256(CONTENT).hexdigest(),
            addresses=tuple(f"{server}/{kind}" for kind in kinds),
        )
        monkeypatch.setitem(corpus.DOWNLOADS, request.param, it)
        return it

    at.name = request.param
    return at


def left(tmp_path) -> list[str]:
    """What lies in the cache, but for locks."""
    return sorted(
        p.suffix for p in (tmp_path / "attention-course").iterdir() if p.suffix != ".lock"
    )


def test_it_is_downloaded_once(wanted, tmp_path):
    wanted("right")
    text = text_of(wanted.name)
    assert text.startswith("One day, a cat.\n\nThe end.\n") and "endoftext" not in text
    assert text_of(wanted.name) == text
    assert Server.asked == [("right", None)] and left(tmp_path) == [".txt"]


def test_a_damaged_cache_is_replaced(wanted, tmp_path):
    fetch(it := wanted("right"))
    (tmp_path / "attention-course" / it.file).write_bytes(b"damaged")
    assert fetch(it) == CONTENT and len(Server.asked) == 2


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("other", "another file than expected (SHA-256 differs)"),
        ("long", "another file than expected (longer than"),
        ("endless", "another file than expected (longer than"),
        ("gone", "HTTP 404"),
    ],
)
def test_a_wrong_answer_leaves_nothing_and_the_next_address_is_asked(
    kind, problem, wanted, tmp_path
):
    with pytest.raises(FileNotFoundError) as error:
        text_of(wanted(kind) and wanted.name)
    assert problem in str(error.value) and "\n" not in str(error.value)
    assert "127.0.0.1" in str(error.value) and "or use 'stdlib'" in str(error.value)
    assert left(tmp_path) == []
    assert fetch(wanted(kind, "right")) == CONTENT


@pytest.mark.parametrize("kind", ["cut", "stall", "short"])
def test_a_cut_connection_goes_on_where_it_stopped(kind, wanted, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"ended after|more expected|timed out"):
        fetch(wanted(kind))
    assert left(tmp_path) == [".part"]
    have = next((tmp_path / "attention-course").glob("*.part")).stat().st_size
    assert 0 < have < len(CONTENT)
    assert fetch(wanted("right")) == CONTENT
    assert Server.asked[-1] == ("right", f"bytes={have}-") and left(tmp_path) == [".txt"]


# One that sends the whole again is believed at once; one that refuses is asked again, without a beginning.
@pytest.mark.parametrize("kinds", [["no-ranges"], ["416", "416"]])
def test_a_server_that_cannot_go_on_starts_anew(kinds, wanted):
    with pytest.raises(FileNotFoundError):
        fetch(wanted("cut"))
    assert fetch(wanted(*kinds)) == CONTENT


def test_a_beginning_of_another_file_is_dropped(wanted, tmp_path):
    it = wanted("right", "right")
    (tmp_path / "attention-course").mkdir()
    (tmp_path / "attention-course" / it.file).with_suffix(".part").write_bytes(b"not it")
    assert fetch(it) == CONTENT
    assert [range_ for _, range_ in Server.asked] == ["bytes=6-", None]


def test_it_follows_to_another_place_with_what_is_missing(wanted):
    with pytest.raises(FileNotFoundError):
        fetch(wanted("cut"))
    assert fetch(wanted("moved")) == CONTENT
    assert Server.asked[-1][1] == f"bytes={len(CONTENT) // 2}-"


def test_several_processes_download_once(wanted):
    it = wanted("slow")
    with multiprocessing.get_context("fork").Pool(2) as pool:  # as the processes of torchrun
        assert pool.map(fetch, [it, it]) == [CONTENT, CONTENT]
    assert len(Server.asked) == 1


def test_no_network_is_one_sentence(wanted, monkeypatch):
    it = wanted("right")
    it = dataclasses.replace(
        it, addresses=("http://127.0.0.1:9/none", "https://no.such.host.invalid/x")
    )
    with pytest.raises(
        FileNotFoundError, match=r"could not be downloaded \(127.0.0.1:9: .*; no\.such"
    ) as error:
        fetch(it)
    assert "\n" not in str(error.value)


def test_a_cache_that_cannot_be_written_is_one_sentence(wanted, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(FileNotFoundError, match="Not a directory"):
        fetch(wanted("right"))


def test_a_full_disk_is_one_sentence(wanted, tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    it = wanted("right")
    (tmp_path / "attention-course").mkdir()
    (tmp_path / "attention-course" / it.file).with_suffix(".part").symlink_to("/dev/full")
    with pytest.raises(FileNotFoundError, match="No space left on device"):
        fetch(it)


def test_checksums_look_like_checksums():
    for it in DOWNLOADS.values():
        assert len(bytes.fromhex(it.sha256)) == 32 and len(it.addresses) == 2
        assert all(address.startswith("https://") for address in it.addresses)
