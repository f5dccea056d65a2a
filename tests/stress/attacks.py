"""Attacks on other people's files: whatever a run is given, it harms nothing that it did not make.

Every attack lays out files that are not the program's (``mine``), runs the real program, lets
something happen while it is at work, and counts the files that are not as they were.
"""

import os
import signal
import socket
import stat
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from tests.conftest import write_audio, write_silence
from tests.warm import Nursery, Started, nursery

LAYER = ("--n-dft", "256", "--n-mels", "20")
LONG_SECONDS = 120
SR = 44100
SECONDS = 60.0  # no wait is longer
OUTPUTS = ("x.h5", "x.npy", "x")
MARK = b"kapre-extract: work in progress\n"


@dataclass(frozen=True)
class Ended:
    """How a run ended."""

    code: int
    messages: str


class Place:
    """A folder with an input, files of somebody else, and the program at work in it.

    Args:
        folder: An empty folder.
        warm: Starts the program.
    """

    def __init__(self, folder: Path, warm: Nursery) -> None:
        self.folder = folder
        self._warm = warm
        self._mine: dict[Path, object] = {}
        write_silence(folder / "long.wav", LONG_SECONDS, SR)
        write_audio(folder / "short.wav", np.random.default_rng(0).uniform(-1, 1, (1, 3000)), SR)
        write_audio(folder / "new.wav", np.random.default_rng(1).uniform(-1, 1, (1, 3000)), SR)
        for name in ("long.wav", "short.wav", "new.wav"):
            self.mine(name)

    def mine(self, path: Path | str, content: bytes | None = None) -> Path:
        """Take note of something that is not the program's; make it if ``content`` is given."""
        place = self.folder / path
        if content is not None:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        self._mine[place] = _state(place)
        return place

    def harmed(self) -> list[str]:
        """Return what is not as it was."""
        return [str(path) for path, state in self._mine.items() if _state(path) != state]

    def run(self, *arguments: object) -> Ended:
        """Run the program to its end."""
        running = self._warm.start(*arguments, cwd=self.folder, session=True)
        try:
            return _ended(running)
        finally:
            _end(running)

    @contextmanager
    def at_work(self, output: str, *more: str) -> Iterator[list[Ended]]:
        """Let the program make ``output``; what is done within happens while it is at work.

        It waits for the end of a list of inputs; a single .npy file, whose list is read before
        any work begins, is made of a long recording, and stopped on its way.

        Yields:
            A list that holds how it ended, afterwards.
        """
        waits = not output.endswith(".npy")
        inputs = ("--files-from", "-") if waits else ("long.wav",)
        command = ("melspectrogram", *inputs, *LAYER, "-o", output, *more)
        running = self._warm.start(*command, cwd=self.folder, session=True)
        journal = self.folder / f"{output}.partial" / "journal-1"
        ended: list[Ended] = []
        try:
            if waits:
                running.stdin.write(b"new.wav\n")
            limit = time.monotonic() + SECONDS
            while not (journal.exists() and journal.stat().st_size) and running.poll() is None:
                assert time.monotonic() < limit, "the run does not begin"
                time.sleep(0.001)
            assert running.poll() is None, f"it ended too soon: {running.communicate(timeout=9)}"
            if waits:
                yield ended
            else:
                os.killpg(running.pid, signal.SIGSTOP)
                yield ended
                os.killpg(running.pid, signal.SIGCONT)
            ended.append(_ended(running))
        finally:
            _end(running)


def _ended(running: Started) -> Ended:
    """Wait until a run has ended by itself, and return how."""
    _, messages = running.communicate(timeout=SECONDS)
    assert running.returncode is not None
    ended = Ended(running.returncode, messages.decode())
    assert "Traceback" not in ended.messages, ended.messages
    return ended


def _end(running: Started) -> None:
    """End a run and all of its processes, if they have not ended."""
    with suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    running.communicate(timeout=SECONDS)


