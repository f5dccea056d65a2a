"""Annotation tables: the three kinds, bad rows, and which recording a row means."""

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from kapre_cli.errors import UsageError
from kapre_cli.inputs import Inputs, Source, recording_of
from kapre_cli.inputs.keys import RejectedPath
from kapre_cli.inputs.segments import Annotations, annotated, read_annotations, recordings_of
from kapre_cli.inputs.tables import Row, read_table

RAVEN = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)"
    "\tBegin File\tFile Offset (s)\tAnnotation\r\n"
    "1\tWaveform 1\t1\t3601.25\t3602.5\t0.0\t8000.0\tnight 2.wav\t1.25\tfrog\r\n"
    "1\tSpectrogram 1\t1\t3601.25\t3602.5\t800.0\t4000.0\tnight 2.wav\t1.25\tfrog\r\n"
    "2\tSpectrogram 1\t2\t3610.0\t3611.0\t800.0\t4000.0\tnight 2.wav\t10.0\t\r\n"
)
BIRDNET = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)"
    "\tCommon Name\tSpecies Code\tConfidence\tBegin Path\tFile Offset (s)\n"
    "1\tSpectrogram 1\t1\t3.0\t6.0\t0\t15000\tEurasian Wren\twinwre4\t0.81\t"
    "D:\\field\\june\\night 1.wav\t3.0\n"
)
AUDACITY = (
    "1,5\t2,5\tcomma\n0.500000\t1.250000\tsong one\n\\\t900.0\t4000.0\n2.0\t2.0\tpoint\n3\t4\n"
)


def write(path: Path, text: str, encoding: str = "utf-8") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return str(path)


def values(rows: Iterable[Row | RejectedPath]) -> list[tuple[object, ...]]:
    """Return what rows say, without their places; of a bad row its line and the reason."""
    return [
        (one.path.rpartition(", ")[2], str(one.reason))
        if isinstance(one, RejectedPath)
        else (one.file, one.start, one.end, one.label, one.channel)
        for one in rows
    ]


