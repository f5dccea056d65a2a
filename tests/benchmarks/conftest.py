"""Pytest passes over this folder: nothing in it is a test, and it needs libraries tests do not."""

collect_ignore_glob = ["*"]
