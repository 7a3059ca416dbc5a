"""`pyebpf check`: verdicts on compiled objects, exit status, JSON keys of API.md, what is said of bad input."""

import json
import pathlib

import pytest

from pyebpf.cli import check
from pyebpf.cli.main import main
from tests import require
from tests.objects import build

DATA = pathlib.Path(check.__file__).resolve().parents[1] / "data" / "bpf"
KEYS = {"object", "name", "type", "verdict", "error", "insn", "processed", "ns"}
"""API.md's; more may be added."""


@pytest.fixture
def mixed(tmp_path: pathlib.Path) -> str:
    path = tmp_path / "mixed.o"
    path.write_bytes(build.zig("refused"))
    return str(path)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        status = main(list(arguments))
    except SystemExit as stop:  # as the interpreter does: text goes to standard error, the status is 1
        if isinstance(stop.code, str):
            captured = capsys.readouterr()
            return 1, captured.out, captured.err + stop.code + "\n"
        status = int(stop.code or 0)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_one_refused_program_makes_the_exit_status_1(mixed: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "check", mixed)
    assert (status, err) == (1, "")
    lines = out.splitlines()
    assert lines[0].startswith(f"{mixed}: accepted (xdp): accepted  [")
    assert lines[1].startswith(f"{mixed}: unchecked (xdp): rejected  [")
    assert lines[-1].startswith(f"{mixed}: skipped (socket_filter): accepted  [")


def test_the_source_line_stands_under_the_reason(mixed: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "check", mixed, "--prog", "unchecked")
    _, reason, source = out.splitlines()
    assert "R0 invalid mem access 'map_value_or_null'" in reason
    assert reason.startswith("    instruction ")
    text = (build.FOLDER / "refused.c").read_text().splitlines()
    number = text.index("\t*value += 1;") + 1
    assert source.startswith("    ")
    assert source.endswith(f"refused.c:{number}: *value += 1;")


@pytest.mark.parametrize(("name", "status"), [("accepted", 0), ("skipped", 0), ("unchecked", 1)])
def test_one_program_alone(name: str, status: int, mixed: str, capsys: pytest.CaptureFixture[str]) -> None:
    seen, out, _ = run(capsys, "check", "--json", "--prog", name, mixed)
    assert seen == status
    assert [p["name"] for p in json.loads(out)["programs"]] == [name]


def test_json_has_the_promised_keys(mixed: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "check", "--json", mixed)
    programs = json.loads(out)["programs"]
    assert all(set(p) >= KEYS for p in programs)
    good, bad, _ = programs
    assert (good["object"], good["type"], good["verdict"], good["error"], good["insn"]) == (
        mixed,
        "xdp",
        "accepted",
        "",
        -1,
    )
    assert good["processed"] > 5
    assert good["ns"] > 0
    assert (bad["verdict"], bad["error"]) == ("rejected", "R0 invalid mem access 'map_value_or_null'")
    assert bad["insn"] > 0
    assert bad["processed"] > 5


def test_linux_says_the_same(mixed: str, capsys: pytest.CaptureFixture[str]) -> None:
    require.linux()
    ours, theirs = (
        json.loads(run(capsys, "check", "--json", "--backend", backend, mixed)[1])["programs"]
        for backend in ("user", "kernel")
    )
    for key in ("name", "type", "verdict", "error", "insn", "processed"):
        assert [p[key] for p in ours] == [p[key] for p in theirs]


def test_the_log_is_printed_when_asked(mixed: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "check", "--log-level", "2", "--prog", "accepted", mixed)
    log = [line for line in out.splitlines() if line.startswith("    | ")]
    assert "    | 0: R1=ctx() R10=fp0" in log
    assert log[-1].startswith("    | processed ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "EINVAL"),
        (b"#!/bin/sh\n" * 20, "magic is b'#!/b', expected b'\\x7fELF'"),
        (b"\x7fELF" + bytes(10), "EINVAL"),
    ],
)
@pytest.mark.parametrize("command", ["check", "dump"])
def test_what_is_no_object_is_said_with_its_path(
    command: str, content: bytes, message: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.o"
    path.write_bytes(content)
    status, out, err = run(capsys, command, str(path))
    assert (status, out) == (1, "")
    assert err.startswith(f"pyebpf {command}: {path}: ")
    assert message in err


@pytest.mark.parametrize("command", ["check", "dump"])
def test_missing_files_and_directories_are_said(
    command: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "missing.o"
    assert run(capsys, command, str(missing)) == (1, "", f"pyebpf {command}: {missing}: No such file or directory\n")
    assert run(capsys, command, str(tmp_path)) == (1, "", f"pyebpf {command}: {tmp_path}: Is a directory\n")


@pytest.mark.parametrize("command", ["check", "dump"])
def test_a_truncated_object_is_refused(
    command: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = build.zig("refused")
    path = tmp_path / "cut.o"
    path.write_bytes(whole[: len(whole) // 2])
    status, out, err = run(capsys, command, str(path))
    assert (status, out) == (1, "")
    assert err.startswith(f"pyebpf {command}: {path}: [EINVAL] ")


@pytest.mark.parametrize("command", ["check", "dump"])
def test_an_unknown_program_is_said_with_those_there_are(
    command: str, mixed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, command, "--prog", "nobody", mixed)
    assert (status, out) == (1, "")
    assert err.startswith(f"pyebpf {command}: {mixed}: ")
    assert "no program 'nobody', found accepted, unchecked, skipped" in err


def test_one_bad_object_does_not_hide_the_others(
    mixed: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, "check", "--json", str(tmp_path / "missing.o"), mixed)
    assert status == 1
    assert "missing.o" in err
    assert len(json.loads(out)["programs"]) == 3


@pytest.mark.parametrize("arguments", [(), ("check",), ("dump", "--what", "soul", "x.o"), ("juggle",)])
def test_bad_use_is_status_2(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert "usage: pyebpf" in err


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(DATA.glob("*.o")), ids=lambda p: p.name)
def test_what_ships_is_accepted(path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "check", str(path))
    assert status == 0, out


def test_what_the_verifier_does_not_know_is_unsupported(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lsm.o"
    path.write_bytes(build.zig("lookup"))
    status, out, _ = run(capsys, "check", "--json", str(path))
    (program,) = json.loads(out)["programs"]
    assert (status, program["verdict"]) == (1, "unsupported")
    assert program["error"].startswith("unsupported: ")