def _state(path: Path) -> object:
    """Return all that an attack could change of a file, folder or special file."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFREG:
        n_read = min(status.st_size, 2**20)
        with path.open("rb") as file:
            return kind, status.st_size, status.st_ino, file.read(n_read)
    if kind == stat.S_IFLNK:
        return kind, os.readlink(path)
    return kind, status.st_rdev, status.st_ino


Attack = Callable[[Place], None]


def attacks() -> dict[str, Attack]:
    """Return every attack by its name."""
    made: dict[str, Attack] = {}
    for output in OUTPUTS:
        for kind in ("file", "folder", "link", "pipe"):
            for more in ((), ("--overwrite",), ("--resume",)):
                name = f"a {kind} appears at {output} {' '.join(more)}"
                made[name] = _appears(output, kind, more)
        for more in (("--overwrite",), ("--resume",)):
            made[f"{output} is replaced during {more[0]}"] = _replaced_meanwhile(output, more)
        for kind in ("pipe", "socket", "device", "link to a device", "link to itself"):
            made[f"{output} is a {kind}"] = _special(output, kind)
        made[f"{output} is somebody's own"] = _own_output(output)
        for kind in FORGED:
            made[f"{output}.partial: {kind}"] = _forged_work(output, kind)
    for output in OUTPUTS:
        for kind in SWAPPED:
            for more in ((), ("--overwrite",)):
                name = f"{kind} in the place of {output}.partial {' '.join(more)}"
                made[name] = _swapped(output, kind, more)
    for kind in OTHER_ARRAYS:
        made[f"x.npy is {kind} beside metadata of ours"] = _other_array(kind)
        made[f"x/short.wav.npy is {kind}"] = _other_array_in_folder(kind)
    for output in OUTPUTS:
        made[f"an input in {output}.partial"] = _input_in_work(output)
        made[f"an input that is a link into {output}.partial"] = _input_in_work(output, linked=True)
    made["merge: an input in x.partial"] = _merge_input_in_work
    made["an output in another output"] = _output_in_output
    made["x.npy.json without an array"] = _lone_sidecar
    for kind in ("link", "file"):
        made[f"a {kind} in the place of the journal"] = _other_journal(kind)
    for kind in ("file", "file below", "hidden file", "array", "own name", "link", "empty folder"):
        for more in (("--overwrite",), ("--resume",)):
            made[f"a {kind} put into the output during {more[0]}"] = _put_into(kind, more)
    for where in ("x.partial", "x.partial/output"):
        made[f"a file put into {where}"] = _put_into_work(where)
    for more in (("--overwrite",), ("--resume",), ()):
        made[f"x.npy.json is somebody's own {' '.join(more)}"] = _own_sidecar(more)
        made[f"x.npy.json appears {' '.join(more)}"] = _sidecar_appears(more)
    for kind in FORGED:
        made[f"merge: x.h5.partial: {kind}"] = _forged_work("x.h5", kind, merge=True)
    for kind in ("pipe", "device", "link to a device", "link to itself"):
        made[f"merge: x is a {kind}"] = _special("x", kind, merge=True)
    for output in ("x.h5", "x"):
        made[f"merge: {output} is somebody's own"] = _own_output(output, merge=True)
    made["merge: the output is an input"] = _merge_input
    made["merge: the output has other arrays"] = _merge_other
    for kind in REPORTS:
        made[f"a report onto {kind}"] = _report(kind)
    for kind in ("png", "pdf", "svg"):
        made[f"a picture onto somebody's own {kind}"] = _picture(kind)
    made["a picture onto a pipe"] = _picture_pipe
    made["names like those of temporary files"] = _like_temporary
    return made


def needs_root(name: str) -> bool:
    """Whether an attack makes a device, or a file of another user."""
    return "device" in name or "another user" in name


def _make(place: Place, path: str, kind: str) -> None:
    target = place.folder / path
    if kind == "file":
        place.mine(path, b"mine")
    elif kind == "folder":
        place.mine(f"{path}/thesis.txt", b"mine")
        place.mine(path)
    elif kind == "link":
        place.mine("elsewhere/thesis.txt", b"mine")
        target.symlink_to("elsewhere/thesis.txt")
        place.mine(path)
    elif kind == "link to a device":
        os.mknod(place.folder / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        place.mine("null")
        target.symlink_to("null")
        place.mine(path)
    elif kind == "link to itself":
        target.symlink_to(path)
        place.mine(path)
    else:
        if kind == "pipe":
            os.mkfifo(target)
        elif kind == "device":
            os.mknod(target, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        else:
            with socket.socket(socket.AF_UNIX) as bound:
                before = os.getcwd()
                os.chdir(target.parent)  # a socket's path is short
                bound.bind(target.name)
                os.chdir(before)
        place.mine(path)


def _appears(output: str, kind: str, more: Sequence[str]) -> Attack:
    def attack(place: Place) -> None:
        with place.at_work(output, *more) as ended:
            _make(place, output, kind)
        assert ended[0].code == 1, ended
        assert "appeared during the run" in ended[0].messages, ended
        assert "1 of 1 input done: kept in" in ended[0].messages, ended
        assert (place.folder / f"{output}.partial" / "journal-1").stat().st_size > 0

    return attack


def _older(place: Place, output: str) -> None:
    ended = place.run("melspectrogram", "short.wav", *LAYER, "-o", output)
    assert ended.code == 0, ended


def _replaced_meanwhile(output: str, more: Sequence[str]) -> Attack:
    def attack(place: Place) -> None:
        _older(place, output)
        with place.at_work(output, *more) as ended:
            target = place.folder / output
            target.rename(place.folder / "older")
            if output == "x":
                place.mine("x/thesis.txt", b"mine")
            else:
                place.mine(output, b"mine, of another size than before")
        assert ended[0].code == 1, ended
        assert "during the run" in ended[0].messages, ended

    return attack


def _tried(place: Place, output: str, more: Sequence[str], *, merge: bool) -> Ended:
    """Let a run, or a merge, try to make an output."""
    if not merge:
        return place.run("melspectrogram", "short.wav", "-o", output, *more)
    if not (place.folder / "part.h5").exists():
        _older(place, "part.h5")
    given = [option for option in more if option != "--resume"]
    return place.run("merge", "part.h5", "-o", output, *given)


def _special(output: str, kind: str, *, merge: bool = False) -> Attack:
    def attack(place: Place) -> None:
        _make(place, output, kind)
        for more in ((), ("--overwrite",), ("--resume",)):
            ended = _tried(place, output, more, merge=merge)
            assert ended.code == 2, ended

    return attack


def _own_output(output: str, *, merge: bool = False) -> Attack:
    def attack(place: Place) -> None:
        if output == "x.h5":
            with h5py.File(place.folder / output, "w") as file:
                file["thesis"] = np.arange(100.0)
            place.mine(output)
        elif output == "x.npy":
            np.save(place.folder / output, np.arange(100.0))
            place.mine(output)
        else:
            place.mine("x/kapre-extract.json", b"{}")
            place.mine("x/thesis.txt", b"mine")
        for more in ((), ("--overwrite",), ("--resume",), ("--resume", "--overwrite")):
            ended = _tried(place, output, more, merge=merge)
            assert ended.code == 2, ended

    return attack


FORGED = (
    "no mark",
    "a link",
    "a journal that is a link",
    "a journal linked elsewhere",
    "a journal that is a pipe",
    "a lock that is a link",
    "a lock linked elsewhere",
    "an output that is a link",
    "an older output that is a link",
    "another user's",
    "a file",
)


def _forged_work(output: str, kind: str, *, merge: bool = False) -> Attack:
    """Prepare a work folder whose use would harm somebody, as an unpacked folder may be."""

    def attack(place: Place) -> None:
        partial = place.folder / f"{output}.partial"
        own = place.mine("home/thesis.txt", b"mine")
        if kind == "a link":
            place.mine("home/output/thesis.txt", b"mine")
            place.mine("home/journal-1", b"mine")
            partial.symlink_to("home")
        elif kind == "a file":
            place.mine(partial, b"mine")
        elif kind == "no mark":
            place.mine(partial / "output/thesis.txt", b"mine")
            place.mine(partial / "output/array.npy", b"mine")
            place.mine(partial / "journal-1", b"mine")
        else:
            partial.mkdir()
            if "lock" not in kind:
                (partial / "lock").write_bytes(MARK)
            linked = {"journal-1": "journal-1", "lock": "lock", "output": "output"}
            name = next((name for word, name in linked.items() if f" {word} " in kind), "replaced")
            if kind == "an older output that is a link":
                name = "replaced"
            if kind == "another user's":
                place.mine(partial / "output/array.npy", b"mine")
                os.chown(partial, 12345, 12345)
            elif kind.endswith("elsewhere"):
                os.link(own, partial / name)
            elif kind.endswith("pipe"):
                os.mkfifo(partial / name)
            else:
                (partial / name).symlink_to("../home" if name == "output" else "../home/thesis.txt")
        for more in ((), ("--overwrite",), ("--resume",)):
            ended = _tried(place, output, more, merge=merge)
            assert ended.code == 2, ended
            assert "is in the way" in ended.messages, ended
        assert not os.path.lexists(place.folder / output)

    return attack


def _put_into(kind: str, more: Sequence[str]) -> Attack:
    def attack(place: Place) -> None:
        _older(place, "x")
        names = {
            "file": "x/thesis.txt",
            "file below": "x/notes/thesis.txt",
            "hidden file": "x/.thesis",
            "array": "x/thesis.npy",
            "own name": "x/short.wav.npy",
        }
        older = [place.mine(path) for path in (place.folder / "x").iterdir()]
        with place.at_work("x", *more) as ended:
            if kind == "link":
                place.mine("home/thesis.txt", b"mine")
                (place.folder / "x/link").symlink_to("../home")
                place.mine("x/link")
            elif kind == "empty folder":
                (place.folder / "x/notes").mkdir()
                place.mine("x/notes")
            else:
                place.mine(names[kind], b"mine")
        assert older
        assert ended[0].code == 1, ended
        assert "in the output was not made by this program" in ended[0].messages, ended
        assert "1 of 1 input done: kept in 'x.partial'" in ended[0].messages, ended

    return attack


SWAPPED = ("a link to a folder", "another folder", "nothing")


def _swapped(output: str, kind: str, more: Sequence[str]) -> Attack:
    """Put a folder with names like those of a run's own in the place of its work folder."""

    def attack(place: Place) -> None:
        if more:
            _older(place, output)
            place.mine(output)
        partial = place.folder / f"{output}.partial"
        foreign = place.folder / "home" if "link" in kind else partial
        with place.at_work(output, *more) as ended:
            partial.rename(place.folder / "moved.partial")
            if kind != "nothing":
                for name in ("journal-1", "lock", "owner", "output.json", "replaced.json"):
                    place.mine(foreign / name, b"mine")
                for name in ("output", "replaced"):
                    is_folder = output == "x"
                    place.mine(
                        foreign / name / "mine.npy" if is_folder else foreign / name, b"mine"
                    )
                    place.mine(foreign / name)
            if foreign != partial:
                partial.symlink_to("home")
                place.mine(partial)
        assert ended[0].code == 1, ended
        assert "was moved or replaced during the run" in ended[0].messages, ended
        assert "1 of 1 input done: kept in" in ended[0].messages, ended
        assert f"kept in '{place.folder / 'moved.partial'}'" in ended[0].messages, ended
        assert (place.folder / "moved.partial/journal-1").stat().st_size > 0
        assert more or not os.path.lexists(place.folder / output)

    return attack


