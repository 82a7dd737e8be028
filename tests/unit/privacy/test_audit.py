"""The audit chain shows where it was changed, and tells a crash from a change."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from vesalius.errors import FormatError, PrivacyError, VesaliusError
from vesalius.privacy import audit
from vesalius.privacy.audit import CHAIN, HEAD, append, create_chain, entries, name_hash
from vesalius.privacy.verify import checkpoint, new_signer, verify, write_receipt

SIZE = 6


@pytest.fixture
def chain(tmp_path) -> Path:
    """Six entries; the first says that the chain began."""
    place = create_chain(tmp_path / "audit", who="ada")
    for n in range(2, SIZE + 1):
        append(place, "read", {"files": n}, who="ada")
    return place


def lines(chain: Path) -> list[bytes]:
    return (chain / CHAIN).read_bytes().splitlines(keepends=True)


def put(chain: Path, held: list[bytes]) -> None:
    (chain / CHAIN).write_bytes(b"".join(held))


def broken(chain: Path, **how: object) -> tuple[int, str]:
    found = verify(chain, **how).broken  # type: ignore[arg-type]
    assert found is not None
    return found.entry, found.fault


def forge(chain: Path, change: dict[int, dict[str, object]], *, head: bool = True) -> None:
    """Write the chain anew with changed entries and right hashes, as somebody does who knows how it is made."""
    made, before = [], audit.FIRST
    for entry in entries(chain):
        said = {**entry.__dict__, **change.get(entry.n, {}), "before": before, "hash": ""}
        said["hash"] = before = audit._hash({name: value for name, value in said.items() if name != "hash"})
        made.append(audit.write_line(audit.Entry(**said)))  # type: ignore[arg-type]
    put(chain, made)
    if head:
        size = sum(map(len, made))
        told = {"count": len(made), "hash": before, "size": size, "last": size - len(made[-1])}
        (chain / HEAD).write_text(json.dumps(told))


def test_entries_say_who_did_what_and_follow_one_another(chain):
    found = list(entries(chain))
    assert [entry.n for entry in found] == list(range(1, SIZE + 1))
    assert [entry.act for entry in found] == ["created", *["read"] * 5]
    assert {entry.who for entry in found} == {"ada"}
    assert [entry.before for entry in found[1:]] == [entry.hash for entry in found[:-1]]
    verdict = verify(chain)
    assert (verdict.entries, verdict.broken, verdict.torn_bytes, verdict.unnoted) == (SIZE, None, 0, 0)


def test_a_hash_can_be_worked_out_by_hand(chain):
    import hashlib

    raw = json.loads(lines(chain)[2])
    text = ",".join(
        f'"{name}":{json.dumps(raw[name], separators=(",", ":"))}' for name in sorted(raw) if name != "hash"
    )
    assert hashlib.sha256(f"{{{text}}}".encode()).hexdigest() == raw["hash"]


# --- changes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", range(1, SIZE + 1))
def test_an_edited_entry_is_named(chain, n):
    held = lines(chain)
    held[n - 1] = held[n - 1].replace(b'"who":"ada"', b'"who":"eve"')
    put(chain, held)
    assert broken(chain) == (n, "edited")


@pytest.mark.parametrize("n", range(1, SIZE))
def test_an_edited_entry_with_a_right_hash_breaks_the_next_link(chain, n):
    held = lines(chain)
    raw = {**json.loads(held[n - 1]), "who": "eve"}
    raw["hash"] = audit._hash({name: value for name, value in raw.items() if name != "hash"})
    held[n - 1] = audit.write_line(audit.Entry(**raw))
    put(chain, held)
    assert broken(chain) == (n + 1, "edited")


def test_a_last_entry_written_anew_is_not_the_one_that_the_head_names(chain):
    forge(chain, {SIZE: {"who": "eve"}}, head=False)
    assert broken(chain) == (SIZE, "edited")


@pytest.mark.parametrize("n", range(1, SIZE))
def test_a_deleted_entry_is_named(chain, n):
    held = lines(chain)
    del held[n - 1]
    put(chain, held)
    assert broken(chain) == (n, "deleted")


@pytest.mark.parametrize("n", range(1, SIZE))
def test_two_entries_that_changed_places_are_named(chain, n):
    held = lines(chain)
    held[n - 1], held[n] = held[n], held[n - 1]
    put(chain, held)
    assert broken(chain) == (n, "reordered")


def test_an_entry_that_stands_there_twice_is_named(chain):
    held = lines(chain)
    put(chain, [*held[:3], held[1], *held[3:]])
    assert broken(chain) == (4, "inserted")


@pytest.mark.parametrize("left", range(1, SIZE))
def test_a_chain_that_was_cut_off_between_lines_is_told(chain, left):
    put(chain, lines(chain)[:left])
    assert broken(chain) == (left + 1, "truncated")


def test_a_chain_that_was_cut_off_within_a_line_is_told(chain):
    """At every byte of the last two lines: it is no crash, since the head knows that there was more."""
    data = (chain / CHAIN).read_bytes()
    whole = [0, *[sum(map(len, lines(chain)[:n])) for n in range(1, SIZE + 1)]]
    for size in range(whole[-3] + 1, whole[-1]):
        (chain / CHAIN).write_bytes(data[:size])
        held = max(n for n, end in enumerate(whole) if end <= size)
        assert broken(chain) == (held + 1, "truncated"), size


def test_every_bit_of_the_chain_counts(chain):
    data = (chain / CHAIN).read_bytes()
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8
        (chain / CHAIN).write_bytes(changed)
        assert verify(chain).broken is not None, at


@pytest.mark.parametrize("damage", ["", "{}", '{"count": 6}', "x"])
def test_a_damaged_head_is_told_and_nothing_follows(chain, damage):
    (chain / HEAD).write_text(damage)
    assert broken(chain) == (SIZE + 1, "head")
    with pytest.raises(PrivacyError, match="nothing can follow"):
        append(chain, "read")


@pytest.mark.parametrize("change", ["edit", "truncate", "add"])
def test_nothing_is_added_to_a_chain_whose_end_was_changed(chain, change):
    held = lines(chain)
    edited = held[-1].replace(b'"who":"ada"', b'"who":"eve"')
    put(chain, {"edit": [*held[:-1], edited], "truncate": held[:-1], "add": [*held, held[-1]]}[change])
    before = (chain / CHAIN).read_bytes()
    with pytest.raises(PrivacyError, match="verify"):
        append(chain, "read")
    assert (chain / CHAIN).read_bytes() == before


# --- crashes ----------------------------------------------------------------------------------------------------------


def test_a_torn_last_line_is_told_apart_and_made_good(chain):
    """The line that was being written is cut at every place; the head does not know it yet."""
    head, held = (chain / HEAD).read_bytes(), lines(chain)
    append(chain, "read", {"files": 7}, who="ada")
    torn = lines(chain)[-1]
    for size in range(1, len(torn)):
        (chain / HEAD).write_bytes(head)
        put(chain, [*held, torn[:size]])
        found = verify(chain)
        assert (found.broken, found.entries, found.torn_bytes) == (None, SIZE, size)
    added = append(chain, "read", {"files": 8})
    assert added.n == SIZE + 2
    recovered = list(entries(chain))[SIZE]
    assert (recovered.act, recovered.about["torn_bytes"]) == ("recovered", len(torn) - 1)
    assert (verify(chain).broken, verify(chain).torn_bytes) == (None, 0)


def test_a_line_that_the_head_does_not_know_yet_is_kept(chain):
    head = (chain / HEAD).read_bytes()
    append(chain, "trained")
    (chain / HEAD).write_bytes(head)
    assert (verify(chain).broken, verify(chain).unnoted) == (None, 1)
    append(chain, "read")
    assert [entry.act for entry in entries(chain)][-2:] == ["trained", "read"]
    assert (verify(chain).broken, verify(chain).unnoted) == (None, 0)


def test_two_processes_add_to_one_chain(chain):
    code = textwrap.dedent("""
        import sys
        from vesalius.privacy.audit import append
        for n in range(25):
            append(sys.argv[1], "read", {"process": int(sys.argv[2]), "turn": n})
    """)
    started = [subprocess.Popen([sys.executable, "-c", code, str(chain), str(n)]) for n in range(2)]
    assert [process.wait(timeout=120) for process in started] == [0, 0]
    found = list(entries(chain))[SIZE:]
    assert verify(chain).entries == SIZE + 50
    assert verify(chain).broken is None
    for n in range(2):
        assert [one.about["turn"] for one in found if one.about["process"] == n] == list(range(25))


def test_a_process_that_is_killed_while_it_adds_breaks_nothing(chain):
    code = textwrap.dedent("""
        import sys
        from vesalius.privacy.audit import append
        print("begun", flush=True)
        while True:
            append(sys.argv[1], "read", {"padding": "x" * 20000})
    """)
    for _ in range(4):
        with subprocess.Popen([sys.executable, "-c", code, str(chain)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            before = (chain / CHAIN).stat().st_size
            while (chain / CHAIN).stat().st_size == before:
                pass
            process.kill()
        assert verify(chain).broken is None
        append(chain, "read")
    assert verify(chain).broken is None


# --- checkpoints ------------------------------------------------------------------------------------------------------


@pytest.fixture
def signed(chain, tmp_path) -> tuple[Path, str, Path]:
    """The chain with a checkpoint, one entry more, the public key and the receipt."""
    public = new_signer(tmp_path / "signer")
    receipt = checkpoint(chain, tmp_path / "signer")
    write_receipt(receipt, tmp_path / "receipt.json")
    append(chain, "read")
    return chain, public, tmp_path / "receipt.json"


def test_a_checkpoint_says_up_to_where_and_by_whom(signed):
    chain, public, receipt = signed
    found = verify(chain, public_key=public, receipt=receipt)
    assert (found.broken, found.checkpoint, found.signer) == (None, SIZE, public)


def test_a_chain_written_anew_does_not_have_the_signature(signed):
    """All hashes and the head are right; only the signature tells."""
    chain, public, _ = signed
    forge(chain, {3: {"who": "eve"}})
    assert broken(chain) == (SIZE + 1, "signature")
    assert broken(chain, public_key=public) == (SIZE + 1, "signature")


def test_a_signature_by_somebody_else_counts_only_for_them(signed, tmp_path):
    chain, public, _ = signed
    other = new_signer(tmp_path / "other")
    assert broken(chain, public_key=other) == (SIZE + 1, "signature")
    assert verify(chain, public_key=public.upper()).broken is None


def test_a_receipt_shows_that_the_chain_was_cut_off_head_and_all(signed, tmp_path):
    chain, public, receipt = signed
    held = lines(chain)[: SIZE - 1]
    put(chain, held)
    size = sum(map(len, held))
    told = {"count": SIZE - 1, "hash": json.loads(held[-1])["hash"], "size": size, "last": size - len(held[-1])}
    (chain / HEAD).write_text(json.dumps(told))
    assert verify(chain, public_key=public).broken is None  # nothing that is in it tells
    assert broken(chain, receipt=receipt) == (SIZE, "truncated")


def test_a_receipt_is_of_one_chain_and_undamaged(signed, tmp_path):
    chain, public, receipt = signed
    other = create_chain(tmp_path / "other-audit")
    assert broken(other, receipt=receipt) == (1, "signature")
    told = json.loads(receipt.read_text())
    for change in ({"count": 2}, {"hash": "0" * 64}, {"signature": "00" * 64}, {"format": "x"}, {"count": "6"}):
        receipt.write_text(json.dumps({**told, **change}))
        with pytest.raises(FormatError, match=r"receipt\.json"):
            verify(chain, receipt=receipt)
    assert public == told["public_key"]


def test_nobody_signs_what_is_broken(chain, tmp_path):
    new_signer(tmp_path / "signer")
    put(chain, lines(chain)[1:])
    with pytest.raises(PrivacyError, match="it is not signed, since it does not hold"):
        checkpoint(chain, tmp_path / "signer")


# --- the rest ---------------------------------------------------------------------------------------------------------


def test_names_go_in_as_hashes_that_need_the_chains_key(chain, tmp_path):
    other = create_chain(tmp_path / "other")
    assert name_hash(chain, "Miller.nii") == name_hash(chain, "Miller.nii") != name_hash(chain, "Muller.nii")
    assert name_hash(chain, "Miller.nii") != name_hash(other, "Miller.nii")
    assert (chain / "key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("about", [{"a": 0.5}, {"a": object()}, {"a": "x" * 70_000}, {"a": float("nan")}])
def test_what_programs_write_in_different_ways_does_not_go_in(chain, about):
    with pytest.raises(VesaliusError, match="plain JSON values"):
        append(chain, "read", about)
    assert verify(chain).entries == SIZE


def test_an_account_is_the_systems_and_not_a_variables(monkeypatch):
    import pwd

    monkeypatch.setenv("LOGNAME", "eve")
    monkeypatch.setenv("USER", "eve")
    assert audit.account() == pwd.getpwuid(os.getuid()).pw_name


def test_where_there_is_no_chain_is_told(tmp_path):
    for act in (lambda: append(tmp_path, "read"), lambda: verify(tmp_path), lambda: list(entries(tmp_path))):
        with pytest.raises(FormatError, match="no audit chain"):
            act()
    (tmp_path / "x").touch()
    with pytest.raises(VesaliusError, match="not empty"):
        create_chain(tmp_path)
