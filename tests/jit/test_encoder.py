"""Every instruction form of the encoder, over its operands, says to a disassembler what it should say."""

import pathlib
import re
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator

import capstone
import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def forms() -> Iterator[list[tuple[bytes, str]]]:
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    with tempfile.TemporaryDirectory() as folder:
        exe = pathlib.Path(folder) / "encoder_forms"
        source = pathlib.Path(__file__).parent / "encoder_forms.c"
        subprocess.run([compiler, "-std=gnu11", "-O1", "-I", ROOT / "csrc", source, "-o", exe], check=True)
        text = subprocess.run([exe], check=True, capture_output=True, text=True).stdout
        pairs = (line.split("\t") for line in text.splitlines())
        yield [(bytes.fromhex(code), said) for code, said in pairs]


def in_one_spelling(insn: capstone.CsInsn, text: str) -> str:
    """The text with a trailing immediate as an unsigned number of the operand's size."""
    head, comma, last = text.rpartition(", ")
    if not comma or not re.fullmatch(r"-?(0x)?[0-9a-f]+", last):
        return text
    return f"{head}, {int(last, 0) % (1 << 8 * insn.operands[0].size)}"


def test_capstone_reads_every_form_as_it_was_meant(forms: list[tuple[bytes, str]]) -> None:
    machine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    assert len(forms) > 40_000
    machine.detail = True
    wrong = []
    for code, said in forms:
        read = list(machine.disasm(code, 0))
        if len(read) != 1 or read[0].size != len(code):
            wrong.append((code.hex(), said, "not one instruction"))
            continue
        text = f"{read[0].mnemonic} {read[0].op_str}"
        if text != said and in_one_spelling(read[0], text) != in_one_spelling(read[0], said):
            wrong.append((code.hex(), said, text))
    assert wrong == []


def test_no_form_is_longer_than_the_room_made_for_it(forms: list[tuple[bytes, str]]) -> None:
    assert max(len(code) for code, _ in forms) <= 15
