"""From inputs to a complete output: decode, compute, assemble."""
