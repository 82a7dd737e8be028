"""Tables of points as LUNA16 has them."""

import pytest

from vesalius.errors import FormatError
from vesalius.io.points import Mark, holds_marks, read_marks, write_marks

HEAD = "seriesuid,coordX,coordY,coordZ"


def table(folder, text):
    path = folder / "annotations.csv"
    path.write_text(text)
    return path


def test_round_trip(tmp_path):
    marks = (
        Mark("1.2.3", (-128.6994211, -175.3192718, -298.3875064), diameter_mm=5.651470635),
        Mark("1.2.4", (0.0, 1e-3, 2.5), diameter_mm=4.0),
    )
    write_marks(marks, tmp_path / "annotations.csv")
    assert (tmp_path / "annotations.csv").read_text().splitlines()[0] == f"{HEAD},diameter_mm"
    assert read_marks(tmp_path / "annotations.csv") == marks
    write_marks([Mark("1", (1.0, 2.0, 3.0), kind=1, probability=0.25)], tmp_path / "c.csv")
    assert (tmp_path / "c.csv").read_text() == f"{HEAD},class,probability\n1,1,2,3,1,0.25\n"


def test_columns_in_any_order_and_others_are_passed_over(tmp_path):
    path = table(tmp_path, "\ufeffcoordZ,coordX,note,coordY,seriesuid,class\r\n3,1,hello,2,1.2,0\r\n\r\n")
    assert read_marks(path) == (Mark("1.2", (1.0, 2.0, 3.0), kind=0),)
    assert holds_marks(path)


def test_a_class_may_be_missing(tmp_path):
    assert read_marks(table(tmp_path, f"{HEAD},class\n1,1,2,3,\n"))[0].kind is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "missing"),
        ("", "missing"),
        (f"{HEAD}\n1,2,3\n", "line 2 has 3 fields"),
        (f"{HEAD}\n1,x,2,3\n", "line 2: coordX"),
        (f"{HEAD}\n1,nan,2,3\n", "finite"),
        (f"{HEAD}\n1,1,2,inf\n", "finite"),
        (f"{HEAD}\n,1,2,3\n", "names no series"),
        (f"{HEAD},class\n1,1,2,3,7\n", "0 or 1"),
        (f"{HEAD},class\n1,1,2,3,0.5\n", "0 or 1"),
    ],
)
def test_what_cannot_be_is_told_by_its_line(tmp_path, text, words):
    with pytest.raises(FormatError, match=words):
        read_marks(table(tmp_path, text))


def test_no_table(tmp_path):
    with pytest.raises(FormatError, match="cannot be read"):
        read_marks(tmp_path / "nowhere.csv")
    (tmp_path / "raw.csv").write_bytes(b"\xff\xfe\x00\x01")
    assert not holds_marks(tmp_path / "raw.csv")
    with pytest.raises(FormatError, match="UTF-8"):
        read_marks(tmp_path / "raw.csv")
