"""What a recording says of itself, where an output was to be looked at."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kapre_cli.audio import AudioFile, encoding_name, promise
from kapre_cli.errors import AudioReadError, printable, quoted
from kapre_cli.inspection.telling import length, table
from kapre_cli.report import counted
from kapre_cli.storage.disk import in_bytes


@dataclass(frozen=True)
class Recording:
    """What the header of a recording says.

    Attributes:
        path: The recording.
        kind: ``"WAV"`` or ``"FLAC"``.
        encoding: How it holds its samples, in words.
        sr: Sample rate in Hz.
        n_channels: Number of channels.
        n_samples: Samples of each channel; ``None`` if only decoding could tell.
        n_bytes: Bytes of the file.
        notes: What is odd about it, in sentences, and why a run would fail it.
    """

    path: Path
    kind: str
    encoding: str
    sr: int
    n_channels: int
    n_samples: int | None
    n_bytes: int
    notes: tuple[str, ...]

    @property
    def seconds(self) -> float | None:
        """Its length; ``None`` if that is not known."""
        return None if self.n_samples is None else self.n_samples / self.sr

    def to_dict(self) -> dict[str, Any]:
        """Return everything by name, ready for strict JSON."""
        return {
            "recording": str(self.path),
            "kind": self.kind,
            "encoding": self.encoding,
            "sr": self.sr,
            "n_channels": self.n_channels,
            "n_samples": self.n_samples,
            "seconds": self.seconds,
            "bytes": self.n_bytes,
            "notes": list(self.notes),
        }

    def lines(self) -> Iterator[str]:
        """Yield what a person wants to know of it, line by line."""
        samples = "not in the header"
        if self.n_samples is not None and self.seconds is not None:
            samples = f"{length(self.seconds)}, {counted(self.n_samples, 'sample')} a channel"
        yield f"{quoted(self.path)}: a recording, not an output of kapre-extract"
        yield from table(
            {
                "kind": f"{self.kind}, {self.encoding}",
                "rate": f"{self.sr:,} Hz",
                "channels": f"{self.n_channels:,}",
                "length": samples,
                "size": in_bytes(self.n_bytes),
                **({"note": printable("; ".join(self.notes))} if self.notes else {}),
            }
        )


def recording(path: Path) -> Recording:
    """Return what the header of a recording says; nothing is decoded.

    Raises:
        AudioReadError: If it has none that can be read.
    """
    header = promise(str(path))
    n_samples = header.n_frames
    notes: tuple[str, ...] = ()
    if header.kind == "FLAC" and n_samples is None:
        notes = ("its header does not say how long it is: it was written into a pipe",)
    else:
        try:
            with AudioFile(str(path)) as file:
                n_samples, notes = file.n_frames, file.notes
        except AudioReadError as error:
            notes = (f"it cannot be extracted as it is: {error}",)
    return Recording(
        path,
        header.kind,
        encoding_name(header),
        header.sr,
        header.n_channels,
        n_samples,
        path.stat().st_size,
        notes,
    )