@pytest.mark.parametrize("separator", [",", "\t", ";"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_with_a_header(tmp_path: Path, separator: str, encoding: str, end: str) -> None:
    lines = [
        ["Label", "END", "path", "observer", "start", "channel"],
        ["frog über", "2.5", "site a/night 1.wav", "me", "1e0", ""],
        [],
        ["  ", "14", "b.wav", "", "0.1234567", "1"],
    ]
    text = end.join(separator.join(cells) for cells in lines)
    assert values(read_table(write(tmp_path / "x.dat", text, encoding))) == [
        ("site a/night 1.wav", 1.0, 2.5, "frog über", None),
        ("b.wav", 0.123457, 14.0, "", 1),
    ]


def test_cells_may_be_quoted(tmp_path: Path) -> None:
    text = 'path,start,end,label\n"a, b.wav",0,1,"two\nlines ""x"""\nc.wav,1,2,last\nc.wav,2,1,\n'
    first, second, bad = read_table(write(tmp_path / "x.csv", text))
    assert values([first, second]) == [
        ("a, b.wav", 0.0, 1.0, 'two lines "x"', None),
        ("c.wav", 1.0, 2.0, "last", None),
    ]
    assert isinstance(bad, RejectedPath)
    assert bad.path == f"{tmp_path}/x.csv, line 5"


def test_a_selection_table_of_raven(tmp_path: Path) -> None:
    """Times count from the start of the file, not of the sequence; channels from 0."""
    assert values(read_table(write(tmp_path / "x.txt", RAVEN))) == [
        ("night 2.wav", 1.25, 2.5, "frog", 0),
        ("night 2.wav", 1.25, 2.5, "frog", 0),
        ("night 2.wav", 10.0, 11.0, "", 1),
    ]
    assert values(read_table(write(tmp_path / "y.txt", BIRDNET))) == [
        ("D:\\field\\june\\night 1.wav", 3.0, 6.0, "Eurasian Wren", 0)
    ]


def test_a_label_track_of_audacity(tmp_path: Path) -> None:
    assert values(read_table(write(tmp_path / "x.txt", AUDACITY))) == [
        ("line 1", "its start '1,5' is no number; write a decimal point: 1.5"),
        ("", 0.5, 1.25, "song one", None),
        ("line 4", "it is a point at 2 s, not a stretch"),
        ("", 3.0, 4.0, "", None),
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a.wav,2,1,,", "it ends at 1 s, before its start at 2 s"),
        ("a.wav,1,1.0000001,,", "it is a point at 1 s, not a stretch"),
        ("a.wav,-1,1,,", "it begins before the recording, at -1 s"),
        ("a.wav,x,1,,", "its start 'x' is no number; write seconds, such as 12.5"),
        ("a.wav,1_0,11,,", "its start '1_0' is no number; write seconds, such as 12.5"),
        ("a.wav,0:01,1,,", "its start '0:01' is no number; write seconds, such as 12.5"),
        ("a.wav,nan,1,,", "its start 'nan' is no number; write seconds, such as 12.5"),
        ("a.wav,0,1e400,,", "0 s to inf s lie in no recording"),
        ("a.wav,0", "its end is empty"),
        (",0,1,,", "it names no recording"),
        ("a.wav,0,1,x,-1", "its channel '-1' is no whole number from 0 on"),
        ("a.wav,0,1,x,left", "its channel 'left' is no whole number from 0 on"),
        (f"a.wav,0,1,{'x' * 1001},", "its label has 1,001 characters, more than 1,000"),
        (
            "a.wav,0,5,1,5,x",
            (
                "it has 6 cells, the header has 5; quote a text that holds ',', and write numbers "
                "with a decimal point"
            ),
        ),
    ],
)
def test_a_bad_row_fails_alone(row: str, reason: str, tmp_path: Path) -> None:
    text = f"path,start,end,label,channel\n{row}\ngood.wav,0,1,,\n"
    bad, good = read_table(write(tmp_path / "x.csv", text))
    assert values([bad, good]) == [("line 2", reason), ("good.wav", 0.0, 1.0, "", None)]


def test_a_label_that_is_not_utf8_fails_and_a_name_may_be(tmp_path: Path) -> None:
    table = tmp_path / "x.csv"
    table.write_bytes(b"path,start,end,label\n\xe4.wav,0,1,frog\na.wav,0,1,fr\xf6sch\n")
    good, bad = read_table(str(table))
    assert isinstance(good, Row)
    assert good.file == os.fsdecode(b"\xe4.wav")
    assert isinstance(bad, RejectedPath)
    assert "is not UTF-8; save the table as UTF-8" in str(bad.reason)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"file,begin,stop\na.wav,0,1\n", "is no table of annotations: expected a header with"),
        (b"hello\n", "is no table of annotations"),
        ("path,start,end\na,0,1\n".encode("utf-16"), "is in UTF-16"),
        ("path,start,end\na,0,1\n".encode("utf-16-le"), "is in UTF-16"),
        (b"path,start,end\na\0,0,1\n", "it holds NUL"),
        (b"x" * 100_000, "it has a line of more than 65,536 characters"),
        (b'path,start,end\n"a,0,1\n' + b"b,0,1\n" * 50_000, "cannot be read: field larger"),
    ],
)
def test_what_is_no_table_is_a_usage_error(content: bytes, message: str, tmp_path: Path) -> None:
    table = tmp_path / "x.csv"
    table.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        list(read_table(str(table)))


def test_missing_tables_and_empty_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_annotations(tmp_path / "gone.csv")
    with pytest.raises(UsageError, match="there is no segment in"):
        read_annotations(write(tmp_path / "empty.txt", ""))
    write(tmp_path / "sub/readme.md", "")
    with pytest.raises(UsageError, match="has no table of annotations"):
        read_annotations(tmp_path / "sub")


