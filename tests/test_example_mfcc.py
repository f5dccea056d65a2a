"""The example of a layer of another package, installed beside the program: one contract for all."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.fft import dct

from kapre_cli import load_layer, open_features
from kapre_cli.settings import LAYERS
from tests import reference
from tests.conftest import Ended, write_audio

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

EXAMPLE = Path(__file__).parent.parent / "examples" / "mfcc_layer"
SR = 8000
N_MELS, N_MFCC, N_DFT = 32, 13, 256
OPTIONS = ("--n-mfcc", N_MFCC, "--n-mels", N_MELS, "--n-dft", N_DFT)
INPUTS = {
    "a.wav": reference.noise(2, 4000).astype(np.float32),
    "b.wav": (0.01 * reference.noise(1, 2500, 1)).astype(np.float32),
}
# Decibels are within 0.01 dB, and an orthonormal transform keeps the length of their error.
TOLERANCE = reference.DECIBEL_TOLERANCE * np.sqrt(N_MELS)


@dataclass
class Installed:
    """The program with the example beside it.

    Attributes:
        run: Runs the program, as a process of its own, in ``folder``.
        python: Runs Python code there, and returns its output, as Latin-1 unless it is text.
        folder: A folder with two recordings in ``audio``.
    """

    run: Callable[..., Ended]
    python: Callable[..., Ended]
    folder: Path

    def extracted(self, output: str, *options: object) -> Path:
        ended = self.run("mfcc", "audio", "-o", output, *OPTIONS, *options)
        assert ended.code == 0, ended.err
        return self.folder / output


@pytest.fixture
def installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, process: Callable[..., Ended]
) -> Iterator[Installed]:
    """Put the example where an installer would put it, with the metadata that one would write."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    site = tmp_path / "site"
    metadata = site / f"kapre_mfcc-{project['version']}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    (metadata / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{name} = {place}\n" for name, place in places.items())
            for group, places in project["entry-points"].items()
        )
    )
    for module in EXAMPLE.glob("*.py"):
        (site / module.name).symlink_to(module)
    for key, samples in INPUTS.items():
        write_audio(tmp_path / "audio" / key, samples, SR)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(LAYERS, "_entry_points", None)  # this process has looked for them before
    monkeypatch.setattr(LAYERS, "_loaded", {})
    paths = os.pathsep.join((str(site), str(Path(__file__).parent.parent)))

    def run(*arguments: object, **environment: str) -> Ended:
        return process(*arguments, cwd=tmp_path, PYTHONPATH=paths, **environment)

    def python(code: str, *, is_text: bool = True) -> Ended:
        ended = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": paths},
            timeout=120,
            check=True,
        )
        encoding = "utf-8" if is_text else "latin-1"
        return Ended(0, ended.stdout.decode(encoding), ended.stderr.decode())

    yield Installed(run, python, tmp_path)
    for name in ("kapre_mfcc", "kapre_mfcc_keras"):
        sys.modules.pop(name, None)


def expected(samples: Any, n_bands: int = N_MELS) -> Any:
    """Return the coefficients of one input in float64, by librosa and SciPy."""
    power = reference.melspectrogram(
        samples, n_dft=N_DFT, n_hop=N_DFT // 2, exponent=2.0, sr=SR, n_mels=n_bands
    )
    return dct(reference.decibels(power), type=2, norm="ortho", axis=2)[..., :N_MFCC]


def require_close(array: Any, samples: Any) -> None:
    """Compare an array, axes (coefficient, time, channel), with the coefficients of its input."""
    actual = np.asarray(array).transpose(2, 1, 0)
    assert actual == pytest.approx(expected(samples), abs=TOLERANCE)


