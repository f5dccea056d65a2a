"""The contenders: each a script, ``python -m tests.benchmarks.contenders.NAME FOLDER OUTPUT
N_DFT N_HOP N_MELS [--sr R]``, that does all its imports before it starts, so that importing it
takes what its imports take.

Those that are peers are what somebody who knows the library would write: no more than a loop
over the files, and no less than its fast paths. None of them checks anything.
"""
