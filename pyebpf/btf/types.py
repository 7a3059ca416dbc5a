"""BTF types as values, and the table that says how each kind is laid out.

struct btf_type   [ name_off:u32 | kflag:1 _:2 kind:5 _:8 vlen:16 | size or type:u32 ]  then what its kind adds
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple


class Kind(IntEnum):
    """BTF_KIND_*."""

    VOID = 0
    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    FLOAT = 16
    DECL_TAG = 17
    TYPE_TAG = 18
    ENUM64 = 19


TYPE_SIZE = 12
MEMBER_SIZE: dict[Kind, int] = {
    Kind.STRUCT: 12,
    Kind.UNION: 12,
    Kind.ENUM: 8,
    Kind.FUNC_PROTO: 8,
    Kind.DATASEC: 12,
    Kind.ENUM64: 12,
}
"""Bytes of each of a type's `vlen` records."""
EXTRA_SIZE: dict[Kind, int] = {Kind.INT: 4, Kind.ARRAY: 12, Kind.VAR: 4, Kind.DECL_TAG: 4}
"""Bytes behind struct btf_type that do not depend on vlen."""

MODIFIERS = frozenset({Kind.TYPEDEF, Kind.VOLATILE, Kind.CONST, Kind.RESTRICT, Kind.TYPE_TAG})
"""Kinds that only stand before another type."""
REFERENCES = MODIFIERS | {Kind.PTR, Kind.FUNC, Kind.VAR, Kind.DECL_TAG}
"""Kinds whose third word is a type id."""

INT_SIGNED, INT_CHAR, INT_BOOL = 1, 2, 4


class Linkage(IntEnum):
    """Of BTF_KIND_VAR and BTF_KIND_FUNC."""

    STATIC = 0
    GLOBAL = 1
    EXTERN = 2


class Member(NamedTuple):
    """Of a struct or union. bit_size: 0 for an ordinary member, else the width of a bit field."""

    name: str
    type: int
    bit_offset: int
    bit_size: int = 0


class Enumerator(NamedTuple):
    """A name and its value, signed as its enum says."""

    name: str
    value: int


class Param(NamedTuple):
    """Of a function prototype; the last with name "" and type 0 stands for `...`."""

    name: str
    type: int


class SectionVar(NamedTuple):
    """A variable of a DATASEC: the id of its VAR (or FUNC), place and size in bytes."""

    type: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Type:
    """One type.

    size: bytes, for kinds that have a size.  type: the id of the type it refers to (for a FUNC its
    prototype, for a FUNC_PROTO what it returns, for an ARRAY its element).
    """

    id: int
    kind: Kind
    name: str = ""
    size: int = 0
    type: int = 0
    kflag: bool = False
    members: tuple[Member, ...] = ()
    values: tuple[Enumerator, ...] = ()
    params: tuple[Param, ...] = ()
    vars: tuple[SectionVar, ...] = ()
    bits: int = 0
    """INT: width; its encoding and bit offset stand beside it."""
    bit_offset: int = 0
    encoding: int = 0
    index: int = 0
    """ARRAY: id of the index type."""
    count: int = 0
    """ARRAY: number of elements."""
    linkage: int = 0
    component: int = -1
    """DECL_TAG: the member or parameter it is on, -1 for the whole."""

    @property
    def is_composite(self) -> bool:
        """A struct or a union."""
        return self.kind in (Kind.STRUCT, Kind.UNION)


VOID = Type(0, Kind.VOID, "void")
