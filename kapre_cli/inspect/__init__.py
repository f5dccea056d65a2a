"""Inspect outputs: their contents, their correctness, and how two differ."""
