"""Specs: what is allowed, and that they are plain values."""

import importlib
import inspect
import json
import subprocess
import sys
from dataclasses import asdict, replace
from typing import get_args

import pytest

from vesalius.errors import PlanError
from vesalius.nets import ARCHITECTURES, build


def _without_type_checks():
    """The specs as users have them: under pytest the import hook would refuse wrong types before a spec can."""
    finders, checked = list(sys.meta_path), {n: m for n, m in sys.modules.items() if n.startswith(SPECS)}
    try:
        sys.meta_path[:] = [finder for finder in finders if not type(finder).__module__.startswith("jaxtyping")]
        for name in checked:
            del sys.modules[name]
        return importlib.import_module("vesalius.nets.spec")
    finally:
        sys.meta_path[:] = finders
        for name in [n for n in sys.modules if n.startswith(SPECS)]:
            del sys.modules[name]
        for name, module in checked.items():
            sys.modules[name] = module
            package, _, own = name.rpartition(".")
            setattr(sys.modules[package], own, module)


SPECS = "vesalius.nets.spec"  # and vesalius.nets.specs.*
_module = _without_type_checks()
CNNSpec, FCNSpec, UNetSpec, divisor = _module.CNNSpec, _module.FCNSpec, _module.UNetSpec, _module.divisor

UNET = UNetSpec.plain(ndim=3, in_channels=1, out_channels=3, features=(8, 16, 32))
FCN = FCNSpec(ndim=2, in_channels=3, out_channels=2)
ENCODER_UNET = _module.EncoderUNetSpec(ndim=2, in_channels=3, out_channels=2)
CNN = CNNSpec(
    ndim=2,
    in_channels=1,
    out_channels=2,
    patch=(10, 10),
    features=(4, 8),
    kernels=((3, 3), (3, 3)),
    pools=((2, 2), (2, 2)),
    hidden=(16,),
)


@pytest.mark.parametrize("spec", [UNET, FCN, CNN, ENCODER_UNET], ids=lambda s: s.architecture)
def test_a_spec_survives_json_and_hashes(spec):
    fields = json.loads(json.dumps(asdict(spec)))
    fields.pop("shapes", None)
    again = type(spec)(**fields)
    assert again == spec
    assert hash(again) == hash(spec)


def test_importing_the_package_and_specs_imports_no_torch():
    code = "import sys, vesalius.nets, vesalius.nets.spec, vesalius.nets.field; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("spec", "change", "message"),
    [
        (UNET, {"ndim": 4}, "ndim must be 2 or 3, not 4"),
        (UNET, {"in_channels": 0}, "in_channels must be a whole number of at least 1"),
        (UNET, {"out_channels": 2.0}, "out_channels must be a whole number"),
        (UNET, {"features": (8,)}, "at least 2 stages"),
        (UNET, {"features": 8}, "features must be a sequence"),
        (UNET, {"features": (8, 16, 0)}, "features must be whole numbers of at least 1"),
        (UNET, {"strides": ((1, 1, 1), (2, 2, 2))}, "strides must have an entry for each of the 3 stages"),
        (UNET, {"strides": ((1, 1), (2, 2), (2, 2))}, r"strides\[0\] must have 3 entries"),
        (UNET, {"strides": (1, 2, 2)}, r"strides\[0\] must be 3 whole numbers"),
        (UNET, {"kernels": ((3, 3, 3), (2, 3, 3), (3, 3, 3))}, r"kernels\[1\] must be odd"),
        (UNET, {"encoder_blocks": (2, 2)}, "encoder_blocks must have 3 entries"),
        (UNET, {"decoder_blocks": (2, 2, 2)}, "decoder_blocks must have 2 entries"),
        (UNET, {"norm": "instanse"}, "did you mean 'instance'"),
        (UNET, {"upsample": "nearest"}, "unknown upsample"),
        (UNET, {"dropout": 1.0}, "dropout must be 0 to less than 1"),
        (UNET, {"norm": "group", "features": (8, 16, 36)}, "multiples of 8"),
        (
            UNET,
            {
                "attention": True,
                **{n: getattr(UNET, n)[:2] for n in ("features", "strides", "kernels", "encoder_blocks")},
            },
            "attention gates .* need at least 3 stages, not 2",
        ),
        (FCN, {"variant": "4s"}, "unknown variant"),
        (FCN, {"encoder": "resnet"}, "unknown encoder"),
        (FCN, {"width": 0}, "width must be more than 0"),
        (FCN, {"width": float("nan")}, "width must be more than 0"),
        (FCN, {"norm": "none", "encoder": "resnet18"}, "norm 'none' is the original VGG-16"),
        (CNN, {"patch": (11, 10)}, "patch .11, 10. does not fit: after the convolution of stage 0"),
        (CNN, {"patch": (2, 2)}, "does not fit"),
        (CNN, {"features": ()}, "at least 1 convolution"),
        (CNN, {"norm": "instance"}, "unknown norm"),
        (CNN, {"hidden": (0,)}, "hidden must be whole numbers"),
    ],
)
def test_what_cannot_be_built_is_refused(spec, change, message):
    with pytest.raises(PlanError, match=message):
        replace(spec, **change)


def test_divisor_is_the_product_of_the_strides():
    spec = replace(UNET, strides=((1, 2, 2), (1, 2, 2), (2, 2, 2)))
    assert divisor(spec) == (2, 8, 8)
    assert divisor(FCN) == (32, 32)
    assert divisor(CNN) == (1, 1)


def test_an_unknown_architecture_lists_the_known_ones():
    class Stranger:
        architecture = "unett"

    with pytest.raises(PlanError, match=r"did you mean 'unet'.*Known: cnn, encoder_unet"):
        inspect.unwrap(build)(Stranger())
    assert set(ARCHITECTURES) == {spec.architecture for spec in get_args(_module.NetworkSpec)}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("inner", {"architecture": "unet"}, "inner must be the spec of a 2D network .*UNetSpec"),
        ("inner", UNET, "inner must be the spec of a 2D network"),
        ("axis", 1.0, "axis must be 0, 1 or 2, not 1.0"),
        ("axis", True, "axis must be 0, 1 or 2, not True"),
        ("context", 0.5, "context must be a whole number of at least 0"),
    ],
)
def test_slices_are_of_a_2d_network(field, value, message):
    flat = UNetSpec.plain(ndim=2, in_channels=1, out_channels=2, features=(8, 16))
    with pytest.raises(PlanError, match=message):
        _module.SlicesSpec(**({"inner": flat, "axis": 0} | {field: value}))


@pytest.mark.parametrize("kind", ["SegResNetSpec", "SwinUNETRSpec", "MedNeXtSpec"])
def test_sizes_and_norms_have_names(kind):
    spec = getattr(_module, kind)(ndim=2, in_channels=1, out_channels=2)
    with pytest.raises(PlanError, match=r"unknown (norm|size)"):
        replace(spec, **({"size": "XL"} if kind == "MedNeXtSpec" else {"norm": "layer"}))
    if kind != "MedNeXtSpec":
        with pytest.raises(PlanError, match="unknown size 'XL'"):
            type(spec).sized("XL", ndim=2, in_channels=1, out_channels=2)
