"""Call stacks by the id that get_stackid gave, with names: what 2014's dump_stack printed."""

import errno
from collections.abc import Iterator

from pyebpf import syscall
from pyebpf.errors import Error
from pyebpf.objects.map import Map
from pyebpf.sources.symbols import symbol
from pyebpf.spec.kinds import MapType


def format_stack(id: int, stacks: Map | None = None) -> str:
    """The stack as lines `#0 name+0xoffset`, innermost first.

    stacks: the STACK_TRACE map that the program gave to get_stackid; without it the one that has the id, of this
    process's engine. ENOENT: no map has it. EINVAL: more than one has.
    """
    if stacks is not None:
        found = [ips for ips in [_addresses(stacks, id)] if ips is not None]
    else:
        found = list(_everywhere(id))
    if not found:
        raise Error(errno.ENOENT, f"no STACK_TRACE map has a stack with id {id}")
    if len(found) > 1:
        raise Error(errno.EINVAL, f"{len(found)} STACK_TRACE maps have a stack with id {id}: say which")
    return "\n".join(f"#{n} {symbol(ip)}" for n, ip in enumerate(found[0]))


def _addresses(stacks: Map, id: int) -> list[int] | None:
    """Return addresses, innermost first; None when the map has no such id."""
    if stacks.type != MapType.STACK_TRACE:
        raise Error(errno.EINVAL, f"map {stacks.name!r} is {stacks.type.name}, STACK_TRACE wanted")
    try:
        raw = syscall.bpf_lookup_elem(stacks.fd, id.to_bytes(4, "little"), backend=stacks.backend)
    except Error as exc:
        if exc.errno == errno.ENOENT:
            return None
        raise
    return [ip for ip in memoryview(raw).cast("Q") if ip]


def _everywhere(id: int) -> Iterator[list[int]]:
    map_id = 0
    while True:
        try:
            map_id = syscall.bpf_map_get_next_id(map_id)
            candidate = Map.from_id(map_id)
        except Error as exc:
            if exc.errno == errno.ENOENT:
                return
            raise
        with candidate:
            if candidate.type == MapType.STACK_TRACE and (ips := _addresses(candidate, id)) is not None:
                yield ips
