"""The built site as readers get it: compressed, at the path where it is published.

`make test` builds it first. Another build can be tested: `SITE=<folder> pytest tests/book`.
"""

import gzip
import mimetypes
import os
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
COMPRESSED = (
    "text/",
    "application/javascript",
    "application/json",
    "application/wasm",
    "image/svg",
)

mimetypes.add_type("text/javascript", ".mjs")
mimetypes.add_type("font/woff2", ".woff2")


@pytest.fixture(scope="session")
def site() -> Path:
    """The folder of the built site."""
    folder = Path(os.environ.get("SITE", ROOT / "_build/html"))
    if not (folder / "sitemap.xml").is_file():
        pytest.skip("the site is not built: run `make book`")
    return folder


class Pages:
    """Serves a folder as GitHub Pages does: under a path, with gzip, with 404.html for what is not there."""

    def __init__(self, folder: Path, path: str = "/") -> None:
        self.folder, self.path = folder, path
        pages = self

        class Handler(SimpleHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                pages.answer(self)

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}{path}"

    def answer(self, request: SimpleHTTPRequestHandler) -> None:
        address = unquote(urlsplit(request.path).path)
        file = self.folder / address.removeprefix(self.path)
        if file.is_dir():
            file /= "index.html"
        found = address.startswith(self.path) and file.is_file()
        if not found:
            file = self.folder / "404.html"
        content = file.read_bytes() if file.is_file() else b""
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        request.send_response(200 if found else 404)
        request.send_header("Content-Type", kind)
        if kind.startswith(COMPRESSED):
            content = gzip.compress(content, mtime=0)
            request.send_header("Content-Encoding", "gzip")
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="session")
def serve() -> Iterator:
    """Serve any folder: `serve(folder, path="/")` returns its address."""
    running = []

    def start(folder: Path, path: str = "/") -> str:
        running.append(Pages(folder, path))
        return running[-1].url

    yield start
    for pages in running:
        pages.close()


@pytest.fixture(scope="session")
def published(site: Path, serve) -> str:
    """The address of the built site, below the path at which it is published."""
    head = (site / "sitemap.xml").read_text(encoding="utf-8")
    first = head.split("<loc>")[1].split("</loc>")[0]
    return serve(site, "/".join(["", urlsplit(first).path.split("/")[1], ""]))


@pytest.fixture
def page(browser) -> Iterator:
    """`page(html)` shows it in a bare page, self-contained; no script may fail."""
    contexts, errors = [], []

    def show(html: str, script: bool = True, **options):
        contexts.append(browser.new_context(java_script_enabled=script, **options))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: errors.append(error))
        page.set_content(f"<!doctype html><html lang=en><title>A page</title><main>{html}</main>")
        return page

    yield show
    for context in contexts:
        context.close()
    assert not errors
