"""A summary in words, for a person."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from kapre_cli.errors import printable, quoted
from kapre_cli.inspection.odd import MANY_TIMES, Odd
from kapre_cli.inspection.summary import Described, Length, Summary
from kapre_cli.report import counted, duration
from kapre_cli.settings import layer_to_dict
from kapre_cli.storage.disk import in_bytes
from kapre_cli.storage.metadata import InputFacts

_FORMATS = {
    "hdf5": "one HDF5 file",
    "npy": "one .npy file with its facts beside it",
    "npy-directory": "a folder of .npy files",
}
_NAMED = 3  # odd ones of a kind that are named

_ODD = {
    "source_sr": "another sample rate than most, {usual:,} Hz",
    "n_channels": "another number of channels than most, {usual:,}",
    "n_missing": "not as many frames as the file's header promises",
    "n_non_finite": "samples that are NaN or infinite",
    "n_silent_channels": "digital silence in one channel or more: every sample is 0",
    "note": "read, with a note",
    "n_samples": "shorter than one frame, {usual:,} samples",
    "seconds": "more than {many} times as long or as short as the median, {usual}",
}
_VALUES = {
    "source_sr": "{:,} Hz",
    "n_channels": "{:,}",
    "n_missing": "{:,} missing",
    "n_non_finite": "{:,}",
    "n_silent_channels": "{:,} silent",
    "n_samples": "{:,}",
}


def summary_lines(summary: Summary) -> Iterator[str]:
    """Yield what a person wants to know of an output, line by line."""
    yield f"{quoted(summary.path)}: {_FORMATS[summary.format]}, {in_bytes(summary.n_bytes)}"
    yield from table(_overview(summary))
    root = summary.root
    yield ""
    yield from _choices(
        f"layer {root.layer.class_name}", layer_to_dict(root.layer)["config"], summary
    )
    yield ""
    yield from _choices("settings", root.settings, summary)
    yield ""
    yield "made with"
    yield from _wrapped(
        f"{printable(name)} {printable(version)}" for name, version in root.versions.items()
    )
    if summary.odd:
        yield ""
        yield "the odd ones out"
        for fact, odd in groupby(summary.odd, key=lambda one: one.fact):
            yield from _odd(fact, list(odd))


def input_lines(one: Described, axes: Sequence[str]) -> Iterator[str]:
    """Yield what a person wants to know of one input, line by line."""
    facts = one.facts
    sizes = " x ".join(f"{axis} ({size:,})" for axis, size in zip(axes, one.shape, strict=True))
    rate = f"{facts.sr:,} Hz"
    if facts.source_sr != facts.sr:
        rate += f", converted from {facts.source_sr:,} Hz"
    odd = [f"{facts.n_missing:,} frames missing"] if facts.n_missing else []
    odd += [f"{facts.n_non_finite:,} samples not finite"] if facts.n_non_finite else []
    if facts.n_silent_channels:
        odd.append(f"{counted(facts.n_silent_channels, 'channel')} of digital silence")
    odd += [_one_line(facts.note)] if facts.note else []
    yield quoted(one.key)
    yield from table(
        {
            "array": f"{sizes}, {one.dtype}",
            "audio": f"{length(facts.n_samples / facts.sr)}, "
            f"{counted(facts.n_samples, 'sample')} at {rate}",
            "frames": f"at {one.first_frame:.4f} s to {one.last_frame:.4f} s, "
            f"every {facts.time_step:.4g} s",
            **({"0 dB is": _level(facts)} if facts.reference is not None else {}),
            "source": f"{quoted(facts.source)}, {in_bytes(facts.source_size)}",
            "sha256": printable(facts.sha256),
            **({"note": ", ".join(odd)} if odd else {}),
        }
    )


def _level(facts: InputFacts) -> str:
    """Return the reference of decibels in both of its units."""
    return f"{facts.reference:.6g}, {facts.reference_db:.2f} dB"


def length(seconds: float) -> str:
    """Return a length of time, of a click too.

    >>> length(0.0123), length(90)
    ('12.3 ms', '90.0 s')
    """
    return f"{1000 * seconds:.3g} ms" if seconds < 0.9995 else duration(seconds)


def reason(key: str, error: Exception) -> str:
    """Return what is wrong with an input, on one line, without its name in front.

    >>> reason("a.wav", ValueError("'a.wav' is damaged"))
    'is damaged'
    """
    return " ".join(str(error).removeprefix(f"{quoted(key)} ").split())


def _overview(summary: Summary) -> dict[str, str]:
    root = summary.root
    audio = f"{length(summary.seconds)} of audio"
    sizes = [
        f"{axis} ({root.layer.n_features:,})" if axis == root.layer.feature_axis else axis
        for axis in root.layer.axes
    ]
    lowest, highest = summary.frequency
    told = {
        "inputs": f"{summary.n_inputs:,}, {audio}, {counted(summary.n_frames, 'frame')}",
        "arrays": f"{' x '.join(sizes)}, {root.dtype}",
        "frequencies": f"{lowest:,.1f} Hz to {highest:,.1f} Hz",
        "rates": _frequent(summary.source_rates, " Hz") + f", taken at {root.audio.sr:,} Hz",
        "channels": _frequent(summary.channels),
    }
    if summary.shortest and summary.longest and summary.median_seconds is not None:
        told["lengths"] = (
            f"from {_named(summary.shortest)} to {_named(summary.longest)}, "
            f"median {length(summary.median_seconds)}"
        )
    return told


def _named(one: Length) -> str:
    return f"{length(one.seconds)} ({quoted(one.key)})"


def _frequent(counts: Sequence[tuple[int, int]], unit: str = "") -> str:
    """Say how many inputs have each value; of many values, the most frequent."""
    told = [f"{value:,}{unit} in {number:,}" for value, number in counts[:6]]
    return ", ".join(told) + (", ..." if len(counts) > 6 else "")


def _choices(heading: str, values: Mapping[str, Any], summary: Summary) -> Iterator[str]:
    """Say what was chosen, then what is as it is by default."""
    yield heading
    chosen = {name: value for name, value in values.items() if name in summary.chosen}
    yield from table({name: printable(_value(value)) for name, value in chosen.items()})
    default = [
        f"{name} {printable(_value(value))}" for name, value in values.items() if name not in chosen
    ]
    if default:
        yield "  by default:"
        yield from _wrapped(default)


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _odd(fact: str, odd: Sequence[Odd]) -> Iterator[str]:
    usual = odd[0].usual
    if fact == "seconds" and not isinstance(usual, str):
        usual = length(usual)
    what = _ODD[fact].format(usual=usual, many=MANY_TIMES)
    named = [f"{quoted(one.key)} ({_odd_value(one)})" for one in odd[:_NAMED]]
    more = f" and {len(odd) - _NAMED:,} more" if len(odd) > _NAMED else ""
    yield f"  {what}:"
    yield f"    {', '.join(named)}{more}"


def _odd_value(one: Odd) -> str:
    if isinstance(one.value, str):
        return _one_line(one.value)
    return length(one.value) if one.fact == "seconds" else _VALUES[one.fact].format(one.value)


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def table(rows: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each row: its name and its text."""
    width = max(map(len, rows), default=0)
    for name, text in rows.items():
        yield f"  {name:<{width}}  {text}"


def _wrapped(parts: Iterable[str], width: int = 98) -> Iterator[str]:
    """Yield parts, commas between them, in lines of bounded width."""
    line = ""
    for part in parts:
        longer = f"{line}, {part}" if line else f"    {part}"
        if line and len(longer) > width:
            yield f"{line},"
            longer = f"    {part}"
        line = longer
    if line:
        yield line
