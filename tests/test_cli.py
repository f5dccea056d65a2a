"""The program as its callers see it: streams, messages, exit codes, what is left on disk."""

import fcntl
import os
import pty
import re
import resource
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import h5py
import numpy as np
import pytest

import kapre_cli
from kapre_cli import cli
from kapre_cli.cli import hints
from kapre_cli.cli.options import long_name
from kapre_cli.outputs.existing import Existing
from kapre_cli.resume.work_dir import WorkDir
from tests import reference
from tests.conftest import PROGRAM, files_below, write_audio


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    folder = tmp_path / "audio"
    write_audio(folder / "a.wav", reference.noise(1, 3000))
    write_audio(folder / "b.flac", reference.noise(2, 5000))
    return folder


def test_a_run_says_what_it_did_and_nothing_else(audio: Path, process: Any) -> None:
    # TF_CPP_MIN_LOG_LEVEL=0 asks TensorFlow for all that it has to say.
    ended = process(
        "spectrogram", "audio", "-o", "out.h5", cwd=audio.parent, TF_CPP_MIN_LOG_LEVEL="0"
    )
    assert ended.code == 0
    assert ended.out == ""
    assert ended.err == "2 inputs: 2 written, 0 failed (1.0 s of audio) -> 'out.h5'\n"
    assert files_below(audio.parent) == ["audio", "audio/a.wav", "audio/b.flac", "out.h5"]


def test_python_m_is_the_installed_program(process: Any) -> None:
    installed = Path(sys.executable).with_name("kapre-extract")
    ended = subprocess.run(
        [installed, "--version"], capture_output=True, text=True, check=True, timeout=300
    )
    assert ended.stdout == process("--version").out
    assert ended.stdout.strip().endswith(kapre_cli.__version__)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["spectrogram", "--help"], ["melspectrogram", "-h"]]
)
def test_help_goes_to_standard_output(arguments: list[str], process: Any) -> None:
    ended = process(*arguments)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out


