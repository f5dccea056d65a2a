"""Disks that know no file locks, and reads that return less than was asked for."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from kapre_cli import open_features
from kapre_cli.resume.journal import Journal
from kapre_cli.resume.work_dir import Journals
from tests.conftest import ended_of
from tests.test_journal import ROOT
from tests.warm import Nursery, nursery

_NO_LOCKS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <fcntl.h>
int flock(int fd, int how) { errno = atoi(getenv("LOCK_ERRNO")); return -1; }
"""

SAMPLE = Path(__file__).parents[1] / "docs" / "sample_features.h5"


@pytest.fixture(scope="module")
def without_locks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Give what starts the program where files cannot be locked."""
    if shutil.which("gcc") is None:
        pytest.skip("no C compiler: file locks cannot be made to fail")
    folder = tmp_path_factory.mktemp("no locks")
    (folder / "shim.c").write_text(_NO_LOCKS)
    shim = folder / "shim.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-w", "-o", shim, folder / "shim.c"], check=True, timeout=60
    )
    with nursery(shim) as made:
        yield made


@pytest.mark.parametrize("number", [37, 38, 95])
def test_an_intact_output_is_read_where_files_cannot_be_locked(
    number: int, tmp_path: Path, without_locks: Nursery
) -> None:
    audio, output = SAMPLE.parents[1] / "sample_audio" / "click.wav", tmp_path / "x.h5"
    for command in (
        ("verify", SAMPLE),
        ("info", SAMPLE),
        ("spectrogram", "--n-dft", "256", audio, "-o", output),
        ("verify", output),
        ("merge", output, "-o", tmp_path / "y.h5"),
        ("verify", tmp_path / "y.h5"),
    ):
        done = ended_of(
            without_locks.start(*command, environment={**os.environ, "LOCK_ERRNO": str(number)})
        )
        assert done.code == 0, done.err
    with h5py.File(SAMPLE, locking=False) as file:
        assert "features" in file


def test_a_block_is_read_whole_when_the_system_reads_it_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = os.preadv
    monkeypatch.setattr(
        os, "preadv", lambda fd, buffers, at: read(fd, [buffers[0][:1000]], at)
    )  # the system's own limit is 2 GiB
    block = np.arange(6000, dtype="<f4").reshape(2, 30, 100)
    with Journals(tmp_path) as journals:
        with Journal(journals.create(), ROOT) as journal:
            entry = journal.block("a.wav", 0, 0, block)
        np.testing.assert_array_equal(journals.read(entry), block)


def test_an_unknown_key_is_answered_with_similar_keys() -> None:
    with open_features(SAMPLE) as features:
        key = next(iter(features))
        with pytest.raises(KeyError) as error:
            features[key[:-1] + "x"]
        assert repr(key) in str(error.value)
        assert f"{len(features)} keys" in str(error.value)
        assert str(error.value).startswith("no input has the key")
