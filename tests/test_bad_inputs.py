"""Bad inputs among sound ones: each is told with its reason, none does harm, all are counted."""

import os
import re
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import kapre_cli
from kapre_cli.audio.reader import AudioReader
from kapre_cli.cli import inputs as cli_inputs
from kapre_cli.extraction import decode as decoding
from kapre_cli.extraction import decode_ahead
from kapre_cli.inputs import discover
from kapre_cli.settings import AudioSettings
from tests import flac, reference
from tests.bad_inputs import CORPUS, GROUPS, HOUR, PCM, WAV, Written, data, fmt, riff
from tests.conftest import PROGRAM, Ended, write_audio
from tests.stress.runs import SUMMARY

OPTIONS = ("--sr", "8000", "--n-dft", "64")
SECONDS_ALLOWED = 60
MIB_ALLOWED = 100
MIB_READ_AHEAD = 4 * decode_ahead.AHEAD_VALUES / 2**20
RSS_PER_MIB = 2**20 if sys.platform == "darwin" else 2**10

# What a terminal would act upon: control characters of both kinds, and turns of direction.
ACTIVE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def make_healthy(folder: Path) -> list[Path]:
    """Make sound files, in the order of names before, between and behind the others."""
    kinds: dict[str, dict[str, Any]] = {
        "!first.wav": {"subtype": "PCM_16"},
        "a sound file.wav": {},
        "e sound.flac": {},
        "folder.wav/deep/inside.flac": {"subtype": "PCM_16"},
        "folder.wav/inside.wav": {"format": "W64"},
        "m sound.wav": {"subtype": "PCM_24", "format": "RF64"},
        "s sound.flac": {"subtype": "PCM_16"},
        "~last.wav": {"subtype": "ULAW"},
    }
    for seed, (name, kind) in enumerate(kinds.items()):
        write_audio(folder / name, reference.noise(2, 1200 + 99 * seed), **kind)
    (folder / "t sound.flac").write_bytes(flac.encode(flac.noise(1500, 2, 20), 20))
    return [*(folder / name for name in kinds), folder / "t sound.flac"]


