"""The executors of commands: worker processes, or this process where none can be forked."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from kapre_cli.cli.signals import exit_on_second_signal, interruptible_waits

if TYPE_CHECKING:
    from kapre_cli.extract.executor import Executor

RESUME = "the same command with --resume goes on with what was kept"


@contextmanager
def executor(
    n_jobs: int | None = None, remedy: str = RESUME, kept: Collection[int] = ()
) -> Iterator["Executor"]:
    """Yield an executor. Signals interrupt waits within, and must not before.

    Args:
        n_jobs: Maximum number of workers; ``None``: one for each processor.
        remedy: What to do should a second request end the process at once.
        kept: Descriptors of this process that workers read from.
    """
    if not click.get_current_context().obj:  # no worker may be forked
        from kapre_cli.extract.executor import InProcess

        with InProcess() as in_process, interruptible_waits():
            yield in_process
        return
    from kapre_cli.extract.local_workers import LocalWorkers
    from kapre_cli.osutil import n_processors

    with (
        LocalWorkers(n_jobs or n_processors(), kept) as workers,
        interruptible_waits(),
        exit_on_second_signal(remedy),
    ):
        yield workers
