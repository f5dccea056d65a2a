"""Preview what a run would do with each input, from the headers."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace

from kapre_cli.audio import read_header
from kapre_cli.audio.reader import AudioReader, n_channels_taken
from kapre_cli.errors import AudioReadError, input_error
from kapre_cli.extract.decode import check_frame
from kapre_cli.extract.executor import Executor
from kapre_cli.extract.tasks import (
    TASK_INPUTS,
    Broken,
    Event,
    Lost,
    Preview,
    Previewed,
    Task,
    TaskInput,
    TaskSettings,
)
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
            n_channels = n_channels_taken(audio, header.sr, header.n_channels)
            return Preview(None, header.sr, n_channels)
        if not header.bytes_tell_length:
            audio = replace(audio, allow_truncated=False)  # its header is relied on
        with AudioReader(source.file, audio, is_stream=source.is_stream) as reader:
            check_frame(settings.layer, reader)
            return Preview(None, reader.file.sr, reader.n_channels, reader.n_samples)
    except Exception as error:
        return Preview(input_error(error))


def previews(sources: Sequence[Source], common: TaskSettings, executor: Executor) -> list[Preview]:
    """Return a preview of each input.

    Workers open the files, because opening a damaged one may crash a decoder, too.
    """
    found: dict[int, Preview] = {}
    inputs = [TaskInput(number, source) for number, source in enumerate(sources)]
    due = deque(inputs[first : first + TASK_INPUTS] for first in range(0, len(inputs), TASK_INPUTS))
    tried_alone: set[int] = set()
    errors: list[BaseException] = []

    def handle(event: Event) -> None:
        if isinstance(event, Previewed):
            found[event.number] = event.preview
        elif isinstance(event, Broken):
            errors.append(event.error)
        elif isinstance(event, Lost):
            for one in event.inputs:
                if one.number in tried_alone:
                    found[one.number] = Preview(crashed(event.how))
                else:
                    tried_alone.add(one.number)
                    due.append([one])

    executor.begin(common, handle, len(due))
    while len(found) < len(inputs):
        while due:
            worker = executor.idle_worker(alone=due[0][0].number in tried_alone)
            if worker is None:
                break
            executor.submit(worker, Task(due.popleft(), ""))
        executor.wait()
        if errors:
            raise errors[0]
    return [found[one.number] for one in inputs]


def crashed(how: str) -> AudioReadError:
    """Return the error of an input whose worker died twice."""
    return AudioReadError(
        f"the worker process died twice ({how}) while it was reading it: the file must be damaged "
        "in a way that its decoder cannot stand, or too large for the memory"
    )
