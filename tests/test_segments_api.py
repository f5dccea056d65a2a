"""Segments of recordings from Python, in shards, merged, and in pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kapre_cli
from kapre_cli.errors import UsageError
from tests import reference
from tests.conftest import write_audio

LAYER = kapre_cli.SpectrogramConfig(n_dft=64, n_hop=32, image_data_format="channels_last")
DECIBELS = kapre_cli.SpectrogramConfig(
    n_dft=64, n_hop=32, return_decibel_spectrogram=True, image_data_format="channels_last"
)


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    for number in range(4):
        write_audio(tmp_path / f"audio/{number}.wav", reference.noise(2, 8000, number))
    return tmp_path / "audio"


def rows_of(n_recordings: int = 4) -> list[tuple[Any, ...]]:
    """Name three segments of each recording."""
    starts = (0.5, 0.1, 0.25)
    return [
        (f"{number}.wav", start, start + 0.3, f"label {number}")
        for start in starts
        for number in range(n_recordings)
    ]


def test_rows_tables_and_clips_are_the_same_segments(audio: Path, tmp_path: Path) -> None:
    rows = [("0.wav", 0, 0.4), ("0.wav", 0.4, 0.8), ("0.wav", 0.8, 1, "", None)]
    table = tmp_path / "rows.csv"
    lines = ["path,start,end", *(",".join(map(str, row[:3])) for row in rows)]
    table.write_text("\n".join(lines))
    quiet: dict[str, Any] = {"progress": False, "jobs": 1}
    cuts: list[dict[str, Any]] = [{"segments": rows}, {"segments": table}, {"segments": [table]}]
    outputs = []
    for number, cut in enumerate([*cuts, {"clip": 0.4}]):
        output = tmp_path / f"{number}.h5"
        result = kapre_cli.extract(audio / "0.wav", output, LAYER, root=audio, **cut, **quiet)
        assert (result.n_written, result.n_failed) == (3, 0)
        assert result.seconds == pytest.approx(1.0)
        outputs.append(output.read_bytes())
    assert len(set(outputs)) == 1
    with kapre_cli.open_features(tmp_path / "0.h5") as features:
        iterated = dict(kapre_cli.iter_features(audio / "0.wav", LAYER, clip=0.4, root=audio))
        assert [*iterated] == [*features] == ["0.wav/0-0.4", "0.wav/0.4-0.8", "0.wav/0.8-1"]
        for key, array in iterated.items():
            np.testing.assert_array_equal(array[:], features[key][:], strict=True)


def test_rows_may_name_the_recordings_and_fail_alone(audio: Path) -> None:
    rows = [*((audio / row[0], *row[1:]) for row in rows_of(1)), ("no.wav", 0, 1), (audio, 2, 1)]
    found = dict(kapre_cli.iter_features(None, LAYER, segments=rows, progress=False))
    assert [*found] == ["0.wav/0.1-0.4", "0.wav/0.25-0.55", "0.wav/0.5-0.8"]
    assert found["0.wav/0.1-0.4"].metadata.label == "label 0"


def test_the_reference_of_the_recording(audio: Path) -> None:
    (whole,) = (array for _, array in kapre_cli.iter_features(audio / "0.wav", DECIBELS))
    clips = kapre_cli.iter_features(audio / "0.wav", DECIBELS, clip=0.25, reference="recording")
    together = np.concatenate([array[:] for _, array in clips])
    np.testing.assert_array_equal(together, whole[:], strict=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clip": 1, "segments": []}, "both cut recordings"),
        ({"overlap": 1}, "`overlap` is about the clips"),
        ({"clip": 1, "overlap": 1}, "`overlap` must be less than `clip`"),
        ({"clip": -1}, "`clip` must be a number above 0"),
        ({"reference": "recording"}, "`reference` is about segments"),
        ({"reference": "recording", "clip": 1}, "`reference` is about decibels"),
        ({"reference": "file", "clip": 1}, "`reference` must be one of"),
        ({"segments": []}, "there is no segment"),
        ({"clip": 0.001}, "clips must be at least a hop"),
    ],
)
def test_invalid_arguments(arguments: dict[str, Any], message: str, audio: Path) -> None:
    with pytest.raises(ValueError, match=message):
        list(kapre_cli.iter_features(audio, LAYER, progress=False, **arguments))


def test_without_inputs_there_must_be_segments() -> None:
    with pytest.raises(UsageError, match="there are no inputs"):
        kapre_cli.iter_features(None, LAYER)


@pytest.mark.parametrize("cut", [{"segments": rows_of()}, {"clip": 0.3, "overlap": 0.1}])
def test_shards_have_all_segments_of_a_recording_and_are_merged(
    cut: dict[str, Any], audio: Path, tmp_path: Path, program: Any
) -> None:
    kapre_cli.extract(audio, tmp_path / "all.h5", LAYER, progress=False, **cut)
    parts = []
    for number in (1, 2, 3):
        parts.append(tmp_path / f"{number}.h5")
        kapre_cli.extract(audio, parts[-1], LAYER, progress=False, shard=f"{number}/3", **cut)
    of_shards = []
    for part in parts:
        with kapre_cli.open_features(part) as features:
            of_shards.append({key.rpartition("/")[0] for key in features})
    assert sum(map(len, of_shards)) == len(set.union(*of_shards)) == 4
    kapre_cli.merge(parts[::-1], tmp_path / "merged.h5")
    assert (tmp_path / "merged.h5").read_bytes() == (tmp_path / "all.h5").read_bytes()
    ended = program("verify", tmp_path / "merged.h5", "--against", audio, "--all")
    assert ended.code == 0, ended.err
    n = 12 if "segments" in cut else 20
    assert f"{n} recomputed, bit for bit" in ended.out + ended.err


def test_shards_of_clips_of_other_lengths_do_not_go_together(audio: Path, tmp_path: Path) -> None:
    for number, clip in ((1, 0.25), (2, 0.5)):
        shard: dict[str, Any] = {"shard": f"{number}/2", "clip": clip, "progress": False}
        kapre_cli.extract(audio, tmp_path / f"{number}.h5", LAYER, **shard)
    with pytest.raises(UsageError, match="of another list"):
        kapre_cli.merge([tmp_path / "1.h5", tmp_path / "2.h5"], tmp_path / "merged.h5")


def test_info_describes_segments(audio: Path, tmp_path: Path, program: Any) -> None:
    rows = [*rows_of(), ("0.wav", 0.25, 0.5, "", 1)]
    kapre_cli.extract(audio, tmp_path / "x.h5", LAYER, segments=rows, progress=False)
    told = program("info", tmp_path / "x.h5").out
    assert "13, 13 segments of 4 recordings, 3.8" in told
    assert "4 labels: 'label 0' of 3, 'label 1' of 3, 'label 2' of 3, 'label 3' of 3" in told
    told = program("info", tmp_path / "x.h5", "0.wav/0.25-0.5 channel 1", "1.wav/0.5-0.8").out
    assert "0.25 s to 0.5 s of the recording, channel 1\n" in told
    assert "0.5 s to 0.8 s of the recording, 'label 1'" in told


def test_a_plot_has_the_times_of_the_recording(audio: Path, tmp_path: Path) -> None:
    rows = [("0.wav", 0.25, 0.5, "", 1)]
    kapre_cli.extract(audio, tmp_path / "x.h5", DECIBELS, segments=rows, progress=False)
    figure = kapre_cli.plot(tmp_path / "x.h5", channels=(1,))
    first, *_ = figure.axes
    low, high = first.get_xlim()
    assert (low, high) == pytest.approx((0.25, 0.5), abs=0.003)
    texts = {text.get_text() for axes in figure.axes for text in axes.texts}
    labels = {axes.get_ylabel() for axes in figure.axes} | texts
    assert "Level (dB re segment's maximum)" in labels
    with pytest.raises(UsageError, match="lasts from"):
        kapre_cli.plot(tmp_path / "x.h5", time=(0.6, 0.7))


def test_other_audio_is_found_by_verification(audio: Path, tmp_path: Path, program: Any) -> None:
    kapre_cli.extract(audio, tmp_path / "x.h5", LAYER, segments=rows_of(), progress=False)
    write_audio(audio / "1.wav", reference.noise(2, 8000, 9))
    (audio / "2.wav").unlink()
    ended = program("verify", tmp_path / "x.h5", "--against", audio, "--all")
    assert ended.code == 1
    assert "12 inputs: 6 correct, 6 wrong; 6 recomputed, bit for bit" in ended.out + ended.err
    one = program("verify", tmp_path / "x.h5", "--against", audio / "0.wav")
    assert one.code == 2
    assert "has 4 inputs" in one.err
