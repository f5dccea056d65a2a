"""A floor: every file decoded, and no more."""

from tests.benchmarks.contenders.task import audio_files, decoded, told

if __name__ == "__main__":
    for path in audio_files(told().folder):
        decoded(path)
