"""`pyebpf conformance` speaks bpf_conformance's protocol; its answers are the model's."""

import argparse
import io

import pytest

from pyebpf.cli import conformance
from pyebpf.isa import assemble, encode
from tests.engine import model

PROGRAMS = {
    "r0 = 0x123456789abcdef0 ll\n exit": b"",
    "r0 = *(u32 *)(r1 + 2)\n exit": bytes.fromhex("aabb11ccdd22eeff"),
    "r0 = r2\n exit": bytes(11),
    "w0 = 5\n w3 = -2\n w0 s/= w3\n exit": b"",
    "r0 = 0\n r3 = r1\n l: r4 = *(u8 *)(r3 + 0)\n r0 += r4\n r3 += 1\n r2 += -1\n if r2 != 0 goto l\n exit": bytes(5),
    "r1 = 4\n call f\n exit\n f: r0 = r1\n r0 *= r1\n exit": b"",
    "*(u8 *)(r1 + 0) = 7\n r0 = *(u16 *)(r1 + 0)\n exit": b"\1\2",
    "r0 = 3\n r0 = -r0\n exit": b"",
}


def call(arguments: list[str], stdin: str, monkeypatch: pytest.MonkeyPatch) -> int:
    parser = argparse.ArgumentParser()
    conformance.add_arguments(parser)
    monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
    return conformance.run(parser.parse_args(arguments))


@pytest.mark.parametrize("engine", ["interp", "jit"])
@pytest.mark.parametrize("text", PROGRAMS)
def test_r0_is_printed_in_hex(
    text: str, engine: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    insns, memory = assemble(text), PROGRAMS[text]
    machine = model.Model(insns, {model.CTX: bytearray(memory), model.STACK: bytearray(model.FRAME * 9)})
    machine.regs[1], machine.regs[2], machine.regs[10] = model.CTX, len(memory), model.STACK + model.FRAME
    spaced = encode(insns).hex(" ") + "\n"
    assert call([memory.hex(" "), "--engine", engine], spaced, monkeypatch) == 0
    assert capsys.readouterr().out == f"{machine.run():x}\n"


def test_program_may_be_an_argument(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["--program", encode(assemble("r0 = 16\n exit")).hex()], "", monkeypatch) == 0
    assert capsys.readouterr().out == "10\n"


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        ([], "b7 00 zz", "program: digit 4 is 'z'"),
        ([], "b7 00 0", "expected two a byte"),
        (["xy"], "95 00 00 00 00 00 00 00", "memory: digit 0 is 'x'"),
        ([], "", "EINVAL"),
        ([], "b7 00", "expected a multiple of 8"),
        ([], "ff 00 00 00 00 00 00 00", "EINVAL"),
        ([], "05 00 ff ff 00 00 00 00 95 00 00 00 00 00 00 00", "budget of back edges and calls is used up"),
    ],
)
@pytest.mark.parametrize("engine", ["interp", "jit"])
def test_bad_input_is_said_and_fails(
    arguments: list[str],
    stdin: str,
    message: str,
    engine: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call([*arguments, "--engine", engine], stdin, monkeypatch) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