def _other_journal(kind: str) -> Attack:
    def attack(place: Place) -> None:
        own = place.mine("home/thesis.txt", b"mine")
        with place.at_work("x.h5") as ended:
            journal = place.folder / "x.h5.partial/journal-1"
            journal.unlink()
            if kind == "link":
                os.link(own, journal)
                place.mine(journal)
            else:
                place.mine(journal, b"mine")
        # The run may have been about to look at what it had opened.
        is_refused = "it is left as it is" in ended[0].messages
        assert ended[0].code == is_refused, ended

    return attack


def _put_into_work(where: str) -> Attack:
    def attack(place: Place) -> None:
        with place.at_work("x"):
            (place.folder / where).mkdir(exist_ok=True)
            place.mine(f"{where}/thesis.txt", b"mine")
        place.run("melspectrogram", "new.wav", *LAYER, "-o", "x", "--resume")

    return attack


def _own_sidecar(more: Sequence[str]) -> Attack:
    def attack(place: Place) -> None:
        place.mine("x.npy.json", b'{"my own": "notes"}')
        ended = place.run("melspectrogram", "short.wav", "-o", "x.npy", *more)
        assert (ended.code, "is in the way" in ended.messages) == (2, True), ended
        if more:
            (place.folder / "x.npy.json").rename(place.folder / "aside")
            _older(place, "x.npy")
            (place.folder / "x.npy.json").unlink()
            (place.folder / "aside").rename(place.folder / "x.npy.json")
            place.mine("x.npy")
            ended = place.run("melspectrogram", "short.wav", "-o", "x.npy", *more)
            assert (ended.code, "is in the way" in ended.messages) == (2, True), ended

    return attack


