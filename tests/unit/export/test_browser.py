"""Where the page's runtime comes from, and which bundles the page takes."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from phantoms import as_cascade, ball_dataset, drawn_bundle, untrained_bundle

from vesalius.errors import BundleError, MissingDependencyError, PlanError
from vesalius.export import browser, export
from vesalius.nets import SlicesSpec, UNetSpec
from vesalius.plan.preparation import NNUNET
from vesalius.transform import Normalisation

FILES = {name: f"// {name}".encode() for name in browser.PACKAGE_FILES}


@pytest.fixture
def tested(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if `FILES` were the version that was tested."""
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    monkeypatch.setattr(browser, "PACKAGE_FILES", sums)


def packed(path: Path, files: dict[str, bytes], **links: str) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for name, target in links.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return path


def test_is_found_packed_or_installed(tested, tmp_path):
    with pytest.raises(MissingDependencyError, match=r"npm pack onnxruntime-web@1\.30\.0"):
        browser.find_runtime(tmp_path)
    dist = tmp_path / "node_modules" / "onnxruntime-web" / "dist"
    dist.mkdir(parents=True)
    for name, content in FILES.items():
        (dist / name).write_bytes(content)
    assert browser.runtime_files(browser.find_runtime(tmp_path)) == FILES
    whole = {f"package/dist/{name}": content for name, content in FILES.items()} | {"package/package.json": b"{}"}
    file = packed(tmp_path / "onnxruntime-web-1.30.0.tgz", whole)
    assert browser.find_runtime(tmp_path) == file
    assert browser.runtime_files(file) == FILES


def test_another_version_is_refused(tested, tmp_path):
    files = {f"package/dist/{name}": content + b" " for name, content in FILES.items()}
    with pytest.raises(BundleError, match=r"is not that of onnxruntime-web 1\.30\.0"):
        browser.runtime_files(packed(tmp_path / "a.tgz", files))


@pytest.mark.parametrize("prefix", ["", "../package/dist/", "/package/dist/", "package/dist/../dist/", "other/dist/"])
def test_only_the_packages_own_files_count(tested, tmp_path, prefix):
    files = {f"{prefix}{name}": content for name, content in FILES.items()}
    with pytest.raises(BundleError, match="holds no dist/"):
        browser.runtime_files(packed(tmp_path / "a.tgz", files))


def test_links_do_not_count(tested, tmp_path):
    (tmp_path / "secret").write_text("x")
    with pytest.raises(BundleError, match="holds no dist/"):
        browser.runtime_files(packed(tmp_path / "a.tgz", {}, **dict.fromkeys(FILES, str(tmp_path / "secret"))))


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b nothing", b"plain"])
def test_a_damaged_package_is_refused(tmp_path, content):
    (tmp_path / "a.tgz").write_bytes(content)
    with pytest.raises(BundleError, match=r"a.tgz is damaged or cut off"):
        browser.runtime_files(tmp_path / "a.tgz")


def test_what_the_page_cannot_do_is_refused_with_the_reason():
    bundle = untrained_bundle(ball_dataset(2), patch_size=(16, 16, 16))
    plan = bundle.plan
    inner = UNetSpec.plain(ndim=2, in_channels=3, out_channels=3, features=(8, 16))
    slices = replace(
        plan, configuration="2.5d", network=SlicesSpec(inner=inner, axis=2, context=1), patch_size=(16, 16, 4)
    )
    refused = {
        "cascade of two networks": replace(drawn_bundle(as_cascade(plan)), coarse=bundle),
        "averages several configurations": replace(bundle, partners=(drawn_bundle(plan, seed=2),)),
        "neighbouring slices": drawn_bundle(slices),
        r"customs that the page does not know \(orientation, extent,": drawn_bundle(replace(plan, preparation=NNUNET)),
        "normalisation z_score_content": drawn_bundle(replace(plan, normalisation=(Normalisation("z_score_content"),))),
    }
    for reason, one in refused.items():
        with pytest.raises(PlanError, match=f"browser cannot take this bundle: .*{reason}"):
            export(one, "browser", "nowhere")
    assert browser.refuses(bundle) is None


def test_a_runtime_is_refused_where_none_is_written(solid, tmp_path):
    with pytest.raises(PlanError, match="puts no runtime beside the network"):
        export(solid, "torchscript", tmp_path / "model", runtime=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_the_runtime_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingDependencyError, match="npm pack"):
        export(untrained_bundle(ball_dataset(2), patch_size=(16, 16, 16)), "browser", tmp_path / "page")
    assert list(tmp_path.iterdir()) == []
