"""Sizes and alignments of BTF types, and the check that no type contains or stands for itself."""

from collections.abc import Callable, Sequence

from pyebpf.btf.reader import MAX_DEPTH, SECTION, Btf
from pyebpf.btf.types import MODIFIERS, Kind, Type
from pyebpf.errors import BtfError

POINTER_SIZE = 8
MAX_SIZE = (1 << 32) - 1
MAX_CHECKED = 32768
_SIZED = frozenset({Kind.INT, Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.ENUM64, Kind.FLOAT, Kind.DATASEC})


def size_of(btf: Btf, type_id: int) -> int:
    """Bytes of a type; BtfError for what has no size (void, functions, forward declarations)."""
    count = 1
    found = btf.type(type_id)
    for _ in range(MAX_DEPTH):
        if found.kind in _SIZED:
            size = found.size * count
        elif found.kind is Kind.PTR:
            size = POINTER_SIZE * count
        elif found.kind is Kind.ARRAY:
            count *= found.count
            found = btf.type(found.type)
            continue
        elif found.kind in MODIFIERS or found.kind is Kind.VAR:
            found = btf.type(found.type)
            continue
        else:
            break
        if size > MAX_SIZE:
            raise BtfError(f"type {type_id} has {size} bytes, expected at most {MAX_SIZE}", section=SECTION)
        return size
    what = f"{found.kind.name} {found.name!r}"
    raise BtfError(f"type {type_id} has no size: it stands for {what}, or for itself", section=SECTION)


def align_of(btf: Btf, type_id: int, depth: int = 0) -> int:
    """Bytes a type is aligned to, as compilers for BPF align it."""
    if depth > MAX_DEPTH:
        raise BtfError(f"type {type_id} is nested more than {MAX_DEPTH} deep", section=SECTION)
    found = btf.resolve(type_id)
    if found.kind is Kind.PTR:
        return POINTER_SIZE
    if found.kind is Kind.ARRAY:
        return align_of(btf, found.type, depth + 1)
    if found.is_composite:
        return max((align_of(btf, m, depth + 1) for m in dict.fromkeys(m.type for m in found.members)), default=1)
    return min(max(found.size, 1), 8)


def check(btf: Btf) -> None:
    """Read every type, and follow what each contains or stands for: BtfError on the first that is malformed.

    Beyond MAX_CHECKED types nothing is read ahead: each is checked when it is asked for, and every walk is bounded.
    """
    if len(btf) > MAX_CHECKED:
        return
    _acyclic(btf, _contained)
    _acyclic(btf, _pointed)


def _acyclic(btf: Btf, inside: Callable[[Btf, Type], Sequence[int]]) -> None:
    done = bytearray(len(btf))  # 1: on the path from the root, 2: finished
    for root in range(1, len(btf)):
        if done[root]:
            continue
        stack = [(root, iter(inside(btf, btf.type(root))))]
        done[root] = 1
        while stack:
            type_id, rest = stack[-1]
            for inner in rest:
                if done[inner] == 1:
                    raise BtfError(f"type {inner} contains itself", section=SECTION, offset=btf.offset_of(inner))
                if not done[inner]:
                    done[inner] = 1
                    stack.append((inner, iter(inside(btf, btf.type(inner)))))
                    break
            else:
                done[type_id] = 2
                stack.pop()


def _contained(btf: Btf, t: Type) -> Sequence[int]:
    """Ids whose size t's size depends on; those behind a pointer do not count."""
    if t.is_composite:
        return [m.type for m in t.members if m.type]
    if t.type and (t.kind in MODIFIERS or t.kind in (Kind.ARRAY, Kind.VAR)):
        return (t.type,)
    return ()


def _pointed(btf: Btf, t: Type) -> Sequence[int]:
    """The next of a chain of pointers and modifiers."""
    return (t.type,) if t.type and (t.kind in MODIFIERS or t.kind is Kind.PTR) else ()
