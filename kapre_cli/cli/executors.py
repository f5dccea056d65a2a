"""What computes: worker processes, or this process where none can be forked."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from kapre_cli.cli.signals import ending_at_once, heard

if TYPE_CHECKING:
    from kapre_cli.extraction.executor import Executor

RESUME = "the same command with --resume goes on with what was kept"

Executors = Callable[[int | None, Collection[int]], "Executor"]


def in_process(n_jobs: int | None, kept: Collection[int]) -> "Executor":  # noqa: ARG001
    """Return what computes in this process."""
    from kapre_cli.extraction.executor import InProcess

    return InProcess()


def local_workers(n_jobs: int | None, kept: Collection[int]) -> "Executor":
    """Return what computes in worker processes. This process has no other thread yet.

    Args:
        n_jobs: How many there are at most; ``None``: one for each processor.
        kept: Descriptors of this process that they read from.
    """
    from kapre_cli.extraction.local import LocalWorkers
    from kapre_cli.posix import n_processors

    return LocalWorkers(n_jobs or n_processors(), kept)


@contextmanager
def executor(
    n_jobs: int | None = None, remedy: str = RESUME, kept: Collection[int] = ()
) -> Iterator["Executor"]:
    """Give what a command computes with. Signals are heard within, and must not be before.

    Args:
        n_jobs: How many workers there are at most; ``None``: one for each processor.
        remedy: What to do should a second request end the process at once.
        kept: Descriptors of this process that workers read from.
    """
    executors: Executors = click.get_current_context().obj
    with executors(n_jobs, kept) as made, heard():
        if executors is in_process:
            yield made
            return
        with ending_at_once(remedy):
            yield made
