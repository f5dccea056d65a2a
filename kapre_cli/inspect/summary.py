"""Summarize an output or a recording, as values and as text; no array is read."""

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from statistics import median_low
from typing import Any, NamedTuple

from kapre_cli.audio import encoding_name, read_header
from kapre_cli.errors import AudioReadError, StoredDataError, UsageError
from kapre_cli.formats.arrays import StoredArray
from kapre_cli.formats.features import Features, unknown_key
from kapre_cli.formats.metadata import InputMetadata, OutputMetadata
from kapre_cli.inputs import recording_of, seconds_text
from kapre_cli.inspect import opened
from kapre_cli.settings import (
    LAYERS,
    AudioSettings,
    ExtractionSettings,
    LayerConfig,
    OutputSettings,
    get_format,
    resolved_engine,
)
from kapre_cli.text import counted, in_bytes, length, printable, quoted

InputsMetadata = Sequence[tuple[str, InputMetadata]]

_MANY_TIMES = 10  # inputs so many times longer or shorter than the median are outliers
_EXPECTED: dict[str, int | str] = {
    "n_missing": 0,
    "n_non_finite": 0,
    "n_silent_channels": 0,
    "note": "",
}


def summary(path: Path, keys: Sequence[str] = ()) -> dict[str, Any]:
    """Return a summary of an output for strict JSON, with descriptions of ``keys``.

    Raise UsageError if it is missing or lacks one of the keys, StoredDataError if it is invalid.
    """
    with opened(path) as features:
        for key in keys:
            if key not in features:
                raise UsageError(f"{quoted(path)}: {unknown_key(key, features)}")
        try:
            known = list(features.metadata())
        except StoredDataError as error:
            raise StoredDataError(f"{quoted(path)} cannot be read: {error}") from error
        root, config, coordinate = features.root, features.layer, features.coordinate
        described, changed = root.to_dict(), chosen(root)
        seconds = {key: metadata.seconds for key, metadata in known}
        return {
            "output": str(path),
            "format": features.format,
            "format_version": described["format_version"],
            "bytes": _bytes_of(features),
            "layer": described["layer"],
            "settings": described["settings"],
            "weights": described.get("weights"),
            "versions": described["versions"],
            "chosen": [name for name in root.named if name in changed],
            "axes": list(config.axes),
            config.coordinate.name: {  # for example frequency, in Hz
                "n": config.n_values,
                "lowest": float(coordinate[0]),
                "highest": float(coordinate[-1]),
            },
            "n_inputs": len(known),
            "n_recordings": len({recording_of(key, is_segment=_is_segment(m)) for key, m in known}),
            "n_segments": sum(_is_segment(metadata) for _, metadata in known),
            "labels": _counts(metadata.label for _, metadata in known if metadata.label),
            "seconds": sum(seconds.values()),
            "n_frames": _n_frames(config, known),  # of one channel
            "source_rates": _counts(metadata.source_sr for _, metadata in known),
            "channels": _counts(metadata.n_channels for _, metadata in known),
            "shortest": _length(min, seconds),
            "longest": _length(max, seconds),
            "median_seconds": median_low(seconds.values()) if seconds else None,
            "outliers": [one._asdict() for one in outliers(known, config)],
            "inputs": [_described(features[key]) for key in dict.fromkeys(keys)],
        }


def _length(choose: Callable[..., str | None], seconds: dict[str, float]) -> dict[str, Any] | None:
    key = choose(seconds, key=seconds.__getitem__, default=None)
    return None if key is None else {"key": key, "seconds": seconds[key]}


def chosen(root: OutputMetadata) -> frozenset[str]:
    """Return the names of the arguments and settings that differ from their defaults.

    Defaults that follow from frame length and rate are those of the given ones.
    """
    config = root.layer
    given = {name: getattr(config, name) for name in ("n_dft", "sr") if hasattr(config, name)}
    by_default = type(config)().to_dict()
    follows = type(config)(**given).to_dict()
    by_default |= {name: follows[name] for name in ("n_hop", "fmax") if name in follows}
    by_default["image_data_format"] = "channels_last"  # Keras's own default
    for settings in (AudioSettings, OutputSettings, ExtractionSettings):
        of_settings = [one for one in fields(settings) if one.name in root.settings]
        by_default |= {one.name: one.default for one in of_settings}
    by_default["engine"] = resolved_engine("auto", config, root.weights)
    named = {name: value for name, value in root.named.items() if name != "layer"}
    return frozenset(name for name, value in named.items() if value != by_default.get(name))


