"""``--dry-run``: print what a run would do."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from kapre_cli.events import InputResult, Note
from kapre_cli.inputs import Source
from kapre_cli.run_result import RunResult
from kapre_cli.settings import ExtractionSettings, resolved_layer
from kapre_cli.text import counted, duration, quoted

if TYPE_CHECKING:
    from kapre_cli.extract.executor import Executor

_FEW = 20  # arrays that are listed one by one

Shape = tuple[int, int, int]


def print_preview(
    sources: Sequence[Source],
    settings: ExtractionSettings,
    result: RunResult,
    say: Callable[[str], None],
    executor: "Executor",
) -> None:
    """Print what a run would do; inputs that would fail are counted in ``result`` as failed."""
    from kapre_cli.extract.disk_usage import value_bytes
    from kapre_cli.extract.executor import previews
    from kapre_cli.extract.tasks import TaskSettings
    from kapre_cli.formats.metadata import OutputMetadata
    from kapre_cli.text import in_bytes

    settings = replace(settings, layer=resolved_layer(settings.layer))
    common = TaskSettings(settings, OutputMetadata.of(settings))
    layer, output = settings.layer, settings.output
    arrays: dict[str, Shape] = {}
    seconds, n_open = 0.0, 0
    for source, seen in zip(sources, previews(sources, common, executor), strict=True):
        shape = seen.shape(layer)
        if seen.failure is not None:
            result.failed(source.path, seen.failure, InputResult(source.key))
        elif shape is None or seen.n_samples is None:
            n_open += 1
            result.emit(
                Note(
                    f"{quoted(source.path)}: the header does not say how long it is; the "
                    "sums leave it out"
                )
            )
        else:
            arrays[source.key] = shape
            seconds += seen.n_samples / settings.audio.sr
    lines: Iterable[str] = (f"{quoted(key)}: {_times(shape)}" for key, shape in arrays.items())
    if len(arrays) > _FEW:
        lines = _by_channels(arrays.values(), layer.axes.index("channel"))
    for line in lines:
        say(line)
    total = sum(map(prod, arrays.values())) * value_bytes(settings)
    size = in_bytes(total) if total < 1000 else f"{in_bytes(total)} ({total:,} bytes)"
    say(
        f"axes {', '.join(layer.axes)}; {duration(seconds)} of audio at {settings.audio.sr:,} Hz; "
        f"{size} of {output.dtype}{'' if output.compression == 'none' else ' before compression'}"
    )
    result.n_written = len(arrays) + n_open


def _by_channels(arrays: Iterable[Shape], channel_axis: int) -> Iterator[str]:
    """Yield a line for each number of channels: how many arrays, of which range of shapes."""
    groups: defaultdict[int, list[Shape]] = defaultdict(list)
    for shape in arrays:
        groups[shape[channel_axis]].append(shape)
    for n_channels, shapes in sorted(groups.items()):
        shortest, longest = min(shapes), max(shapes)  # they differ in time alone
        to = "" if shortest == longest else f" to {_times(longest)}"
        of = f"{counted(len(shapes), 'array')} of {counted(n_channels, 'channel')}"
        yield f"{of}: {_times(shortest)}{to}"


def _times(shape: Shape) -> str:
    return " x ".join(f"{size:,}" for size in shape)
