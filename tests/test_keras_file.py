"""What Keras is set to is known without Keras, and is what Keras says."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import pytest

from kapre_cli.settings.run import keras_image_data_format
from tests import reference
from tests.conftest import write_audio

FIRST = '{"floatx": "float32", "image_data_format": "channels_first"}'
LAST = '{"image_data_format": "channels_last"}'


def keep_settings(folder: Path, content: str | None) -> Path:
    """Make a folder with these settings of Keras, if any, and return it."""
    folder.mkdir(parents=True)
    if content is not None:
        (folder / "keras.json").write_text(content)
    return folder


@pytest.mark.parametrize(
    ("by_home", "by_keras_home", "expected"),
    [
        (FIRST, "no JSON", "channels_last"),
        (FIRST, "", "channels_first"),  # not set
    ],
)
def test_it_is_what_keras_says(
    by_home: str, by_keras_home: str | None, expected: str, tmp_path: Path
) -> None:
    keep_settings(tmp_path / "home/.keras", by_home)
    environment = {**os.environ, "HOME": str(tmp_path / "home"), "KERAS_BACKEND": "tensorflow"}
    environment.pop("KERAS_HOME", None)
    if by_keras_home != "":
        environment["KERAS_HOME"] = str(keep_settings(tmp_path / "elsewhere", by_keras_home))
    code = """
import sys
from kapre_cli.interpreter import tune_interpreter as make_quick
from kapre_cli.settings.run import keras_image_data_format
before = keras_image_data_format()
assert "keras" not in sys.modules
make_quick()
import keras
print(before, keras.config.image_data_format(), keras_image_data_format())
"""
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert ended.stdout.split() == [expected] * 3


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (FIRST, "channels_first"),
        (LAST, "channels_last"),
        ('{"floatx": "float32"}', "channels_last"),
        ('{"image_data_format": 1}', "channels_last"),
        ("[]", "channels_last"),
        ("\udcff", "channels_last"),  # not UTF-8
        ("", "channels_last"),
    ],
)
def test_every_file_has_an_answer(
    content: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "keras.json").write_bytes(content.encode(errors="surrogateescape"))
    assert keras_image_data_format() == expected


def test_keras_is_asked_if_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(keep_settings(tmp_path / "keras", LAST)))
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        assert keras_image_data_format() == "channels_first"
    finally:
        keras.config.set_image_data_format(before)


def test_a_resumed_run_that_has_nothing_to_do_imports_no_keras(
    program: Any, tmp_path: Path
) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(2, 3000))
    arguments = ["spectrogram", str(tmp_path / "a.wav"), "-o", str(tmp_path / "out.h5")]
    assert program(*arguments).code == 0
    environment = {**os.environ, "KERAS_HOME": str(keep_settings(tmp_path / "keras", None))}

    def resumed() -> tuple[str, set[str]]:
        code = f"""
import sys
from kapre_cli.cli import run
code = run({[*arguments, "--resume"]!r})
print(int(code), *sys.modules)
"""
        ended = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )
        code, *modules = ended.stdout.split()
        return f"{code}: {ended.stderr}", set(modules)

    said, modules = resumed()
    assert said.startswith(
        f"0: note: {str(tmp_path / 'out.h5')!r} is up to date: nothing was computed\n"
    )
    assert "h5py" in modules
    assert not {"keras", "tensorflow"} & modules
    # The layer would be another one: so the settings were looked at.
    (tmp_path / "keras" / "keras.json").write_text(FIRST)
    said, modules = resumed()
    assert said.startswith("2: ")
    assert "channels_first" in said
    assert not {"keras", "tensorflow"} & modules
