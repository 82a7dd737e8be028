"""What the page computes in JavaScript is what Vesalius computes in Python."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from phantoms import LABELS, ball_dataset, for_regions, untrained_bundle
from PIL import Image

from vesalius.export.describe import describe
from vesalius.export.targets import Artefact
from vesalius.image import Grid, LabelMap, Labels, Meta, Volume
from vesalius.io import read, read_labels, write
from vesalius.plan import Plan, prepare
from vesalius.predict.views import views_of
from vesalius.predict.window import sliding_window
from vesalius.transform import Normalisation, postprocess, resample_argmax, resample_painted
from vesalius.transform.postprocess import KeepLargest, Postprocessing, RemoveSmall, postprocessing_to_json

Ask = Callable[..., Any]

TURN = np.array([[0.1, 0.98, -0.17], [-0.99, 0.08, -0.08], [-0.07, 0.17, 0.98]])
TURN = np.linalg.qr(TURN)[0]
OBLIQUE = Grid.from_spacing((6, 7, 5), (1.1, 0.7, 2.9), origin_mm=(-31.0, 12.5, 88.0), direction=TURN)


def typed(array: NDArray[Any]) -> dict[str, Any]:
    """An array as `ask` takes it: flat, its last axis fastest, in JavaScript's type of the same name."""
    return {"typed": f"{array.dtype.name.capitalize()}Array", "values": array.ravel().tolist()}


def grid_of(grid: Grid) -> dict[str, Any]:
    return {"shape": list(grid.shape), "affine": grid.affine.tolist()}


def same_grid(found: dict[str, Any], expected: Grid) -> None:
    assert tuple(found["shape"]) == expected.shape
    np.testing.assert_allclose(found["affine"], expected.affine, rtol=0, atol=1e-5)


def bytes_of(path: Path) -> dict[str, Any]:
    return {"typed": "Uint8Array", "values": list(path.read_bytes())}


def same_image(found: dict[str, Any], expected: Volume) -> None:
    same_grid(found["grid"], expected.grid)
    np.testing.assert_array_equal(np.array(found["channels"]).reshape(expected.array.shape), expected.array)
    assert found["calibrated"] == expected.meta.calibrated


