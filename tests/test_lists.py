"""Lists of names: what find writes, whatever the names; and lists that are still being written."""

import fcntl
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import termios
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kapre_cli
from kapre_cli.errors import UsageError
from kapre_cli.extraction.executor import InProcess
from kapre_cli.extraction.tasks import Job
from kapre_cli.inputs import FileList, Inputs, InputStream, Source, discover
from kapre_cli.text import quoted
from tests import reference
from tests.conftest import PROGRAM, Ended, files_below, write_audio
from tests.test_terminal import BAR, shown_by
from tests.warm import Nursery

TOO_LONG = "a/" * 2048 + "b"
OPTIONS = ("--n-dft", "64", "--n-hop", "50")
ODD = (
    b"plain.wav",
    b"two words.wav",
    b"two\nlines.wav",
    b"-o.wav",
    b"'quoted'.wav",
    b'"twice".wav',
    b"100%41.wav",
    b"caf\xe9.wav",  # Latin-1: not UTF-8
    "ö.wav".encode(),
    b"\x1b[31m.wav",
    b"tab\t.wav",
    b"ends in a return\r",
    b"both",
    b"both\r",
    b" ",
    b"sub/-",
)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder of recordings of odd names, all different, and one of another kind."""
    folder = tmp_path_factory.mktemp("odd")
    (folder / "sub").mkdir()
    for number, name in enumerate(ODD):
        made = write_audio(folder / "made.wav", reference.noise(1, 900 + number, number))
        os.rename(made, os.fsencode(folder) + b"/" + name)
    return folder


def run_with(script: str, folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a script of the shell with the program as ``"$@"``."""
    command = [*PROGRAM, "spectrogram", *OPTIONS, *map(str, arguments)]
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script, "bash", *command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def written(output: Path) -> dict[str, bytes]:
    if output.is_file():
        return {"": output.read_bytes()}
    return {
        name: (output / name).read_bytes()
        for name in files_below(output)
        if (output / name).is_file()
    }


# What is in a list


@pytest.mark.parametrize("name", ["out.h5", "out"])
def test_whatever_find_prints_gives_what_arguments_give(
    name: str, odd: Path, tmp_path: Path
) -> None:
    ended = run_with('"$@" -- *', odd, "-o", tmp_path / "arguments" / name)
    assert ended.returncode == 2  # its folder is not there
    for kind in ("arguments", "printed", "found", "listed"):
        (tmp_path / kind).mkdir()
    names = "'plain.wav' $'two\\nlines.wav' -o.wav sub/- ' '"
    whole = f'"$@" -- {names}'
    assert run_with(whole, odd, "-o", tmp_path / "arguments" / name).returncode == 0
    listing = ("--files-from", "-", "-0", "-o", tmp_path / "printed" / name)
    ended = run_with(f"printf '%s\\0' {names} | \"$@\"", odd, *listing)
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    expected = written(tmp_path / "arguments" / name)
    assert written(tmp_path / "printed" / name) == expected
    # All of them, in an order of find's own: as a pipe and as a file.
    listing = ("--files-from", "-", "-0", "-o", tmp_path / "found" / name)
    ended = run_with('find . -type f -print0 | "$@"', odd, *listing)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.startswith(f"{len(ODD)} inputs: {len(ODD)} written, 0 failed")
    listing = ("--files-from", f"{tmp_path}/list", "-0", "-o", tmp_path / "listed" / name)
    ended = run_with(f'find . -type f -print0 > "{tmp_path}/list"; "$@"', odd, *listing)
    assert ended.returncode == 0, ended.stderr
    assert written(tmp_path / "listed" / name) == written(tmp_path / "found" / name)
    with kapre_cli.open_features(tmp_path / "found" / name) as features:
        assert len(features) == len(ODD)
        assert {"two\nlines.wav", "caf%E9.wav", "100%2541.wav", " ", "sub/-"} <= {*features}


