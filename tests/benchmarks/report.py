"""Figures as Markdown, and the machine that they were taken on."""

import datetime
import os
import platform
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

PROGRAM_LIBRARIES = ("tensorflow", "keras", "numpy", "h5py", "soundfile", "soxr")
PEER_LIBRARIES = ("librosa", "torch", "scipy")


def tell(text: str = "") -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are numbers, and stand to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine(libraries: Sequence[str]) -> str:
    """Return the processor, the system, the versions of distributions, and the date."""
    versions = []
    for library in libraries:
        try:
            versions.append(f"{library} {metadata.version(library)}")
        except metadata.PackageNotFoundError:
            continue
    return (
        f"{_processor()}, {_n_cores()} cores; {platform.system()}, Python "
        f"{platform.python_version()}, {', '.join(versions)}; {datetime.date.today():%d %B %Y}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _n_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