class TestNifti:
    @pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
    @pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
    def test_what_we_write(self, ask, rng, tmp_path, ending, dtype):
        array = rng.integers(0, 200, (1, 6, 7, 5)).astype(dtype)
        write(Volume(array, OBLIQUE, Meta()), tmp_path / f"a{ending}")
        same_image(ask("nifti.js", "readNifti", bytes_of(tmp_path / f"a{ending}")), read(tmp_path / f"a{ending}"))

    def test_channels_and_flat_images(self, ask, rng, tmp_path):
        several = Volume(rng.normal(size=(3, 6, 7, 5)).astype(np.float32), OBLIQUE, Meta())
        flat = Volume(rng.integers(0, 99, (1, 6, 7)).astype(np.int16), Grid.from_spacing((6, 7), (0.5, 2.0)), Meta())
        for name, image in (("several", several), ("flat", flat)):
            write(image, tmp_path / f"{name}.nii.gz")
            found = ask("nifti.js", "readNifti", bytes_of(tmp_path / f"{name}.nii.gz"))
            same_image(found, read(tmp_path / f"{name}.nii.gz"))

    @pytest.mark.parametrize(
        "how",
        ["qform", "neither", "lost spacing", "scaled", "scaled reals", "big-endian", "version 2", "micron"],
    )
    def test_what_others_write(self, ask, rng, tmp_path, how):
        array = rng.integers(0, 90, (4, 5, 6)).astype(">i2" if how == "big-endian" else "<i2")
        turn = np.diag([-1.2, 0.8, 2.5, 1.0]) @ np.array(
            [[0, 1, 0, 3.0], [1, 0, 0, -7.0], [0, 0, 1, 11.0], [0, 0, 0, 1.0]]
        )
        kind = nibabel.Nifti2Image if how == "version 2" else nibabel.Nifti1Image
        image = kind(array, turn, header=kind.header_class(endianness=">" if how == "big-endian" else "<"))
        image.set_data_dtype(np.float32 if how == "scaled reals" else array.dtype)
        image.set_qform(turn, code=1)
        if how in ("scaled", "scaled reals"):
            image.header.set_slope_inter(0.37, -4.25)
        elif how == "micron":
            image.header.set_xyzt_units("micron")
        content = bytearray(image.to_bytes())
        if how == "qform":
            content[252:256] = struct.pack("<hh", 1, 0)
        elif how == "neither":
            content[252:256] = bytes(4)
        elif how == "lost spacing":
            content[252:256] = struct.pack("<hh", 0, 1)
            content[280:328] = np.eye(4)[:3].astype("<f4").tobytes()
        path = tmp_path / "a.nii"
        path.write_bytes(content)
        same_image(ask("nifti.js", "readNifti", bytes_of(path)), read(path))

    @pytest.mark.parametrize("what", ["cut off", "damaged", "no nifti", "bomb", "nan"])
    def test_refused(self, ask, tmp_path, what):
        path = tmp_path / "a.nii.gz"
        array = np.zeros((1, 6, 7, 5), np.float32)
        write(Volume(array, OBLIQUE, Meta()), path)
        content = bytearray(path.read_bytes())
        plain = bytearray(zlib.decompress(bytes(content), 31))
        if what == "cut off":
            content = content[: len(content) // 2]
        elif what == "damaged":
            content[40:60] = bytes(20)
        elif what == "no nifti":
            content = bytearray(b"hello, this is a text, and quite a long one" * 20)
        elif what == "bomb":
            plain[42:48] = struct.pack("<3h", 30000, 30000, 30000)
            content = plain
        else:
            plain[-4:] = struct.pack("<f", float("nan"))
            content = plain
        reasons = {
            "cut off": "damaged or cut off",
            "damaged": "damaged or cut off",
            "no nifti": "does not begin as NIfTI",
            "bomb": "a page can hold",
            "nan": "not finite",
        }
        with pytest.raises(Exception, match=reasons[what]):
            ask("nifti.js", "readNifti", {"typed": "Uint8Array", "values": list(content)})

    @pytest.mark.parametrize("grid", [OBLIQUE, OBLIQUE.flip((1,)), Grid.from_spacing((6, 7), (0.5, 2.0))])
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_writes_label_maps_that_we_read(self, ask, rng, tmp_path, grid, dtype):
        cyst = 40 if dtype == np.uint8 else 300
        labels = Labels.of({"left kidney": 1, "cyst": cyst}, regions={"both": (1, cyst)})
        array = rng.choice([0, *labels.values], grid.shape).astype(dtype)
        after = {
            "labels": [{"name": one.name, "value": one.value, "colour": None, "code": None} for one in labels.labels],
            "regions": [{"name": one.name, "values": list(one.values)} for one in labels.regions],
        }
        content = ask("nifti.js", "writeNifti", typed(array), grid_of(grid), after)
        (tmp_path / "a.nii.gz").write_bytes(bytes(content))
        found = read_labels(tmp_path / "a.nii.gz")
        np.testing.assert_array_equal(found.array, array)
        assert found.grid.is_close(grid, tolerance_mm=1e-4)
        assert found.labels == labels
        header = nibabel.load(tmp_path / "a.nii.gz").header
        np.testing.assert_allclose(header.get_qform(), header.get_sform(), atol=1e-3)
        assert int(header["qform_code"]) == 1


def interlaced_png(array: NDArray[np.uint8]) -> bytes:
    """A grey picture ``(rows, columns)`` as Adam7, which Pillow reads and does not write."""
    raw = b""
    for x, y, dx, dy in [
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ]:
        part = array[y::dy, x::dx]
        if part.size:
            raw += b"".join(b"\0" + row.tobytes() for row in part)

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", array.shape[1], array.shape[0], 8, 0, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


class TestPictures:
    @pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "1", "I;16", "P", "grey palette", "interlaced"])
    def test_png(self, ask, rng, tmp_path, mode):
        path = tmp_path / "a.png"
        smooth = np.add.outer(np.arange(21) * 5, np.arange(18) * 7).astype(np.uint8) + rng.integers(
            0, 9, (21, 18), np.uint8
        )
        colours = np.stack([smooth, smooth.T[:18].repeat(2, 0)[:21, :18], smooth[::-1], smooth[:, ::-1]], -1)
        if mode == "interlaced":
            path.write_bytes(interlaced_png(smooth))
        elif mode == "I;16":
            Image.fromarray(smooth.astype(np.uint16) * 257 + 3).save(path)
        elif mode == "P":
            Image.fromarray(colours[..., :3]).quantize(13).save(path)
        elif mode == "grey palette":
            picture = Image.fromarray(smooth % 4, mode="P")
            picture.putpalette([0, 0, 0, 80, 80, 80, 160, 160, 160, 255, 255, 255])
            picture.save(path)
        else:
            Image.fromarray(colours).convert(mode).save(path)
        same_image(ask("pictures.js", "readPicture", bytes_of(path)), read(path))

    @pytest.mark.parametrize("how", ["grey", "full", "halved", "turned"])
    def test_jpeg(self, ask, rng, tmp_path, how):
        path = tmp_path / "a.jpg"
        noise = Image.fromarray(rng.integers(0, 255, (6, 5, 3), np.uint8)).resize((37, 41), Image.Resampling.BICUBIC)
        exif = Image.Exif()
        exif[0x0112] = 6
        options: dict[str, Any] = {"exif": exif} if how == "turned" else {}
        picture = noise.convert("L") if how == "grey" else noise
        picture.save(path, quality=90, subsampling=2 if how == "halved" else 0, **options)
        found = ask("pictures.js", "readPicture", bytes_of(path))
        expected = read(path)
        same_grid(found["grid"], expected.grid)
        apart = np.array(found["channels"]).reshape(expected.array.shape) - expected.array.astype(int)
        assert np.abs(apart).max() <= 1  # decoders round the same sums in their own ways

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_writes_label_maps_that_we_read(self, ask, rng, tmp_path, dtype):
        array = rng.integers(0, 3 if dtype == np.uint8 else 900, (18, 21)).astype(dtype)
        content = ask("pictures.js", "writePng", typed(array), [18, 21])
        (tmp_path / "a.png").write_bytes(bytes(content))
        np.testing.assert_array_equal(read(tmp_path / "a.png").array[0], array)

    def test_a_damaged_one_is_refused(self, ask):
        content = interlaced_png(np.random.default_rng(0).integers(0, 255, (9, 9), np.uint8))
        for end in (40, 90):
            with pytest.raises(Exception, match="damaged or cut off"):
                ask("pictures.js", "readPicture", {"typed": "Uint8Array", "values": list(content[:end])})


