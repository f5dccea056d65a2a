"""What a run keeps for one that goes on: journals, work folder, previous results."""
