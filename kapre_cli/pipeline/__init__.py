"""From inputs to a complete output: decode, compute, join, store."""