def plan_of(normalisation: Normalisation, spacing: tuple[float, ...], *, channels: int = 1) -> Plan:
    """A plan for images of these channels."""
    plan = untrained_bundle(ball_dataset(2), patch_size=(8, 8, 8)).plan
    return replace(
        plan,
        channels=tuple(f"c{n}" for n in range(channels)),
        normalisation=(normalisation,) * channels,
        network=replace(plan.network, in_channels=channels),
        spacing_mm=spacing,
    )


def description_of(plan: Plan, postprocessing: Postprocessing | None = None) -> dict[str, Any]:
    bundle = untrained_bundle(ball_dataset(2), patch_size=(8, 8, 8))
    whole = replace(bundle, plan=plan, postprocessing=postprocessing or Postprocessing())
    return describe(whole, Artefact(path=Path("model.onnx"), free_axes={}))


class TestPrepare:
    @pytest.mark.parametrize(
        "scheme",
        [
            Normalisation("z_score"),
            Normalisation("z_score_nonzero"),
            Normalisation("ct", mean=40, std=25, lower=-50, upper=90),
            Normalisation("range"),
            Normalisation("rgb"),
            Normalisation("none"),
        ],
        ids=lambda how: how.scheme,
    )
    def test_normalises_and_crops(self, ask, rng, scheme):
        array = np.zeros((2, 9, 10, 8), np.int16)
        array[:, 2:7, 1:9, 3:] = rng.integers(1, 120, (2, 5, 8, 5))
        self.check(
            ask,
            Volume(array, OBLIQUE.crop((0, 0, 0), (9, 10, 8)), Meta()),
            plan_of(scheme, OBLIQUE.spacing_mm, channels=2),
        )

    @pytest.mark.parametrize(
        ("spacing", "target"),
        [
            ((1, 1, 1), (0.8, 1.3, 0.6)),
            ((1, 1, 5), (1.4, 0.7, 3.0)),
            ((1, 1, 1), (1, 1, 4)),
            ((1, 1, 1), (1.0005, 1, 1)),
        ],
        ids=["all axes", "thick slices", "to thick slices", "as good as the same"],
    )
    def test_resamples(self, ask, rng, spacing, target):
        grid = Grid.from_spacing((9, 8, 7), spacing, origin_mm=(3, 4, 5), direction=TURN)
        array = rng.normal(100, 30, (1, 9, 8, 7)).astype(np.float32)
        self.check(ask, Volume(array, grid, Meta()), plan_of(Normalisation("z_score"), target))

    def check(self, ask: Ask, image: Volume, plan: Plan) -> None:
        expected = prepare(image, plan)
        given = {
            "channels": [typed(np.ascontiguousarray(channel)) for channel in image.array],
            "grid": grid_of(image.grid),
            "calibrated": True,
        }
        found = ask("prepare.js", "prepare", given, description_of(plan))
        same_grid(found["grid"], expected.grid)
        same_grid(found["canonical"], expected.canonical)
        array = np.array(found["channels"]).reshape(expected.array.shape)
        np.testing.assert_allclose(array, expected.array, rtol=0, atol=2e-5 * max(1, np.abs(expected.array).max()))

    def test_refuses_what_does_not_suit(self, ask):
        plan = plan_of(Normalisation("z_score"), (1, 1, 1), channels=2)
        given = {"channels": [typed(np.ones(8, np.uint8))], "grid": grid_of(Grid.from_spacing((2, 2, 2), (1, 1, 1)))}
        with pytest.raises(Exception, match="1 channel; this segmenter needs c0, c1"):
            ask("prepare.js", "prepare", given, description_of(plan))