def test_the_program_names_command_and_options(installed: Installed) -> None:
    ended = installed.run("--help")
    assert (ended.code, ended.err) == (0, "")
    commands = ended.out[ended.out.index("Commands") :]
    assert commands.index("spectrogram") < commands.index("merge") < commands.index("mfcc")
    ended = installed.run("mfcc", "--help")
    assert "Extract cepstral coefficients of audio files and folders." in ended.out
    assert "--n-mfcc N" in ended.out
    assert "--n-mels N" in ended.out
    assert "kapre-extract mfcc sample_audio -o mfcc.h5 --n-mfcc 13" in ended.out
    assert "--decibel" not in ended.out
    assert "--power" not in ended.out


def test_help_imports_nothing_heavy(installed: Installed) -> None:
    code = "import sys; from kapre_cli.cli import run; run(['mfcc', '--help']); print(*sys.modules)"
    ended = installed.python(code)
    assert "kapre_mfcc" in ended.out.split()
    assert not {"numpy", "keras", "tensorflow", "h5py"} & {*ended.out.splitlines()[-1].split()}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--n-mfcc", 0), "Invalid value for '--n-mfcc': 0 is not in the range x>=1."),
        (("--n-mfcc", 33), "--n-mfcc must be an integer from 1 to 32. Received: --n-mfcc 33"),
        (("--n-mfc", 3), "No such option '--n-mfc': did you mean --n-mfcc?"),
    ],
)
def test_options_are_checked(
    installed: Installed, options: tuple[object, ...], message: str
) -> None:
    ended = installed.run("mfcc", "audio", "-o", "x.h5", *OPTIONS, *options)
    assert ended.code == 2
    assert message in ended.err


def test_options_have_defaults_in_variables_and_files(installed: Installed) -> None:
    (installed.folder / "options.toml").write_text("[mfcc]\nn-mfcc = 5\n")
    shown = ("mfcc", "audio", "-o", "x.h5", "--show-config")
    ended = installed.run(*shown, "--config", "options.toml")
    assert "n-mfcc = 5" in ended.out
    assert "n-mfcc = 6" in installed.run(*shown, KAPRE_EXTRACT_N_MFCC="6").out
    other = ("spectrogram", *shown[1:])
    for ended in (
        installed.run(*other, "--config", "options.toml"),
        installed.run(*other, KAPRE_EXTRACT_N_MFCC="6"),
    ):
        assert (ended.code, ended.err) == (0, "")


def test_settings_are_taken_from_an_output(installed: Installed) -> None:
    model = installed.extracted("x.h5", "--compression", "gzip", "--amin", 1e-6)
    (installed.folder / "x.toml").write_text(installed.run("info", model, "--config").out)
    for source in (("--like", "x.h5"), ("--config", "x.toml")):
        ended = installed.run("mfcc", "audio", "-o", "y.h5", *source, "--overwrite")
        assert ended.code == 0, ended.err
        assert (installed.folder / "y.h5").read_bytes() == model.read_bytes()
    ended = installed.run("melspectrogram", "audio", "-o", "z.h5", "--like", "x.h5")
    assert ended.code == 2
    assert "another layer, Mfcc; use kapre-extract mfcc --like x.h5" in ended.err


@pytest.mark.parametrize("engine", ["numpy", "keras"])
def test_coefficients_are_those_of_librosa_and_scipy(installed: Installed, engine: str) -> None:
    with open_features(installed.extracted("x.h5", "--engine", engine)) as features:
        assert list(features) == list(INPUTS)
        assert features["a.wav"].shape == (N_MFCC, 32, 2)
        for key, samples in INPUTS.items():
            require_close(features[key], samples)


