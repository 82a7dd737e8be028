"""Whatever stands in the files of a vault, an audit chain, rules or roles: an answer or an error of ours."""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vesalius.bundle.lineage import patients_of, read_provenance
from vesalius.errors import VesaliusError
from vesalius.privacy.access import read_access
from vesalius.privacy.audit import CHAIN, HEAD, append, create_chain, entries
from vesalius.privacy.keys import Identity, new_identity, open_lock
from vesalius.privacy.rules import RULES, find_rules
from vesalius.privacy.vault import create_vault, open_vault
from vesalius.privacy.verify import verify

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
BYTES = st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode())


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        yield Path(place)


@pytest.fixture(scope="module")
def vault(tmp_path_factory) -> tuple[Path, Identity, dict[str, Any]]:
    identity, recipient = new_identity()
    place = create_vault(tmp_path_factory.mktemp("vault"), [recipient]).path
    return place, identity, json.loads((place / "vault.json").read_text())


@given(BYTES)
@settings(deadline=None)
def test_a_file_that_is_none_of_ours_is_refused(data):
    with folder() as place:
        for name, read in (
            ("vault.json", lambda: open_vault(place, Identity("AGE-SECRET-KEY-1"))),
            ("access.json", lambda: read_access(place / "access.json")),
            ("bundle.json", lambda: patients_of(read_provenance(place), "r1")),
        ):
            (place / name).write_bytes(data)
            with contextlib.suppress(VesaliusError):
                read()
                assert name == "bundle.json", "only a lineage may be left out"


@given(st.sampled_from(["id", "index", "locks", "mac", "generation", "version", "format"]), VALUES)
@settings(deadline=None)
def test_a_head_with_another_value_anywhere_is_refused(vault, name, value):
    place, identity, head = vault
    if value == head[name] and type(value) is type(head[name]):
        return
    with folder() as copy:
        (copy / f"index-{head['index']}").write_bytes((place / f"index-{head['index']}").read_bytes())
        (copy / "vault.json").write_text(json.dumps({**head, name: value}))
        with pytest.raises(VesaliusError):
            open_vault(copy, identity)


@given(st.dictionaries(st.sampled_from(["kind", "key", "recipient", "salt", "nonce", "times", "lanes"]), VALUES))
@settings(deadline=None)
def test_a_lock_of_any_values_opens_nothing(lock):
    identity, _ = new_identity()
    for kind in ("age", "argon2id"):
        with contextlib.suppress(VesaliusError):
            assert open_lock({**lock, "kind": kind}, identity, context=b"") is None


@given(st.integers(0, 3), BYTES, st.booleans())
@settings(deadline=None, max_examples=40)  # each syncs files
def test_a_chain_with_any_line_put_in_is_broken(at, data, ends):
    with folder() as place:
        chain = create_chain(place / "audit")
        for _ in range(2):
            append(chain, "read")
        lines = (chain / CHAIN).read_bytes().splitlines(keepends=True)
        new = data + b"\n" if ends or at < 3 else data
        (chain / CHAIN).write_bytes(b"".join([*lines[:at], new, *lines[at:]]))
        found = verify(chain)
        torn = not new.endswith(b"\n") and b"\n" not in new
        assert (found.broken is None) == torn
        assert found.torn_bytes == (len(new) if torn else 0)
        assert len(list(entries(chain))) <= 3


@given(BYTES)
@settings(deadline=None, max_examples=40)  # each syncs files
def test_a_head_of_a_chain_of_any_content_is_told(data):
    with folder() as place:
        chain = create_chain(place / "audit")
        (chain / HEAD).write_bytes(data)
        assert verify(chain).broken is not None
        with pytest.raises(VesaliusError):
            append(chain, "read")


@given(st.text(max_size=60) | BYTES.map(lambda data: data.decode("latin-1")))
def test_rules_of_any_content_hold_or_are_refused(text):
    with folder() as place:
        (place / RULES).write_text(text, encoding="utf-8")
        with contextlib.suppress(VesaliusError):
            assert find_rules(place) is not None
