"""Defaults of options: the environment, ``--config``, ``--show-config``; what is refused."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kapre_cli.cli import program as command_line
from kapre_cli.cli.config import CONFIG_OPTIONS, config_text, toml
from kapre_cli.cli.options import long_name
from kapre_cli.settings import RawFormat
from tests import reference
from tests.conftest import files_below, write_audio

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

COMMANDS = [name for name, command in command_line.commands.items() if not command.hidden]


READING = [name for name in COMMANDS if CONFIG_OPTIONS[0] in command_line.commands[name].params]


def options(name: str) -> list[click.Option]:
    return [
        one
        for one in command_line.commands[name].params
        if isinstance(one, click.Option) and long_name(one) not in ("config", "show-config")
    ]


def context(name: str, *arguments: str) -> click.Context:
    """Return a command with its options parsed, before it does anything."""
    # With its settings: a command keeps the names of its option for help once it has looked.
    settings = command_line.context_settings
    parent = click.Context(command_line, info_name=command_line.name, **settings)
    return command_line.commands[name].make_context(name, list(arguments), parent=parent)


def parsed(name: str, *arguments: str) -> dict[str, Any]:
    return context(name, "in.wav", "-o", "out.h5", *arguments).params


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("run.toml")


# The environment


def test_every_option_has_a_variable() -> None:
    for name in COMMANDS:
        for option in options(name):
            assert option.envvar == f"KAPRE_EXTRACT_{long_name(option).upper().replace('-', '_')}"
    assert "KAPRE_EXTRACT_N_DFT" in {one.envvar for one in options("plot")}


@pytest.mark.parametrize(
    ("variable", "value", "name", "expected"),
    [
        ("N_DFT", "1024", "n_dft", 1024),
        ("POWER", "0.5", "power", 0.5),
        ("DECIBEL", "1", "decibel", True),
        ("VERIFY_AUDIO", "no", "verify_audio", False),
        ("OVERWRITE", "true", "overwrite", True),
        ("CHANNEL", "2 0", "channels", (2, 0)),
        ("NORM", "inf", "norm", float("inf")),
        ("RESUME", "content", "resume", "content"),
        ("ROOT", "some folder", "root", "some folder"),
        ("N_DFT", "", "n_dft", 512),
        ("SR", "16000.0", "sr", 16000),
        ("SR", "16e3", "sr", 16000),
        ("CHANNEL", "2.0 0", "channels", (2, 0)),
        ("RAW_FORMAT", "s16le,44.1e3,2.0", "raw_format", RawFormat("s16le", 44100, 2)),
    ],
)
def test_a_variable_is_a_default(
    variable: str, value: str, name: str, expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"KAPRE_EXTRACT_{variable}", value)
    assert parsed("melspectrogram")[name] == expected


def test_the_nearest_word_counts(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert parsed("spectrogram")["n_hop"] is None
    config.write_text("n-hop = 3\noverwrite = true\nchannel = [3]\n")
    by_file = parsed("spectrogram", "--config", str(config))
    assert (by_file["n_hop"], by_file["overwrite"], by_file["channels"]) == (3, True, (3,))
    monkeypatch.setenv("KAPRE_EXTRACT_CONFIG", str(config))
    assert parsed("spectrogram") == by_file
    monkeypatch.setenv("KAPRE_EXTRACT_N_HOP", "4")
    monkeypatch.setenv("KAPRE_EXTRACT_OVERWRITE", "0")
    monkeypatch.setenv("KAPRE_EXTRACT_CHANNEL", "4")
    by_variable = parsed("spectrogram")
    assert by_variable == {**by_file, "n_hop": 4, "overwrite": False, "channels": (4,)}
    monkeypatch.setenv("KAPRE_EXTRACT_DECIBEL", "1")
    by_option = parsed(
        "spectrogram", "--n-hop=5", "--overwrite", "--channel=5", "--no-decibel", "--resume"
    )
    assert by_option == {**by_file, "n_hop": 5, "channels": (5,), "resume": "stat"}


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("N_DFT", "1", "the variable KAPRE_EXTRACT_N_DFT: 1 is not in the range x>=2"),
        ("N_DFT", "many", "the variable KAPRE_EXTRACT_N_DFT: 'many' is not a whole number"),
        ("SR", "44100.5", "the variable KAPRE_EXTRACT_SR: '44100.5' is not a whole number; sample"),
        ("DECIBEL", "perhaps", "the variable KAPRE_EXTRACT_DECIBEL: 'perhaps' is not a valid"),
        ("PADDING", "\x1b[31m", r"the variable KAPRE_EXTRACT_PADDING: '\x1b[31m' is not one of"),
        ("CHANNEL", "0 x", "the variable KAPRE_EXTRACT_CHANNEL: 'x' is not a whole number"),
        ("CONFIG", "gone.toml", "'gone.toml' cannot be read: No such file or directory"),
    ],
)
def test_a_bad_variable_is_named(
    variable: str, value: str, message: str, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"KAPRE_EXTRACT_{variable}", value)
    ended = program("spectrogram", "in.wav", "-o", "out.h5")
    assert (ended.code, ended.out) == (2, "")
    assert message in " ".join(ended.err.split())


UNKNOWN = {
    "N_FFT": "; it is KAPRE_EXTRACT_N_DFT here",
    "SAMPLE_RATE": "; it is KAPRE_EXTRACT_SR here",
    "OUPUT": "; did you mean KAPRE_EXTRACT_OUTPUT?",
    "WIN_LENGTH": "; the window is as long as a frame: --n-dft samples",
    "SITE\x1b[31m": "",
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_variable_of_no_option_is_warned_of(
    name: str, config: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.touch()
    for known, value in {"N_MELS": "32", "SAMPLE": "3", "CONFIG": "run.toml", "JOBS": ""}.items():
        monkeypatch.setenv(f"KAPRE_EXTRACT_{known}", value)  # of whichever command
    monkeypatch.setenv("KAPRE_EXTRACTION", "x")
    monkeypatch.setenv("KAPRE_EXTRACT_EMPTY", "")
    quiet = ("spectrogram", "in.wav", "-o", "out.h5", "--quiet", "--show-config")
    assert program(*quiet).err == ""
    monkeypatch.setenv(f"KAPRE_EXTRACT_{name}", "1")
    shown = name.replace("\x1b", r"\x1b")
    warning = f"warning: the variable KAPRE_EXTRACT_{shown} is of no option, and is ignored"
    ended = program(*quiet)
    assert (ended.code, ended.err) == (0, f"{warning}{UNKNOWN[name]}\n")
    # It may be why an option is missing.
    ended = program("spectrogram", "in.wav")
    assert (ended.code, ended.err.splitlines()[0]) == (2, f"{warning}{UNKNOWN[name]}")
    assert "Missing option '-o'" in ended.err


# The file


def test_whole_numbers_may_be_written_as_fractions_of_zero(config: Path) -> None:
    config.write_text(
        "sr = 16000.0\nn-dft = 1024.0\nn-mels = 64.0\nchannel = [1.0, 0]\njobs = 2e0\n"
    )
    by_file = parsed("melspectrogram", "--config", str(config))
    assert (by_file["sr"], by_file["n_dft"], by_file["n_mels"]) == (16000, 1024, 64)
    assert (by_file["channels"], by_file["jobs"]) == ((1, 0), 2)
    assert "sr = 16000\n" in config_text(context("plot", __file__, "-o", "x", "--sr", "16e3"))


def test_a_file_has_options_at_its_top_and_in_tables(config: Path) -> None:
    config.write_text(
        'output = "by file.h5"\nn_dft = 64\nn-mels = 7\npower = 3\n'
        '[melspectrogram]\nn-dft = 128\nnorm = 2.0\nfmax = 900\n[spectrogram]\npadding = "valid"\n'
        '[plot]\ntime = ":3"\n'
    )
    mel = context("melspectrogram", "in.wav", "--config", str(config)).params
    assert (mel["n_dft"], mel["n_mels"], mel["norm"], mel["padding"]) == (128, 7, 2.0, "same")
    assert (mel["power"], mel["fmax"]) == (3.0, 900.0)
    assert mel["output"] == "by file.h5"
    plain = context("spectrogram", "in.wav", "--config", str(config)).params
    assert (plain["n_dft"], plain["padding"]) == (64, "valid")
    write_audio(Path("in.wav"), reference.noise(1, 100))
    assert context("plot", "in.wav", "--config", str(config)).params["time"] == (None, 3)


REFUSED = {
    "n-fft = 3": "there is no option 'n-fft'; it is n-dft here",
    "n_fft = 512": "there is no option 'n_fft'; it is n-dft here",
    "hop_length = 512": "there is no option 'hop_length'; it is n-hop here",
    'window = "hann"': "there is no option 'window'; the window is a periodic Hann window",
    "padd = 3": "there is no option 'padd'; did you mean padding?",
    "[info]\nn-dft = 3": "there is no option 'info.n-dft'; it is an option of spectrogram and",
    "[spectrogram]\nmels = 3": "there is no option 'spectrogram.mels'; it is n-mels here, an "
    "option of melspectrogram and plot",
    "inputs = 3": "there is no option 'inputs'",
    'config = "x"': "there is no option 'config'",
    "[info]\nconfig = true": "there is no option 'info.config'",
    'like = "x.h5"': "there is no option 'like'",
    '"\\u001b[31m" = 3': r"there is no option '\x1b[31m'",
    "[spectrogram]\nn-mels = 3": "there is no option 'spectrogram.n-mels'",
    "[plot]\nn-fft = 3": "there is no option 'plot.n-fft'",
    "n-dft = 3\nn_dft = 3": "n-dft is given twice",
    "n-dft = true": "n-dft must be an integer, not true",
    "n-dft = 3.5": "n-dft: 3.5 is not a whole number",
    "n-dft = inf": "n-dft: inf is not a whole number",
    "sr = 44100.5": "sr: 44100.5 is not a whole number; sample rates of files are whole numbers",
    "channel = [0, 1.5]": "channel: 1.5 is not a whole number",
    'raw-format = "u8,44100.5,1"': "raw-format: --raw-format must be ENCODING,RATE,CHANNELS "
    "with whole numbers ('44100.5' is not a whole number)",
    'n-dft = "3"': 'n-dft must be an integer, not "3"',
    'power = "3"': 'power must be a number, not "3"',
    "power = 1979-05-27": "power must be a number, not ",
    "padding = 3": "padding must be a string, not 3",
    "decibel = 1": "decibel must be true or false, not 1",
    "overwrite = [true]": "overwrite must be true or false, not [true]",
    "channel = 3": "channel must be a list of integers, not 3",
    "channel = [true]": "channel must be a list of integers, not [true]",
    "norm = false": "norm must be a string or a number, not false",
    "n-dft = 1": "n-dft: 1 is not in the range x>=2",
    'padding = "full"': "padding: 'full' is not one of",
    'norm = "area"': "norm: 'area' is not 'slaney'",
    "channel = [-1]": "channel: -1 is not in the range",
    "melspectrogram = 3": "melspectrogram is a command; write its options in a table",
    "n-dft = ": "is not TOML: Invalid value (at ",
    "x = " + "[" * 5000: "is not TOML: ",
}


@pytest.mark.parametrize("text", REFUSED, ids=[text[:30] for text in REFUSED])
def test_what_a_file_says_wrongly_is_named(text: str, config: Path, program: Any) -> None:
    config.write_text(text)
    ended = program("melspectrogram", "in.wav", "-o", "out.h5", "--config", config)
    assert (ended.code, ended.out) == (2, "")
    assert f"'run.toml': {REFUSED[text]}" in " ".join(ended.err.split()) or (
        f"'run.toml' {REFUSED[text]}" in ended.err
    )
    assert files_below(Path()) == ["run.toml"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time = 3", "time: '3' is not START:END in seconds"),
        ("range = 0", "range: '0' is not LOW:HIGH"),
        ("size = 8", "size: '8' is not WIDTHxHEIGHT in inches"),
    ],
)
def test_a_number_is_no_range_and_no_size(
    text: str, message: str, config: Path, program: Any
) -> None:
    config.write_text(f"[plot]\n{text}\n")
    ended = program("plot", "in.wav", "-o", "out.png", "--config", config)
    assert (ended.code, ended.out) == (2, "")
    assert f"'run.toml': {message}" in " ".join(ended.err.split())


def test_files_that_are_no_configuration_are_refused(config: Path, program: Any) -> None:
    config.write_bytes(b"\xff")
    Path("large.toml").write_bytes(b"#" * (2**20 + 1))
    for name, message in {
        "gone.toml": "'gone.toml' cannot be read: No such file or directory",
        ".": "'.' cannot be read: Is a directory",
        "run.toml": "'run.toml' is not TOML: 'utf-8' codec can't decode",
        "large.toml": "'large.toml' has more than 262,144 bytes",
    }.items():
        ended = program("spectrogram", "in.wav", "-o", "out.h5", "--config", name)
        assert ended.code == 2
        assert message in ended.err


# Showing it


@given(
    value=st.recursive(
        st.text(st.characters(exclude_categories=["Cs"]))
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False),
        st.lists,
        max_leaves=5,
    )
)
def test_values_are_written_as_toml_reads_them(value: Any) -> None:
    written = toml("x", value)
    assert written.replace("\n", "").isprintable()
    assert repr(tomllib.loads(written)["x"]) == repr(value)


def test_a_name_that_toml_cannot_hold_is_refused(program: Any) -> None:
    ended = program("spectrogram", "in.wav", "-o", "caf\udce9.h5", "--show-config")
    assert (ended.code, ended.out) == (2, "")
    assert r"--output: 'caf\udce9.h5' is not UTF-8, which TOML must be" in ended.err


def values_of(option: click.Option) -> st.SearchStrategy[str]:
    """Return words for one option on a command line."""
    name = f"--{long_name(option)}"
    if option.is_flag:
        return st.sampled_from([name, *option.secondary_opts])
    text: st.SearchStrategy[Any]
    if isinstance(option.type, click.Choice):
        text = st.sampled_from(list(option.type.choices))
    elif isinstance(option.type, click.IntRange):
        text = st.integers(int(option.type.min or 0), 10**20)
        text |= text.map(lambda number: f"{number}.0") | st.integers(1, 99).map("{}e2".format)
    elif isinstance(option.type, click.FloatRange):
        text = st.floats(0, exclude_min=True)
    elif isinstance(option.type, click.Path):
        text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
    else:
        text = st.sampled_from(OWN[option.name or ""])
    return text.map(lambda value: f"{name}={value}")


OWN = {
    "max_failures": ["0", "10", "2.5%", "100%"],
    "norm": ["slaney", "none", "2", "0.1", "inf", "1e-5"],
    "shard": ["1/1", "2/10", "10/10"],
    "layer": ["model.keras", "a model.keras:mel"],
    "raw_format": ["s16le,44100,2", "f64be,8000,1"],
    **{key: ["1:", ":0.1", "0.25:1e3", ":"] for key in ("time", "freq", "range")},
    "size": ["8x5", "3.25x100"],
    "cmap": ["gray_r", "viridis"],
}


def test_info_prints_files_and_reads_none() -> None:
    assert {*COMMANDS} - {*READING} == {"info"}


@pytest.mark.parametrize("name", READING)
@given(data=st.data())
def test_what_is_shown_reproduces_the_options(
    name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    known = [one for one in options(name) if long_name(one) != "like"]
    chosen = data.draw(st.lists(st.sampled_from(known), unique_by=lambda one: one.name))
    words = [data.draw(values_of(option)) for option in chosen]
    # Some commands want several files, or that they are there.
    given = [str(Path(__file__))] * sum(one.required for one in arguments(name))
    before = context(name, *given, "-o", "x", *words) if "output" in names(known) else context(
        name, *given, *words
    )  # fmt: skip
    file = tmp_path_factory.getbasetemp() / "shown.toml"
    shown = config_text(before)
    file.write_bytes(shown.encode())
    assert shown.replace("\n", "").isprintable()
    after = context(name, *given, "--config", str(file))
    assert after.params == before.params
    assert config_text(after) == shown


def arguments(name: str) -> list[click.Argument]:
    return [one for one in command_line.commands[name].params if isinstance(one, click.Argument)]


def names(known: list[click.Option]) -> set[str]:
    return {one.name or "" for one in known}


def test_output_that_takes_nothing_is_told() -> None:
    shell = f"'{sys.executable}' -m kapre_cli spectrogram a.wav -o o.h5 --show-config > /dev/full"
    ended = subprocess.run(
        ["bash", "-c", shell], capture_output=True, text=True, check=False, timeout=300
    )
    assert ended.returncode == 1
    assert ended.stderr == (
        "kapre-extract: Error: 'standard output' cannot be written: No space left on device\n"
    )


def test_showing_does_nothing_else_and_reproduces_the_run(config: Path, program: Any) -> None:
    write_audio(Path("in.wav"), reference.noise(3, 3000))
    command = ["melspectrogram", "in.wav", "--channel", "2", "--n-mels", "9", "--norm", "none"]
    ended = program(*command, "-o", "out.h5", "--show-config", "--n-dft", "128")
    assert (ended.code, ended.err) == (0, "")
    assert files_below(Path()) == ["in.wav"]
    lines = ended.out.splitlines()
    assert lines[0] == "[melspectrogram]"
    for line in (
        "n-dft = 128", "# n-hop: half of --n-dft", 'norm = "none"', "channel = [",
        'dtype = "float32"', "# sr: the first input's", "mono = false", 'output = "out.h5"',
    ):  # fmt: skip
        assert line in lines
    assert tomllib.loads(ended.out)["melspectrogram"]["channel"] == [2]
    config.write_text(ended.out)
    assert program(*command, "-o", "a.h5", "--n-dft", "128").code == 0
    assert program("melspectrogram", "in.wav", "--config", config).code == 0
    assert Path("a.h5").read_bytes() == Path("out.h5").read_bytes()


_DIGITS = "f" * 100_000


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f'a = ["""\n#""", {{a{".a" * 50_000} = 1}}]', "line 2 has more than 64 dots"),
        (f"a = ['''\n#''', {{a{'.a' * 50_000} = 1}}]", "line 2 has more than 64 dots"),
        (f"a{'.a' * 50_000} = 1", "line 1 has more than 64 dots"),
        (f"n-dft = 64\n[a{'.a' * 50_000}]", "line 2 has more than 64 dots"),
        (f"a = {'[' * 90_000}", "is not TOML"),
        (f"a = {'{a=' * 60_000}", "is not TOML"),
        ("n-dft = 64\n" * 30_000, "has more than 262,144 bytes"),
        (f"n-dft = 0x{_DIGITS}", "n-dft is a number of more than 512 bits"),
        (f"power = 0x{_DIGITS}", "power is a number of more than 512 bits"),
        (f"channel = [0x{_DIGITS}]", "channel is a number of more than 512 bits"),
        (f"n-dft = {{a = 0x{_DIGITS}}}", "n-dft must be an integer, not a table"),
        (f"n-dft = [[0x{_DIGITS}]]", "n-dft must be an integer, not a list of lists or tables"),
        *(
            (f'{name} = "a\\u0000b"', f"{name} has a NUL in it, which no name has; remove it")
            for name in ("root", "output", "report", "files-from", "dtype")
        ),
        (f"n-dft = '{_DIGITS}'", f'n-dft must be an integer, not "{"f" * 99}...'),
    ],
    ids=lambda value: value[:20],
)
def test_an_absurd_file_takes_little_memory_and_is_told_in_a_line(
    text: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "absurd.toml").write_text(text)
    limited = "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29)); "
    program = "from kapre_cli.cli import main; main()"
    ended = subprocess.run(
        [
            *(sys.executable, "-c", limited + program),
            *("spectrogram", "a.wav", "-o", "x.h5", "--config", "absurd.toml"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2, ended.stderr
    assert f"'absurd.toml': {told}" in ended.stderr or f"'absurd.toml' {told}" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert len(ended.stderr) < 300


def test_comments_and_paths_may_have_many_dots(config: Path) -> None:
    config.write_text(f"# {'.' * 100}\noutput = '{'../' * 20}x.h5'  # 60 dots\n")
    assert context("spectrogram", "in.wav", "--config", str(config)).params["output"] == (
        "../" * 20 + "x.h5"
    )


def test_a_file_may_come_through_a_pipe(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, 1000))
    command = f"{sys.executable} -m kapre_cli spectrogram a.wav -o x.h5 --show-config"
    ended = subprocess.run(
        ["bash", "-c", f"{command} --config <(echo n-dft = 64)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, "n-dft = 64" in ended.stdout) == (0, True), ended.stderr
