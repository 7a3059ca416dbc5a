"""`pyebpf dump OBJ`: a program's instructions, as they stand, as they run, as machine code, or as a graph."""

import argparse
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable

from pyebpf.errors import Error, ObjectError
from pyebpf.isa.insn import Insn, decode
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


def slots(insns: list[Insn]) -> list[int]:
    """Where instructions begin: the second slot of a 64-bit constant is none."""
    found, index = [], 0
    while index < len(insns):
        found.append(index)
        index = following(insns, index)
    return found


def following(insns: list[Insn], index: int) -> int:
    """The instruction after this one."""
    op = insns[index].op
    return index + (2 if op is not None and op.kind == "ld_imm64" else 1)


def successors(insns: list[Insn], index: int) -> list[int]:
    """The instructions control may go to."""
    insn, after = insns[index], following(insns, index)
    op = insn.op
    if op is None or op.kind == "exit":
        return []
    if op.kind in ("ja", "gotol"):
        return [after + (insn.off if op.kind == "ja" else insn.imm)]
    return [after, after + insn.off] if "o" in op.uses and op.cls in (5, 6) else [after]


def leaders(insns: list[Insn], functions: Iterable[int]) -> list[int]:
    """Where basic blocks begin: functions, jump targets, and what follows a jump or an exit."""
    found = {0, *functions}
    for index in slots(insns):
        after = following(insns, index)
        if (targets := successors(insns, index)) != [after]:
            found.update((*targets, after))
    return sorted(i for i in found if i < len(insns))


def graph(program: ProgramSpec) -> str:
    """The control-flow graph in Graphviz's language."""
    insns = list(decode(program.insns))
    texts = {item.insn_idx: item.text for item in listing(program.insns, {}, {})}
    functions = dict(program.functions)
    starts = leaders(insns, functions)
    out = [f'digraph "{quoted(program.name)}" {{', "  node [shape=box, fontname=monospace];"]
    for start, end in zip(starts, [*starts[1:], len(insns)], strict=True):
        title = f"{functions[start]}:\\l" if start in functions else ""
        inside = [i for i in range(start, end) if i in texts]
        body = "".join(f"{i}: {quoted(texts[i])}\\l" for i in inside)
        out.append(f'  b{start} [label="{quoted(title)}{body}"];')
        if inside:  # else a jump goes into a 64-bit constant
            out += [f"  b{start} -> b{to};" for to in successors(insns, inside[-1])]
    return "\n".join([*out, "}"])


def quoted(text: str) -> str:
    """As it stands between quotation marks in Graphviz's language, \\l left alone."""
    return text.replace('"', '\\"')


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
    try:
        spec = CollectionSpec.load(options.object)
    except ObjectError as err:
        raise SystemExit(f"pyebpf dump: {options.object}: {err}") from None
    names = [options.prog] if options.prog else list(spec.programs)
    if options.prog and options.prog not in spec.programs:
        found = ", ".join(spec.programs) or "none"
        raise SystemExit(f"pyebpf dump: {options.object}: no program {options.prog!r}, found {found}")
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