@pytest.mark.parametrize(
    "name", ["x.h5", "x.npy", "x", "x.png", "report", "list", "c.toml", "x.wav"]
)
def test_a_link_that_leads_to_itself_is_refused_by_name(
    name: str, audio: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = audio.parent
    monkeypatch.chdir(here)
    (here / name).symlink_to(name)
    extract = ["spectrogram", "audio/a.wav", "-o"]
    commands = {
        "x.png": [["plot", "audio/a.wav", "-o", "x.png", "--overwrite"]],
        "report": [[*extract, "y.h5", "--report", "report", "--overwrite"]],
        "list": [["spectrogram", "-o", "y.h5", "--files-from", "list"]],
        "c.toml": [[*extract, "y.h5", "--config", "c.toml"]],
        "x.wav": [["spectrogram", "x.wav", "-o", "y.h5"], ["plot", "x.wav", "-o", "y.png"]],
    }
    output = [[*extract, name, "--overwrite"], ["merge", "audio", "-o", name, "--overwrite"]]
    output += [[*extract, "y.h5", "--like", name], ["info", name, "--config"]]
    output += [["info", name], ["verify", name], ["merge", name, "-o", "y.h5"]]
    before = files_below(here)
    for command in commands.get(name, output):
        ended = program(*command)
        is_read = command[0] in ("info", "verify") or command[1] == name
        assert ended.code == 2 or (is_read and ended.code == 1), ended.err
        assert (ended.out, "Traceback" in ended.err) == ("", False)
        assert f"{name}'" in ended.err
        assert files_below(here) == before
        assert os.readlink(here / name) == name


def test_no_command_shows_the_help_and_fails(process: Any) -> None:
    ended = process()
    assert (ended.code, ended.out) == (2, "")
    assert "melspectrogram" in ended.err


USAGE = {
    "no output": (["spectrogram", "audio"], "Missing option '-o'"),
    "no inputs": (["spectrogram", "-o", "x.h5"], "Missing argument 'INPUTS...'"),
    "unknown option": (["spectrogram", "audio", "-o", "x.h5", "--n-fft", "3"], "No such option"),
    "unknown command": (["extract", "audio"], "No such command 'extract'"),
    "hop of 0": (["spectrogram", "audio", "-o", "x.h5", "--n-hop", "0"], "'--n-hop': 0 is not"),
    "frame of 1": (["spectrogram", "audio", "-o", "x.h5", "--n-dft", "1"], "'--n-dft': 1 is not"),
    "half a hertz": (
        ["spectrogram", "audio", "-o", "x.h5", "--sr", "44100.5"],
        "'--sr': '44100.5' is not a whole number; sample rates of files are whole numbers of Hz",
    ),
    "half a hop": (
        ["spectrogram", "audio", "-o", "x.h5", "--n-hop", "0.5"],
        "'0.5' is not a whole",
    ),
    "no number": (["spectrogram", "audio", "-o", "x.h5", "--sr", "nan"], "'nan' is not a whole"),
    "millions of digits": (
        ["spectrogram", "audio", "-o", "x.h5", "--sr", "1e999999999"],
        "'1e999999999' is not a whole number",
    ),
    "half a hertz of raw": (
        ["spectrogram", "audio/a.wav", "-o", "x.h5", "--raw-format", "s16le,44100.5,1"],
        "'44100.5' is not a whole number",
    ),
    "power of 0": (["spectrogram", "audio", "-o", "x.h5", "--power", "0"], "'--power': 0.0 is not"),
    "far hop": (["spectrogram", "audio", "-o", "x.h5", "--n-hop", "10" * 9], "--n-hop must be"),
    "huge batch": (
        ["spectrogram", "audio", "-o", "x.h5", "--batch-size", "10" * 5],
        "--batch-size frames must be at most 268,435,456 samples (1 GiB)",
    ),
    "root": (["spectrogram", "audio", "-o", "x.h5", "--root", "audio/a.wav"], "is not a folder"),
    "empty path": (["spectrogram", "", "-o", "x.h5"], "an input is an empty path"),
    "padding": (["spectrogram", "audio", "-o", "x.h5", "--padding", "full"], "'full' is not one"),
    "above Nyquist": (
        ["melspectrogram", "audio", "-o", "x.h5", "--fmax", "4001"],
        "above the Nyquist rate, half of the sample rate. Received: --fmax 4001, --sr 8000",
    ),
    "fmin over fmax": (
        ["melspectrogram", "audio", "-o", "x.h5", "--fmin", "500", "--fmax", "400"],
        "--fmin must be below --fmax. Received: --fmin 500, --fmax 400",
    ),
    "norm": (["melspectrogram", "audio", "-o", "x.h5", "--norm", "area"], "'area' is not 'slaney'"),
    "negative norm": (
        ["melspectrogram", "audio", "-o", "x.h5", "--norm", "-3"],
        "Received: --norm -3",
    ),
    "mel option": (["spectrogram", "audio", "-o", "x.h5", "--n-mels", "3"], "No such option"),
    "channel twice": (
        ["spectrogram", "audio", "-o", "x.h5", "--channel", "1", "--channel", "1"],
        "--channel must be different from one another. Received: --channel 1 --channel 1",
    ),
    "npy for two": (["spectrogram", "audio", "-o", "x.npy"], "there are 2 inputs"),
    "compressed npy": (
        ["spectrogram", "audio", "-o", "x", "--compression", "gzip"],
        "Only the format hdf5 can be compressed",
    ),
    "no such folder": (
        ["spectrogram", "audio", "-o", "gone/x.h5"],
        "the folder 'gone' for the output 'x.h5' does not exist; make it first",
    ),
    "a full folder": (
        ["spectrogram", "audio", "-o", "audio", "--overwrite"],
        "the folder 'audio' is not empty and not an output of kapre-extract; it is left alone",
    ),
    "a folder for a file": (["spectrogram", "audio", "-o", "dir.h5"], "is a folder"),
    "a file for a folder": (
        ["spectrogram", "audio", "-o", "audio/a.wav/", "--overwrite"],
        "'audio/a.wav' is a file; a folder of .npy files was asked for",
    ),
    "another suffix": (
        ["spectrogram", "audio", "-o", "audio/a.nc"],
        "the output 'audio/a.nc' has the suffix '.nc', which is no format; name *.h5",
    ),
    "a dry run of another suffix": (
        ["spectrogram", "audio", "-o", "a.nc", "--dry-run"],
        "the output 'a.nc' has the suffix '.nc', which is no format",
    ),
    "an output without a name": (
        ["spectrogram", "audio", "-o", ""],
        "the output is named by an empty path",
    ),
    "another suffix for a merged output": (
        ["merge", "audio", "-o", "a.zarr"],
        "the output 'a.zarr' has the suffix '.zarr', which is no format",
    ),
    "the input": (
        ["spectrogram", "audio/a.wav", "-o", "audio/a.wav", "--format", "hdf5", "--overwrite"],
        "the output 'audio/a.wav' is one of the inputs",
    ),
    "standard input twice": (
        ["spectrogram", "-", "audio", "-", "-o", "x.h5"],
        "Standard input (-) is named twice",
    ),
    "standard input for two": (
        ["spectrogram", "-", "--files-from", "-", "-o", "x.h5"],
        "Standard input (-) cannot be an input and the list of inputs at once",
    ),
    "no list": (["spectrogram", "-0", "audio", "-o", "x.h5"], "-0 is about the names in a list"),
    "a list that is gone": (
        ["spectrogram", "--files-from", "gone", "-o", "x.h5"],
        "the list 'gone' cannot be read: No such file or directory",
    ),
    "a folder for a list": (
        ["spectrogram", "--files-from", "audio", "-o", "x.h5"],
        "the list 'audio' is a folder",
    ),
    "an empty list": (
        ["spectrogram", "--files-from", "/dev/null", "-o", "x.h5"],
        "the list '/dev/null' names no files, and there is no other input",
    ),
    "an empty list for one array": (
        ["spectrogram", "--files-from", "/dev/null", "-o", "x.npy"],
        "the list '/dev/null' names no files, and there is no other input",
    ),
    "audio for a list": (
        ["spectrogram", "--files-from", "audio/a.wav", "-o", "x.h5"],
        "the list 'audio/a.wav' holds NUL, which no name does; --null reads lists whose names",
    ),
    "raw format": (
        ["spectrogram", "audio/a.wav", "-o", "x.h5", "--raw-format", "s16le,44100"],
        "--raw-format must be ENCODING,RATE,CHANNELS. Received: --raw-format s16le,44100",
    ),
    "raw encoding": (
        ["spectrogram", "audio/a.wav", "-o", "x.h5", "--raw-format", "s17le,44100,1"],
        "'--raw-format': `encoding` must be one of ('u8', 's8', 's16le',",
    ),
    "raw rate": (
        ["spectrogram", "audio/a.wav", "-o", "x.h5", "--raw-format", "s16le,0,1"],
        "Received: sr=0",
    ),
    "raw folder": (
        ["spectrogram", "audio", "-o", "x.h5", "--raw-format", "s16le,44100,1"],
        "--raw-format is for files without a header, and the folder 'audio' would be searched",
    ),
    "nothing to say of": (["info", "gone.h5"], "there is nothing at 'gone.h5'"),
    "nothing to verify": (["verify", "gone.h5"], "there is nothing at 'gone.h5'"),
    "nothing to compare": (["compare", "gone.h5", "audio"], "there is nothing at 'gone.h5'"),
    "a sample of nothing": (["verify", "x.h5", "--sample", "3"], "add --against"),
    "a sample of all": (
        ["verify", "x.h5", "--against", "audio", "--sample", "3", "--all"],
        "--sample and --all exclude one another",
    ),
    "a negative tolerance": (["compare", "x.h5", "y.h5", "--atol", "-1"], "'--atol': -1.0 is not"),
    "a tolerance of NaN": (["compare", "x.h5", "y.h5", "--rtol", "nan"], "--rtol must be"),
}


EXTRACT = ("spectrogram", "audio", "-o", "x.h5")

OPTIONS = {
    **dict.fromkeys(("--n-fft", "--nfft", "--n_dft", "--N-DFT", "-nfft"), "it is --n-dft here"),
    **dict.fromkeys(("--hop-length", "--hop", "--hop_length"), "it is --n-hop here"),
    **dict.fromkeys(("--sample-rate", "--samplerate", "--rate", "-sr"), "it is --sr here"),
    **dict.fromkeys(("--workers", "--threads", "--num-workers", "--n-jobs"), "it is --jobs here"),
    **dict.fromkeys(("--force", "-f", "-y"), "it is --overwrite here"),
    **dict.fromkeys(("--out", "--outdir", "--output-dir"), "it is --output here"),
    **dict.fromkeys(
        ("--mels", "--n-bands"), "it is --n-mels here, an option of melspectrogram and plot"
    ),
    "--n-mels": "it is an option of melspectrogram and plot",
    "--silent": "it is --quiet here",
    "--window": "the window is a periodic Hann window of --n-dft samples, and there is no other",
    "--win-length": "the window is as long as a frame: --n-dft samples",
    "--recursive": "folders are always searched with all below them",
    "-r": "folders are always searched with all below them, and the sample rate is --sr",
    **dict.fromkeys(("--duration", "--offset"), "recordings are read from start to end; cut"),
    **dict.fromkeys(("--db", "--log"), "--decibel gives decibels, of power with --power 2"),
    **dict.fromkeys(("--center", "--pad"), "--padding same (zeros around the signal) and"),
    "--exclude": "name the files, for instance by find with -name or -not -path, and pass them",
    "--log-level": "--quiet prints less, --verbose prints more, --report writes JSON",
    "--n-hpo": "did you mean --n-hop?",
    "--foo": None,
    "-x": None,
}


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_of_another_program_is_told_what_it_is_here(option: str, program: Any) -> None:
    for written in ([option, "3"], [f"{option}=3"]):
        ended = program(*EXTRACT, *written)
        assert (ended.code, ended.out) == (2, "")
        *_, told = ended.err.splitlines()
        hint = OPTIONS[option]
        assert told.startswith(
            f"Error: No such option '{option}'{': ' if hint else '.'}{hint or ''}"
        )
        assert "Did you mean" not in told  # Click's own guess beside it
        assert "Possible options" not in told


def test_every_name_of_other_programs_leads_to_an_option(program: Any) -> None:
    params = cli.program.commands["melspectrogram"].params
    known = {long_name(one) for one in params if isinstance(one, click.Option)}
    assert known >= set(hints.NAMES)
    assert not known & {*hints.OPTIONS, *hints.NO_OPTION}
    assert not set(hints.OPTIONS) & set(hints.NO_OPTION)
    named = " ".join(hints.NO_OPTION.values())
    assert set(re.findall(r"--([a-z-]+)", named)) <= known
    ended = program("--sample-rate", "8000", "spectrogram", "audio")
    after = "options are given after the command\n"
    assert ended.err.endswith(f"No such option '--sample-rate': {after}")
    ended = program("-o", "x.h5", "audio")
    assert ended.err.endswith(f"No such option '-o': {after}")
    ended = program("--verison")
    assert ended.err.endswith("No such option '--verison': did you mean --version?\n")


BOTH = "kapre-extract melspectrogram or kapre-extract spectrogram"
COMMANDS = {
    ("mel", "audio"): "did you mean kapre-extract melspectrogram?",
    ("melspec",): "did you mean kapre-extract melspectrogram?",
    ("mel-spectrogram",): "did you mean kapre-extract melspectrogram?",
    ("spec",): "did you mean kapre-extract spectrogram?",
    ("spectogram",): "did you mean kapre-extract spectrogram or kapre-extract melspectrogram?",
    ("extract", "audio"): f"did you mean {BOTH}?",
    ("validate",): "did you mean kapre-extract verify?",
    ("help",): "did you mean kapre-extract --help?",
    ("frobnicate",): "the commands are spectrogram, melspectrogram, info, plot, verify, compare,",
    ("audio",): "it is a folder, and the command must be first: "
    "kapre-extract melspectrogram audio -o OUTPUT.h5",
    ("my song.wav",): "it is a file, and the command must be first: "
    "kapre-extract melspectrogram 'my song.wav' -o OUTPUT.h5",
    ("gone.flac", "-o", "y.h5", "--n-dft", "64"): "it is a path, and the command must be first: "
    "kapre-extract melspectrogram gone.flac -o y.h5 --n-dft 64",
    ("-", "--sr", "8000"): "it is standard input, and the command must be first: "
    "kapre-extract melspectrogram - --sr 8000 -o OUTPUT.h5",
    ("audio/a.wav", *"bcdef"): "it is a file, and the command must be first: "
    "kapre-extract melspectrogram audio/a.wav b c ... -o OUTPUT.h5",
    ("mels.h5",): "it is a path, and the command must be first: kapre-extract info mels.h5",
    ("out",): "it is a folder, and the command must be first: kapre-extract info out",
    (
        "\x1b[31m.wav",
    ): r"it is a path, and the command must be first: kapre-extract melspectrogram '\x1b",
}


@pytest.mark.parametrize("arguments", COMMANDS)
def test_what_is_no_command_is_told_what_may_be_meant(
    arguments: tuple[str, ...], audio: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(audio.parent)
    Path("my song.wav").touch()
    Path("out").mkdir()
    Path("out/kapre-extract.json").touch()
    before = files_below(audio.parent)
    ended = program(*arguments)
    assert (ended.code, ended.out) == (2, "")
    name = arguments[0].replace("\x1b", r"\x1b")
    assert ended.err.splitlines()[-1].startswith(
        f"Error: No such command '{name}': {COMMANDS[arguments]}"
    )
    assert files_below(audio.parent) == before


@pytest.mark.parametrize("case", USAGE)
def test_usage_errors_are_told_and_change_nothing(
    case: str, audio: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(audio.parent)
    Path("dir.h5").mkdir()
    before = files_below(audio.parent)
    arguments, message = USAGE[case]
    ended = program(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert message in " ".join(ended.err.split())
    assert "Traceback" not in ended.err
    assert files_below(audio.parent) == before


def stamp_of(path: Path) -> tuple[int, ...]:
    """Return what a file or folder is and when it changed; reading changes the time of access."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


@pytest.mark.parametrize("name", ["out.h5", "out.npy", "out"])
def test_an_existing_output_is_replaced_only_when_asked(
    name: str, audio: Path, program: Any
) -> None:
    output = audio.parent / name
    source = audio / "a.wav"
    assert program("spectrogram", source, "-o", output).code == 0
    before = stamp_of(output)
    ended = program("spectrogram", source, "-o", output, "--n-dft", 64)
    assert ended.code == 2
    assert "exists; --resume brings it up to date, --overwrite replaces it" in ended.err
    assert stamp_of(output) == before
    assert program("spectrogram", source, "-o", output, "--n-dft", 64, "--overwrite").code == 0
    with kapre_cli.open_features(output) as features:
        assert features.layer.n_dft == 64
        assert features["a.wav"].shape[1] == 33
    assert not list(audio.parent.glob("*.partial"))


def test_a_folder_with_other_files_in_it_is_not_replaced(audio: Path, program: Any) -> None:
    output = audio.parent / "out"
    assert program("spectrogram", audio, "-o", output).code == 0
    (output / "thesis.txt").write_text("mine")
    ended = program("spectrogram", audio, "-o", output, "--overwrite")
    assert ended.code == 2
    assert "thesis.txt' in the output was not made by this program" in ended.err
    assert (output / "thesis.txt").read_text() == "mine"
    (output / "thesis.txt").unlink()
    assert program("spectrogram", audio, "-o", output, "--overwrite").code == 0
    (output / "manifest.jsonl").unlink()
    ended = program("spectrogram", audio, "-o", output, "--overwrite")
    assert ended.code == 2
    assert "is not a complete output of kapre-extract" in ended.err


@pytest.mark.parametrize("more", ["empty/", "link", "a.wav.npy"])
def test_a_folder_with_other_folders_in_it_is_not_replaced(
    more: str, audio: Path, program: Any
) -> None:
    output = audio.parent / "out"
    assert program("spectrogram", audio, "-o", output).code == 0
    if more == "a.wav.npy":
        (output / more).rename(audio.parent / "kept elsewhere.npy")
        (output / more).symlink_to(audio.parent / "kept elsewhere.npy")
    elif more == "link":
        (output / more).symlink_to(audio)
    else:
        (output / more).mkdir()
    ended = program("spectrogram", audio, "-o", output, "--overwrite")
    assert ended.code == 2
    assert "was not made by this program" in ended.err
    assert (output / more).exists()


def add_annotations(file: h5py.File) -> None:
    file["annotations"] = [1, 2]


def add_label(file: h5py.File) -> None:
    file["features/labels"] = [1, 2]


def add_attribute(file: h5py.File) -> None:
    file.attrs["mine"] = "wren"


def add_attribute_of_an_array(file: h5py.File) -> None:
    file["features/a.wav"].attrs["mine"] = "wren"


@pytest.mark.parametrize("flag", ["--overwrite", "--resume"])
@pytest.mark.parametrize(
    ("add", "named"),
    [
        (add_annotations, "/annotations"),
        (add_label, "labels"),
        (add_attribute, "attribute mine"),
        (add_attribute_of_an_array, "attribute mine of a.wav"),
    ],
)
def test_an_hdf5_with_other_data_in_it_is_not_replaced(
    add: Callable[[h5py.File], None], named: str, flag: str, audio: Path, program: Any
) -> None:
    output = audio.parent / "out.h5"
    assert program("spectrogram", audio, "-o", output).code == 0
    with h5py.File(output, "r+") as file:
        add(file)
    before = output.read_bytes()
    ended = program("spectrogram", audio, "-o", output, flag)
    assert ended.code == 2
    assert f"'{named}' in the output '{output}' was not made by this program" in ended.err
    assert output.read_bytes() == before
    output.write_bytes(before[:5000])  # damaged: nobody can read what is in it
    assert program("spectrogram", audio, "-o", output, "--overwrite").code == 0


@pytest.mark.parametrize("name", ["out.h5", "out.npy", "out"])
@pytest.mark.parametrize("relative", [False, True])
def test_a_link_as_output_stands_for_what_it_leads_to(
    name: str, relative: bool, audio: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = audio.parent / "disk"
    disk.mkdir()
    monkeypatch.chdir(audio.parent)
    source = audio / "a.wav"
    assert program("spectrogram", source, "-o", disk / name).code == 0
    Path(name).symlink_to(Path("disk") / name if relative else disk / name)
    assert program("spectrogram", source, "-o", name).code == 2
    assert program("spectrogram", source, "-o", name, "--n-dft", 64, "--overwrite").code == 0
    assert Path(name).is_symlink()
    with kapre_cli.open_features(disk / name) as features:
        assert features.layer.n_dft == 64
    assert not list(audio.parent.rglob("*.partial"))


def test_names_that_cannot_be_files_are_refused_before_any_work(audio: Path, program: Any) -> None:
    content = (audio / "a.wav").read_bytes()
    long = "x" * 250 + ".wav"
    (audio / long).write_bytes(content)
    ended = program("spectrogram", audio, "-o", audio.parent / "out")
    assert ended.code == 2
    assert "is longer than the 255 bytes a name may have; write one .h5 file" in ended.err
    for name in ("x" * 246 + ".h5", "x" * 300 + ".h5", "x" * 250):
        ended = program("spectrogram", audio, "-o", audio.parent / name)
        assert ended.code == 2
        assert "is too long: with '.partial' at its end" in ended.err
    assert program("spectrogram", audio, "-o", audio.parent / "out.h5").code == 0
    (audio / long).unlink()
    for folder, taken in (("a.wav.npy", "a.wav.npy"), ("manifest.jsonl", "manifest.jsonl")):
        (audio / folder).mkdir()
        (audio / folder / "c.wav").write_bytes(content)
        ended = program("spectrogram", audio, "-o", audio.parent / "out")
        assert ended.code == 2
        assert f"{taken!r} would be a file and a folder" in ended.err
        (audio / folder / "c.wav").unlink()


def test_metadata_of_another_npy_are_not_overwritten(audio: Path, program: Any) -> None:
    (audio.parent / "x.npy.json").write_text("mine")
    ended = program("spectrogram", audio / "a.wav", "-o", audio.parent / "x.npy")
    assert ended.code == 2
    assert "x.npy.json' is in the way" in ended.err


def test_an_empty_folder_may_be_the_output(audio: Path, program: Any) -> None:
    (audio.parent / "out").mkdir()
    assert program("spectrogram", audio, "-o", audio.parent / "out").code == 0
    assert (audio.parent / "out/a.wav.npy").exists()


def test_a_folder_that_holds_no_partial_output_is_left_alone(audio: Path, program: Any) -> None:
    partial = audio.parent / "out.h5.partial"
    partial.mkdir()
    (partial / "thesis.txt").write_text("mine")
    ended = program("spectrogram", audio, "-o", audio.parent / "out.h5")
    assert ended.code == 2
    assert "out.h5.partial' is in the way" in ended.err
    assert (partial / "thesis.txt").read_text() == "mine"
    (audio.parent / "other.h5.partial").write_text("mine")
    ended = program("spectrogram", audio, "-o", audio.parent / "other.h5")
    assert ended.code == 2
    assert "other.h5.partial' is in the way" in ended.err


def test_failed_inputs_harm_no_other(audio: Path, process: Any) -> None:
    (audio / "empty.wav").touch()
    (audio / "text.wav").write_text("not audio")
    write_audio(audio / "rate.wav", reference.noise(1, 100), sr=44100)
    nan = reference.noise(2, 40_000)
    nan[0, 39_999] = np.nan
    write_audio(audio / "nan.wav", nan)
    write_audio(audio / "short.flac", reference.noise(2, 50_000))
    os.truncate(audio / "short.flac", 100_000)
    write_audio(audio / "short.wav", reference.noise(1, 1000))
    os.truncate(audio / "short.wav", 3000)
    (audio.parent / "nothing").mkdir()
    ended = process("spectrogram", "audio", "gone.wav", "nothing", "-o", "out.h5", cwd=audio.parent)
    assert (ended.code, ended.out) == (1, "")
    lines = ended.err.splitlines()
    for name, reason in {
        "audio/empty.wav": "the file is empty (0 bytes)",
        "audio/text.wav": "it is not WAV or FLAC: it begins with b'not audio'",
        "audio/rate.wav": "sample rate is 44,100 Hz, this run uses 8,000 Hz (use --resample",
        "audio/nan.wav": "NaN or infinite samples, the first at sample 39,999 (5.000 s)",
        "audio/short.flac": "50,000 samples",
        "audio/short.wav": "truncated: the header declares 1,000 samples, 7",
        "gone.wav": "cannot be opened: No such file or directory",
        "nothing": "holds no audio",
    }.items():
        assert any(line.startswith(f"failed: {name!r}: ") and reason in line for line in lines), (
            name
        )
    assert lines[-1] == "10 inputs: 2 written, 8 failed (1.0 s of audio) -> 'out.h5'"
    assert len(lines) == 9
    with h5py.File(audio.parent / "out.h5") as file:
        assert sorted(file["features"]) == ["a.wav", "b.flac"]
        expected = reference.spectrogram(reference.noise(1, 3000), n_dft=512, n_hop=256)
        reference.require_close(file["features/a.wav"][()], np.moveaxis(expected, 0, -1))


@pytest.mark.parametrize("sr", ["8000.0", "8e3", "8_000", "8000.000"])
def test_whole_numbers_may_be_written_as_other_programs_do(
    sr: str, audio: Path, program: Any
) -> None:
    plain, other = audio.parent / "plain.h5", audio.parent / "other.h5"
    command = ("melspectrogram", audio, "-o")
    whole = ("--n-dft", "256", "--n-hop", "64", "--n-mels", "16", "--channel", "0", "--jobs", "1")
    other_words = [f"{word}.0" if word.isdigit() else word for word in whole]
    assert program(*command, plain, *whole, "--sr", 8000).code == 0
    assert program(*command, other, *other_words, "--sr", sr).code == 0
    assert plain.read_bytes() == other.read_bytes()
    ended = program("verify", other, "--against", audio, "--sample", "1.0")
    assert "1 recomputed" in ended.out


def test_an_output_of_nothing_is_not_written(audio: Path, program: Any) -> None:
    (audio.parent / "x.wav").touch()
    ended = program("spectrogram", audio.parent / "x.wav", "-o", audio.parent / "out.h5")
    assert ended.code == 1
    assert "the file is empty" in ended.err
    assert "1 input: 0 written, 1 failed (0.0 s of audio); no output is written" in ended.err
    ended = program("spectrogram", audio / "a.wav", "-o", audio.parent / "out.h5", "--channel", 7)
    assert ended.code == 1
    assert "2 inputs" not in ended.err
    assert files_below(audio.parent) == ["audio", "audio/a.wav", "audio/b.flac", "x.wav"]


def test_an_input_too_short_for_valid_frames_fails(audio: Path, program: Any) -> None:
    ended = program(
        "spectrogram", audio, "-o", audio.parent / "o.h5", "--padding", "valid", "--n-dft", 4000
    )
    assert ended.code == 1
    assert "a.wav': it has 3,000 samples, fewer than the 4,000 of one frame; take" in ended.err


def test_the_first_readable_input_gives_the_rate(audio: Path, program: Any) -> None:
    write_audio(audio / "c.wav", reference.noise(1, 100), sr=500)
    (audio / "0.wav").touch()
    ended = program("spectrogram", audio, "-o", audio.parent / "out.h5")
    assert "c.wav': sample rate is 500 Hz, this run uses 8,000 Hz" in ended.err
    ended = program("spectrogram", audio, "-o", audio.parent / "out2.h5", "--sr", 500, "--resample")
    assert "4 inputs: 3 written, 1 failed" in ended.err


def test_empty_mel_bands_are_warned_of_once(audio: Path, program: Any) -> None:
    ended = program(
        "melspectrogram", audio, "-o", audio.parent / "o.h5", "--n-dft", 100, "--n-mels", 60
    )
    assert ended.code == 0
    told = (
        "warning: 2 of 60 mel bands are empty, with no frequency bin inside: 0 whatever the input"
    )
    assert ended.err.count(told) == 1
    assert f"{told} (use --n-dft 128, or --n-mels 57)\n" in ended.err
    assert "n_dft" not in ended.err


@pytest.mark.parametrize("engine", ["numpy", "keras"])
def test_a_hop_that_leaves_samples_out_is_warned_of_once(
    audio: Path, program: Any, engine: str
) -> None:
    options = ("--n-dft", 100, "--n-hop", 150, "--engine", engine)
    ended = program("spectrogram", audio, "-o", audio.parent / "o.h5", *options)
    assert ended.code == 0
    told = (
        "warning: --n-hop (150) is above --n-dft (100): of every 150 samples 50 lie in no frame "
        "(use --n-hop 100 or less, or --n-dft 256)\n"
    )
    assert ended.err.count(told) == ended.err.count("lie in no frame") == 1


ODD_NAMES = (
    "with space.wav",
    'it\'s "quoted".wav',
    "two\nlines.wav",
    "-dash.wav",
    "\x1b[31mred.wav",
    "naïve 鳥.wav",
    "100%41.wav",
    os.fsdecode(b"caf\xe9.wav"),
)


@pytest.mark.parametrize("output", ["out.h5", "out"])
def test_odd_names_go_through_and_are_printed_safely(
    output: str, tmp_path: Path, process: Any
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    plain = write_audio(tmp_path / "plain.wav", reference.noise(1, 500))
    for name in ODD_NAMES:
        (folder / name).write_bytes(plain.read_bytes())
    (folder / "\x1b[31mbad\n.wav").touch()
    ended = process("spectrogram", "in", "-o", output, cwd=tmp_path)
    assert ended.code == 1
    assert "\x1b" not in ended.err
    assert len(ended.err.splitlines()) == 2
    with kapre_cli.open_features(tmp_path / output) as features:
        assert len(features) == len(ODD_NAMES)
        assert "two\nlines.wav" in features
        assert "caf%E9.wav" in features
        assert "100%2541.wav" in features
        for array in features.values():
            assert array[:].shape == (2, 257, 1)
    ended = process("spectrogram", "-o", "one.npy", "--", "-dash.wav", cwd=folder)
    assert ended.code == 0, ended.err


def test_relative_dots_and_trailing_slashes_are_outputs_too(audio: Path, process: Any) -> None:
    ended = process("spectrogram", audio, "-o", "./out/", cwd=audio.parent)
    assert ended.code == 0, ended.err
    (audio.parent / "here").mkdir()
    ended = process("spectrogram", audio, "-o", ".", cwd=audio.parent / "here")
    assert ended.code == 0, ended.err
    assert (audio.parent / "here/a.wav.npy").exists()


def test_a_folder_may_have_any_suffix_if_it_is_said(
    audio: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = audio.parent
    monkeypatch.chdir(here)
    command = ["spectrogram", "audio", "--config", "c.toml"]
    for output, *more in (["v1.0/"], ["a.nc", "--format", "npy-directory"], ["x.h5/."]):
        (here / "c.toml").touch()
        shown = program(*command, "-o", output, *more, "--show-config")
        (here / "c.toml").write_text(shown.out)
        ended = program(*command)
        assert ended.code == 0, ended.err
        assert (here / output / "b.flac.npy").exists()
    monkeypatch.setenv("KAPRE_EXTRACT_OUTPUT", "v1.0")
    ended = program("spectrogram", "audio", "--resume")
    assert (ended.code, "is up to date" in ended.err) == (0, True)
    monkeypatch.setenv("KAPRE_EXTRACT_OUTPUT", "v2.0")
    by_variable = program("spectrogram", "audio")
    monkeypatch.delenv("KAPRE_EXTRACT_OUTPUT")
    (here / "c.toml").write_text('output = "v2.0"')
    for ended in (by_variable, program(*command)):
        assert ended.code == 2
        assert "'v2.0' has the suffix '.0', which is no format" in ended.err
    assert not (here / "v2.0").exists()


def test_an_output_that_cannot_be_written_is_told(audio: Path, process: Any) -> None:
    # A folder that is on a device without space for anything.
    if not os.path.isdir("/proc/self"):
        pytest.skip("needs /proc, where nobody can make a file")
    ended = process("spectrogram", audio, "-o", "/proc/self/out.h5")
    assert ended.code == 1
    assert "kapre-extract: Error: '/proc/self/out.h5.partial' cannot be written: " in ended.err


@pytest.mark.parametrize("limit", [1_000_000, 2_400_000], ids=["journal", "output"])
@pytest.mark.parametrize("output", ["out.h5", "out.npy", "out"])
def test_an_output_that_finds_no_room_is_told_and_its_work_kept(
    limit: int, output: str, tmp_path: Path
) -> None:
    # The system refuses files that grow past the limit. 1.6 MB of float32 while the run is on,
    # twice as much in the output.
    write_audio(tmp_path / "a.wav", reference.noise(1, 100_000))
    ended = subprocess.run(
        [*PROGRAM, "spectrogram", "a.wav", "-o", output, "--n-hop", "64", "--dtype", "float64"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        check=False,
        timeout=300,
    )
    assert ended.returncode == 1
    place = "journal" if limit < 1_600_000 else "output"
    lines = ended.stderr.splitlines()
    assert re.fullmatch(
        rf"kapre-extract: Error: '{output}.partial/{place}.*' cannot be written: File too large",
        lines[0],
    )
    assert lines[-1] == (
        "1 input: 0 written, 1 failed (0.0 s of audio); no output is written or changed"
    )
    if place == "output":  # all is computed, and need not be once more
        assert lines[1].startswith(f"1 of 1 input done: kept in '{output}.partial'; the same com")
        partial = f"{output}.partial"
        kept = [partial, f"{partial}/journal-1", f"{partial}/lock"]
        assert files_below(tmp_path) == ["a.wav", *kept]
    else:
        assert files_below(tmp_path) == ["a.wav"]


def test_an_interruption_while_the_output_takes_its_place_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: Any
) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, 1000))
    publish = WorkDir.publish

    def interrupted(work_dir: WorkDir, existing: Existing) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        publish(work_dir, existing)

    monkeypatch.setattr(WorkDir, "publish", interrupted)
    ended = program("spectrogram", tmp_path / "a.wav", "-o", tmp_path / "out.h5")
    assert ended.code == 0
    assert "1 input: 1 written" in ended.err
    assert files_below(tmp_path) == ["a.wav", "out.h5"]


def test_a_terminal_sees_a_bar_and_no_tensorflow(audio: Path) -> None:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    running = subprocess.Popen(
        [*PROGRAM, "spectrogram", "audio", "gone.wav", "-o", "out.h5"],
        cwd=audio.parent,
        stderr=slave,
        stdout=slave,
        stdin=slave,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0", "TERM": "xterm"},
    )
    os.close(slave)
    seen = b""
    try:
        while part := os.read(master, 4096):
            seen += part
    except OSError:  # Linux ends a terminal whose other side has gone with EIO
        pass
    assert running.wait(timeout=60) == 1
    shown = seen.decode()
    assert re.search(r"\? left   0%\| +\| 0/3 inputs \[00:00\]", shown)
    assert "reading back: ? left   0%|" in shown
    assert "failed: 'gone.wav': cannot be opened" in shown
    visible = [line.rsplit("\r", 1)[-1] for line in shown.replace("\r\n", "\n").split("\n")]
    for line in visible:
        assert not re.search(r"tensorflow|oneDNN|cuda|absl|[IWE]0000", line), line
    assert "3 inputs: 2 written, 1 failed" in shown


def test_a_closed_pipe_is_no_traceback() -> None:
    ended = subprocess.run(
        f"'{sys.executable}' -m kapre_cli melspectrogram --help | head -c 1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.stderr == ""


@pytest.mark.parametrize("closed", [">&-", "<&- >&-", "<&- >&- 2>&-"])
def test_closed_streams_are_nobodys_concern(closed: str, audio: Path) -> None:
    ended = subprocess.run(
        f"'{sys.executable}' -m kapre_cli spectrogram audio -o out.h5 {closed}",
        shell=True,
        cwd=audio.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.returncode == 0
    told = "" if "2>" in closed else "2 inputs: 2 written, 0 failed"
    assert ended.stderr.startswith(told)
    assert ended.stderr.count("\n") == bool(told)
    assert files_below(audio.parent) == ["audio", "audio/a.wav", "audio/b.flac", "out.h5"]