def _sidecar_appears(more: Sequence[str]) -> Attack:
    def attack(place: Place) -> None:
        with place.at_work("x.npy", *more) as ended:
            place.mine("x.npy.json", b'{"my own": "notes"}')
        assert ended[0].code == 1, ended
        assert not os.path.lexists(place.folder / "x.npy")

    return attack


OTHER_ARRAYS = {
    "another array": np.arange(1000.0),
    "an array of another type": None,  # of the right shape
    "a text": b"my own notes",
    "a link to an array": b"",
}


def _put_array(place: Place, path: Path, kind: str) -> None:
    """Replace an array of the program's by one that is somebody's own."""
    array = OTHER_ARRAYS[kind]
    if kind == "a link to an array":
        path.rename(place.folder / "elsewhere.npy")
        path.symlink_to(place.folder / "elsewhere.npy")
    elif isinstance(array, bytes):
        path.write_bytes(array)
    else:
        np.save(path, np.load(path).astype(np.float64) if array is None else array)
    place.mine(path)


def _other_array(kind: str) -> Attack:
    def attack(place: Place) -> None:
        _older(place, "x.npy")
        _put_array(place, place.folder / "x.npy", kind)
        place.mine("x.npy.json")
        named = "elsewhere.npy'" if "link" in kind else "'x.npy'"
        for more in (("--overwrite",), ("--resume",), ("--resume", "--overwrite")):
            ended = place.run("melspectrogram", "short.wav", *LAYER, "-o", "x.npy", *more)
            assert (ended.code, named in ended.messages) == (2, True), ended

    return attack


