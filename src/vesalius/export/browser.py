"""A page that segments in a browser: static files, the network in ONNX Runtime Web, nothing sent anywhere."""

from __future__ import annotations

import hashlib
import json
import tarfile
from dataclasses import asdict, fields
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from vesalius.errors import BundleError, MissingDependencyError
from vesalius.export import onnx
from vesalius.export.targets import Artefact, Model, Precision
from vesalius.io.atomic import make_folder
from vesalius.nets import SlicesSpec
from vesalius.plan.preparation import Preparation

if TYPE_CHECKING:
    from vesalius.bundle import Bundle
    from vesalius.predict.backends import Run

PRECISIONS: tuple[Precision, ...] = ("fp32",)
RUNTIME = "onnxruntime"

PACKAGE, PACKAGE_VERSION = "onnxruntime-web", "1.30.0"
PACKAGE_FILES = {
    "ort.wasm.min.mjs": "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
    "ort-wasm-simd-threaded.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
"""SHA-256 of what the page needs of the npm package: nothing else gets into it."""
SCHEMES = frozenset({"z_score", "z_score_nonzero", "ct", "fixed", "range", "rgb", "none"})
"""Normalisations that the page knows."""
_LARGEST_FILE = 64 << 20
_LICENCE = """ONNX Runtime Web {version}, https://github.com/microsoft/onnxruntime

MIT License

Copyright (c) Microsoft Corporation

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def refuses(bundle: Bundle) -> str | None:
    """The page runs one network, on windows of one size, on images prepared in our own way."""
    if bundle.coarse is not None:
        return "it is a cascade of two networks, and the page runs one; export the plan of a single stage"
    if bundle.partners:
        return "it averages several configurations, and the page runs one; export one of them"
    plan, network = bundle.plan, bundle.plan.network
    customs = [f.name for f in fields(Preparation) if getattr(plan.preparation, f.name) != f.default]
    if customs:
        return f"it prepares images by customs that the page does not know ({', '.join(customs)} of its preparation)"
    strangers = {how.scheme for how in plan.normalisation} - SCHEMES
    if strangers:
        return f"the page does not know the normalisation {', '.join(sorted(strangers))}"
    if isinstance(network, SlicesSpec) and network.context > 0:
        return "it sees neighbouring slices (2.5D) in windows as deep as the image, and the page's are all of one size"
    return onnx.refuses(bundle)


def write(model: Model, folder: Path) -> Artefact:
    """Write the page, the network, a window with its logits to check each browser with, and the runtime.

    The runtime is taken from where `npm pack` or `npm install` leave it; see `find_runtime`.
    """
    from vesalius.nets.portable import portable

    runtime = runtime_files(find_runtime(model.runtime or Path.cwd()))
    network = portable(model.network)
    path = folder / onnx.FILE
    onnx.save(network, model.windows[:1], {}, path)
    _write_check(model, folder)
    for file in (resources.files("vesalius.export") / "browser_page").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    place = make_folder(folder / "runtime")
    for name, content in runtime.items():
        (place / name).write_bytes(content)
    (place / "LICENSE.txt").write_text(_LICENCE.format(version=PACKAGE_VERSION), encoding="utf-8")
    return Artefact(
        path=path,
        free_axes={},
        notes=(
            f"checked with ONNX Runtime for Python; the page runs {PACKAGE} {PACKAGE_VERSION}, and checks itself in "
            "every browser before it segments",
            "browsers open the page over HTTP only: serve the folder, for example with python3 -m http.server",
        ),
    )


def load(path: Path) -> Run:
    """Run the network with ONNX Runtime for Python."""
    return onnx.load(path)


def find_runtime(folder: Path) -> Path:
    """The npm package of ONNX Runtime Web in a folder, packed or installed.

    Args:
        folder: Where `npm pack` or `npm install` was run.

    Raises:
        MissingDependencyError: It is not there.
    """
    for place in (folder / f"{PACKAGE}-{PACKAGE_VERSION}.tgz", folder / "node_modules" / PACKAGE):
        if place.exists():
            return place
    raise MissingDependencyError(
        f"the page needs ONNX Runtime Web, and {folder.name or folder} holds none: run `npm pack "
        f"{PACKAGE}@{PACKAGE_VERSION}` there, or name the folder of {PACKAGE}-{PACKAGE_VERSION}.tgz (--runtime), and "
        "export again"
    )


def runtime_files(package: Path) -> dict[str, bytes]:
    """The files of the npm package that the page needs, by name.

    Args:
        package: The packed or unpacked package.

    Raises:
        BundleError: A file is missing, or is not what version `PACKAGE_VERSION` holds.
    """
    found = _unpacked(package) if package.is_file() else _installed(package)
    for name, expected in PACKAGE_FILES.items():
        if name not in found:
            raise BundleError(f"{package.name} holds no dist/{name}; it must be {PACKAGE} {PACKAGE_VERSION}")
        if hashlib.sha256(found[name]).hexdigest() != expected:
            raise BundleError(
                f"dist/{name} of {package.name} is not that of {PACKAGE} {PACKAGE_VERSION}, which alone was tested: "
                f"fetch it again with `npm pack {PACKAGE}@{PACKAGE_VERSION}`"
            )
    return found


def _unpacked(package: Path) -> dict[str, bytes]:
    """Named files only, each by its full name and of a size that can be: nothing is written where a name points."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(package, "r:gz") as archive:
            for member in archive:
                name = member.name.removeprefix("package/dist/")
                if name in PACKAGE_FILES and member.name != name and member.isreg() and member.size <= _LARGEST_FILE:
                    file = archive.extractfile(member)
                    assert file is not None  # a regular file has content
                    found[name] = file.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise BundleError(f"{package.name} is damaged or cut off: pack it again") from error
    return found


def _installed(package: Path) -> dict[str, bytes]:
    places = {name: package / "dist" / name for name in PACKAGE_FILES}
    return {
        name: path.read_bytes()
        for name, path in places.items()
        if path.is_file() and path.stat().st_size <= _LARGEST_FILE
    }


def _write_check(model: Model, folder: Path) -> None:
    """A window of noise, which says nothing about any patient, with the bundle's own logits behind it."""
    import torch

    from vesalius.export.parity import TOLERANCES, noise

    (window,) = noise(model.bundle.plan, most=1)
    with torch.inference_mode():
        logits = model.network(window)
    content = b"".join(array.numpy().astype("<f4").tobytes() for array in (window, logits))
    (folder / "check.bin").write_bytes(content)
    (folder / "check.json").write_text(json.dumps(asdict(TOLERANCES[model.precision])), encoding="utf-8")
