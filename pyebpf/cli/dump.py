"""`pyebpf dump OBJ`: a program's instructions, as they stand, as they run, as machine code, or as a graph."""

import argparse
import json
import shutil
import subprocess
import tempfile

from pyebpf.errors import Error
from pyebpf.isa.insn import Insn, decode
from pyebpf.isa.table import find
from pyebpf.loader import CollectionSpec
from pyebpf.objects.collection import Collection
from pyebpf.objects.program import Program
from pyebpf.objects.source_text import line_infos, listing, render
from pyebpf.spec.collection import ProgramSpec

KINDS = ("insns", "xlated", "jited", "cfg")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("object", metavar="OBJ", help="an object file that clang made for BPF")
    parser.add_argument("--prog", metavar="NAME", help="this program alone")
    parser.add_argument("--what", choices=KINDS, default="insns", help="what to print (insns)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def instructions(program: ProgramSpec, code: bytes) -> str:
    """`code` beside the program's source lines and function names."""
    lines = {line.insn_idx: line for line in line_infos(program)}
    return render(listing(code, dict(program.functions), lines))


def leaders(insns: list[Insn]) -> list[int]:
    """Where basic blocks begin: the entry, jump targets, and what follows a jump or an exit."""
    found = {0}
    for index, insn in enumerate(insns):
        for target in successors(insns, index):
            if target != index + 1:
                found.update((target, index + 1))
        op = insn.op
        if op is not None and op.kind == "exit":
            found.add(index + 1)
    return sorted(i for i in found if i < len(insns))


def successors(insns: list[Insn], index: int) -> list[int]:
    """The instructions control may go to."""
    insn = insns[index]
    op = find(insn.opcode, insn.src, insn.off, insn.imm)
    if op is None or op.kind == "exit":
        return []
    if op.kind in ("ja", "gotol"):
        return [index + 1 + (insn.off if op.kind == "ja" else insn.imm)]
    if op.kind == "ld_imm64":
        return [index + 2]
    return [index + 1, index + 1 + insn.off] if "o" in op.uses and op.cls in (5, 6) else [index + 1]


def graph(program: ProgramSpec) -> str:
    """The control-flow graph in Graphviz's language."""
    insns = list(decode(program.insns))
    starts = leaders(insns)
    texts = {item.insn_idx: item.text for item in listing(program.insns, {}, {})}
    out = [f'digraph "{program.name}" {{', "  node [shape=box, fontname=monospace];"]
    for start, end in zip(starts, [*starts[1:], len(insns)], strict=True):
        body = "".join(f"{i}: {texts[i]}\\l" for i in range(start, end) if i in texts)
        out.append(f'  b{start} [label="{body}"];')
        last = max(i for i in range(start, end) if i in texts)
        out += [f"  b{start} -> b{to};" for to in successors(insns, last)]
    return "\n".join([*out, "}"])


def machine_code(code: bytes, name: str) -> str:
    """x86-64 through objdump where it is installed, else bytes in hex."""
    objdump = shutil.which("objdump") or shutil.which("llvm-objdump")
    if objdump is None or "llvm" in objdump:
        return "\n".join(f"{i:6x}: {code[i : i + 16].hex(' ')}" for i in range(0, len(code), 16))
    with tempfile.NamedTemporaryFile(suffix=f"-{name}.bin") as file:
        file.write(code)
        file.flush()
        command = [objdump, "-D", "-b", "binary", "-m", "i386:x86-64", "--no-show-raw-insn", file.name]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return out.split("<.data>:\n", 1)[-1].rstrip()


def loaded_text(spec: CollectionSpec, name: str, what: str) -> str:
    """What became of a program that was loaded."""
    with Collection.load(spec, programs=[name]) as coll:
        program: Program = coll.programs[name]
        if what == "xlated":
            return instructions(spec.programs[name], program.xlated)
        return machine_code(program.jited, name)


def run(options: argparse.Namespace) -> int:
    """Print the programs; 1 if one cannot be shown in the form asked for."""
    spec = CollectionSpec.load(options.object)
    names = [options.prog] if options.prog else list(spec.programs)
    if options.prog and options.prog not in spec.programs:
        raise SystemExit(
            f"pyebpf dump: {options.object}: no program {options.prog!r}, found {', '.join(spec.programs)}"
        )
    shown, failed = [], 0
    for name in names:
        try:
            if options.what == "insns":
                text = instructions(spec.programs[name], spec.programs[name].insns)
            elif options.what == "cfg":
                text = graph(spec.programs[name])
            else:
                text = loaded_text(spec, name, options.what)
        except Error as err:
            text, failed = str(err), 1
        shown.append({"name": name, "text": text})
        if not options.json:
            print(text if options.what == "cfg" else f"{name} ({spec.programs[name].type.name.lower()}):\n{text}")
    if options.json:
        print(json.dumps({"programs": shown}))
    return failed
