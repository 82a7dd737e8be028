"""LiteRT and ExecuTorch, really: `vesalius export` in their environments, and their runtimes on what it wrote.

The environments are made by scripts/test_setup.sh; where they are not there, the tests are skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from phantoms import ball_dataset, untrained_bundle

from vesalius.bundle import Bundle
from vesalius.predict import load_segmenter

ROOT = Path(__file__).resolve().parents[2]
FILES = {"litert": "model.tflite", "executorch": "model.pte"}

# As who has the file and its description would run it, without Vesalius.
RUNNERS = {
    "litert": """
import sys, json, numpy as np
from ai_edge_litert.interpreter import Interpreter
told = json.load(open(sys.argv[1] + "/vesalius.json"))
interpreter = Interpreter(model_path=sys.argv[1] + "/" + told["artefact"])
run = interpreter.get_signature_runner()
logits = run(**{told["input"]["name"]: np.load(sys.argv[2])})[told["output"]["name"]]
np.save(sys.argv[3], logits)
""",
    "executorch": """
import sys, json, numpy as np, torch
from executorch.runtime import Runtime
told = json.load(open(sys.argv[1] + "/vesalius.json"))
method = Runtime.get().load_program(sys.argv[1] + "/" + told["artefact"]).load_method("forward")
(logits,) = method.execute([torch.from_numpy(np.load(sys.argv[2]))])
np.save(sys.argv[3], logits.numpy())
""",
}


def python_of(target: str) -> Path:
    python = ROOT / ".venvs" / target / "bin" / "python"
    if not (ROOT / ".venvs" / target / ".installed").is_file():
        pytest.skip(f"there is no environment for {target}: scripts/test_setup.sh {target} makes it")
    return python


def run(*command: object) -> subprocess.CompletedProcess[str]:
    threads = {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, env=os.environ | threads
    )


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    bundle = untrained_bundle(ball_dataset(2, shape=(32, 40)), patch_size=(16, 24))
    return bundle.save(tmp_path_factory.mktemp("bundles") / "pictures")


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    bundle = untrained_bundle(ball_dataset(2), patch_size=(8, 16, 16))
    return bundle.save(tmp_path_factory.mktemp("bundles") / "volumes")


@pytest.mark.parametrize(
    ("target", "kind"), [("litert", "pictures"), ("litert", "volumes"), ("executorch", "pictures")]
)
def test_exported_in_its_environment_and_run_by_its_runtime(target, kind, request, tmp_path):
    python, bundle = python_of(target), request.getfixturevalue(kind)
    out = tmp_path / "out"
    done = run(python, "-m", "vesalius.cli", "export", bundle, "--to", target, "-o", out, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert list(told["files"]) == [FILES[target]]
    assert told["parity"][""]["label_agreement"] >= 0.9999
    assert told["parity"][""]["max_difference"] < 1e-4
    assert told["runtime"].split()[0] in ("ai-edge-litert", "executorch")

    window = torch.randn(1, 1, *Bundle.load(bundle).plan.patch_size)
    np.save(tmp_path / "window.npy", window)
    done = run(python, "-c", RUNNERS[target], out, tmp_path / "window.npy", tmp_path / "logits.npy")
    assert done.returncode == 0, done.stderr
    segmenter = load_segmenter(bundle, device="cpu", backend="torch-float32")
    with torch.inference_mode():
        expected = segmenter.networks[0](window).numpy()
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), expected, rtol=0, atol=1e-4)