def test_lines_are_names_and_blank_ones_none(odd: Path, tmp_path: Path) -> None:
    lines = b"\n\nplain.wav\r\nboth\r\n\r\nends in a return\r\n-o.wav\n \n'quoted'.wav\ncaf\xe9.wav"
    lines += b"\r\r"
    (tmp_path / "list").write_bytes(lines)  # no newline behind the last
    for listed in ('"$@" < "$LIST"', 'cat "$LIST" | "$@"'):
        ended = run_with(
            f'LIST="{tmp_path}/list"; {listed}',
            odd,
            *("--files-from", "-", "-o", tmp_path / "out.h5", "--overwrite"),
        )
        assert ended.returncode == 0, ended.stderr
        with kapre_cli.open_features(tmp_path / "out.h5") as features:
            assert list(features) == [
                *("plain.wav", "both\r", "ends in a return\r", "-o.wav", " ", "'quoted'.wav"),
                "caf%E9.wav",
            ]


FIELD = (
    b"\xef\xbb\xbfplain.wav\r\nsub/-\r\n",  # as Notepad saves it
    b"\xef\xbb\xbf\r\nplain.wav\r\r\nsub/-\r",
    b"\xef\xbb\xbf\nplain.wav\nsub/-",
)


def read_through_a_pipe(content: bytes, *, by_nul: bool, folder: Path) -> list[str]:
    """Return the names of a list whose bytes come one by one."""
    os.mkfifo(folder / "pipe")

    def write() -> None:
        with suppress(BrokenPipeError), (folder / "pipe").open("wb", buffering=0) as pipe:
            broken = select.poll()
            broken.register(pipe, 0)  # errors are reported unasked
            for byte in content:
                pipe.write(bytes([byte]))
                while not broken.poll(0) and any(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4))):
                    time.sleep(0.0002)  # until it has been read

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with FileList(str(folder / "pipe"), null=by_nul) as names:
            return list(names.read())
    finally:
        writer.join(timeout=60)
        (folder / "pipe").unlink()


@pytest.mark.parametrize("listed", FIELD, ids=["lines", "doubled", "mark alone"])
@pytest.mark.parametrize("by_nul", [False, True])
def test_a_list_from_windows_names_what_it_names(
    listed: bytes,
    by_nul: bool,
    odd: Path,
    tmp_path: Path,
    program: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(odd)
    if by_nul:
        listed = listed.replace(b"\r", b"").replace(b"\n", b"\0")
    (tmp_path / "list").write_bytes(listed)
    command = ["spectrogram", "--files-from", tmp_path / "list", "-o", tmp_path / "out.h5"]
    command += ["-0"] * by_nul
    ended = program(*command, "--dry-run")
    assert "2 inputs: 2 to be written, 0 would fail" in ended.out
    assert program(*command).code == 0
    with kapre_cli.open_features(tmp_path / "out.h5") as features:
        assert list(features) == ["plain.wav", "sub/-"]
    assert read_through_a_pipe(listed, by_nul=by_nul, folder=tmp_path) == ["plain.wav", "sub/-"]


def test_a_name_that_begins_with_a_mark_or_ends_in_returns_is_kept_if_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("\ufeffa.wav", "b.wav\r\r", "b.wav"):
        Path(name).touch()
    Path("list").write_text("\ufeffa.wav\nb.wav\r\r\r\nb.wav\r\n\ufeffc.wav\n", newline="")
    with FileList("list", null=False) as names:
        assert list(names.read()) == ["\ufeffa.wav", "b.wav\r\r", "b.wav", "\ufeffc.wav"]


@pytest.mark.parametrize(
    ("encoding", "mark", "told"),
    [
        ("utf-16-le", True, "UTF-16"),
        ("utf-16-be", True, "UTF-16"),
        ("utf-16-le", False, "UTF-16LE"),
        ("utf-16-be", False, "UTF-16BE"),
    ],
)
@pytest.mark.parametrize("by_nul", [False, True])
def test_a_list_in_utf16_is_named_with_the_remedy(
    encoding: str, mark: bool, told: str, by_nul: bool, tmp_path: Path, program: Any
) -> None:
    text = "plain.wav\r\nsub\\caf\u00e9 \u9ce5.wav\r\n"
    listed = f"{chr(0xFEFF) * mark}{text}".encode(encoding)
    (tmp_path / "list").write_bytes(listed)
    command = ["spectrogram", "--files-from", tmp_path / "list", "-o", tmp_path / "out.h5"]
    ended = program(*command, *["-0"] * by_nul)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        f"kapre-extract: Error: the list '{tmp_path}/list' is in UTF-16, as Windows programs save "
        f"text; save it as UTF-8, or convert it: iconv -f {told} -t UTF-8\n"
    )
    assert files_below(tmp_path) == ["list"]
    assert listed.decode(told) == text
    with pytest.raises(UsageError, match=r"is in UTF-16, as"):
        read_through_a_pipe(listed, by_nul=by_nul, folder=tmp_path)


