"""Preview what a run would do with each input, from the headers."""

from collections.abc import Iterator
from dataclasses import replace

from kapre_cli.audio import read_header
from kapre_cli.audio.reader import AudioReader, n_chosen_channels
from kapre_cli.errors import input_error
from kapre_cli.extract.decode import check_frame
from kapre_cli.extract.tasks import Preview, Previewed, Task
from kapre_cli.inputs import Source
from kapre_cli.settings import ExtractionSettings


def preview_task(task: Task, settings: ExtractionSettings) -> Iterator[Previewed]:
    """Yield a preview of each input of a task; nothing is decoded."""
    for one in task.inputs:
        yield Previewed(one.number, _preview(one.source, settings))


def _preview(source: Source, settings: ExtractionSettings) -> Preview:
    audio = settings.audio
    try:
        header = read_header(source.file, audio.raw_format, is_stream=source.is_stream)
        if header.needs_decoding:
            n_channels = n_chosen_channels(audio, header.sr, header.n_channels)
            return Preview(None, header.sr, n_channels)
        if not header.bytes_tell_length:
            audio = replace(audio, allow_truncated=False)  # its header is relied on
        with AudioReader(source.file, audio, is_stream=source.is_stream) as reader:
            check_frame(settings.layer, reader)
            return Preview(None, reader.file.sr, reader.n_channels, reader.n_samples)
    except Exception as error:
        return Preview(input_error(error))
