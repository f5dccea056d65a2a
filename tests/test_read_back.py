"""Arrays that are read back while others are written."""

import threading
import zlib
from pathlib import Path

import pytest

from kapre_cli.errors import StoredDataError
from kapre_cli.formats.writer import ByteRange, ReadBack
from tests import reference

PARTS = [reference.noise(1, n, n).tobytes() for n in (1, 500, 700_000)]


def written(path: Path) -> list[ByteRange]:
    """Write the parts one after another, with a gap before each."""
    places = []
    with path.open("wb") as file:
        for part in PARTS:
            file.write(b"gap")
            places.append(ByteRange(path, file.tell(), len(part)))
            file.write(part)
    return places


def test_what_holds_what_was_written_is_told_with_its_place(tmp_path: Path) -> None:
    read_back = ReadBack()
    n_threads = threading.active_count()
    expected = {}
    for name in ("a", "b"):
        for number, place in enumerate(written(tmp_path / name)):
            read_back.add(f"{name}{number}", place, zlib.crc32(PARTS[number]))
            expected[f"{name}{number}"] = place.offset
    read_back.finish()
    assert read_back.compared == expected
    assert threading.active_count() == n_threads


@pytest.mark.parametrize("number", range(3))
def test_one_wrong_byte_is_told(number: int, tmp_path: Path) -> None:
    places = written(tmp_path / "a")
    content = bytearray((tmp_path / "a").read_bytes())
    content[places[number].offset + places[number].n_bytes - 1] ^= 1
    (tmp_path / "a").write_bytes(content)
    read_back = ReadBack()
    for one, place in enumerate(places):
        read_back.add(f"a{one}", place, zlib.crc32(PARTS[one]))
    with pytest.raises(StoredDataError, match=f"'a{number}' is not stored as it was written"):
        read_back.finish()
    assert f"a{number}" not in read_back.compared


@pytest.mark.parametrize("what", ["short", "gone"])
def test_a_file_that_is_short_or_gone_is_told(what: str, tmp_path: Path) -> None:
    *_, place = written(tmp_path / "a")
    if what == "short":
        (tmp_path / "a").write_bytes((tmp_path / "a").read_bytes()[:-1])
    else:
        (tmp_path / "a").unlink()
    read_back = ReadBack()
    read_back.add("a2", place, zlib.crc32(PARTS[2]))
    with pytest.raises(OSError, match="the file ends" if what == "short" else "No such file"):
        read_back.finish()


def test_what_is_closed_before_reads_no_more(tmp_path: Path) -> None:
    places = written(tmp_path / "a")
    read_back = ReadBack()
    for number in range(3000):
        read_back.add(str(number), places[2], zlib.crc32(PARTS[2]))
    read_back.close()
    assert len(read_back.compared) < 3000
    ReadBack().finish()  # of nothing