def test_every_format_holds_the_same(installed: Installed) -> None:
    stored = installed.extracted("x.h5", "--dimension-scales")
    with h5py.File(stored) as file:
        assert file["coefficient"][:].tolist() == [*range(N_MFCC)]
        assert file["coefficient"].attrs["units"] == b"1"
        assert "frequency" not in file
        assert json.loads(file.attrs["layer"])["class_name"] == "Mfcc"
        arrays = {key: file["features"][key][:] for key in INPUTS}
    folder = installed.extracted("x")
    assert json.loads((folder / "kapre-extract.json").read_text())["coefficient"] == [
        *map(float, range(N_MFCC))
    ]
    for output in (stored, folder):
        with open_features(output) as features:
            assert features.layer.class_name == "Mfcc"
            assert features.layer.axes == ("coefficient", "time", "channel")
            assert features.coordinate.tolist() == [*range(N_MFCC)]
            with pytest.raises(AttributeError, match="at a coefficient: see `coordinate`"):
                _ = features.frequency
            for key, values in arrays.items():
                assert np.array_equal(features[key], values)
                assert features[key].metadata.reference is not None
    code = f"from kapre_cli.cli import run; run({['mfcc', 'audio', '-o', '-', *map(str, OPTIONS)]})"
    stream = io.BytesIO(installed.python(code, is_text=False).out.encode("latin-1"))
    for values in arrays.values():
        assert np.array_equal(np.load(stream), values)


def test_a_run_is_resumed(installed: Installed) -> None:
    before = installed.extracted("x.h5").read_bytes()
    write_audio(installed.folder / "audio/c.wav", reference.noise(1, 3000, 2), SR)
    ended = installed.run("mfcc", "audio", "-o", "x.h5", *OPTIONS, "--resume")
    assert ended.code == 0, ended.err
    assert "2 skipped" in ended.err
    assert (installed.folder / "x.h5").read_bytes() != before
    (installed.folder / "audio/c.wav").unlink()
    ended = installed.run("mfcc", "audio", "-o", "x.h5", *OPTIONS, "--resume")
    assert ended.code == 0, ended.err
    assert (installed.folder / "x.h5").read_bytes() == before
    ended = installed.run("mfcc", "audio", "-o", "x.h5", *OPTIONS, "--n-mfcc", 7, "--resume")
    assert ended.code == 2
    assert "n_mfcc" in ended.err


def test_outputs_are_described_verified_and_compared(installed: Installed) -> None:
    output = installed.extracted("x.h5", "--engine", "numpy")
    other = installed.extracted("y", "--engine", "keras")
    ended = installed.run("info", output)
    assert f"coefficient ({N_MFCC}) x time x channel" in ended.out
    assert "coefficient 0 to coefficient 12" in ended.out
    assert f"n_mfcc  {N_MFCC}" in ended.out
    described = json.loads(installed.run("info", output, "--json").out)
    assert described["coefficient"] == {"n": N_MFCC, "lowest": 0.0, "highest": 12.0}
    assert described["versions"]["kapre-mfcc"] == "1.0"
    ended = installed.run("verify", output, "--against", "audio", "--all")
    assert (ended.code, ended.out[-60:]) == (0, ended.out[-60:])
    assert "2 correct, 0 wrong; 2 recomputed" in ended.out
    ended = installed.run("compare", output, other, "--atol", TOLERANCE)
    assert ended.code == 0, ended.out
    ended = installed.run("compare", output, other)
    assert ended.code == 1
    assert ", coefficient " in ended.out


def test_shards_are_merged_to_the_bytes_of_one_run(installed: Installed) -> None:
    whole = installed.extracted("whole.h5", "--compression", "gzip").read_bytes()
    parts = [
        installed.extracted(f"{part}.h5", "--compression", "gzip", "--shard", f"{part}/2")
        for part in (1, 2)
    ]
    ended = installed.run("merge", *parts, "-o", "merged.h5")
    assert ended.code == 0, ended.err
    assert (installed.folder / "merged.h5").read_bytes() == whole