class TestWindows:
    @pytest.mark.parametrize("axes", [(), (0,), (0, 1)])
    @pytest.mark.parametrize(("shape", "size"), [((11, 9), (6, 4)), ((5, 13, 7), (8, 6, 4))])
    def test_is_the_sliding_window(self, ask, rng, shape, size, axes):
        image = rng.normal(size=(2, *shape)).astype(np.float32)

        def network(x: torch.Tensor) -> torch.Tensor:
            # It depends on the place in the window, so that a window or a mirror that is laid wrongly shows.
            place = torch.sin(torch.arange(x[0, 0].numel()) * 0.1).reshape(x.shape[2:])
            return torch.stack([x[:, 0] * place, x[:, 1] + place, x[:, 0] - x[:, 1]], dim=1)

        code = """async (x) => {
            const n = x.length / 2;
            const made = new Float32Array(3 * n);
            for (let k = 0; k < n; k++) {
                const place = Math.sin(k * 0.1);
                made[k] = x[k] * place;
                made[n + k] = x[n + k] + place;
                made[2 * n + k] = x[k] - x[n + k];
            }
            return made;
        }"""
        swapped = [1, 0, 2] if len(shape) == 3 else []
        views = views_of(axes, outputs=swapped)
        expected = sliding_window(torch.from_numpy(image), network, size, 3, overlap=0.4, views=views)
        windows = {"size": list(size), "overlap": 0.4, "sigmaShare": 0.125, "mirrorAxes": list(axes)}
        windows |= {"mirroredOutputs": swapped} if swapped else {}
        channels = [typed(channel) for channel in image]
        found = ask("windows.js", "slidingWindow", channels, list(shape), {"code": code}, 3, windows)
        np.testing.assert_allclose(np.array(found).reshape(expected.shape), expected, rtol=0, atol=2e-6)

    @pytest.mark.parametrize("overlap", [0.0, 0.3, 0.5, 0.75])
    def test_starts_where_ours_start(self, ask, overlap):
        from vesalius.predict.places import window_starts

        for length in range(1, 60, 7):
            found = ask("windows.js", "windowStarts", length, 16, overlap)
            assert tuple(found) == window_starts((length,), (16,), overlap=overlap)[0]


