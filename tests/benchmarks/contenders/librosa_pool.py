"""librosa in two processes, each a chunk of files at a time; their parent writes."""

import os

# Two processes with two threads each are in each other's way.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

from tests.benchmarks.contenders.librosa_loop import features
from tests.benchmarks.contenders.task import told
from tests.benchmarks.contenders.writing import write_from_pool

if __name__ == "__main__":
    write_from_pool(told(), features)