def test_a_list_with_nuls_names_the_argument_that_reads_it(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"a.wav\0b.wav\0")
    with (
        FileList(str(tmp_path / "list"), null=False) as names,
        pytest.raises(UsageError, match=r"; null=True reads lists whose names end in it"),
    ):
        list(names.read())


def test_short_names_between_nuls_are_no_utf16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("list").write_bytes(b"a\0b\0c\0d\0e\0")
    Path("a").touch()
    with FileList("list", null=True) as names:
        assert list(names.read()) == ["a", "b", "c", "d", "e"]


MISSING = {
    r"site a\night.wav": "the path is in Windows form: here it is 'site a/night.wav'",
    r"site b\night.wav": "the path is in Windows form: here / separates folders",
    r"C:\audio\night.wav": "the path is in Windows form: there are no drive letters here",
    "d:/audio/night.wav": "the path is in Windows form: there are no drive letters here",
    '"site a/night.wav"': "there is such a file without the quotes",
    "'site a/night.wav'": "there is such a file without the quotes",
    r"site\ a/night.wav": "there is such a file without the backslashes",
    " site a/night.wav\t": "there is such a file without the blanks around its name",
    "# my recordings": "a list has no comments: every line is a name",
    "~/night.wav": "~ is not expanded here: write the full path",
    "https://example.org/night.wav": "the path is a URL: download the file first",
    "a.wav\rb.wav": "the name has carriage returns in it: the lines of a list end in newlines",
    "'gone.wav'": "",
    "gone.wav ": "",
}