def _other_array_in_folder(kind: str) -> Attack:
    def attack(place: Place) -> None:
        _older(place, "x")
        _put_array(place, place.folder / "x/short.wav.npy", kind)
        for more in (("--overwrite",), ("--resume",), ("--resume", "--overwrite")):
            ended = place.run("melspectrogram", "short.wav", *LAYER, "-o", "x", *more)
            assert (ended.code, "'x/short.wav.npy' in the" in ended.messages) == (2, True), ended

    return attack


def _input_in_work(output: str, *, linked: bool = False) -> Attack:
    """Name an input that lies where the output is made, as a killed run may have left it."""

    def attack(place: Place) -> None:
        partial = place.folder / f"{output}.partial"
        own = partial / ("output/short.wav" if output == "x" else "output")
        own.parent.mkdir(parents=True)
        (partial / "lock").write_bytes(MARK)
        place.mine(own, (place.folder / "short.wav").read_bytes())
        name = f"{output}.partial/{own.relative_to(partial)}"
        if linked:
            (place.folder / "link.wav").symlink_to(name)
            name = "link.wav"
        (place.folder / "list").write_text(f"{name}\n", encoding="ascii")
        for inputs in ((name,), ("--files-from", "list")):
            for more in ((), ("--overwrite",), ("--resume",), ("--dry-run",)):
                ended = place.run("melspectrogram", *inputs, *LAYER, "-o", output, *more)
                assert (ended.code, f"'{name}' lies in" in ended.messages) == (2, True), ended

    return attack


