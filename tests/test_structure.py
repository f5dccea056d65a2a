"""The house: imports point one way, heavy libraries have one door each, nothing loads early."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import kapre_cli
from tests import reference
from tests.conftest import write_audio

PACKAGE = Path(kapre_cli.__file__).parent

# Ground floor first; a room uses only rooms that stand before it.
ROOMS = (
    "version",
    "text",
    "errors",
    "exit_codes",
    "osutil",
    "registry",
    "interpreter",
    "framing",
    "events",
    "event_text",
    "run_result",
    "result_log",
    "settings",
    "audio",
    "inputs",
    "layers",
    "time_frequency",
    "engines",
    "formats",
    "outputs",
    "resume",
    "plotting",
    "extraction",
    "merging",
    "inspect",
    "api",
    "cli",
    "__main__",
)

# Which modules may import a heavy library.
DOORS = {
    "av": {"audio/ffmpeg.py"},
    "click": {"cli"},
    "h5py": {
        "formats/hdf5_index.py",
        "formats/hdf5_objects.py",
        "formats/hdf5_reader.py",
        "formats/hdf5_scales.py",
        "formats/hdf5_target.py",
        "formats/hdf5_values.py",
        "formats/hdf5_writer.py",
        "formats/keras_model.py",
    },
    "jax": {"layers/steps.py"},
    "keras": {
        "formats/keras_loader.py",
        "layers/melspectrogram.py",
        "layers/spectrogram.py",
        "layers/steps.py",
        "time_frequency",
    },
    "matplotlib": {"plotting"},
    "soundfile": {"audio/libsndfile.py"},
    "soxr": {"audio/reader.py"},
    "tensorflow": {"engines/keras_engine.py", "formats/loaders.py", "layers/steps.py"},
    "tqdm": {"api/bar.py", "cli/bar.py"},
    "xarray": {"formats/arrays.py", "formats/features.py", "formats/labelled.py"},
}

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are written out"
            assert node.module is not None
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_module_is_in_a_room() -> None:
    assert {room_of(path) for path in MODULES} == set(ROOMS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    here = ROOMS.index(room_of(path))
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "kapre_cli" and len(parts) > 1 and parts[1] in ROOMS:
            assert ROOMS.index(parts[1]) <= here, f"{path} imports {name}"


def test_imports_go_round_in_no_circle_not_even_inside_a_room() -> None:
    names = {
        path: ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in MODULES
    }
    paths = {name.removesuffix(".__init__"): path for path, name in names.items()}

    def module_of(name: str) -> Path | None:
        return paths.get(name) or paths.get(name.rpartition(".")[0])

    before = {path: {*map(module_of, imported(path))} - {None, path} for path in MODULES}
    assert tuple(TopologicalSorter(before).static_order())  # a circle is a CycleError that names it


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_libraries_have_one_door(path: Path) -> None:
    place = path.relative_to(PACKAGE).as_posix()
    for name in imported(path):
        library = name.split(".")[0]
        if library in DOORS:
            assert DOORS[library] & {place, room_of(path)}, f"{place} imports {name}"


def modules_after(code: str) -> set[str]:
    ended = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return set(ended.stdout.split())


# Waits

_OF_PROCESSES = {"run", "call", "check_call", "check_output"}
_OF_ANYTHING = {"wait", "join", "communicate", "acquire", "get", "result", "select"}


def waits_without_limit(code: str) -> list[int]:
    """Return the lines of calls that may wait for ever."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if "timeout" in {keyword.arg for keyword in node.keywords}:
            continue
        name, owner = node.func.attr, ast.unparse(node.func.value)
        if (
            (owner == "subprocess" and name in _OF_PROCESSES)
            or (owner == "select" and name == "select" and len(node.args) < 4)
            or (name == "communicate")
            or (name in _OF_ANYTHING and not node.args and not node.keywords)
        ):
            found.append(node.lineno)
    return found


@pytest.mark.parametrize(
    "path",
    sorted(Path(__file__).parent.rglob("*.py")),
    ids=lambda path: str(path.relative_to(Path(__file__).parent)),
)
def test_every_wait_in_the_tests_has_a_limit(path: Path) -> None:
    assert waits_without_limit(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("code", "n_found"),
    [
        ("subprocess.run(['x'], check=True)", 1),
        ("subprocess.run(['x'], check=True, timeout=1)", 0),
        ("running.communicate(b'x')", 1),
        ("running.wait()\nthread.join()\nqueue.get()\nlock.acquire()\nfuture.result()", 5),
        ("running.wait(60)\n', '.join(names)\nnames.get('x')", 0),
        ("select.select([a], [], [])", 1),
        ("select.select([a], [], [], 5)", 0),
    ],
)
def test_waits_without_a_limit_are_found(code: str, n_found: int) -> None:
    assert len(waits_without_limit(code)) == n_found


