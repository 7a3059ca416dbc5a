"""Makes a failing program small: instructions become no-ops, no-ops go, constants shrink, while it still fails."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from pyebpf.isa.insn import Insn
from pyebpf.isa.table import PSEUDO_FUNC

NOP = Insn(0x05)
"""goto +0"""
Fails = Callable[[Sequence[Insn]], bool]


def _second_slots(insns: Sequence[Insn]) -> set[int]:
    found, index = set(), 0
    while index < len(insns):
        wide = insns[index].opcode == 0x18
        if wide:
            found.add(index + 1)
        index += 2 if wide else 1
    return found


def _distance(insn: Insn) -> str | None:
    """The field that holds a distance in instructions."""
    op = insn.op
    if op is None:
        return None
    if op.kind in ("gotol", "call_local") or (op.kind == "ld_imm64" and insn.src == PSEUDO_FUNC):
        return "imm"
    return "off" if op.kind in ("ja", "may_goto") or (op.kind[0] == "j" and op.nbytes) else None


def without(insns: Sequence[Insn], gone: set[int]) -> list[Insn]:
    """The program without the slots of `gone`; what jumped to one of them goes to the next that stays."""
    place, kept = {}, 0
    for index in range(len(insns) + 1):
        place[index] = kept
        kept += index not in gone
    out = []
    for index, insn in enumerate(insns):
        if index in gone:
            continue
        field = _distance(insn)
        target = index + 1 + (getattr(insn, field) if field else 0)
        if field and 0 <= target <= len(insns):
            insn = replace(insn, **{field: place[target] - place[index] - 1})
        out.append(insn)
    return out


def _drop_chunks(insns: list[Insn], fails: Fails) -> list[Insn]:
    """Remove runs of instructions, long ones first."""
    size = max(1, len(insns) // 2)
    while size:
        at = 0
        while at < len(insns):
            seconds = _second_slots(insns)
            gone = set(range(at, min(at + size, len(insns))))
            gone |= {i for i in seconds if i - 1 in gone}
            gone -= {i for i in seconds if i in gone and i - 1 not in gone}
            smaller = without(insns, gone)
            if gone and smaller and fails(smaller):
                insns = smaller
            else:
                at += size
        size //= 2
    return insns


def _simplify(insns: list[Insn], fails: Fails) -> list[Insn]:
    """Smaller constants, plainer instructions."""
    for index, insn in enumerate(insns):
        if index in _second_slots(insns) or _distance(insn) == "imm" or insn.opcode == 0x18:
            continue
        ideas = [replace(insn, imm=v) for v in (0, 1, insn.imm // 2) if v != insn.imm]
        for idea in ideas if insn.op is not None and "i" in insn.op.uses and insn.opcode != 0x85 else []:
            trial = [*insns[:index], idea, *insns[index + 1 :]]
            if fails(trial):
                insns = trial
                break
    return insns


def minimize(insns: Sequence[Insn], fails: Fails, rounds: int = 3) -> list[Insn]:
    """A small program for which `fails` still holds. `fails` must not raise."""
    best = list(insns)
    for _ in range(rounds):
        before = best
        best = _simplify(_drop_chunks(best, fails), fails)
        if best == before:
            break
    return best
