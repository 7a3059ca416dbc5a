"""Random programs near the edge: is anything accepted here that Linux rejects?

    python -m tests.fuzz.verifier --programs 20000        counts, rates, disagreements, the smallest unsafe ones
    python -m tests.fuzz.verifier --linux-only            Linux's rates and messages alone
    --save FOLDER                                         each disagreement made small, as assembly with both verdicts

Exit status 1 when something unsafe was accepted or the verifier failed.
"""

import argparse
import errno
import pathlib
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from pyebpf.isa.disasm import disassemble
from pyebpf.isa.insn import Insn, encode
from tests.fuzz.edge import EdgeProgram
from tests.fuzz.edge_calls import program
from tests.fuzz.minimize import minimize
from tests.fuzz.verdicts import Class, LinuxSide, OurSide, Verdict, classify, general

SHOWN = (Class.UNSAFE, Class.CRASH, Class.TOO_STRICT, Class.UNSUPPORTED, Class.OTHER_MESSAGE)


@dataclass
class Tally:
    """What a run of seeds gave."""

    programs: int = 0
    accepted: int = 0
    rejected: int = 0
    messages: Counter[str] = field(default_factory=Counter)
    classes: Counter[Class] = field(default_factory=Counter)
    groups: defaultdict[tuple[Class, str], list[int]] = field(default_factory=lambda: defaultdict(list))
    linux_s: float = 0.0
    ours_s: float = 0.0


def run(seeds: range, kernel: LinuxSide, ours: OurSide | None, tally: Tally, until: float = float("inf")) -> None:
    """Both verdicts on every seed's program."""
    for seed in seeds:
        if time.monotonic() > until:
            return
        p = program(seed)
        start = time.perf_counter()
        theirs = kernel.verdict(p.insns, p.type)
        middle = time.perf_counter()
        tally.programs += 1
        tally.accepted += theirs.errno == 0
        tally.rejected += theirs.errno != 0
        tally.messages[general(theirs.message)] += bool(theirs.message)
        tally.linux_s += middle - start
        if theirs.errno == errno.E2BIG:
            tally.classes[Class.TOO_LARGE] += 1
            continue
        if ours is None:
            continue
        mine = ours.verdict(p.insns, p.type)
        tally.ours_s += time.perf_counter() - middle
        kind = classify(theirs, mine)
        tally.classes[kind] += 1
        if kind in SHOWN:
            tally.groups[kind, key_of(theirs, mine, kind)].append(seed)


def key_of(theirs: Verdict, mine: Verdict, kind: Class) -> str:
    """What tells groups of a class apart."""
    if kind == Class.OTHER_MESSAGE:
        return f"{general(theirs.message)} | {general(mine.message)}"
    return general(theirs.message if kind == Class.UNSAFE else mine.crash or mine.message)


def shrink(p: EdgeProgram, kind: Class, key: str, kernel: LinuxSide, ours: OurSide) -> list[Insn]:
    """A small program of the same group."""

    def fails(insns: Sequence[Insn]) -> bool:
        theirs, mine = kernel.verdict(insns, p.type), ours.verdict(insns, p.type)
        return classify(theirs, mine) == kind and key_of(theirs, mine, kind) == key

    return minimize(p.insns, fails)


def as_text(p: EdgeProgram, insns: Sequence[Insn], theirs: Verdict, mine: Verdict) -> str:
    """Assembly with the two verdicts above it; assemble() reads it back."""
    head = [f"; {p.type.name}, seed {p.seed}", f"; Linux: {theirs.errno} {theirs.message}"]
    head.append(f"; here:  {mine.errno} {mine.message}{mine.crash}")
    return "\n".join([*head, *(f"{n}: {text}" for n, text in disassemble(encode(insns)))]) + "\n"


def show(tally: Tally, kernel: LinuxSide, ours: OurSide | None, save: pathlib.Path | None, most: int) -> None:
    """Print the tally; the first of each group small."""
    distinct = sum(1 for n in tally.messages.values() if n)
    total = max(tally.programs, 1)
    rates = f"{tally.accepted / total:.1%} accepted, {tally.rejected / total:.1%} rejected by Linux"
    print(f"{tally.programs} programs, {rates}, {distinct} distinct messages")
    print(f"Linux {tally.linux_s:.1f} s, here {tally.ours_s:.1f} s")
    for kind, count in tally.classes.most_common():
        print(f"{count:7} {kind.value}")
    groups = sorted(tally.groups.items(), key=lambda item: (SHOWN.index(item[0][0]), -len(item[1])))
    for (kind, key), seeds in groups[:most]:
        print(f"\n{kind.value}, {len(seeds)} times, seeds {seeds[:5]}: {key}")
        if ours is not None and (save is not None or kind in (Class.UNSAFE, Class.CRASH)):
            p = program(seeds[0])
            small = shrink(p, kind, key, kernel, ours)
            text = as_text(p, small, kernel.verdict(small, p.type), ours.verdict(small, p.type))
            print(text)
            if save is not None:
                save.mkdir(parents=True, exist_ok=True)
                (save / f"{kind.name.lower()}-{seeds[0]}.asm").write_text(text)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=2000)
    parser.add_argument("--start", type=int, default=0, help="first seed")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after that long")
    parser.add_argument("--linux-only", action="store_true")
    parser.add_argument("--messages", action="store_true", help="print Linux's messages and how often each came")
    parser.add_argument("--save", type=pathlib.Path, help="folder for small disagreements")
    parser.add_argument("--most", type=int, default=20, help="groups of disagreements to show")
    options = parser.parse_args()
    tally, until = Tally(), time.monotonic() + options.seconds
    ours = None if options.linux_only else OurSide()
    with LinuxSide() as kernel:
        run(range(options.start, options.start + options.programs), kernel, ours, tally, until)
        show(tally, kernel, ours, options.save, options.most)
    if options.messages:
        for message, count in tally.messages.most_common():
            print(f"{count:7} {message}")
    return 1 if tally.classes[Class.UNSAFE] or tally.classes[Class.CRASH] else 0


if __name__ == "__main__":
    sys.exit(main())