HEAVY = {"av", "tensorflow", "keras", "numpy", "h5py", "matplotlib", "soundfile", "soxr", "tqdm"}
RUN = """
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from kapre_cli.cli import run
with redirect_stdout(StringIO()), redirect_stderr(StringIO()): """


@pytest.mark.parametrize(
    "code",
    [
        "import kapre_cli",
        RUN + "run(['--help'])",
        RUN + "run(['--version'])",
        RUN + "run(['melspectrogram', '--help'])",
        RUN + "run(['merge', '--help'])",
        RUN + "run(['spectrogram', 'a.wav', '-o', 'x.h5', '--n-fft', '512'])",
        RUN + "run(['a.wav', '-o', 'x.h5'])",
        "import os; os.environ['KAPRE_EXTRACT_N_FFT'] = '512'\n" + RUN + "run(['verify'])",
        RUN + "run(['merge', 'a.h5', 'b.h5'])",
        RUN + "run(['melspectrogram', 'a.wav', '-o', 'x.h5', '--n-hop', '0'])",
        RUN + "run(['melspectrogram', 'a.wav', '-o', 'x', '--compression', 'gzip'])",
        RUN + "run(['info', '--help'])",
        RUN + "run(['verify', 'x.h5', '--all'])",
        RUN + "run(['compare', 'x.h5'])",
        RUN + "run(['melspectrogram', '--files-from', 'gone', '-o', 'x.h5'])",
        RUN + "run(['melspectrogram', '-', '-', '-o', 'x.h5'])",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(code: str) -> None:
    assert not HEAVY & modules_after(code)


def test_refused_outputs_and_reading_back_need_no_tensorflow(tmp_path: Path) -> None:
    refused = f"run(['spectrogram', 'a.wav', '-o', {str(tmp_path / 'gone' / 'x.h5')!r}])"
    assert "tensorflow" not in modules_after(RUN + refused)
    assert not {"tensorflow", "keras"} & modules_after("from kapre_cli import open_features")


def test_merging_needs_no_tensorflow(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, 3000))
    one, all_ = str(tmp_path / "one"), str(tmp_path / "all")
    extract = f"run(['spectrogram', {str(tmp_path / 'a.wav')!r}, '-o', {one!r}]); "
    found = modules_after(RUN + extract + f"run(['merge', {one!r}, '-o', {all_!r}])")
    assert not {"tensorflow", "keras"} & found
    assert (tmp_path / "all/a.wav.npy").exists()


@pytest.mark.parametrize("command", ["verify", "compare", "merge"])
def test_checking_and_merging_import_nothing_that_computes(command: str, tmp_path: Path) -> None:
    sample = str(PACKAGE.parent / "docs" / "sample_features.h5")
    arguments = {
        "verify": [sample],
        "compare": [sample, sample],
        "merge": [sample, "-o", str(tmp_path / "x.h5")],
    }[command]
    found = modules_after(RUN + f"assert run({[command, *arguments]!r}) == 0")
    assert "kapre_cli.formats.hdf5_reader" in found
    assert not {"tqdm", "soundfile", "scipy", "soxr", "av", "matplotlib"} & found
    assert "kapre_cli.inspect.recompute" not in found


def test_looking_at_outputs_needs_no_tensorflow(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, 3000))
    audio, output = str(tmp_path / "a.wav"), str(tmp_path / "out.h5")
    commands = [
        ["spectrogram", audio, "-o", output],
        ["info", output],
        ["info", output, "a.wav", "--json"],
        ["info", output, "--config"],
        ["spectrogram", audio, "-o", str(tmp_path / "like.h5"), "--like", output],
        ["verify", output, "--against", str(tmp_path), "--all"],
        ["compare", output, output],
    ]
    code = "".join(f"assert run({command!r}) == 0; " for command in commands)
    found = modules_after(RUN + code)
    assert "kapre_cli.inspect.compare" in found
    assert not {"tensorflow", "keras"} & found


def test_a_run_needs_no_tensorflow_unless_it_is_asked_for(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, 3000))
    engines = {"auto": set(), "numpy": set(), "keras": {"tensorflow", "keras"}}
    for engine, heavy in engines.items():
        arguments = ["melspectrogram", str(tmp_path / "a.wav"), "-o", str(tmp_path / engine)]
        found = modules_after(RUN + f"run({[*arguments, '--engine', engine]!r})")
        assert {"tensorflow", "keras"} & found == heavy
        assert (tmp_path / engine / "a.wav.npy").exists()
