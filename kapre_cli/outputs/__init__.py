"""Paths of outputs: validated, locked, published."""