class Scene:
    """A folder with bad inputs among sound ones, and what is to become of them all.

    Args:
        folder: Where it is set.
        group: The name of the options that the run has.
    """

    def __init__(self, folder: Path, group: str) -> None:
        self.folder = folder
        self.output = folder / "out.h5"
        self.options = (*OPTIONS, *GROUPS[group])
        audio = folder / "audio"
        self.arguments = ("spectrogram", str(audio), "-o", str(self.output), *self.options)
        self._healthy = make_healthy(audio)
        self._written: dict[str, Written] = {}
        self._failed: dict[str, str] = {}
        for one in CORPUS:
            if group in one.groups:
                path, verdict = one.path_in(audio), one.verdict_in(group)
                assert not os.path.lexists(path), path
                one.make(path)
                if isinstance(verdict, str):
                    self._failed[str(path)] = verdict
                else:
                    self._written[str(path)] = verdict
        (audio / "hollow.wav").mkdir()
        (audio / "notes.txt").touch()
        (audio / "._m sound.wav").touch()

    def require(self, ended: Ended, program: Any, *, kept: bool = False) -> None:
        """Hold how a run ended against every verdict.

        Args:
            ended: How it ended.
            program: Runs the program over sound files alone.
            kept: Whether it kept what an earlier one had written.
        """
        assert (ended.code, ended.out) == (1, "")
        n_there, n_failed = len(self._written) + len(self._healthy), len(self._failed)
        *lines, summary = ended.err.splitlines()
        counts = SUMMARY.match(summary)
        assert counts is not None, ended.err
        assert [int(number or 0) for number in counts.groups()] == [
            *(n_there + n_failed, 0 if kept else n_there, n_failed, n_there if kept else 0)
        ]
        self._require_reasons(lines, kept=kept)
        self._require_arrays(program)

    def _require_reasons(self, lines: Sequence[str], *, kept: bool) -> None:
        """Hold that every failure has one line with its reason, and who else may speak."""
        assert not ACTIVE.search("\n".join(lines))
        told = [line for line in lines if line.startswith("failed: ")]
        others = [line for line in lines if not re.match(r"failed: |\d+ inputs failed: ", line)]
        assert len(told) == len(self._failed), told
        assert sum("skipped 1 " in line for line in others) == 2, others
        others = [line for line in others if ": the chunk after its samples is cut" not in line]
        assert len(others) == (3 if kept else 2), others  # that all is up to date
        wrong = []
        for path, verdict in self._failed.items():
            start = f"failed: {path!r}: "
            reasons = [line.removeprefix(start) for line in told if line.startswith(start)]
            if len(reasons) != 1 or not re.search(verdict, reasons[0]):
                wrong.append(f"{path!r}: {verdict!r}, told: {reasons}")
        assert not wrong, "\n".join(wrong)

    def _require_arrays(self, program: Any) -> None:
        """Hold that all that was to be written is, bit for bit as without any bad input."""
        alone = self._crc32s_alone(program)
        wrong = []
        with kapre_cli.open_features(self.output) as features:
            arrays = {array.metadata.source: array for array in features.values()}
        assert set(arrays) == {*self._written, *map(str, self._healthy)}
        for path in self._healthy:
            metadata = arrays[str(path)].metadata
            if (metadata.crc32, metadata.n_missing, metadata.n_non_finite) != (
                alone[path.name],
                0,
                0,
            ):
                wrong.append(f"{path}: {metadata}")
        for name, written in self._written.items():
            metadata = arrays[name].metadata
            found = Written(
                metadata.n_samples, metadata.n_missing, metadata.n_non_finite, written.plain
            )
            as_alone = not written.plain or metadata.crc32 == alone[f"{written.n_samples}.wav"]
            if found != written or not as_alone:
                wrong.append(f"{name!r}: {written}, found: {found}, as alone: {as_alone}")
        assert not wrong, "\n".join(wrong)
        with kapre_cli.open_features(self.output) as features:
            for array in features.values():
                array.verify()

    def _crc32s_alone(self, program: Any) -> dict[str, int]:
        """Return the checksums of the sound files, and of the first samples of the corpus's.

        They are those of a run that has met nothing else.
        """
        alone, output = self.folder / "alone", self.folder / "alone.h5"
        if output.exists():
            output.unlink()
            shutil.rmtree(alone)
        make_healthy(alone)
        for n in {written.n_samples for written in self._written.values() if written.plain}:
            (alone / f"{n}.wav").write_bytes(riff(fmt(), data(PCM[: 2 * n])))
        ended = program("spectrogram", alone, "-o", output, *self.options)
        if "--channel" not in self.options:
            assert ended.code == 0, ended.err
        with kapre_cli.open_features(output) as features:
            return {os.path.basename(key): array.metadata.crc32 for key, array in features.items()}


@dataclass
class Process:
    """A run in a process of its own.

    Attributes:
        scene: What it met.
        ended: How it ended.
        peak_mib: The most memory that it held at one time.
    """

    scene: Scene
    ended: Ended
    peak_mib: float


def process_of(scene: Scene) -> Process:
    """Run the program as a user does, for so long and no longer."""
    out, err = scene.folder / "out.txt", scene.folder / "err.txt"
    with out.open("wb") as to_out, err.open("wb") as to_err:
        running = subprocess.Popen([*PROGRAM, *scene.arguments], stdout=to_out, stderr=to_err)
    limit = threading.Timer(SECONDS_ALLOWED, running.kill)
    limit.start()
    _, status, usage = os.wait4(running.pid, 0)
    limit.cancel()
    running.returncode = os.waitstatus_to_exitcode(status)
    ended = Ended(running.returncode, out.read_text(), err.read_text())
    return Process(scene, ended, usage.ru_maxrss / RSS_PER_MIB)


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> Process:
    return process_of(Scene(tmp_path_factory.mktemp("default"), "default"))


