"""Benchmarks: the program beside its peers, as work grows, and the layers beside Keras' own.

They need the extras ``test`` and ``benchmark``, and a machine that does nothing else. Nothing here
is a test, and nothing asserts how long it takes.
"""
