"""A real Chromium, a server of files, and the npm package of ONNX Runtime Web; without them the tests are skipped."""

from __future__ import annotations

import functools
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vesalius.export.browser import PACKAGE, PACKAGE_VERSION

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[2]
PACKED = ROOT / ".venvs" / f"{PACKAGE}-{PACKAGE_VERSION}.tgz"
_DRIVER = "GL Driver Message (OpenGL, Performance"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker runs them all: one browser is enough."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("browser"))


class _Files(SimpleHTTPRequestHandler):
    """Files of a folder, as any server hands them out."""

    extensions_map = {  # noqa: RUF012  # as the class above has it
        **SimpleHTTPRequestHandler.extensions_map,
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


Serve = Callable[[Path], str]


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Files, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="session")
def serve() -> Iterator[Serve]:
    """Serve a folder on this machine until the tests end; gives its address, with a slash at its end."""
    with ExitStack() as stack:
        yield lambda folder: stack.enter_context(_serving(folder))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A headless Chromium."""
    if find_spec("playwright") is None:
        pytest.skip("playwright, which drives the browser, is not installed")
    program = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("there is no Chromium (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Chromium's own sandbox does not start for root, as whom containers run.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Watched:
    """A page, the addresses that it asked for, and what was said on its console."""

    page: Page
    asked: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)


@pytest.fixture
def watched(chromium: Browser) -> Iterator[Watched]:
    """A page of its own; a test that expects words on its console clears them."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    found = Watched(context.new_page())
    context.on("request", lambda request: found.asked.append(request.url))
    # What Chromium's software renderer says of its own speed when a screenshot is taken is none of the page's.
    found.page.on("console", lambda message: _DRIVER in message.text or found.told.append(message.text))
    found.page.on("pageerror", lambda error: found.told.append(str(error)))
    yield found
    context.close()
    assert found.told == []


@pytest.fixture(scope="session")
def runtime_folder() -> Path:
    """The folder with the packed runtime."""
    if not PACKED.is_file():
        pytest.skip(f"{PACKED.name} is not here: scripts/test_setup.sh gets it")
    return PACKED.parent


Ask = Callable[..., Any]

_ASK = """async ([address, module, name, given]) => {
  const each = (x, change) =>
    Array.isArray(x) ? x.map(change)
    : x !== null && typeof x === "object" && Object.getPrototypeOf(x) === Object.prototype
    ? Object.fromEntries(Object.entries(x).map(([key, value]) => [key, change(value)])) : x;
  const plain = (x) => ArrayBuffer.isView(x) ? Array.from(x) : each(x, plain);
  const rich = (x) => x?.typed ? globalThis[x.typed].from(x.values) : x?.code ? eval(x.code) : each(x, rich);
  const found = await import(address + module);
  return plain(await found[name](...given.map(rich)));
}"""
"""Arrays go in as ``{typed, values}`` and functions as ``{code}``; arrays come out as lists."""


@pytest.fixture(scope="session")
def ask(chromium: Browser, serve: Serve) -> Iterator[Ask]:
    """Call a function of the page's modules: ``ask("grid.js", "withSpacing", grid, [1, 1, 1])``."""
    address = serve(Path(str(resources.files("vesalius.export"))) / "browser_page")
    page = chromium.new_page()
    page.goto(f"{address}icon.svg")  # a page without a policy, of the same origin
    yield lambda module, name, *given: page.evaluate(_ASK, [address, module, name, list(given)])
    page.close()