def test_why_a_name_may_be_missing_is_told(
    tmp_path: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_audio(Path("site a/night.wav"), reference.noise(1, 900))
    Path("list").write_text("".join(f"{name}\n" for name in MISSING), newline="")
    command = ("spectrogram", "-o", "out.h5")
    for arguments in ((*command, "--files-from", "list"), (*command, "--", *MISSING)):
        ended = program(*arguments, "site a/night.wav")
        for name, hint in MISSING.items():
            why = f"cannot be opened: No such file or directory{'; ' if hint else ''}{hint}"
            (line,) = [one for one in ended.err.splitlines() if f"{quoted(name)}: " in one]
            assert line.startswith(f"failed: {quoted(name)}: {why}")
            assert hint or line.endswith(why)
        (tmp_path / "out.h5").unlink()
    # A name that is there needs no hint, even one in Windows form.
    write_audio(Path(r"C:\audio.wav"), reference.noise(1, 900))
    assert program(*command, r"C:\audio.wav").code == 0


def test_a_list_stands_behind_the_arguments_and_below_the_root(
    odd: Path, tmp_path: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(odd)
    listed = tmp_path / "list"
    listed.write_text(f"plain.wav\n{odd}/sub/-\n./plain.wav\n.\nsub\nthere is none.wav\n")
    command = ("--files-from", listed, "-o", tmp_path / "out.h5", *OPTIONS)
    ended = program("spectrogram", "tab\t.wav", "plain.wav", *command, "--root", odd)
    assert ended.code == 1
    note, failed, summary = ended.err.splitlines()
    assert note == (
        "note: the list names 2 folders, skipped: '.', 'sub'; "
        "a folder that is to be searched is named as an input"
    )
    assert failed.startswith("failed: 'there is none.wav': cannot be opened: No such file")
    assert summary.startswith("4 inputs: 3 written, 1 failed")
    with kapre_cli.open_features(tmp_path / "out.h5") as features:
        assert list(features) == ["tab\t.wav", "plain.wav", "sub/-"]


@pytest.mark.parametrize("where", ["a list", "an argument", "an argument with a root"])
def test_a_name_longer_than_a_path_fails_alone(where: str, program: Any, tmp_path: Path) -> None:
    audio = write_audio(tmp_path / "a.wav", reference.noise(1, 900))
    (tmp_path / "list").write_text(f"{TOO_LONG}\n")
    named = {
        "a list": ("--files-from", tmp_path / "list"),
        "an argument": (TOO_LONG,),
        "an argument with a root": (tmp_path / TOO_LONG, "--root", tmp_path),
    }[where]
    ended = program("spectrogram", audio, *named, "-o", tmp_path / "out")
    assert ended.code == 1
    assert "its name is longer than the 4,096 bytes a path may have" in ended.err
    assert "2 inputs: 1 written, 1 failed" in ended.err


@pytest.mark.parametrize(
    ("listed", "reason"),
    [
        (b"a/x.wav\nb/x.wav\n", "'{}/a/x.wav' and '{}/b/x.wav' would both be stored as 'x.wav'"),
        (b"/etc/passwd\n", "'/etc/passwd' does not lie below the root"),
        (b"x" * 70_000, "holds a name of more than 65,536 bytes"),
    ],
)
def test_a_list_in_a_file_is_refused_as_arguments_are(
    listed: bytes, reason: str, tmp_path: Path, program: Any
) -> None:
    for name in ("a/x.wav", "b/x.wav"):
        write_audio(tmp_path / name, reference.noise(1, 900))
    folder = os.fsencode(tmp_path)
    (tmp_path / "list").write_bytes(re.sub(rb"^(?=[ab]/)", folder + b"/", listed, flags=re.M))
    root = ("--root", tmp_path) if b"etc" in listed else ()
    output = tmp_path / "out.h5"
    ended = program("spectrogram", "--files-from", tmp_path / "list", "-o", output, *root)
    assert ended.code == 2
    assert reason.replace("{}", str(tmp_path)) in ended.err
    assert not output.exists()


MARKS = (b"\xff\xfe", b"\xfe\xff")  # of UTF-16
NAMES = st.lists(
    st.binary(min_size=1, max_size=12).filter(
        lambda name: b"\0" not in name and not name.startswith((b"\xef\xbb\xbf", *MARKS))
    ),
    max_size=30,
)


@settings(max_examples=60)
@given(names=NAMES, by_nul=st.booleans(), cuts=st.lists(st.integers(1, 40), min_size=1))
def test_what_is_written_into_a_list_is_read_from_it(
    names: list[bytes], by_nul: bool, cuts: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("list")
    if by_nul:  # of shorter ones a list can look like UTF-16
        names = [name for name in names if len(name) > 3]
    else:
        names = [name for name in names if b"\n" not in name and name.strip(b"\r")]
    end = b"\0" if by_nul else b"\n"
    content = b"".join(name + end for name in names)
    (folder / "list").write_bytes(content)
    os.mkfifo(folder / "pipe")

    def write_slowly() -> None:
        with (folder / "pipe").open("wb", buffering=0) as pipe:
            rest = content
            for cut in (*cuts, len(content)):
                pipe.write(rest[:cut])
                rest = rest[cut:]

    writer = threading.Thread(target=write_slowly)
    # None of these is a file, so returns at the end are no part of the name.
    expected = [os.fsdecode(name if by_nul else name.rstrip(b"\r")) for name in names]
    for kind in ("list", "pipe"):
        if kind == "pipe":
            writer.start()
        listing = FileList(str(folder / kind), null=by_nul)
        with listing:
            assert listing.grows == (kind == "pipe")
            assert list(listing.read()) == expected
    writer.join(timeout=60)
    shutil.rmtree(folder)


# A list that is still being written


AT_ONCE = """
import sys
from kapre_cli.cli import main
from kapre_cli.extraction import compute as computing
computing.SECONDS_AT_RISK = 0.05  # so that the tests need not wait
main(sys.argv[1:])
"""


class Growing:
    """A run whose list is a named pipe, written to by the test."""

    def __init__(self, warm: Nursery, folder: Path, *arguments: object) -> None:
        self.folder = folder
        if not (folder / "list").exists():
            os.mkfifo(folder / "list")
        arguments = ("spectrogram", "--files-from", "list", *OPTIONS, *arguments)
        self.running = warm.start(*arguments, cwd=folder, session=True, code=AT_ONCE)
        self.list = (folder / "list").open("wb", buffering=0)  # waits until it is read

    def write(self, *names: str) -> None:
        self.list.write("".join(f"{name}\n" for name in names).encode())

    def end(self) -> tuple[int, list[str]]:
        self.list.close()
        _, messages = self.running.communicate(timeout=60)
        assert self.running.returncode is not None
        return self.running.returncode, messages.decode().splitlines()


@pytest.fixture
def growing(tmp_path: Path, warm: Nursery) -> Iterator[Callable[..., Growing]]:
    runs = []

    def begin(*arguments: object) -> Growing:
        runs.append(Growing(warm, tmp_path, *arguments))
        return runs[-1]

    yield begin
    for run in runs:
        if run.running.poll() is None:
            os.killpg(run.running.pid, signal.SIGKILL)
        run.list.close()
        run.running.communicate(timeout=60)


def wait_until(happened: Callable[[], bool], seconds: float = 60) -> None:
    for _ in range(int(seconds * 50)):
        if happened():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen")


HEAD_BYTES = 3000  # of a journal without work, at most


def bytes_of_work(folder: Path) -> int:
    """Return how many bytes there are in journals beside what they begin with."""
    return sum(max(one.stat().st_size - HEAD_BYTES, 0) for one in folder.glob("journal-*"))


@pytest.fixture
def three(tmp_path: Path) -> tuple[str, ...]:
    """Make three short recordings: all of them would fit into one batch."""
    names = ("a.wav", "b.flac", "c.wav")
    for number, name in enumerate(names):
        write_audio(tmp_path / name, reference.noise(1 + number, 3000, number))
    return names


@pytest.mark.parametrize("name", ["out.h5", "out"])
def test_work_is_done_and_kept_before_the_list_ends(
    name: str, growing: Any, three: tuple[str, ...], tmp_path: Path, program: Any
) -> None:
    run = growing("-o", name)
    for one in three:
        folder = tmp_path / f"{name}.partial"
        before = bytes_of_work(folder)
        run.write(one)
        wait_until(lambda: bytes_of_work(folder) > before)  # noqa: B023
    code, messages = run.end()
    output = str(tmp_path / name)
    assert (code, len(messages)) == (0, 1)
    assert messages[0].startswith("3 inputs: 3 written, 0 failed")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(tmp_path)
        assert program("spectrogram", *three, "-o", f"whole {name}", *OPTIONS).code == 0
    assert written(Path(output)) == written(tmp_path / f"whole {name}")


def test_ctrl_c_while_the_list_is_waited_for_keeps_the_work(
    growing: Any, three: tuple[str, ...], tmp_path: Path
) -> None:
    run = growing("-o", "out.h5")
    run.write(*three[:2])
    n_bytes = 4 * 33 * (-(-3000 // 50)) * (1 + 2)  # of the features of both
    wait_until(lambda: bytes_of_work(tmp_path / "out.h5.partial") >= n_bytes - 2 * HEAD_BYTES)
    os.killpg(run.running.pid, signal.SIGINT)
    _, told = run.running.communicate(timeout=60)  # though the list is still open
    assert run.running.returncode == 130
    assert told.decode().splitlines() == [
        "2 of 2 inputs done: kept in 'out.h5.partial'; the same command with --resume goes on",
        "kapre-extract: interrupted: no output was written or changed",
    ]
    kept = files_below(tmp_path / "out.h5.partial")
    assert kept[0] == "journal-1"
    assert kept[-1] == "lock"
    run.list.close()
    run = growing("-o", "out.h5", "--resume")
    run.write(*three)
    code, messages = run.end()
    assert code == 0
    assert messages[0].startswith("3 inputs: 1 written, 0 failed, 2 skipped")


def test_ctrl_c_before_the_first_name_leaves_nothing(growing: Any, tmp_path: Path) -> None:
    for more in ((), ("--sr", "8000")):  # waiting for a rate, or for something to do
        run = growing("-o", "out.h5", *more)
        time.sleep(0.5)
        os.killpg(run.running.pid, signal.SIGINT)
        _, messages = run.running.communicate(timeout=60)
        run.list.close()
        assert run.running.returncode == 130, messages
        assert messages == b"kapre-extract: interrupted: no output was written or changed\n"
        assert files_below(tmp_path) == ["list"]


def test_what_a_growing_list_names_wrongly_fails_alone(
    growing: Any, three: tuple[str, ...], tmp_path: Path
) -> None:
    assert three == ("a.wav", "b.flac", "c.wav")
    write_audio(tmp_path / "other" / "a.wav", reference.noise(1, 900))
    write_audio(tmp_path / "a.npy" / "x.wav", reference.noise(1, 900))
    write_audio(tmp_path / "a", reference.noise(1, 900), format="WAV")
    run = growing("-o", "out", "c.wav")
    run.write("a.wav", "./a.wav", "a", "other", "gone.wav", "b.flac", "c.wav")
    run.write(f"{tmp_path}/other/a.wav", "a.npy/x.wav", "a.npy/x.wav/y.wav", "x" * 300)
    run.write(TOO_LONG)
    code, messages = run.end()
    *failed, note, summary = messages
    assert code == 1
    assert note.startswith("note: the list names 1 folder, skipped: 'other'; ")
    assert summary.startswith("10 inputs: 4 written, 6 failed")
    told = sorted(line.removeprefix("failed: ").split(":")[0] for line in failed)
    assert told == sorted(
        quoted(name)
        for name in (
            f"{tmp_path}/other/a.wav",
            "a.npy/x.wav",
            "a.npy/x.wav/y.wav",
            "gone.wav",
            "x" * 300,
            TOO_LONG,
        )
    )
    reasons = "\n".join(failed)
    assert f"'a.wav' and '{tmp_path}/other/a.wav' would both be stored as 'a.wav'" in reasons
    assert "'a.npy' would be a file and a folder" in reasons
    assert f"{quoted(TOO_LONG)}: its name is longer than the 4,096 bytes a path may have" in reasons
    assert "which is a folder of 'a.npy/x.wav/y.wav'" in reasons
    with kapre_cli.open_features(tmp_path / "out") as features:
        assert list(features) == ["c.wav", "a.wav", "a", "b.flac"]


def test_a_growing_list_that_names_nothing_is_refused(growing: Any, tmp_path: Path) -> None:
    for more in ((), ("--sr", "8000")):
        run = growing("-o", "out.h5", *more)
        run.write("", ".")
        code, messages = run.end()
        assert code == 2
        assert messages == [
            "kapre-extract: Error: the list 'list' names no files, and there is no other input"
        ]
        assert files_below(tmp_path) == ["list"]


def test_a_growing_list_of_nothing_but_failures(growing: Any, tmp_path: Path) -> None:
    for more in ((), ("--sr", "8000")):
        run = growing("-o", "out.h5", *more)
        run.write("gone.wav", "nor this")
        code, messages = run.end()
        assert code == 1
        assert len([line for line in messages if line.startswith("failed: ")]) == 2
        assert messages[-1].startswith("2 inputs: 0 written, 2 failed")
        assert files_below(tmp_path) == ["list"]


def test_the_rate_is_that_of_the_first_that_states_one(
    growing: Any, three: tuple[str, ...], tmp_path: Path
) -> None:
    write_audio(tmp_path / "slow.wav", reference.noise(1, 900), 4000)
    run = growing("-o", "out.h5")
    run.write("gone.wav", "slow.wav", three[0])
    code, messages = run.end()
    assert code == 1
    assert messages[-1].startswith("3 inputs: 1 written, 2 failed")
    with kapre_cli.open_features(tmp_path / "out.h5") as features:
        assert [array.metadata.sr for array in features.values()] == [4000]


def test_a_growing_list_brings_an_output_up_to_date(
    growing: Any, three: tuple[str, ...], tmp_path: Path
) -> None:
    for names, told in (
        (three, "3 inputs: 3 written, 0 failed"),
        (three, "3 inputs: 0 written, 0 failed, 3 skipped"),
        (three[:2], "2 inputs: 0 written, 0 failed, 2 skipped"),
        ((*three[:2], "new.wav"), "3 inputs: 1 written, 0 failed, 2 skipped"),
    ):
        write_audio(tmp_path / "new.wav", reference.noise(1, 900))
        run = growing("-o", "out.h5", "--resume")
        run.write(*names)
        code, messages = run.end()
        assert code == 0
        assert messages[-1].startswith(told)
        if names == three[:2]:
            assert messages[0].endswith("will be removed, since no input has its key: 'c.wav'")


def test_where_all_is_there_nothing_is_made_ready_to_compute(
    three: tuple[str, ...], tmp_path: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    command = ("spectrogram", "--files-from", "pipe", "-o", "out.h5", "--resume", *OPTIONS)

    def run() -> Ended:
        content = "".join(f"{name}\n" for name in three)
        writer = threading.Thread(target=Path("pipe").write_text, args=(content,))
        writer.start()
        ended: Ended = program(*command)
        writer.join(timeout=60)
        return ended

    assert run().code == 0
    monkeypatch.setattr(InProcess, "submit", lambda *_: pytest.fail("there is nothing to compute"))
    ended = run()
    assert "'out.h5' is up to date: nothing was computed" in ended.err


CRASHING = """
import os, signal, sys
from kapre_cli.cli import main
from kapre_cli.extraction import decode as decoding
really = decoding.AudioReader
def crashing(path, *arguments, **options):
    if path == "b.flac" and not os.path.exists("crashed"):
        open("crashed", "x").close()
        signal.raise_signal(signal.SIGSEGV)
    return really(path, *arguments, **options)
decoding.AudioReader = crashing
main(sys.argv[1:])
"""


def test_after_a_crash_no_name_is_lost(three: tuple[str, ...], tmp_path: Path) -> None:
    command = ("spectrogram", "--files-from", "-", *OPTIONS, "-o", "out.h5")
    with subprocess.Popen(
        [sys.executable, "-c", CRASHING, *command],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdin is not None
        running.stdin.write("\n".join(three[:2]) + "\nc.")  # the last name comes in two parts
        running.stdin.flush()
        wait_until((tmp_path / "crashed").exists)
        _, messages = running.communicate("wav\n", timeout=60)
    assert running.returncode == 0, messages
    assert "a worker process died (SIGSEGV) before it had finished" in messages.splitlines()[0]
    assert messages.splitlines()[-1].startswith("3 inputs: 3 written, 0 failed")
    with kapre_cli.open_features(tmp_path / "out.h5") as features:
        assert list(features) == [*three]


def test_one_array_waits_for_the_end_of_the_list(
    growing: Any, three: tuple[str, ...], tmp_path: Path
) -> None:
    run = growing("-o", "out.npy")
    run.write(*three)
    code, messages = run.end()
    assert code == 2
    assert "'out.npy' would be one array, but there are 3 inputs" in messages[0]
    run = growing("-o", "out.npy")
    run.write(three[0])
    code, messages = run.end()
    assert code == 0
    assert files_below(tmp_path) == [*sorted((*three, "list", "out.npy", "out.npy.json"))]


def test_the_bar_counts_inputs_as_they_come(tmp_path: Path) -> None:
    for number in range(3):
        write_audio(tmp_path / f"{number}.wav", reference.noise(1, 40_000, number))
    script = """
size() { cat out.h5.partial/journal-* 2>/dev/null | wc -c; }
(
  echo 0.wav
  for _ in $(seq 600); do [ "$(size)" -gt 5000 ] && break; sleep 0.1; done
  sleep 1
  echo 1.wav
  echo 2.wav
) | "$@"
"""
    arguments = ("spectrogram", "--files-from", "-", "-o", "out.h5")
    command = ["bash", "-c", script, "bash", sys.executable, "-c", AT_ONCE, *arguments]
    code, shown = shown_by(command, tmp_path)
    assert code == 0
    first, *others = re.findall(r"waiting for the list of inputs, (.*?) so far \[", shown)
    assert first == "0 inputs"
    assert "1/1 input" in others
    seen = [bar["inputs"] for bar in BAR.finditer(shown)]
    assert seen[-1] in ("2/3 inputs", "3/3 inputs")  # the very last is rarely drawn
    assert "3 inputs: 3 written, 0 failed" in shown


def test_a_name_takes_little_memory(tmp_path: Path) -> None:
    n_names = 20_000
    (tmp_path / "list").write_text(
        "".join(f"site/night {number:06d}.wav\n" for number in range(n_names))
    )
    names = FileList(str(tmp_path / "list"), null=False)
    refused: list[object] = []
    tracemalloc.start()
    arriving = InputStream(Inputs(()), names, None, lambda _: None, refused.append)  # type: ignore[arg-type]
    with names:
        jobs = [Job(source) for source in arriving]
        _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (len(jobs), refused) == (n_names, [])
    assert peak / n_names < 1000


def test_names_are_refused_as_they_come_as_they_are_at_once(tmp_path: Path) -> None:
    """Whatever is in a list: what it gives whole it gives piece by piece, but for what fails."""
    for name in ("a", "b", "b/a"):
        (tmp_path / "x" / name).parent.mkdir(parents=True, exist_ok=True)
    with pytest.raises(UsageError):
        discover([], listed=["a", "a/b"])
    taken: list[str] = []
    refused: list[str] = []
    (tmp_path / "list").write_text("a\na/b\nb/a\n./a\nb\nc\n")
    names = FileList(str(tmp_path / "list"), null=False)

    def refuse(path: str, _reason: object) -> None:
        refused.append(path)

    def admit(source: Source) -> None:
        if source.key == "c":
            raise UsageError("no")

    with names:
        arriving = InputStream(Inputs(()), names, None, admit, refuse)
        taken = [source.path for source in arriving]
        assert arriving.n_inputs == 5
    assert (taken, refused) == (["a", "b/a"], ["a/b", "b", "c"])
