"""The state of an input's file, a number: blocks of one state may be reused, no others.

Whether a run reuses the results of earlier runs is decided in three places: for the run as a whole
by its settings (:func:`.previous_run.differences`), for whole arrays by
:class:`kapre_cli.extract.reuse.ReusePolicy`, and for single blocks by the number from here.
"""

from kapre_cli.audio import sha256_of
from kapre_cli.formats.checksum import crc32
from kapre_cli.formats.metadata import InputMetadata
from kapre_cli.inputs import Source
from kapre_cli.settings.checks import INT64


def input_state(source: Source, metadata: InputMetadata, non_finite: str) -> int:
    """Return the state of an opened input; raise AudioReadError if its bytes cannot be read."""
    is_identified = is_identified_by_mtime(source, metadata.source_mtime_ns)
    return identity(metadata, non_finite, "" if is_identified else sha256_of(source.file))


def is_identified_by_mtime(source: Source, mtime_ns: int) -> bool:
    """Return whether the modification time distinguishes the states of an input.

    Times beyond 64 bits are stored as the nearest time within, so the first and the last of these
    may stand for any of them.
    """
    return not source.is_stream and INT64[0] < mtime_ns < INT64[1]


def identity(metadata: InputMetadata, non_finite: str, content: str = "") -> int:
    """Return a number for all that an input's blocks depend on and that may change between runs.

    Metadata that is known only after the whole file is read does not count. ``content`` is the
    SHA-256 of its bytes, where path and time do not distinguish its states.
    """
    opened = metadata._replace(n_non_finite=0, n_silent_channels=0, sha256="", crc32=0)
    values = (*opened, non_finite, content) if content else (*opened, non_finite)
    return crc32(repr(values).encode(errors="surrogateescape"))
