"""Describe a recording, where a user names one instead of an output."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kapre_cli.audio import encoding_name, read_header
from kapre_cli.audio.reader import AudioFile
from kapre_cli.errors import AudioReadError
from kapre_cli.inspect.texts import table
from kapre_cli.text import counted, in_bytes, length, printable, quoted


def recording(path: Path, text_of: Callable[[Exception], str] = str) -> dict[str, Any]:
    """Return the properties of a recording from its header, ready for strict JSON.

    Nothing is decoded. Its length is ``None`` if only decoding could tell. ``notes`` are sentences
    on peculiarities, and why a run would fail it. Raise AudioReadError without a readable header.
    """
    header = read_header(str(path))
    n_samples = header.n_samples
    notes: tuple[str, ...] = ()
    if header.needs_decoding:
        notes = ("its header does not say how long it is: it was written into a pipe",)
    else:
        try:
            with AudioFile(str(path)) as file:
                n_samples, notes = file.n_samples, file.notes
        except AudioReadError as error:
            notes = (f"it cannot be extracted as it is: {text_of(error)}",)
    return {
        "recording": str(path),
        "kind": header.kind,
        "encoding": encoding_name(header),
        "sr": header.sr,
        "n_channels": header.n_channels,
        "n_samples": n_samples,
        "seconds": None if n_samples is None else n_samples / header.sr,
        "bytes": path.stat().st_size,
        "notes": list(notes),
    }


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
    yield from table(rows)
