"""Preview what a run would do with each input, from the headers."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from kapre_cli.audio import AudioReader, promise
from kapre_cli.audio.reader import n_channels_taken
from kapre_cli.errors import AudioReadError, KapreExtractError, input_error
from kapre_cli.extraction.decoding import check_frame
from kapre_cli.extraction.executor import Executor
from kapre_cli.extraction.tasks import (
    TASK_INPUTS,
    Broken,
    Event,
    Lost,
    Previewed,
    Task,
    TaskInput,
    TaskSettings,
)
from kapre_cli.settings import ExtractionSettings, LayerConfig
from kapre_cli.sources import Source


@dataclass(frozen=True)
class Preview:
    """What a run would do with one input.

    Attributes:
        failure: Why it would fail, if its header shows that.
        source_sr: Its sample rate in Hz; 0 if it cannot be read.
        n_channels: Channels that the layer would see.
        n_samples: Samples per channel that the layer would see; ``None`` if the header does not
            tell or cannot be read.
    """

    failure: KapreExtractError | None = None
    source_sr: int = 0
    n_channels: int = 0
    n_samples: int | None = None

    def shape(self, layer: LayerConfig) -> tuple[int, int, int] | None:
        """Return the shape of its array; ``None`` if there is none or it is not known."""
        if self.failure is not None or self.n_samples is None:
            return None
        return layer.shape(self.n_samples, self.n_channels)


def preview_task(task: Task, settings: ExtractionSettings) -> Iterator[Previewed]:
    """Yield a preview of each input of a task; nothing is decoded."""
    for one in task.inputs:
        yield Previewed(one.number, _preview(one.source, settings))


def _preview(source: Source, settings: ExtractionSettings) -> Preview:
    audio = settings.audio
    try:
        header = promise(source.file, audio.raw_format, is_stream=source.is_stream)
        if header.kind == "FLAC":
            # Only decoding could tell how much of it is present: its header is trusted.
            audio = replace(audio, allow_truncated=False)
            if header.n_frames is None:
                n_channels = n_channels_taken(audio, header.sr, header.n_channels)
                return Preview(None, header.sr, n_channels)
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