class TestDecide:
    @pytest.mark.parametrize("regions", [False, True])
    def test_is_what_we_decide(self, ask, rng, regions):
        source = Grid.from_spacing((6, 5, 7), (1.5, 1.2, 2.0), origin_mm=(4.0, 3.0, 2.0), direction=TURN)
        target = source.with_spacing((0.9, 1.0, 0.8)).crop((-3, -1, -2), (14, 9, 21))
        scores = rng.normal(size=(3, 6, 5, 7)).astype(np.float32)
        expected = (resample_painted if regions else resample_argmax)(scores, source, target)
        values = [1, 2, 3] if regions else [0, 1, 2]
        found = ask(
            "decide.js", "decide", [typed(one) for one in scores], grid_of(source), grid_of(target), values, regions
        )
        np.testing.assert_array_equal(np.array(found).reshape(target.shape), expected)
        assert len(np.unique(expected)) > 2

    def test_far_away_all_is_background(self, ask):
        source = Grid.from_spacing((3, 3, 3), (1, 1, 1))
        target = source.crop((10, 0, 0), (2, 3, 3))
        scores = [typed(np.full(27, value, np.float32)) for value in (0, 1)]
        assert set(ask("decide.js", "decide", scores, grid_of(source), grid_of(target), [0, 1], False)) == {0}


class TestComponents:
    @pytest.mark.parametrize(
        "steps",
        [
            (KeepLargest(),),
            (KeepLargest(name="ball"), KeepLargest(name="core")),
            (RemoveSmall(least=0.02, name="core"), KeepLargest(name="whole")),
            (RemoveSmall(least=5, unit="voxels"),),
        ],
        ids=["all together", "each", "a region", "voxels"],
    )
    def test_cleans_as_we_do(self, ask, rng, steps):
        labels = replace(LABELS, regions=for_regions(plan_of(Normalisation("none"), (1, 1, 1))).labels.regions)
        array = rng.choice([0, 1, 2], (9, 8, 10), p=[0.82, 0.1, 0.08]).astype(np.uint8)
        labelmap = LabelMap(array, Grid.from_spacing((9, 8, 10), (1.5, 1.0, 2.0)), labels)
        how = Postprocessing(steps)
        after = {
            "clean_up": postprocessing_to_json(how),
            "labels": [{"name": one.name, "value": one.value} for one in labels.labels],
            "regions": [{"name": one.name, "values": list(one.values)} for one in labels.regions],
        }
        expected = postprocess(labelmap, how).array
        found = ask("components.js", "cleanedUp", typed(array), grid_of(labelmap.grid), after)
        np.testing.assert_array_equal(np.array(found).reshape(array.shape), expected)
        assert 0 < expected.astype(bool).sum() < array.astype(bool).sum()


def test_a_picture_of_two_by_one_pixels_goes_the_whole_way(ask):
    """The smallest there is: rows and columns are not exchanged."""
    file = io.BytesIO()
    Image.fromarray(np.array([[10, 200]], np.uint8)).save(file, "PNG")
    found = ask("pictures.js", "readPicture", {"typed": "Uint8Array", "values": list(file.getvalue())})
    assert found["grid"]["shape"] == [2, 1]
    assert found["channels"] == [[10, 200]]
