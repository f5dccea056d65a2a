"""How many processors there are to run on."""

import os


def n_processors() -> int:
    """Return how many processors this process may run on, as a job scheduler allots them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