def test_a_folder_of_tables(tmp_path: Path) -> None:
    write(tmp_path / "b.TXT", "0\t1\tb\n")
    write(tmp_path / "a/x.csv", "path,start,end\na.wav,0,1\n")
    write(tmp_path / "readme.txt", "hello\n")
    write(tmp_path / ".hidden/x.csv", "path,start,end\nh.wav,0,1\n")
    write(tmp_path / "utf16.tsv", "path\tstart\tend\n", "utf-16")
    found = read_annotations(tmp_path)
    assert [(row.table, row.file) for row in found.rows] == [
        (f"{tmp_path}/b.TXT", ""),
        (f"{tmp_path}/a/x.csv", "a.wav"),
    ]
    assert [one.path for one in found.rejected] == [f"{tmp_path}/utf16.tsv"]
    assert [str(note) for note in found.notes] == [
        f"'{tmp_path}': skipped 1 file that is no table of annotations: '{tmp_path}/readme.txt'"
    ]


# Which recording a row means


def inputs(*paths: str, keys: tuple[str, ...] = ()) -> Inputs:
    return Inputs(tuple(map(Source, paths, keys or paths)))


def found(of: Inputs, *files: str, table: str = "tables/x.csv") -> list[str]:
    """Return the keys of the recordings that rows mean, and why the others mean none."""
    rows = tuple(Row(f"line {i}", table, file, i, i + 1) for i, file in enumerate(files))
    made = annotated(of, Annotations(rows))
    keys = [recording_of(source.key, is_segment=True) for source in made.sources]
    return keys + [str(one.reason) for one in made.rejected_paths]


def test_a_path_is_looked_up_as_written_beside_the_table_by_key_and_by_its_end() -> None:
    of = inputs("june/a.wav", "tables/b.wav", "/x/c.wav", "d.wav", keys=("a", "b", "s/c.wav", "d"))
    assert found(of, "june/a.wav") == ["a"]
    assert found(of, "june/../june/a.wav") == ["a"]
    assert found(of, os.path.abspath("june/a.wav")) == ["a"]
    assert found(of, "b.wav") == ["b"]
    assert found(of, "/x/c.wav") == ["s/c.wav"]
    assert found(of, "s/c.wav") == ["s/c.wav"]
    assert found(of, "c.wav") == ["s/c.wav"]
    assert found(of, "D:\\field\\c.wav") == ["s/c.wav"]
    assert found(of, "/home/me/c.wav") == ["s/c.wav"]
    assert found(of, "../other/c.wav") == ["s/c.wav"]
    assert found(of, "t/c.wav") == ["'t/c.wav' is none of the inputs"]
    assert found(of, "e.wav") == ["'e.wav' is none of the inputs"]


def test_an_ambiguous_path_fails_and_names_two_candidates() -> None:
    of = inputs("june/a.wav", "july/a.wav")
    assert found(of, "a.wav") == [
        "'a.wav' may be 'june/a.wav' or 'july/a.wav'; write more of its path"
    ]
    assert found(of, "/data/july/a.wav") == ["july/a.wav"]
    assert found(of, "C:\\data\\june\\a.wav") == ["june/a.wav"]


def test_a_table_without_names_belongs_to_the_only_input_or_to_that_of_its_name() -> None:
    assert found(inputs("any.wav"), "") == ["any.wav"]
    of = inputs("a/night1.wav", "b/night1.wav", "c/night.1.flac")
    name = "night1.Table.1.selections.txt"
    assert found(of, "", table=f"b/{name}") == ["b/night1.wav"]
    assert found(of, "", table="tables/night.1.flac.txt") == ["c/night.1.flac"]
    assert found(of, "", table="tables/night.1.Table.1.selections.txt") == ["c/night.1.flac"]
    for table in (f"c/{name}", "a/other.txt", "a/night1"):
        with pytest.raises(UsageError, match="names no recording, and there are 3 inputs"):
            found(of, "", table=table)


