"""The exported page, the whole way in Chromium: a file goes in, the label map of `vesalius segment` comes out."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from phantoms import ball_case, ball_dataset, drawn_bundle, for_regions, untrained_bundle
from PIL import Image

from vesalius.bundle import Bundle
from vesalius.export import export
from vesalius.image import Grid, LabelMap, Meta, Volume
from vesalius.io import read, read_labels, write
from vesalius.io.layouts.load import read_channels
from vesalius.predict import segment
from vesalius.transform import Normalisation
from vesalius.transform.postprocess import KeepLargest, Postprocessing

if TYPE_CHECKING:
    from playwright.sync_api import Page

TILTED = np.linalg.qr(np.array([[0.1, 0.98, -0.17], [-0.99, 0.08, -0.08], [-0.07, 0.17, -0.98]]))[0]


def volume_bundle() -> Bundle:
    """All that can make a difference: two channels, regions, resampling, mirrors, a clean-up."""
    plan = untrained_bundle(ball_dataset(2), patch_size=(16, 16, 16)).plan
    plan = for_regions(plan)
    plan = replace(
        plan,
        channels=("T1", "T2"),
        normalisation=(Normalisation("z_score"), Normalisation("range")),
        network=replace(plan.network, in_channels=2),
        spacing_mm=(1.0, 1.2, 1.5),
        mirror_axes=(0, 2),
    )
    return replace(drawn_bundle(plan), postprocessing=Postprocessing((KeepLargest(name="core"),)))


def picture_bundle() -> Bundle:
    """Colour pictures."""
    plan = untrained_bundle(ball_dataset(2, shape=(40, 48)), patch_size=(32, 48)).plan
    return drawn_bundle(
        replace(
            plan,
            channels=("red", "green", "blue"),
            normalisation=(Normalisation("rgb"),) * 3,
            network=replace(plan.network, in_channels=3),
        )
    )


def exported(bundle: Bundle | str, runtime: Path, folder: Path) -> Path:
    export(bundle, "browser", folder, runtime=runtime)
    return folder


@pytest.fixture(scope="module")
def volumes(runtime_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Path]:
    bundle = volume_bundle()
    return bundle, exported(bundle, runtime_folder, tmp_path_factory.mktemp("volumes") / "page")


@pytest.fixture(scope="module")
def pictures(runtime_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Path]:
    bundle = picture_bundle()
    return bundle, exported(bundle, runtime_folder, tmp_path_factory.mktemp("pictures") / "page")


def wait(page: Page, status: str) -> None:
    """Until the status says so, or an error is shown."""
    page.locator("#status", has_text=status).or_(page.locator("#error:visible")).first.wait_for(timeout=120_000)
    assert page.locator("#error").is_hidden(), page.locator("#error").text_content()


def go(page: Page, address: str) -> None:
    page.goto(address)
    wait(page, "Ready.")


def segmented(page: Page, files: list[Path], folder: Path) -> LabelMap:
    """Open files, segment, save, and read what was saved."""
    page.set_input_files("#file", files)
    wait(page, "Ready to segment.")
    page.click("#segment")
    wait(page, "Done in")
    with page.expect_download() as download:
        page.click("#save")
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return read_labels(path)


def agreement(found: LabelMap, expected: LabelMap) -> float:
    assert found.grid.is_close(expected.grid)
    assert len(np.unique(expected.array)) > 1
    return float(np.mean(found.array == expected.array))


@pytest.fixture
def channels(tmp_path: Path) -> list[Path]:
    """Two channels of a volume that lies obliquely, and is stored flipped, with a border that is cut away."""
    image = ball_case(3, shape=(24, 20, 28)).image.array[0].copy()
    image[:, :3] = image[20:] = 0
    grid = Grid.from_spacing(image.shape, (0.9, 1.5, 1.2), origin_mm=(20.0, -31.0, 7.0), direction=TILTED)
    paths = []
    for n, array in enumerate((image, np.sqrt(image) * 3)):
        paths.append(tmp_path / f"case_000{n}.nii.gz")
        write(Volume(array[None].astype(np.float32), grid, Meta()), paths[-1])
    return paths


def test_a_volume_comes_out_as_from_segment(watched, serve, volumes, channels, tmp_path):
    bundle, folder = volumes
    address = serve(folder)
    go(watched.page, address)
    found = segmented(watched.page, channels, tmp_path)
    expected = segment(read_channels(channels), bundle, backend="torch-float32").labels
    assert agreement(found, expected) >= 0.9999
    assert found.labels == replace(expected.labels, labels=found.labels.labels)  # its colours are written out
    assert found.labels.names == expected.labels.names
    ml = expected.grid.voxel_volume_mm3 / 1000
    for name, value in zip(expected.labels.names, expected.labels.values, strict=True):
        row = watched.page.locator("#legend li", has_text=name).inner_text()
        assert f"{np.sum(expected.array == value) * ml:#.4g} ml" in row
    # Nothing but the page's own files was asked for.
    assert len(watched.asked) > 15
    assert [url for url in watched.asked if not url.removeprefix("blob:").startswith(address)] == []


def test_a_picture_comes_out_as_from_segment(watched, serve, pictures, tmp_path, rng):
    bundle, folder = pictures
    address = serve(folder)
    go(watched.page, address)
    noise = Image.fromarray(rng.integers(0, 255, (7, 9, 3), np.uint8)).resize((61, 47), Image.Resampling.BICUBIC)
    for name in ("a.png", "b.jpg"):
        noise.save(tmp_path / name, quality=95)
        found = segmented(watched.page, [tmp_path / name], tmp_path)
        expected = segment(read(tmp_path / name), bundle, backend="torch-float32").labels
        # Decoders of JPEG may differ by one grey value, and an untrained network is undecided nearly everywhere.
        assert agreement(found, expected) >= (0.9999 if name == "a.png" else 0.98)
    assert [url for url in watched.asked if not url.removeprefix("blob:").startswith(address)] == []


def test_a_real_case_of_the_hippocampus(watched, serve, runtime_folder, shared_data, tmp_path):
    address = serve(exported("hippocampus", runtime_folder, tmp_path / "page"))
    case = shared_data / "msd_hippocampus" / "images" / "hippocampus_001.nii.gz"
    go(watched.page, address)
    found = segmented(watched.page, [case], tmp_path)
    assert agreement(found, segment(read(case), "hippocampus", backend="torch-float32").labels) >= 0.9999
    assert [url for url in watched.asked if not url.removeprefix("blob:").startswith(address)] == []
    told = re.search(r"within (\S+) of the original's, (\S+) %", watched.page.inner_text("#check"))
    assert told is not None
    assert float(told[1]) < 1e-3
    assert float(told[2]) == 100


def test_nothing_can_leave_the_page(watched, serve, pictures, tmp_path):
    """Neither the page nor its engine may speak to anybody else, whatever their code were to try."""
    (tmp_path / "secret.txt").write_text("elsewhere")
    elsewhere = serve(tmp_path)
    go(watched.page, serve(pictures[1]))
    (engine,) = watched.page.workers
    for place in (watched.page, engine):
        answer = place.evaluate(
            "(url) => fetch(url, {mode: 'no-cors'}).then(() => 'sent', (error) => error.name)", elsewhere
        )
        assert answer == "TypeError"
    for attempt in (
        "(url) => new Promise((done) => { const image = new Image(); image.onload = () => done('sent');"
        " image.onerror = () => done('refused'); image.src = url; })",
        "(url) => { try { new WebSocket(url.replace('http', 'ws')); return 'sent' } catch { return 'refused' } }",
        "(url) => { const form = document.createElement('form'); form.action = url; document.body.append(form);"
        " form.submit(); return 'refused'; }",
    ):
        watched.page.evaluate(attempt, f"{elsewhere}secret.txt")
    watched.page.wait_for_timeout(200)
    assert [text for text in watched.told if "Content Security Policy" not in text] == []
    assert len(watched.told) >= 3
    watched.told.clear()


def test_by_keyboard_alone(watched, serve, volumes, channels, tmp_path):
    page = watched.page
    choosers = []

    def keep(chooser):
        choosers.append(chooser)

    # Asked for long before it comes: on a busy machine it is missed by who begins to wait as the key is pressed.
    page.on("filechooser", keep)
    go(page, serve(volumes[1]))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "choose"
    page.keyboard.press("Enter")
    for _ in range(300):
        if choosers:
            break
        page.wait_for_timeout(100)
    choosers[0].set_files(channels)
    wait(page, "Ready to segment.")
    page.keyboard.press("Enter")
    wait(page, "Done in")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "case_0000_labels.nii.gz"
    plane = page.locator(".plane").first
    shown = plane.locator("canvas").evaluate("(canvas) => canvas.toDataURL()")
    page.keyboard.press("o")
    bare = plane.locator("canvas").evaluate("(canvas) => canvas.toDataURL()")
    assert bare != shown
    page.keyboard.press("o")
    assert plane.locator("canvas").evaluate("(canvas) => canvas.toDataURL()") == shown
    before = plane.locator("h3 span").inner_text()
    plane.locator("input").focus()
    page.keyboard.press("ArrowRight")
    assert int(plane.locator("h3 span").inner_text().split()[0]) == int(before.split()[0]) + 1


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.nii.gz", b"\x1f\x8b\x08\x00 not really", "a.nii.gz: it is damaged or cut off"),
        ("b.txt", b"hello " * 100, "b.txt: it is neither NIfTI"),
        ("c.dcm", bytes(128) + b"DICM" + bytes(100), "c.dcm: it is DICOM, which this page does not read"),
        ("d.png", b"", "d.png: the file is empty"),
        ("e.png", None, "it has 1 channel; this segmenter needs T1, T2"),
    ],
)
def test_says_what_failed_and_goes_on(watched, serve, volumes, channels, tmp_path, name, content, reason):
    page = watched.page
    go(page, serve(volumes[1]))
    path = tmp_path / name
    if content is None:
        Image.new("L", (8, 8)).save(path)
    else:
        path.write_bytes(content)
    page.set_input_files("#file", [path])
    page.locator("#error:visible").wait_for()
    assert reason in page.inner_text("#error")
    assert page.inner_text("#error").startswith("The image could not be opened: ")
    assert page.locator("#segment").is_disabled()
    page.set_input_files("#file", channels)
    wait(page, "Ready to segment.")


def test_channels_on_different_grids_are_refused(watched, serve, volumes, channels):
    other = read(channels[1])
    write(replace(other, grid=other.grid.crop((1, 0, 0), other.grid.shape)), channels[1])
    go(watched.page, serve(volumes[1]))
    watched.page.set_input_files("#file", channels)
    watched.page.locator("#error:visible").wait_for()
    assert "case_0001.nii.gz: it lies on another grid than case_0000.nii.gz" in watched.page.inner_text("#error")


def test_work_can_be_stopped(watched, serve, volumes, channels, tmp_path):
    page = watched.page
    go(page, serve(volumes[1]))
    page.set_input_files("#file", channels)
    wait(page, "Ready to segment.")
    page.evaluate("() => { document.getElementById('segment').click(); document.getElementById('stop').click(); }")
    wait(page, "Stopped.")
    assert page.locator("#save").is_disabled()
    page.click("#segment")
    wait(page, "Done in")


@pytest.mark.parametrize("what", ["another result", "no network"])
def test_a_page_that_cannot_be_trusted_segments_nothing(watched, serve, pictures, tmp_path, what):
    folder = Path(shutil.copytree(pictures[1], tmp_path / "page"))
    if what == "another result":
        check = np.fromfile(folder / "check.bin", "<f4")
        check[-20:] += 5
        check.tofile(folder / "check.bin")
        reason = "this browser computes something else than the segmenter should"
    else:
        (folder / "model.onnx").unlink()
        reason = "model.onnx could not be fetched from this page's own folder (404)"
    watched.page.goto(serve(folder))
    watched.page.locator("#error:visible").wait_for()
    assert reason in watched.page.inner_text("#error")
    assert watched.page.locator("#choose").is_disabled()
    watched.told.clear()  # of the file that is not there


def test_the_description_holds_what_the_page_needs(pictures):
    told: dict[str, Any] = json.loads((pictures[1] / "vesalius.json").read_text())
    assert told["target"] == "browser"
    assert told["artefact"] == "model.onnx"
    files = {path.relative_to(pictures[1]).as_posix() for path in pictures[1].rglob("*") if path.is_file()}
    assert files - {"vesalius.json"} == set(told["files"])
