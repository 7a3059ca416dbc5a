"""`pyebpf dump`: instructions as they stand, as they run, as machine code and as a graph."""

import json
import pathlib
import re

import pytest

from pyebpf.cli import dump
from pyebpf.cli.main import main
from pyebpf.isa import assemble
from pyebpf.loader import CollectionSpec
from tests.objects import build

DATA = pathlib.Path(dump.__file__).resolve().parents[1] / "data" / "bpf"


@pytest.fixture
def mixed(tmp_path: pathlib.Path) -> str:
    path = tmp_path / "mixed.o"
    path.write_bytes(build.zig("refused"))
    return str(path)


def dumped(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, str]]]:
    status = main(["dump", "--json", *arguments])
    programs = json.loads(capsys.readouterr().out)["programs"]
    assert all(set(p) >= {"name", "text"} for p in programs)
    return status, programs


def numbers(text: str) -> list[int]:
    return [int(m[1]) for line in text.splitlines() if (m := re.match(r" *(\d+): ", line))]


def test_insns_are_all_there_under_their_source_lines(capsys: pytest.CaptureFixture[str]) -> None:
    path = DATA / "sock_flow.o"
    status, (program,) = dumped(capsys, str(path))
    assert (status, program["name"]) == (0, "sock_flow")
    slots = len(CollectionSpec.load(path).programs["sock_flow"].insns) // 8
    seen = numbers(program["text"])
    wide = program["text"].count(" ll") + program["text"].count("(18)")
    assert seen[0] == 0
    assert seen == sorted(seen)
    assert len(seen) + wide == slots
    assert "sock_flow.bpf.c:" in program["text"]
    assert program["text"].startswith("sock_flow:\n; ")


def test_xlated_shows_our_context_accesses(mixed: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, (program,) = dumped(capsys, "--what", "xlated", "--prog", "accepted", mixed)
    assert status == 0
    assert numbers(program["text"])[0] == 0
    assert "map[" in program["text"]


def test_jited_is_machine_code(mixed: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, (program,) = dumped(capsys, "--what", "jited", "--prog", "skipped", mixed)
    assert status == 0
    assert re.search(r"\bret|\bc3\b", program["text"])


def test_a_program_that_does_not_load_is_told_and_fails(mixed: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, programs = dumped(capsys, "--what", "xlated", mixed)
    assert status == 1
    text = {p["name"]: p["text"] for p in programs}
    assert "R0 invalid mem access 'map_value_or_null'" in text["unchecked"]
    assert numbers(text["accepted"])[0] == 0


def edges(text: str) -> set[tuple[int, int]]:
    return {(int(a), int(b)) for a, b in re.findall(r"b(\d+) -> b(\d+);", text)}


def nodes(text: str) -> set[int]:
    return {int(n) for n in re.findall(r"^  b(\d+) \[label=", text, re.M)}


def test_graph_of_a_missing_null_check_is_a_line(mixed: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, programs = dumped(capsys, "--what", "cfg", mixed)
    graphs = {p["name"]: p["text"] for p in programs}
    assert nodes(graphs["unchecked"]) == {0}
    assert edges(graphs["unchecked"]) == set()
    branch = edges(graphs["accepted"])
    assert {start for start, _ in branch} >= {0}
    assert len([e for e in branch if e[0] == 0]) == 2


@pytest.mark.parametrize("name", ["flow_dissector.o", "sock_flow.v4.o", "xdp_flow.zig.o"])
def test_graph_has_a_node_for_each_end_of_an_edge(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, (program,) = dumped(capsys, "--what", "cfg", str(DATA / name))
    text = program["text"]
    assert len(nodes(text)) > 20
    assert {end for edge in edges(text) for end in edge} <= nodes(text)
    assert text.startswith("digraph ")
    assert text.count("{") == text.count("}")


LOOP = """
        r0 = 0
        r1 = 0x1122334455667788 ll
next:   r0 += 1
        if r0 != 3 goto next
        goto out
        r0 = 7
out:    exit
"""


def test_blocks_begin_at_jump_targets_and_behind_jumps() -> None:
    insns = list(assemble(LOOP))
    starts = dump.leaders(insns, ())
    assert starts == [0, 3, 5, 6, 7]
    assert [dump.successors(insns, i) for i in (1, 4, 5, 6, 7)] == [[3], [5, 3], [7], [7], []]


def test_human_output_names_program_and_type(mixed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dump", mixed, "--prog", "skipped"]) == 0
    assert capsys.readouterr().out.startswith("skipped (socket_filter):\nskipped:\n")
