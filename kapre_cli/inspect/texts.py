"""A summary as text, for people."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from kapre_cli.inspect.summary import MANY_TIMES
from kapre_cli.settings import LAYERS, get_format
from kapre_cli.text import counted, in_bytes, length, printable, quoted

_NAMED = 3  # outliers of a kind that are named

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
_VALUES = {
    "source_sr": "{:,} Hz",
    "n_missing": "{:,} missing",
    "n_silent_channels": "{:,} silent",
}


def summary_lines(summary: dict[str, Any]) -> Iterator[str]:
    """Yield the summary of an output, line by line."""
    layer, form = summary["layer"], get_format(summary["format"]).summary
    yield f"{quoted(summary['output'])}: {form}, {in_bytes(summary['bytes'])}"
    yield from table(_overview(summary))
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
    rows = {
        "array": f"{sizes}, {one['dtype']}",
        "audio": f"{length(one['n_samples'] / one['sr'])}, "
        f"{counted(one['n_samples'], 'sample')} at {rate}",
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
    yield from table(rows)


def reason(key: str, error: Exception) -> str:
    """Return an input's error on one line, without the key in front.

    >>> reason("a.wav", ValueError("'a.wav' is damaged"))
    'is damaged'
    """
    return " ".join(str(error).removeprefix(f"{quoted(key)} ").split())


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
    rows = {
        "inputs": f"{summary['n_inputs']:,}, {audio}",
        "arrays": f"{' x '.join(sizes)}, {settings['dtype']}",
        coordinate.plural: f"{lowest} to {highest}",
        "rates": f"{_frequent(summary['source_rates'], ' Hz')}, taken at {settings['sr']:,} Hz",
        "channels": _frequent(summary["channels"]),
    }
    if summary["n_inputs"]:
        shortest, longest = (
            f"{length(one['seconds'])} ({quoted(one['key'])})"
            for one in (summary["shortest"], summary["longest"])
        )
        rows["lengths"] = (
            f"from {shortest} to {longest}, median {length(summary['median_seconds'])}"
        )
    return rows


def _frequent(counts: Sequence[dict[str, int]], unit: str = "") -> str:
    """Return how many inputs have each value, for the six most frequent values."""
    frequent = [f"{one['value']:,}{unit} in {one['n_inputs']:,}" for one in counts[:6]]
    return ", ".join(frequent) + (", ..." if len(counts) > 6 else "")


def _choices(heading: str, values: dict[str, Any], chosen: Collection[str]) -> Iterator[str]:
    texts = {name: printable(_value(value)) for name, value in values.items()}
    yield heading
    yield from table({name: text for name, text in texts.items() if name in chosen})
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
    yield f"  {_OUTLIERS[name].format(usual=usual, many=MANY_TIMES)}:"
    yield f"    {', '.join(named)}{more}"


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def table(rows: Mapping[str, str]) -> Iterator[str]:
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
