"""FLAC whose metadata is damaged and whose samples are not."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kapre_cli.audio.reader import AudioFile
from kapre_cli.errors import AudioReadError
from kapre_cli.settings import AudioSettings
from tests import flac
from tests.bad_inputs import flipped, replaced

N = 3000
APPLICATION, SEEKTABLE, COMMENT, CUESHEET, PICTURE = range(2, 7)
NAMES = (
    "STREAMINFO",
    "PADDING",
    "APPLICATION",
    "SEEKTABLE",
    "VORBIS_COMMENT",
    "CUESHEET",
    "PICTURE",
)


def block(kind: int, body: bytes, length: int | None = None, *, last: bool = True) -> bytes:
    """Return a metadata block that says a length of its own, if one is given."""
    said = len(body) if length is None else length
    return bytes([kind | (0x80 if last else 0)]) + said.to_bytes(3, "big") + body


def comment(vendor: int, *lengths: int, n_comments: int | None = None) -> bytes:
    """Return a Vorbis comment of texts that say lengths of their own."""
    body = struct.pack("<I", vendor) + b"test"
    body += struct.pack("<I", len(lengths) if n_comments is None else n_comments)
    return body + b"".join(struct.pack("<I", length) + b"a=b" for length in lengths)


def picture(mime: int = 9, description: int = 0, size: int = 40) -> bytes:
    """Return a picture whose fields say lengths of their own."""
    body = struct.pack(">II", 3, mime) + b"image/png" + struct.pack(">I", description)
    return body + struct.pack(">5I", 8, 6, 24, 0, size) + bytes(40)


CUES = bytes(395) + b"\1" + bytes(35) + b"\2" + bytes(24)  # one track of two places

SOUND = {
    "comment": block(COMMENT, comment(4, 3, 3)),
    "no comments": block(COMMENT, comment(4)),
    "picture": block(PICTURE, picture()),
    "seek table": block(SEEKTABLE, bytes(36)),
    "cue sheet": block(CUESHEET, CUES),
    "application": block(APPLICATION, b"abcd123"),
    "two blocks": block(SEEKTABLE, bytes(18), last=False) + block(COMMENT, comment(4, 3)),
    "unknown block": block(99, bytes(7)),
    "no block": b"",
}

DAMAGED = {
    "comment without a vendor": (COMMENT, b"\xff\xff\xff\xff"),
    "vendor too long": (COMMENT, comment(4000, 3)),
    "comment too long": (COMMENT, comment(4, 3, 4)),
    "four billion comments": (COMMENT, comment(4, 3, n_comments=2**32 - 1)),
    "comment cut short": (COMMENT, comment(4, 3)[:-5]),
    "picture of absurd type": (PICTURE, picture(mime=2**32 - 1)),
    "picture of absurd description": (PICTURE, picture(description=2**31)),
    "picture of absurd size": (PICTURE, picture(size=2**32 - 1)),
    "half a place to seek": (SEEKTABLE, bytes(27)),
    "cue sheet of garbage": (CUESHEET, b"\xff" * 500),
    "cue sheet cut short": (CUESHEET, CUES[:-1]),
    "application without a name": (APPLICATION, b"abc"),
}


def made(blocks: bytes, samples: Any, bits: int = 16, **options: Any) -> bytes:
    """Return a FLAC file with metadata blocks behind STREAMINFO."""
    content = flac.encode(samples, bits, **options)
    return (replaced(content, 4, b"\0") if blocks else content)[:42] + blocks + content[42:]


def opened(content: bytes, path: Path, **settings: Any) -> tuple[np.ndarray, AudioFile]:
    path.write_bytes(content)
    with AudioFile(str(path), AudioSettings(sr=8000, **settings)) as file:
        return np.concatenate(list(file.blocks())), file


@pytest.mark.parametrize("name", SOUND)
def test_metadata_that_is_sound_is_not_noted(name: str, tmp_path: Path) -> None:
    samples = flac.noise(N, 2, 16)
    found, file = opened(made(SOUND[name], samples), tmp_path / "a.flac")
    np.testing.assert_array_equal(found, (samples / 2.0**15).astype(np.float32))
    assert (file.notes, file.n_missing) == ((), 0)


# 16 bits are read by libsndfile, 20 bits and what has no MD5 by FFmpeg.
@pytest.mark.parametrize(("bits", "md5"), [(16, True), (16, False), (20, True)])
@pytest.mark.parametrize("name", DAMAGED)
def test_samples_behind_damaged_metadata_are_read_with_a_note(
    name: str, bits: int, md5: bool, tmp_path: Path
) -> None:
    samples = flac.noise(N, 2, bits)
    kind, body = DAMAGED[name]
    padding = block(1, bytes(10), last=False)
    content = made(padding + block(kind, body), samples, bits, md5=md5)
    found, file = opened(content, tmp_path / "a.flac")
    np.testing.assert_array_equal(found, (samples / 2.0 ** (bits - 1)).astype(np.float32))
    assert file.n_missing == 0
    (note,) = file.notes
    assert note == (
        f"its metadata is damaged ({NAMES[kind]} block at byte 56): other programs may reject the "
        "file; its samples are read and checked nevertheless"
    )


@pytest.mark.parametrize("allow", [False, True])
def test_samples_are_checked_behind_damaged_metadata(allow: bool, tmp_path: Path) -> None:
    samples, path = flac.noise(N, 2, 16), tmp_path / "a.flac"
    damaged = block(*DAMAGED["vendor too long"])
    content = made(damaged, samples)
    with pytest.raises(AudioReadError, match="the MD5 of its samples is not the one in its header"):
        opened(flipped(content, 30), path, allow_truncated=allow)
    with pytest.raises(
        AudioReadError, match=r"declares 3,000 samples, \d,\d+ could be decoded|MD5"
    ):
        opened(flipped(content, len(content) - 4000), path)
    fewer = made(damaged, samples, total=N + 10)
    with pytest.raises(AudioReadError, match="declares 3,010 samples, 3,000 could be decoded"):
        opened(fewer, path)
    assert opened(fewer, path, allow_truncated=True)[1].n_missing == 10
    with pytest.raises(AudioReadError, match="declares 2,000 samples, 3,000 could be decoded"):
        opened(made(damaged, samples, total=2000), path)
    found, file = opened(made(damaged, samples, total=0), path)
    assert (len(found), file.n_missing) == (N, 0)


def test_a_second_file_is_found_behind_damaged_metadata(tmp_path: Path) -> None:
    content = made(block(*DAMAGED["picture of absurd size"]), flac.noise(N, 1, 16))
    with pytest.raises(AudioReadError, match=f"a second file .FLAC. .* byte {len(content):,}: "):
        opened(content + content, tmp_path / "a.flac")


@pytest.mark.parametrize("allow", [False, True])
@pytest.mark.parametrize(
    ("kind", "name"), [*((kind, NAMES[kind]) for kind in range(1, 7)), (50, "metadata (50)")]
)
def test_a_block_that_runs_past_the_end_is_told(
    kind: int, name: str, allow: bool, tmp_path: Path
) -> None:
    content = made(block(kind, bytes(40), 2**24 - 1), flac.noise(N, 1, 16))
    with pytest.raises(AudioReadError) as told:
        opened(content, tmp_path / "a.flac", allow_truncated=allow)
    assert str(told.value) == (
        f"damaged or truncated: its {name} block at byte 42 states 16,777,215 bytes, and "
        f"{len(content) - 46:,} bytes follow; copy it again"
    )


def test_frames_end_metadata_that_has_no_last_block(tmp_path: Path) -> None:
    samples = flac.noise(N, 1, 16)
    content = made(block(COMMENT, comment(4, 3), last=False), samples)
    found, file = opened(content, tmp_path / "a.flac")
    np.testing.assert_array_equal(found, (samples / 2.0**15).astype(np.float32))
    assert file.notes == ()


def test_the_note_reaches_the_run_and_its_output(tmp_path: Path, program: Any) -> None:
    samples = flac.noise(N, 1, 16)
    (tmp_path / "damaged").mkdir()
    damaged = tmp_path / "damaged/a.flac"
    damaged.write_bytes(made(block(*DAMAGED["comment too long"]), samples))
    (tmp_path / "a.flac").write_bytes(made(b"", samples))
    for path in (damaged, tmp_path / "a.flac"):
        ended = program("spectrogram", path, "-o", f"{path}.npy", "--n-dft", 64)
        assert ended.code == 0
        noted = f"note: {str(path)!r}: its metadata is damaged (VORBIS_COMMENT block at byte 42)"
        assert (noted in ended.err) == (path == damaged)
    arrays = [np.load(f"{path}.npy") for path in (damaged, tmp_path / "a.flac")]
    np.testing.assert_array_equal(*arrays)
    assert "its metadata is damaged" in program("info", f"{damaged}.npy").out
    assert program("verify", f"{damaged}.npy", "--against", damaged).code == 0
    assert program("spectrogram", damaged, "-o", tmp_path / "x.h5", "--dry-run").code == 0