def test_the_corpus_is_large(default: Process) -> None:
    contents = {
        path.read_bytes()
        for path in (default.scene.folder / "audio").iterdir()
        if path.is_file() and not path.is_symlink()
    }
    assert len(contents) >= 150
    assert len(CORPUS) >= 180
    assert sum(isinstance(one.verdict, str) for one in CORPUS) >= 120


def test_bad_inputs_are_told_and_do_no_harm(default: Process, program: Any) -> None:
    default.scene.require(default.ended, program)


def test_bombs_are_told_in_little_memory(default: Process, program: Any, tmp_path: Path) -> None:
    limited = process_of(Scene(tmp_path, "limited"))
    limited.scene.require(limited.ended, program)
    # The others are so short that next to nothing of them waits to be computed.
    assert limited.peak_mib - default.peak_mib < MIB_ALLOWED + MIB_READ_AHEAD


@pytest.mark.parametrize("group", sorted(GROUPS.keys() - {"default", "limited"}))
def test_bad_inputs_under_other_options(group: str, program: Any, tmp_path: Path) -> None:
    scene = Scene(tmp_path, group)
    scene.require(program(*scene.arguments), program)


def test_bad_inputs_are_told_again_when_work_is_resumed(default: Process, program: Any) -> None:
    scene = default.scene
    before = scene.output.read_bytes()
    scene.require(program(*scene.arguments, "--resume"), program, kept=True)
    assert scene.output.read_bytes() == before


def test_a_bomb_without_a_limit_takes_little_memory(program: Any, tmp_path: Path) -> None:
    peaks = []
    for n_frames in (HOUR // 100, HOUR):
        path, output = tmp_path / f"{n_frames}.flac", tmp_path / f"{n_frames}.h5"
        path.write_bytes(flac.silence(n_frames, 8, 16))
        ended = program("spectrogram", path, "-o", output, *OPTIONS, "--n-hop", 100_000)
        assert ended.code == 0, ended.err
        with kapre_cli.open_features(output) as features:
            (array,) = features.values()
            assert array.metadata.n_samples == n_frames
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / RSS_PER_MIB)
    assert peaks[1] - peaks[0] < MIB_ALLOWED