def _described(array: StoredArray) -> dict[str, Any]:
    """Return the metadata of an input; frames are at their centres, in seconds."""
    start, step = array.metadata.time_start, array.metadata.time_step
    return {
        "key": array.key,
        "shape": list(array.shape),
        "dtype": array.dtype.name,
        "first_frame": start,
        "last_frame": start + (array.shape[array.axes.index("time")] - 1) * step,
        **array.metadata.to_dict(),
    }


def _bytes_of(features: Features) -> int:
    format_ = get_format(features.format)
    if format_.is_folder:
        return _bytes_below(features.path)
    files = (features.path, *format_.companions(features.path))
    return sum(file.stat().st_size for file in files)


def _bytes_below(folder: Path) -> int:
    n_bytes, folders = 0, [os.fspath(folder)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    n_bytes += entry.stat(follow_symlinks=False).st_size
    return n_bytes


def _n_frames(config: LayerConfig, known: InputsMetadata) -> int:
    framing = config.framing
    return sum(
        metadata.frames(framing)[1]
        for _, metadata in known
        if metadata.n_samples >= framing.min_samples  # else reading the array raises an error
    )


def _is_segment(metadata: InputMetadata) -> bool:
    return metadata.start is not None


def _counts(values: Iterable[int] | Iterable[str]) -> list[dict[str, Any]]:
    """Return how many inputs have each value, the most frequent first."""
    return [{"value": value, "n_inputs": number} for value, number in Counter(values).most_common()]


class Outlier(NamedTuple):
    """One property in which an input differs from the rest.

    Attributes:
        name: ``source_sr``, ``n_channels``, ``n_missing``, ``n_non_finite``,
            ``n_silent_channels``, ``note``, ``n_samples`` (fewer than a frame has) or ``seconds``
            (many times longer or shorter than the median).
        usual: The value of most inputs, or the expected one; for ``n_samples`` the length of a
            frame, for ``seconds`` the median.
    """

    key: str
    name: str
    value: float | str
    usual: float | str


def outliers(known: InputsMetadata, config: LayerConfig) -> Iterator[Outlier]:
    """Yield the outliers by property, in the order of the inputs."""
    for name in ("source_sr", "n_channels", *_EXPECTED):
        values = [getattr(metadata, name) for _, metadata in known]
        usual = _EXPECTED[name] if name in _EXPECTED else _most_frequent(values)
        if usual is not None:
            for (key, _), value in zip(known, values, strict=True):
                if value != usual:
                    yield Outlier(key, name, value, usual)
    for key, metadata in known:
        if metadata.n_samples < config.n_dft:
            yield Outlier(key, "n_samples", metadata.n_samples, config.n_dft)
    median = median_low(metadata.seconds for _, metadata in known) if known else 0.0
    for key, metadata in known:
        if not median / _MANY_TIMES <= metadata.seconds <= median * _MANY_TIMES:
            yield Outlier(key, "seconds", metadata.seconds, median)


def _most_frequent(values: Sequence[int]) -> int | None:
    """Return the value of more than half of the inputs, ``None`` without one."""
    for value, number in Counter(values).most_common(1):
        if 2 * number > len(values):
            return value
    return None


def recording(path: Path, text_of: Callable[[Exception], str] = str) -> dict[str, Any]:
    """Return the properties of a recording from its header, ready for strict JSON.

    Its length is ``None`` if the header does not state it. ``notes`` are sentences on
    peculiarities, and why a run would fail it. Raise AudioReadError without a readable header.
    """
    from kapre_cli.audio.reader import AudioFile  # not needed for outputs

    header = read_header(str(path))
    n_samples = header.n_samples
    notes = ["its header does not state a length, for example because it was written into a pipe"]
    if not header.needs_decoding:
        try:
            with AudioFile(str(path)) as file:
                n_samples, notes = file.n_samples, [*file.notes]
        except AudioReadError as error:
            notes = [f"it cannot be extracted as it is: {text_of(error)}"]
    return {
        "recording": str(path),
        "kind": header.kind,
        "encoding": encoding_name(header),
        "sr": header.sr,
        "n_channels": header.n_channels,
        "n_samples": n_samples,
        "seconds": None if n_samples is None else n_samples / header.sr,
        "bytes": path.stat().st_size,
        "notes": notes,
    }


# Text

_NAMED = 3  # outliers of a kind that are named
_FEW_LABELS = 6  # that are named

_OUTLIERS = {
    "source_sr": "another sample rate than most, {usual:,} Hz",
    "n_channels": "another number of channels than most, {usual:,}",
    "n_missing": "fewer samples than the file's header declares",
    "n_non_finite": "samples that are NaN or infinite",
    "n_silent_channels": "digital silence in one channel or more: every sample is 0",
    "note": "read, with a note",
    "n_samples": "shorter than one frame, {usual:,} samples",
    "seconds": "more than {many} times as long or as short as the median, {usual}",
}
_VALUES = {"source_sr": "{:,} Hz", "n_missing": "{:,} missing", "n_silent_channels": "{:,} silent"}


def summary_lines(summary: dict[str, Any]) -> Iterator[str]:
    """Yield the summary of an output, line by line."""
    layer, form = summary["layer"], get_format(summary["format"]).summary
    yield f"{quoted(summary['output'])}: {form}, {in_bytes(summary['bytes'])}"
    yield from _table(_overview(summary))
    yield ""
    yield from _choices(f"layer {layer['class_name']}", layer["config"], summary["chosen"])
    yield ""
    yield from _choices("settings", summary["settings"], summary["chosen"])
    yield ""
    yield "made with"
    yield from _wrapped(
        f"{printable(name)} {printable(version)}" for name, version in summary["versions"].items()
    )
    if summary["outliers"]:
        yield ""
        yield "outliers"
        for name, group in groupby(summary["outliers"], key=itemgetter("name")):
            yield from _outliers(name, list(group))


def input_lines(one: dict[str, Any], axes: Sequence[str]) -> Iterator[str]:
    """Yield the description of one input, line by line."""
    sizes = " x ".join(f"{axis} ({size:,})" for axis, size in zip(axes, one["shape"], strict=True))
    rate = f"{one['sr']:,} Hz"
    if one["source_sr"] != one["sr"]:
        rate += f", converted from {one['source_sr']:,} Hz"
    audio = f"{length(one['n_samples'] / one['sr'])}, {counted(one['n_samples'], 'sample')}"
    segment = {} if one["start"] is None else {"segment": _segment(one)}
    rows = {
        "array": f"{sizes}, {one['dtype']}",
        **segment,
        "recording" if segment else "audio": f"{audio} at {rate}",
        "frames": f"at {one['first_frame']:.4f} s to {one['last_frame']:.4f} s, "
        f"every {one['time_step']:.4g} s",
    }
    if one["reference"] is not None:
        rows["0 dB is"] = f"{one['reference']:.6g}, {one['reference_db']:.2f} dB"
    rows["source"] = f"{quoted(one['source'])}, {in_bytes(one['source_size'])}"
    rows["sha256"] = printable(one["sha256"])
    notes = [f"{one['n_missing']:,} samples missing"] if one["n_missing"] else []
    notes += [f"{one['n_non_finite']:,} samples not finite"] if one["n_non_finite"] else []
    if one["n_silent_channels"]:
        notes.append(f"{counted(one['n_silent_channels'], 'channel')} of digital silence")
    notes += [_one_line(one["note"])] if one["note"] else []
    if notes:
        rows["note"] = ", ".join(notes)
    yield quoted(one["key"])
    yield from _table(rows)


def _segment(one: dict[str, Any]) -> str:
    """Return bounds, channel and label of a segment."""
    text = f"{seconds_text(one['start'])} s to {seconds_text(one['end'])} s of the recording"
    if one["channel"] is not None:
        text += f", channel {one['channel']}"
    return f"{text}, {quoted(one['label'])}" if one["label"] else text


def _overview(summary: dict[str, Any]) -> dict[str, str]:
    settings = summary["settings"]
    coordinate = LAYERS[summary["layer"]["class_name"]].coordinate
    positions = summary[coordinate.name]
    lowest, highest = (coordinate.text(positions[end]) for end in ("lowest", "highest"))
    sizes = [
        axis if axis in ("time", "channel") else f"{axis} ({positions['n']:,})"
        for axis in summary["axes"]
    ]
    audio = f"{length(summary['seconds'])} of audio, {counted(summary['n_frames'], 'frame')}"
    inputs = f"{summary['n_inputs']:,}"
    if summary["n_segments"]:
        segments = counted(summary["n_segments"], "segment")
        inputs += f", {segments} of {counted(summary['n_recordings'], 'recording')}"
    rows = {
        "inputs": f"{inputs}, {audio}",
        "arrays": f"{' x '.join(sizes)}, {settings['dtype']}",
        coordinate.plural: f"{lowest} to {highest}",
        "rates": f"computed at {settings['sr']:,} Hz",
    }
    if summary["weights"]:
        of_layer = quoted(summary["weights"]["layer_name"])
        rows["weights"] = f"of the layer {of_layer}, SHA-256 {summary['weights']['sha256']}"
    if summary["n_inputs"]:
        rows["rates"] = f"{_frequent(summary['source_rates'], ' Hz')}, {rows['rates']}"
        rows["channels"] = _frequent(summary["channels"])
        shortest, longest = (
            f"{length(one['seconds'])} ({quoted(one['key'])})"
            for one in (summary["shortest"], summary["longest"])
        )
        median = length(summary["median_seconds"])
        if summary["labels"]:
            n_labels = counted(len(summary["labels"]), "label")
            named = [f"{quoted(one['value'])} of {one['n_inputs']:,}" for one in summary["labels"]]
            more = ", ..." if len(named) > _FEW_LABELS else ""
            rows["labels"] = f"{n_labels}: {', '.join(named[:_FEW_LABELS])}{more}"
        rows["lengths"] = f"from {shortest} to {longest}, median {median}"
    return rows


def _frequent(counts: Sequence[dict[str, int]], unit: str = "") -> str:
    """Return how many inputs have each value, for the six most frequent values."""
    frequent = [f"{one['value']:,}{unit} in {one['n_inputs']:,}" for one in counts[:6]]
    return ", ".join(frequent) + (", ..." if len(counts) > 6 else "")


def _choices(heading: str, values: dict[str, Any], chosen: Collection[str]) -> Iterator[str]:
    texts = {name: printable(_value(value)) for name, value in values.items()}
    yield heading
    yield from _table({name: text for name, text in texts.items() if name in chosen})
    if by_default := [f"{name} {text}" for name, text in texts.items() if name not in chosen]:
        yield "  by default:"
        yield from _wrapped(by_default)


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _outliers(name: str, group: Sequence[dict[str, Any]]) -> Iterator[str]:
    own: dict[str, Callable[[Any], str]] = {"note": _one_line, "seconds": length}
    text = own.get(name, _VALUES.get(name, "{:,}").format)
    usual = length(group[0]["usual"]) if name == "seconds" else group[0]["usual"]
    named = [f"{quoted(one['key'])} ({text(one['value'])})" for one in group[:_NAMED]]
    more = f" and {len(group) - _NAMED:,} more" if len(group) > _NAMED else ""
    yield f"  {_OUTLIERS[name].format(usual=usual, many=_MANY_TIMES)}:"
    yield f"    {', '.join(named)}{more}"


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def _table(rows: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each row: its name and its text."""
    width = max(map(len, rows), default=0)
    for name, text in rows.items():
        yield f"  {name:<{width}}  {text}"


def _wrapped(parts: Iterable[str], width: int = 98) -> Iterator[str]:
    line = ""
    for part in parts:
        longer = f"{line}, {part}" if line else f"    {part}"
        if line and len(longer) > width:
            yield f"{line},"
            longer = f"    {part}"
        line = longer
    if line:
        yield line


def recording_lines(header: dict[str, Any]) -> Iterator[str]:
    """Yield the properties of a recording as text, line by line."""
    samples = "not in the header"
    if header["n_samples"] is not None:
        samples = f"{length(header['seconds'])}, {counted(header['n_samples'], 'sample')} a channel"
    yield f"{quoted(header['recording'])}: a recording, not an output of kapre-extract"
    rows = {
        "kind": f"{header['kind']}, {header['encoding']}",
        "rate": f"{header['sr']:,} Hz",
        "channels": f"{header['n_channels']:,}",
        "length": samples,
        "size": in_bytes(header["bytes"]),
    }
    if header["notes"]:
        rows["note"] = printable("; ".join(header["notes"]))
    yield from _table(rows)