def test_outputs_are_plotted(installed: Installed) -> None:
    from kapre_cli.plotting import figure_of

    output = installed.extracted("x.h5")
    with open_features(output) as features:
        figure = figure_of(features)
    bar = figure.axes[-1]
    assert bar.get_ylabel() == "Coefficient (dB)"
    assert figure.axes[0].get_ylim() == (-0.5, N_MFCC - 0.5)
    assert figure._supylabel is not None  # type: ignore[attr-defined]
    assert figure._supylabel.get_text() == "Coefficient"  # type: ignore[attr-defined]
    low, high = bar.get_ylim()
    with open_features(output) as features:
        values = np.concatenate([features[key][:].ravel() for key in features])
    assert low < values.min() / 2  # signed values have a scale from their lowest
    assert high == pytest.approx(values.max())
    ended = installed.run("plot", output, "-o", "x.png", "--freq", "0:6")
    assert (ended.code, ended.err) == (0, "2 keys drawn -> 'x.png'\n")
    assert (installed.folder / "x.png").stat().st_size > 0


def test_the_keras_layer_gives_the_same_numbers(installed: Installed, tmp_path: Path) -> None:
    import keras

    layer = load_layer(installed.extracted("x.h5"))
    assert type(layer).__name__ == "Mfcc"
    for samples in INPUTS.values():
        require_close(layer(samples[np.newaxis])[0], samples)
    assert layer.compute_output_shape((1, 2, 4000)) == (1, N_MFCC, 32, 2)
    model = keras.Sequential([keras.Input((2, 4000)), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.layers[-1].get_config() == layer.get_config()
    n_mfcc = np.int64(N_MFCC)
    made = import_module("kapre_mfcc_keras").Mfcc(n_mfcc, sr=SR, n_mels=N_MELS, n_dft=N_DFT)
    assert made.config == layer.config
    assert json.dumps(made.config.to_dict()) == json.dumps(layer.config.to_dict())


def test_without_its_package_an_output_is_rejected(
    installed: Installed, process: Callable[..., Ended]
) -> None:
    output = installed.extracted("x.h5")
    ended = process("info", output)
    assert ended.code == 1
    assert "`class_name` must be one of ('Spectrogram', 'Melspectrogram')" in ended.err
    assert "class_name='Mfcc'" in ended.err


@pytest.mark.parametrize(
    ("entry_point", "message"),
    [
        ("Mfcc = kapre_mfcc_of_old:Mfcc", "the layer 'Mfcc' of the package 'kapre-mfcc' cannot be"),
        ("Mfcc = kapre_mfcc:dataclass", "'Mfcc' of the package 'kapre-mfcc' is not derived from"),
        ("MFCC = kapre_mfcc:MfccConfig", "the layer 'MFCC' has the class_name 'Mfcc'"),
    ],
)
def test_a_layer_that_cannot_be_used_is_named(
    installed: Installed, entry_point: str, message: str
) -> None:
    (written,) = installed.folder.glob("site/*/entry_points.txt")
    written.write_text(f"[kapre_cli.layers]\n{entry_point}\n")
    ended = installed.run("mfcc", "audio", "-o", "x.h5")
    assert ended.code == 2
    assert message in ended.err
    assert installed.run("--help").code == 0
    assert installed.run("spectrogram", "audio", "-o", "x.h5", "-q").code == 0


# Layers of another package: without a command, with an option that cannot be, and without --power.
OTHER_LAYERS = """
from dataclasses import dataclass
from typing import ClassVar
from kapre_cli.layers import MelspectrogramConfig, argument
from kapre_cli.settings import checks

@dataclass(frozen=True, kw_only=True)
class Mute(MelspectrogramConfig):
    class_name: ClassVar[str] = "Mute"

@dataclass(frozen=True, kw_only=True)
class Torn(MelspectrogramConfig):
    depth: "nothing_of_this_name" = argument(1, "Depth.")
    class_name: ClassVar[str] = "Torn"
    command: ClassVar[str] = "torn"

@dataclass(frozen=True, kw_only=True)
class Twice(MelspectrogramConfig):
    class_name: ClassVar[str] = "Twice"
    command: ClassVar[str] = "info"

@dataclass(frozen=True, kw_only=True)
class Quiet(MelspectrogramConfig):
    power_melgram: float = 1.0
    depth: int = argument(1, "Depth.", name="levels")
    class_name: ClassVar[str] = "Quiet"
    command: ClassVar[str] = "quiet"

    def __post_init__(self):
        super().__post_init__()
        checks.integer("depth", self.depth, at_least=1, at_most=4)

@dataclass(frozen=True, kw_only=True)
class Bounded(MelspectrogramConfig):
    depth: int = argument(1, "Depth.", name="levels", at_least=1)
    class_name: ClassVar[str] = "Bounded"
    command: ClassVar[str] = "bounded"
"""


def test_layers_without_usual_options_or_a_valid_command_harm_nothing(installed: Installed) -> None:
    (written,) = installed.folder.glob("site/*/entry_points.txt")
    names = "".join(
        f"{name} = other_layers:{name}\n" for name in ("Mute", "Torn", "Twice", "Quiet")
    )
    written.write_text(f"[kapre_cli.layers]\n{names}")
    (installed.folder / "site" / "other_layers.py").write_text(OTHER_LAYERS)
    ended = installed.run("--help")
    assert (ended.code, ended.err) == (0, "")
    shown = " ".join(ended.out.split())
    assert "Not usable: the layer 'Mute' has no `command` of its own." in shown
    assert "the layer 'Twice' has the command 'info', and this program has one" in shown
    assert "Not usable: the layer 'Torn' has no valid command: NameError" in shown
    ended = installed.run("quiet", "audio", "-o", "x.h5", "--decibel")
    assert (ended.code, "2 written, 0 failed" in ended.err) == (0, True), ended.err
    assert "--power" not in ended.err
    ended = installed.run("quiet", "audio", "-o", "y.h5", "--levels", "9")
    assert "--levels must be an integer from 1 to 4. Received: --levels 9" in ended.err


# Writes outputs without inputs, named by their layers.
WRITE_OUTPUTS = """
from pathlib import Path
from kapre_cli.formats.metadata import OutputMetadata
from kapre_cli.formats.npy import NpyDirectoryWriter
from kapre_cli.settings import LAYERS, AudioSettings
for name, arguments in {"Mute": {}, "Twice": {}, "Bounded": {"depth": 0}}.items():
    layer = LAYERS[name](**arguments, image_data_format="channels_last")
    metadata = OutputMetadata(layer, AudioSettings(sr=22050), "float32", "none", "numpy", {})
    with NpyDirectoryWriter(Path(name), metadata) as writer:
        writer.finish()
"""


def test_settings_that_a_command_lacks_or_rejects_are_named(installed: Installed) -> None:
    (written,) = installed.folder.glob("site/*/entry_points.txt")
    layers = ("Mute", "Twice", "Bounded")
    names = "".join(f"{name} = other_layers:{name}\n" for name in layers)
    written.write_text(f"[kapre_cli.layers]\n{names}")
    (installed.folder / "site" / "other_layers.py").write_text(OTHER_LAYERS)
    installed.python(WRITE_OUTPUTS)
    for name in ("Mute", "Twice"):
        message = f"'{name}' has features of the layer {name}, which has no command; "
        message += f"kapre_cli.load_layer('{name}') loads it in Python"
        for command in (("melspectrogram", "audio", "-o", "x", "--like"), ("info", "--config")):
            ended = installed.run(*command, name)
            assert (ended.code, message in ended.err) == (2, True), ended.err
    ended = installed.run("bounded", "audio", "-o", "x.h5", "--like", "Bounded")
    assert ended.code == 2
    assert "Error: 'Bounded': levels: 0 is not in the range x>=1." in ended.err
    ended = installed.run(
        "bounded", "audio", "-o", "x.h5", "--like", "Bounded", "--levels", 2, "--resample"
    )
    assert ended.code == 0, ended.err


def test_nothing_in_the_program_names_the_example() -> None:
    package = Path(sys.modules["kapre_cli"].__file__ or "").parent
    for path in package.rglob("*.py"):
        assert "mfcc" not in path.read_text(encoding="utf-8").lower(), path