def _merge_input_in_work(place: Place) -> None:
    _older(place, "y")
    partial = place.folder / "x.partial"
    partial.mkdir()
    (partial / "lock").write_bytes(MARK)
    (place.folder / "y").rename(partial / "output")
    for path in (partial / "output").iterdir():
        place.mine(path)
    for more in ((), ("--overwrite",)):
        ended = place.run("merge", "x.partial/output", "-o", "x", *more)
        assert (ended.code, "'x.partial/output' lies in" in ended.messages) == (2, True), ended


def _output_in_output(place: Place) -> None:
    _older(place, "d")
    (place.folder / "link").symlink_to("d")
    before = sorted((place.folder / "d").iterdir())
    for path in before:
        place.mine(path)
    for output in ("d/x.h5", "d/x.npy", "d/x/", "link/x"):
        ended = place.run("melspectrogram", "short.wav", *LAYER, "-o", output)
        assert (ended.code, "would lie in" in ended.messages) == (2, True), ended
    ended = place.run("melspectrogram", "short.wav", *LAYER, "-o", "x.h5", "--report", "d/r")
    assert (ended.code, "would lie in" in ended.messages) == (2, True), ended
    ended = place.run("plot", "short.wav", "-o", "link/p.png")
    assert (ended.code, "would lie in" in ended.messages) == (2, True), ended
    assert sorted((place.folder / "d").iterdir()) == before
    for output in (".h5", "home/.npy", ".HDF5"):
        (place.folder / "home").mkdir(exist_ok=True)
        ended = place.run("melspectrogram", "short.wav", *LAYER, "-o", output)
        assert (ended.code, "is a suffix without a name" in ended.messages) == (2, True), ended


def _lone_sidecar(place: Place) -> None:
    _older(place, "x.npy")
    (place.folder / "x.npy").unlink()
    place.mine("x.npy.json")
    ended = place.run("melspectrogram", "short.wav", *LAYER, "-o", "x.npy")
    assert (ended.code, "'x.npy.json' is in the way" in ended.messages) == (2, True), ended
    (place.folder / "x.npy.json").rename(place.folder / "elsewhere.json")
    place.mine("elsewhere.json")
    (place.folder / "x.npy.json").symlink_to("elsewhere.json")
    place.mine("x.npy.json")
    for more in ((), ("--overwrite",), ("--resume",)):
        ended = place.run("melspectrogram", "short.wav", *LAYER, "-o", "x.npy", *more)
        assert (ended.code, "'x.npy.json' is in the way" in ended.messages) == (2, True), ended


