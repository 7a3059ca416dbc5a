"""llvm-objdump as a reference disassembler: bytes in a minimal relocatable ELF, its text line by line."""

import pathlib
import re
import shutil
import struct
import subprocess
import tempfile

EM_BPF = 247


def path() -> str | None:
    """llvm-objdump with the BPF target, newest first; None if there is none."""
    return next(filter(None, map(shutil.which, ("llvm-objdump-21", "llvm-objdump-20", "llvm-objdump-19"))), None)


def elf(text: bytes) -> bytes:
    """An ELF64 relocatable for BPF: null section, .text and .shstrtab."""
    names = b"\0.text\0.shstrtab\0"
    sections = bytes(64)
    sections += struct.pack("<IIQQQQIIQQ", 1, 1, 6, 0, 64, len(text), 0, 0, 8, 0)
    sections += struct.pack("<IIQQQQIIQQ", 7, 3, 0, 0, 64 + len(text), len(names), 0, 0, 1, 0)
    shoff = 64 + len(text) + len(names)
    ident = b"\x7fELF\2\1\1" + bytes(9)
    head = ident + struct.pack("<HHIQQQIHHHHHH", 1, EM_BPF, 1, 0, 0, shoff, 0, 64, 0, 0, 64, 3, 2)
    return head + text + names + sections


def disassemble(code: bytes, tool: str) -> dict[int, str]:
    """Instruction number to text, as `tool` prints it, without trailing symbols."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "x.o"
        file.write_bytes(elf(code))
        command = [tool, "-d", "--no-show-raw-insn", "--mattr=+alu32", "--mcpu=v4", str(file)]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = re.findall(r"^\s+(\d+):\s+(.*?)(?: <\S+>)?$", out, re.MULTILINE)
    return {int(n): text.strip() for n, text in lines}
