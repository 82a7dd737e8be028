"""What is kept of choices: one file, in the first place that can be written to; nothing in it is believed."""

import json
from pathlib import Path

import pytest
import torch

from vesalius.predict.backends.remembered import FILE, cache_folder, recall, remember, setting_of

CPU = torch.device("cpu")
SETTING = setting_of(CPU, (1, 1, 8, 8), "digest")


def recalled(*folders: Path, setting=SETTING) -> str:
    return recall(folders, lambda: setting)


def test_what_was_remembered_is_recalled(tmp_path):
    assert recalled(tmp_path) == ""
    remember([tmp_path], SETTING, "torch-bfloat16")
    other = setting_of(CPU, (2, 1, 8, 8), "digest")
    remember([tmp_path], other, "openvino-float32")
    remember([tmp_path], SETTING, "openvino-bfloat16")
    assert recalled(tmp_path) == "openvino-bfloat16"
    assert recalled(tmp_path, setting=other) == "openvino-float32"
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert len(json.loads((tmp_path / FILE).read_text())["choices"]) == 2


def test_another_setting_is_another_question(tmp_path):
    remember([tmp_path], SETTING, "torch-bfloat16")
    for setting in (
        setting_of(CPU, (1, 1, 8, 16), "digest"),
        setting_of(CPU, (1, 1, 8, 8), "other"),
        setting_of(torch.device("mps"), (1, 1, 8, 8), "digest"),
        {**SETTING, "openvino": "1.0"},
        {**SETTING, "processor": "Another"},
        {**SETTING, "threads": "64"},
    ):
        assert recalled(tmp_path, setting=setting) == ""


def test_the_first_place_that_can_be_written_to(tmp_path):
    blocked, cache = tmp_path / "blocked", tmp_path / "cache" / "vesalius"
    blocked.write_text("a file where the folder should be")
    remember([blocked, cache], SETTING, "torch-bfloat16")
    assert recalled(blocked, cache) == "torch-bfloat16"
    assert (cache / FILE).is_file()
    remember([blocked], SETTING, "torch-float32")  # nowhere: it is found out again next time
    assert blocked.read_text() == "a file where the folder should be"


def test_a_file_that_is_read_only_is_left_alone(tmp_path):
    bundle, cache = tmp_path / "bundle", tmp_path / "cache"
    remember([bundle], SETTING, "torch-float32")
    (bundle / FILE).chmod(0o444)
    remember([bundle, cache], SETTING, "torch-bfloat16")
    assert recalled(bundle) == "torch-float32"
    assert recalled(cache) == "torch-bfloat16"


def choices(*found: object) -> str:
    return json.dumps({"format": "vesalius engines", "version": 1, "choices": list(found)})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 60_000,
        "null",
        "[]",
        '{"format": "vesalius engines", "version": 2, "choices": []}',
        '{"format": "another", "version": 1, "choices": []}',
        '{"format": "vesalius engines", "version": 1}',
        '{"format": "vesalius engines", "version": 1, "choices": {"engine": "torch-float32"}}',
        choices(1, "two", None, []),
        choices({"engine": "torch-float32"}),
        choices({"engine": "torch-float32", "setting": "all"}),
        choices({"engine": "torch-float32", "setting": dict(SETTING), "more": "x" * (1 << 16)}),
    ],
)
def test_a_damaged_or_foreign_file_counts_as_none_and_is_replaced(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    assert recalled(tmp_path) == ""
    remember([tmp_path], SETTING, "torch-bfloat16")
    assert recalled(tmp_path) == "torch-bfloat16"


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / FILE).write_bytes(b"\xff\xfe\x00\x80")
    assert recalled(tmp_path) == ""


def test_nothing_is_worked_out_where_nothing_is_kept(tmp_path):
    def costly():
        raise AssertionError

    assert recall([tmp_path], costly) == ""


def test_it_does_not_grow_without_end(tmp_path):
    settings = [setting_of(CPU, (1, 1, 8, number), "d" * 66) for number in range(101)]
    full = [{"engine": "openvino-bfloat16", "setting": dict(setting)} for setting in settings[:100]]
    (tmp_path / FILE).write_text(choices(*full))
    remember([tmp_path], settings[100], "openvino-bfloat16")
    assert len(json.loads((tmp_path / FILE).read_text())["choices"]) == 100
    assert (tmp_path / FILE).stat().st_size < 1 << 16
    assert recalled(tmp_path, setting=settings[100]) == "openvino-bfloat16"
    assert recalled(tmp_path, setting=settings[99]) == ""


def test_the_cache_is_where_the_system_keeps_such_things(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "vesalius"
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert cache_folder() == Path.home() / ".cache" / "vesalius"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "vesalius"