def _merge_input(place: Place) -> None:
    _older(place, "site1.h5")
    _older(place, "other.h5")
    place.mine("site1.h5")
    place.mine("other.h5")
    for arguments in (
        ("site1.h5", "other.h5"),
        ("site1.h5", "other.h5", "--overwrite"),
        ("site1.h5", "other.h5", "-o", "site1.h5", "--overwrite"),
        ("site1.h5", "other.h5", "-o", "./site1.h5", "--overwrite", "--allow-missing"),
    ):
        ended = place.run("merge", *arguments)
        assert ended.code == 2, ended


def _merge_other(place: Place) -> None:
    for name in ("short.wav", "long.wav"):
        output = f"{Path(name).stem}.h5"
        assert place.run("spectrogram", name, "--max-samples", 10**9, "-o", output).code == 0
        place.mine(output)
    for more in ((), ("--overwrite",), ("--overwrite", "--allow-missing")):
        ended = place.run("merge", "short.h5", "-o", "long.h5", *more)
        assert (ended.code, "would lose" in ended.messages) == (2, True), ended


REPORTS = {
    "a text": "notes.txt",
    "an input": "short.wav",
    "the configuration": "settings.toml",
    "an older output": "old.h5",
    "a pipe without a reader": "pipe",
    "a folder": "folder",
}


def _report(kind: str) -> Attack:
    def attack(place: Place) -> None:
        place.mine("notes.txt", b"mine")
        place.mine("settings.toml", b"n-dft = 256\n")
        place.mine("folder/thesis.txt", b"mine")
        _older(place, "old.h5")
        place.mine("old.h5")
        os.mkfifo(place.folder / "pipe")
        place.mine("pipe")
        run = ("melspectrogram", "short.wav", "--config", "settings.toml")
        for number, more in enumerate(((), ("--overwrite",), ("--resume",))):
            ended = place.run(*run, "-o", f"{number}.h5", "--report", REPORTS[kind], *more)
            assert ended.code == 2, ended
        ended = place.run(*run, "-o", "old.h5", "--report", REPORTS[kind])
        assert ended.code == 2, ended

    return attack


def _picture(kind: str) -> Attack:
    def attack(place: Place) -> None:
        place.mine(f"p.{kind}", b"mine")
        for more in ((), ("--overwrite",)):
            ended = place.run("plot", "short.wav", "-o", f"p.{kind}", *more)
            assert ended.code == 2, ended

    return attack


def _picture_pipe(place: Place) -> None:
    os.mkfifo(place.folder / "p.png")
    place.mine("p.png")
    ended = place.run("plot", "short.wav", "-o", "p.png", "--overwrite")
    assert ended.code == 2, ended


def _like_temporary(place: Place) -> None:
    for name in ("kapre-extract-abcdefgh", ".kapre-extract-abcdefgh"):
        place.mine(f"{name}/thesis.txt", b"mine")
        place.mine(f"{name}x/lock", b"mine")
    place.mine(".123.partial.png", b"mine")
    os.environ["TMPDIR"] = str(place.folder)
    try:
        assert place.run("plot", "short.wav", "-o", "p.png").code == 0
    finally:
        del os.environ["TMPDIR"]
    left = sorted(path.name for path in place.folder.glob("*kapre-extract-*"))
    assert len(left) == 4, left


def attack_all(scratch: Path) -> Counter[str]:
    """Make every attack, and return how many there were and how many files came to harm."""
    figures = Counter[str]({"attacks": 0, "not refused as they should be": 0, "harmed files": 0})
    with nursery() as warm:
        for number, (name, attack) in enumerate(attacks().items()):
            if needs_root(name) and os.geteuid() != 0:
                continue
            folder = scratch / str(number)
            folder.mkdir(parents=True)
            place = Place(folder, warm)
            try:
                attack(place)
            except (AssertionError, TimeoutError) as error:
                figures["not refused as they should be"] += 1
                sys.stdout.write(f"{name}: {error}\n")
            figures["attacks"] += 1
            for path in place.harmed():
                figures["harmed files"] += 1
                sys.stdout.write(f"harmed by {name}: {path}\n")
    return figures