def test_what_may_not_be_read_is_told(
    program: Any, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    # Everything is to be imported before rights are taken away.
    sound = write_audio(tmp_path / "a.wav", reference.noise(1, 500))
    assert program("spectrogram", sound, "-o", tmp_path / "out.h5", *OPTIONS).code == 0
    folder: Path = request.getfixturevalue("unprivileged")
    for name in ("a.wav", "b.wav", "closed/c.wav", "d.wav"):
        write_audio(folder / name, reference.noise(1, 500))
    (folder / "b.wav").chmod(0)
    (folder / "closed").chmod(0)
    ended = program("spectrogram", folder, "-o", folder / "out.h5", *OPTIONS)
    (folder / "closed").chmod(0o700)
    assert ended.code == 1
    assert ended.err.splitlines() == [
        f"failed: {str(folder / 'closed')!r}: the folder cannot be read: Permission denied",
        f"failed: {str(folder / 'b.wav')!r}: cannot be opened: Permission denied",
        f"4 inputs: 2 written, 2 failed (0.1 s of audio) -> {str(folder / 'out.h5')!r}",
    ]


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(bytes(8))


def shorten(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def touch(path: Path) -> None:
    os.utime(path, ns=(0, 0))


def replace(path: Path) -> None:
    other = path.with_suffix(".other")
    other.write_bytes(b"something else")
    other.rename(path)


CHANGES: dict[str, tuple[Callable[[Path], object], bool]] = {
    "append": (append, False),
    "shorten": (shorten, False),
    "touch": (touch, False),
    # What has been opened is still there, and whole.
    "replace": (replace, True),
    "remove": (Path.unlink, True),
}


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_what_changes_while_it_is_read_is_told(
    suffix: str, program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Disturbed(AudioReader):
        def __init__(self, path: str, settings: AudioSettings, **options: Any) -> None:
            super().__init__(path, settings, **options)
            self._path = Path(path)

        def read(self, n_samples: int) -> Any:
            samples = super().read(n_samples)
            change, _ = CHANGES.get(self._path.stem, (None, True))
            if change is not None and self._path not in changed:
                changed.add(self._path)
                change(self._path)
            return samples

    changed: set[Path] = set()
    monkeypatch.setattr(decoding, "AudioReader", Disturbed)
    for name in ("a sound one", *CHANGES, "~ another"):
        write_audio(tmp_path / "audio" / f"{name}{suffix}", reference.noise(2, 400_000))
    output = tmp_path / "out.h5"
    ended = program("spectrogram", tmp_path / "audio", "-o", output, *OPTIONS)
    assert len(changed) == len(CHANGES)
    bad = sorted(name for name, (_, is_sound) in CHANGES.items() if not is_sound)
    *lines, summary = ended.err.splitlines()
    assert sorted(lines) == [
        f"failed: {str(tmp_path / 'audio' / name) + suffix!r}: the file changed while it was "
        "read; extract it again when nothing writes to it"
        for name in bad
    ]
    assert summary.startswith(f"7 inputs: 4 written, {len(bad)} failed")
    with kapre_cli.open_features(output) as features:
        assert len({array.metadata.crc32 for array in features.values()}) == 1


def test_what_vanishes_before_it_is_read_is_told(
    program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disturbed(*arguments: Any, **options: Any) -> Any:
        inputs = discover(*arguments, **options)
        (tmp_path / "audio" / "b.wav").unlink()
        (tmp_path / "audio" / "c.wav").unlink()
        os.mkfifo(tmp_path / "audio" / "c.wav")
        shutil.rmtree(tmp_path / "audio" / "d")
        return inputs

    monkeypatch.setattr(cli_inputs, "discover", disturbed)
    for name in ("a.wav", "b.wav", "c.wav", "d/d.wav", "e.wav"):
        write_audio(tmp_path / "audio" / name, reference.noise(1, 500))
    ended = program("spectrogram", tmp_path / "audio", "-o", tmp_path / "out.h5", *OPTIONS)
    assert ended.code == 1
    *lines, summary = ended.err.splitlines()
    gone = "cannot be opened: No such file or directory"
    assert sorted(lines) == [
        f"failed: {str(tmp_path / 'audio' / name)!r}: {reason}"
        for name, reason in (
            ("b.wav", gone),
            ("c.wav", "it is a named pipe, not a regular file"),
            ("d/d.wav", gone),
        )
    ]
    assert summary.startswith("5 inputs: 2 written, 3 failed")


def test_names_that_look_like_options_are_named_behind_two_dashes(
    program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-o.wav").write_bytes(WAV)
    Path("--sr").write_bytes(b"text")
    ended = program("spectrogram", "-o", "out.h5", *OPTIONS, "--", "-o.wav", "--sr")
    *lines, summary = ended.err.splitlines()
    (failure,) = lines
    assert failure.startswith("failed: '--sr': it is not WAV or FLAC: it begins with b'text'")
    assert summary.startswith("2 inputs: 1 written, 1 failed")


def test_the_rate_is_that_of_the_first_input_that_states_one(program: Any, tmp_path: Path) -> None:
    bad = (b"", b"text", b"RIFF", riff(fmt(sr=0), data()), riff(data()))
    for number, content in enumerate(bad):
        (tmp_path / f"{number}.wav").write_bytes(content)
    write_audio(tmp_path / "a.wav", reference.noise(1, 500), sr=22_050)
    ended = program("spectrogram", tmp_path, "-o", tmp_path / "out.h5", "--n-dft", 64)
    assert ended.code == 1
    assert len(ended.err.splitlines()) == len(bad) + 1
    assert ended.err.splitlines()[-1].startswith("6 inputs: 1 written, 5 failed")
