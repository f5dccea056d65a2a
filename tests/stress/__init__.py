"""Faults on purpose: kills, full disks and damaged files, by the thousand if asked to."""
