"""Fuzz one target: ``python fuzz/run.py dicom --minutes 15``; see docs/development/security.md.

With atheris in the environment the inputs follow the coverage of Vesalius and pydicom; without it, or with ``--blind``,
seeds are damaged at random, several times as fast. The target runs in a process of its own under a limit of memory: one
that crashes, hangs or runs out of it leaves its input in ``fuzz/findings`` and is started again until the time is up.
Prints one JSON object: what ran, for how long, how many inputs, what was found. Exit code 1 when there is anything.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
FINDINGS = HERE / "findings"
_HANG_S = 60
_LARGEST = 200_000
_DICOM = ("vesalius.io", "vesalius.server", "pydicom", "pynetdicom")
_FOLLOWED = {  # packages whose coverage leads the fuzzer: the fewer, the sooner it begins
    "nifti": ("vesalius.io",),
    "headers": ("vesalius.io",),
    "pictures": ("vesalius.io",),
    "vault": ("vesalius.privacy",),
    "bundle": ("vesalius.bundle", "vesalius.plan"),
}
_STARTS_S = 300  # on a busy machine, with everything instrumented


def main() -> int:
    """Run the fuzzer, or, with ``--child``, the target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target")
    parser.add_argument("--minutes", type=float, default=5, help="how long; an hour is 60 (default: %(default)g)")
    parser.add_argument("--memory-gib", type=float, default=3.0, help="address space of the target (RLIMIT_AS)")
    parser.add_argument("--corpus", type=Path, help="a folder of inputs to go on with (default: only the seeds)")
    parser.add_argument("--blind", action="store_true", help="without atheris")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child is not None:
        _fuzz(args)
        return 0
    blind = args.blind or importlib.util.find_spec("atheris") is None
    with tempfile.TemporaryDirectory(prefix="fuzz-corpus-") as place:
        corpus = args.corpus or Path(place)
        command = [sys.executable, str(HERE / "seeds_of.py"), args.target, str(corpus)]
        seeds = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        began, inputs, found, starts = time.monotonic(), 0, [], 0
        while (left := args.minutes * 60 - (time.monotonic() - began)) > 1:
            starts += 1
            done, finding = _child(args, corpus, left, blind=blind, seed=args.seed + starts)
            inputs += done
            found += [finding] if finding else []
    report = {
        "target": args.target,
        "engine": "damaged at random" if blind else "atheris",
        "minutes": round((time.monotonic() - began) / 60, 1),
        "memory_gib": args.memory_gib,
        "seeds": seeds,
        "inputs": inputs,
        "findings": found,
    }
    print(json.dumps(report))
    return 1 if found else 0


def _child(args: argparse.Namespace, corpus: Path, left_s: float, *, blind: bool, seed: int) -> tuple[int, str]:
    """Run the target in a process; returns how many inputs it took, and what went wrong."""
    command = [sys.executable, __file__, args.target, "--child", str(corpus), "--seed", str(seed)]
    command += ["--minutes", str(left_s / 60), "--memory-gib", str(args.memory_gib), *["--blind"] * blind]
    with tempfile.TemporaryDirectory(prefix="fuzz-child-") as place, (Path(place) / "log").open("w+b") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=place)
        try:
            code = process.wait(left_s + _STARTS_S + 2 * _HANG_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        log.seek(0)
        told = log.read().decode("utf-8", "replace")
        counts = [int(n) for n in re.findall(r"^#(\d+)\s", told, re.MULTILINE)]
        if code == 0:
            return max(counts, default=0), ""
        FINDINGS.mkdir(exist_ok=True)
        left = [*Path(place).glob("crash-*"), *Path(place).glob("timeout-*"), *Path(place).glob("oom-*")]
        left += list(Path(place).glob("input"))
        data = left[0].read_bytes() if left else b""
        name = f"{args.target}-{hashlib.sha256(data).hexdigest()[:12]}"
        (FINDINGS / name).write_bytes(data)
        (FINDINGS / f"{name}.log").write_text(told[-20_000:])
        return max(counts, default=0), f"{name}: exit code {code}"


def _fuzz(args: argparse.Namespace) -> None:
    limit = int(args.memory_gib * 2**30)
    if args.blind:
        from targets import TARGETS, prepare

        prepare(args.target)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        _damage(TARGETS[args.target], sorted(args.child.iterdir()), args.minutes * 60, random.Random(args.seed))
        return
    import atheris

    with atheris.instrument_imports(include=[*_FOLLOWED.get(args.target, _DICOM)]):
        from targets import TARGETS, prepare

        prepare(args.target)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    options = [f"-max_total_time={int(args.minutes * 60)}", f"-timeout={_HANG_S}", f"-max_len={_LARGEST}"]
    options += [f"-seed={args.seed}", "-rss_limit_mb=0", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, str(args.child)], TARGETS[args.target])
    atheris.Fuzz()


def _damage(target: object, seeds: list[Path], for_s: float, rng: random.Random) -> None:
    """Damage seeds; the input lies in a file before it is tried, so that it is there when the process is not."""
    assert callable(target)
    import faulthandler

    faulthandler.enable()
    pool = [seed.read_bytes() for seed in seeds]
    ends, count = time.monotonic() + for_s, 0
    while time.monotonic() < ends:
        data = bytearray(rng.choice(pool))
        for _ in range(rng.choice((1, 1, 2, 3, 5, 8, 20))):
            _hurt(data, pool, rng)
        Path("input").write_bytes(data)
        faulthandler.dump_traceback_later(_HANG_S, exit=True)
        target(bytes(data))
        faulthandler.cancel_dump_traceback_later()
        count += 1
        if count % 100 == 0:
            print(f"#{count} ", flush=True)
    print(f"#{count} ", flush=True)


def _hurt(data: bytearray, pool: list[bytes], rng: random.Random) -> None:
    at = rng.randrange(len(data) + 1)
    head = rng.randrange(min(len(data), 2000) + 1)  # most of what is believed stands at the beginning
    at = rng.choice((at, head))
    kind = rng.randrange(7)
    if kind == 0:
        data[at : at + 1] = bytes([rng.randrange(256)])
    elif kind == 1:
        width = rng.choice((1, 2, 4))
        value = rng.choice((0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFFE))
        data[at : at + width] = (value & (256**width - 1)).to_bytes(width, rng.choice(("little", "big")))
    elif kind == 2 and data:
        data[min(at, len(data) - 1)] ^= 1 << rng.randrange(8)
    elif kind == 3:
        del data[at : at + rng.choice((1, 2, 8, 64, 1000))]
    elif kind == 4:
        data[at:at] = data[at : at + rng.choice((1, 8, 64, 500))] * rng.choice((1, 2, 50))
    elif kind == 5:
        other = rng.choice(pool)
        start = rng.randrange(len(other) + 1)
        data[at : at + rng.choice((0, 16, 200))] = other[start : start + rng.choice((4, 16, 200))]
    else:
        data[at:at] = bytes(rng.randrange(256) for _ in range(rng.choice((1, 2, 4, 12))))


if __name__ == "__main__":
    sys.exit(main())
