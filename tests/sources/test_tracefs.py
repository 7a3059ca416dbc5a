"""Format files of trace points: fields by place, and what is wrong with a file said with its place."""

import pathlib

import pytest

import pyebpf
from pyebpf.sources import tracefs

# As Linux 6.18 prints it.
KFREE_SKB = """name: kfree_skb
ID: 2310
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:void * skbaddr;\toffset:8;\tsize:8;\tsigned:0;
\tfield:char comm[16];\toffset:16;\tsize:16;\tsigned:0;
\tfield:__data_loc char[] name;\toffset:32;\tsize:4;\tsigned:0;

print fmt: "skbaddr=%p", REC->skbaddr
"""


def test_fields_are_read_with_their_places() -> None:
    fields = tracefs.parse_format(KFREE_SKB, "format")
    assert [(f.name, f.offset, f.size, f.signed) for f in fields] == [
        ("common_type", 0, 2, False),
        ("common_pid", 4, 4, True),
        ("skbaddr", 8, 8, False),
        ("comm", 16, 16, False),
        ("name", 32, 4, False),
    ]


def test_a_file_without_fields_is_refused_with_its_place() -> None:
    with pytest.raises(pyebpf.Error, match=r"events/x/format: no field lines"):
        tracefs.parse_format("name: x\n", "events/x/format")


@pytest.mark.parametrize("name", ["../../etc:passwd", "skb:../x", "a b", ""])
def test_a_name_that_is_no_trace_point_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracefs, "root", lambda: pathlib.Path("/nowhere"))
    with pytest.raises(pyebpf.Error, match=r"expected SYSTEM:NAME|found none"):
        tracefs.find(name)
