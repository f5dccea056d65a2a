"""Inputs previewed by workers: opening a damaged file may crash a decoder, too."""

from collections import deque
from collections.abc import Sequence

from kapre_cli.errors import AudioReadError
from kapre_cli.extraction.executor import Executor
from kapre_cli.extraction.preview import Preview
from kapre_cli.extraction.tasks import (
    Broken,
    Event,
    Lost,
    Previewed,
    Task,
    TaskInput,
    TaskSettings,
)
from kapre_cli.sources import Source

_TASK_INPUTS = 64


def previews(sources: Sequence[Source], common: TaskSettings, executor: Executor) -> list[Preview]:
    """Return what a run would do with each input.

    Args:
        sources: The inputs.
        common: The settings of the run.
        executor: What looks at them.
    """
    found: dict[int, Preview] = {}
    inputs = [TaskInput(number, source) for number, source in enumerate(sources)]
    due = deque(
        inputs[first : first + _TASK_INPUTS] for first in range(0, len(inputs), _TASK_INPUTS)
    )
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

    executor.begin(common, handle, 1)
    while len(found) < len(sources):
        for worker in executor.idle_workers():
            if due:
                executor.submit(worker, Task(due.popleft(), ""))
        executor.wait()
        if errors:
            raise errors[0]
    return [found[number] for number in range(len(sources))]


def crashed(how: str) -> AudioReadError:
    """Return the error of an input that a worker died of, twice.

    Args:
        how: What it died of.
    """
    return AudioReadError(
        f"the worker process died twice ({how}) while it was reading it: the file must be damaged "
        "in a way that its decoder cannot stand, or too large for the memory"
    )