def test_segments_have_the_order_of_inputs_then_of_their_bounds() -> None:
    rows = [
        ("b.wav", 2, 3),
        ("a.wav", 1, 3, "late", 1),
        ("a.wav", 1, 3, "late", 0),
        ("a.wav", 1, 3),
        ("a.wav", 1, 2.5),
        ("a.wav", 0.5, 9),
    ]
    made = annotated(inputs("a.wav", "b.wav", "c.wav", "d.wav"), read_annotations(rows))
    assert [source.key for source in made.sources] == [
        "a.wav/0.5-9",
        "a.wav/1-2.5",
        "a.wav/1-3",
        "a.wav/1-3 channel 0",
        "a.wav/1-3 channel 1",
        "b.wav/2-3",
    ]
    assert [str(note) for note in made.notes] == [
        "2 inputs without a segment, left out: 'c.wav', 'd.wav'"
    ]


def test_rows_of_equal_bounds_are_one_segment_with_all_labels() -> None:
    rows = [("a.wav", 0, 1, "x"), ("a.wav", 0.0, 1.0000001, "y"), ("a.wav", 0, 1, "x")]
    made = annotated(inputs("a.wav"), read_annotations([*rows, ("a.wav", 0, 1)]))
    (source,) = made.sources
    assert source.segment is not None
    assert (source.segment.label, source.segment.row) == ("x;y", "row 1")


def test_channels_of_rows() -> None:
    rows = read_annotations([("a.wav", 0, 1, "", 0), ("a.wav", 0, 1, "", 1), ("a.wav", 0, 1)])
    of = inputs("a.wav")
    assert [one.key for one in annotated(of, rows, channels=(1, 2)).sources] == [
        "a.wav/0-1",
        "a.wav/0-1 channel 1",
    ]
    (rejected,) = annotated(of, rows, channels=(1, 2)).rejected_paths
    assert rejected.path == "row 1"
    assert rejected.reason == "its channel 0 is not among those of the run (1, 2)"
    mixed = annotated(of, rows, channels=(1,), is_mono=True)
    assert [one.key for one in mixed.sources] == ["a.wav/0-1"]
    assert [str(note) for note in mixed.notes] == [
        "the channel of 2 rows that name one is ignored: mono=True"
    ]


@pytest.mark.parametrize(
    "row",
    [
        *(("a.wav", 0), ("a.wav", "x", 1), (1.5, 0, 1), ("a.wav", 0, 1, 7), (0,) * 6),
        *(("a.wav", 0, 1, "", 1.5), ("a.wav", 0, 1, "", True), ("a.wav", float("nan"), 1)),
    ],
)
def test_bad_values_fail_alone(row: tuple[object, ...]) -> None:
    found = read_annotations([(Path("b.wav"), 0, 1), row])
    assert [one.file for one in found.rows] == ["b.wav"]
    assert [one.path for one in found.rejected] == ["row 2"]


def test_paths_and_rows_cannot_be_mixed() -> None:
    with pytest.raises(UsageError, match="either paths of tables or rows"):
        read_annotations(["x.csv", ("a.wav", 0, 1)])


def test_the_recordings_are_those_that_the_tables_name(tmp_path: Path) -> None:
    text = "path,start,end\nsite/b.wav,0,1\na.wav,0,1\n/far/c.wav,0,1\nsite/b.wav,1,2\n"
    table = write(tmp_path / "x.csv", f"{text}../d.wav,0,1\n")
    folder = str(tmp_path)
    rows = read_annotations(table)
    assert recordings_of(rows).sources == (
        Source(f"{folder}/site/b.wav", "site/b.wav"),
        Source(f"{folder}/a.wav", "a.wav"),
        Source("/far/c.wav", "c.wav"),
        Source(f"{folder}/../d.wav", "d.wav"),
    )
    made = annotated(recordings_of(rows), rows)
    assert [one.key for one in made.sources[:2]] == ["site/b.wav/0-1", "site/b.wav/1-2"]
    assert not made.rejected_paths
    with pytest.raises(UsageError, match="names no recordings; name them as inputs"):
        recordings_of(read_annotations(write(tmp_path / "y.txt", "0\t1\n")))


def test_a_recording_moved_with_its_table_is_found_beside_it(tmp_path: Path) -> None:
    (tmp_path / "night 1.wav").touch()
    rows = read_annotations(write(tmp_path / "x.txt", BIRDNET))
    assert recordings_of(rows).sources == (Source(f"{tmp_path}/night 1.wav", "night 1.wav"),)
