"""What a run would do with each input, as far as headers tell."""

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from kapre_cli.audio import AudioReader, promise
from kapre_cli.audio.reader import n_channels_taken
from kapre_cli.errors import KapreExtractError, input_error
from kapre_cli.extraction.decoding import check_frame
from kapre_cli.settings import ExtractionSettings, LayerConfig
from kapre_cli.sources import Source


@dataclass(frozen=True)
class Preview:
    """What a run would do with one input.

    Attributes:
        failure: Why it would fail, if its header tells.
        source_sr: Its sample rate in Hz; 0 if it cannot be read.
        n_channels: Channels that the layer would see.
        n_samples: Samples of each channel that the layer would see; ``None`` where the header
            leaves that open, or if it cannot be read.
    """

    failure: KapreExtractError | None = None
    source_sr: int = 0
    n_channels: int = 0
    n_samples: int | None = None

    def shape(self, layer: LayerConfig) -> tuple[int, int, int] | None:
        """Return the shape of its array, ``None`` if there would be none or it is not known.

        Args:
            layer: The layer's arguments, with the image data format resolved.
        """
        if self.failure is not None or self.n_samples is None:
            return None
        return layer.shape(self.n_samples, self.n_channels)


def preview(source: Source, settings: ExtractionSettings) -> Preview:
    """Return what a run would do with an input; nothing of it is decoded.

    Any exception fails this input alone.
    """
    audio = settings.audio
    try:
        header = promise(source.file, audio.raw_format, is_stream=source.is_stream)
        if header.kind == "FLAC":
            # How much of it is there decoding alone could tell: its header is trusted.
            audio = replace(audio, allow_truncated=False)
            if header.n_frames is None:
                n_channels = n_channels_taken(audio, header.sr, header.n_channels)
                return Preview(None, header.sr, n_channels)
        with AudioReader(source.file, audio, is_stream=source.is_stream) as reader:
            check_frame(settings.layer, reader)
            return Preview(None, reader.file.sr, reader.n_channels, reader.n_samples)
    except Exception as error:
        return Preview(input_error(error))


def n_bytes(shape: tuple[int, ...], settings: ExtractionSettings) -> int:
    """Return how many bytes the values of an array have in the output, before compression."""
    return prod(shape) * np.dtype(settings.output.dtype).itemsize
