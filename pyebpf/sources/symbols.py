"""Names for addresses: the kernel's from kallsyms, the process's own by its dynamic symbols."""

import bisect
import functools
import pathlib

from pyebpf import native

KERNEL_START = 1 << 63
"""x86-64: the kernel's half of the address space."""


@functools.cache
def _kernel_table() -> tuple[list[int], list[str]]:
    """Addresses in order and their names; empty when kallsyms hides them (addresses read as 0)."""
    rows = []
    with pathlib.Path("/proc/kallsyms").open(encoding="ascii", errors="replace") as table:
        for line in table:
            address, kind, name = line.split(maxsplit=2)
            if kind in "tTwW" and int(address, 16):
                rows.append((int(address, 16), name.split("\t")[0].strip()))
    rows.sort()
    return [row[0] for row in rows], [row[1] for row in rows]


def symbol(address: int) -> str:
    """`name+0xoffset` of a kernel or process address, the bare number in hex when nothing is known of it."""
    if address < KERNEL_START:
        return native.symbolize(address)
    starts, names = _kernel_table()
    i = bisect.bisect_right(starts, address) - 1
    return f"{names[i]}+{address - starts[i]:#x}" if i >= 0 else hex(address)
