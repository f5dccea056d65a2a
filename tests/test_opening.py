"""A file's bytes, whether they were read when it was opened or are read when they are asked for."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kapre_cli.audio.files import RegularFile
from kapre_cli.errors import AudioReadError

CONTENT = np.random.default_rng(0).bytes(300)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("raw") / "file"


@given(
    size=st.integers(0, 300),
    front=st.integers(0, 300),
    asked=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), max_size=20),
)
def test_bytes_are_those_of_the_file(
    size: int, front: int, asked: list[tuple[int, int]], path: Path
) -> None:
    path.write_bytes(CONTENT[:size])
    with RegularFile(str(path), front) as file, path.open("rb") as plain:
        assert (file.size, file.mtime_ns) == (size, path.stat().st_mtime_ns)
        assert file.is_buffered == (size <= front)
        for position, n_bytes in asked:
            assert file.at(position, n_bytes) == os.pread(plain.fileno(), n_bytes, position)
        file.check_unchanged()


@pytest.mark.parametrize("size", [10, 2**16, 2**16 + 1, 2**18])
def test_a_file_is_held_up_to_64_kib(size: int, path: Path) -> None:
    content = np.random.default_rng(1).bytes(size)
    path.write_bytes(content)
    with RegularFile(str(path)) as file:
        assert file.is_buffered == (size <= 2**16)
        assert file.at(0, size + 1) == content
        assert file.at(size - 5, 9) == content[-5:]
        assert file.at(2**16 - 2, 4) == content[2**16 - 2 : 2**16 + 2]


@pytest.mark.parametrize("front", [10, 1000])
@pytest.mark.parametrize("change", ["grows", "shrinks", "is written to"])
def test_a_change_is_told(front: int, change: str, path: Path) -> None:
    path.write_bytes(CONTENT)
    os.utime(path, ns=(0, 10**9))
    with RegularFile(str(path), front) as file:
        file.check_unchanged()
        if change == "is written to":
            path.write_bytes(CONTENT)
        else:
            os.truncate(path, len(CONTENT) + (1 if change == "grows" else -1))
            os.utime(path, ns=(0, 10**9))
        with pytest.raises(AudioReadError, match="changed while it was read"):
            file.check_unchanged()
        if front > len(CONTENT):  # what is held stays what it was
            assert file.at(0, 1000) == CONTENT


def test_closing_lets_go_of_the_file(path: Path) -> None:
    path.write_bytes(CONTENT)
    n_open = len(os.listdir("/proc/self/fd"))
    file = RegularFile(str(path))
    assert len(os.listdir("/proc/self/fd")) == n_open + 1
    file.close()
    file.close()
    for refused in (path.parent, path / "gone"):
        with pytest.raises(AudioReadError):
            RegularFile(str(refused))
    assert len(os.listdir("/proc/self/fd")) == n_open
