"""Paths that give no input, each told of once, whichever process of a run comes upon them."""

from kapre_cli.report import Report, Watch


class Refusals:
    """Tells of what is refused before it is an input; another process comes upon it once more.

    Args:
        report: The tally of the run.
        watch: Knows how many have been told of, should another process have come down.
    """

    def __init__(self, report: Report, watch: Watch) -> None:
        self._report = report
        self._watch = watch
        self._n_refusals = 0

    def tell(self, path: str, reason: object) -> None:
        """Count a path as failed, and name it with the reason unless that has been done."""
        self._n_refusals += 1
        if self._n_refusals <= self._watch.n_refused():
            self._report.failed_before(path, reason)
        else:
            self._report.failed(path, reason)
            self._watch.refused(self._n_refusals)

    def tell_or_stop(self, path: str, reason: object) -> None:
        """Do the same while the work goes on, and stop it if more have failed than may.

        Raises:
            TooManyFailuresError: If they have, unless that has been told.
        """
        self.tell(path, reason)
        if not self._report.broken:
            self._report.require_few_failures()
