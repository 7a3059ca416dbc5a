"""How each BTF kind is unpacked: one function a kind, found by table."""

import struct
from collections.abc import Callable
from typing import NamedTuple, Protocol

from pyebpf.btf.types import TYPE_SIZE, Enumerator, Kind, Member, Param, SectionVar, Type
from pyebpf.errors import BtfError

SECTION = ".BTF"
_U32 = struct.Struct("<I")
_PAIR = struct.Struct("<II")
_PAIR_SIGNED = struct.Struct("<Ii")
_TRIPLE = struct.Struct("<III")


class RawType(NamedTuple):
    """struct btf_type, decoded; `at` is its offset in the section."""

    id: int
    kind: Kind
    name: str
    vlen: int
    kflag: bool
    value: int
    at: int


class Strings(Protocol):
    """What unpacking needs of the whole."""

    raw: bytes

    def string(self, offset: int, at: int = -1) -> str:
        """The string at an offset."""


def _records(btf: Strings, t: RawType, size: int) -> memoryview:
    start = t.at + TYPE_SIZE
    return memoryview(btf.raw)[start : start + t.vlen * size]


def _int(btf: Strings, t: RawType) -> Type:
    # [ _:4 encoding:4 | offset:8 | _:8 | bits:8 ]
    (data,) = _U32.unpack_from(btf.raw, t.at + TYPE_SIZE)
    bits, offset = data & 0xFF, data >> 16 & 0xFF
    if t.value not in (1, 2, 4, 8, 16) or not bits or bits + offset > 8 * t.value:
        raise BtfError(
            f"INT {t.name!r} has {bits} bits at bit {offset} of {t.value} bytes",
            section=SECTION,
            offset=t.at + TYPE_SIZE,
        )
    return Type(t.id, t.kind, t.name, t.value, bits=bits, bit_offset=offset, encoding=data >> 24 & 0xF)


def _reference(btf: Strings, t: RawType) -> Type:
    return Type(t.id, t.kind, t.name, type=t.value, kflag=t.kflag)


def _sized(btf: Strings, t: RawType) -> Type:
    return Type(t.id, t.kind, t.name, t.value)


def _fwd(btf: Strings, t: RawType) -> Type:
    return Type(t.id, t.kind, t.name, kflag=t.kflag)


def _array(btf: Strings, t: RawType) -> Type:
    element, index, count = _TRIPLE.unpack_from(btf.raw, t.at + TYPE_SIZE)
    return Type(t.id, t.kind, t.name, type=element, index=index, count=count)


def _composite(btf: Strings, t: RawType) -> Type:
    members = []
    for i, (name, type_id, place) in enumerate(_TRIPLE.iter_unpack(_records(btf, t, 12))):
        at = t.at + TYPE_SIZE + 12 * i
        offset, width = (place & 0xFFFFFF, place >> 24) if t.kflag else (place, 0)
        if offset > 8 * t.value or offset + width > 8 * t.value:
            raise BtfError(
                f"member {i} of {t.name or 'anonymous'!r} at bit {offset}, the type has {8 * t.value} bits",
                section=SECTION,
                offset=at + 8,
            )
        members.append(Member(btf.string(name, at) if name else "", type_id, offset, width))
    return Type(t.id, t.kind, t.name, t.value, kflag=t.kflag, members=tuple(members))


def _check_enum(t: RawType) -> None:
    if t.value not in (1, 2, 4, 8):
        raise BtfError(f"enum {t.name!r} has {t.value} bytes, expected 1, 2, 4 or 8", section=SECTION, offset=t.at + 8)


def _enum(btf: Strings, t: RawType) -> Type:
    _check_enum(t)
    form = _PAIR_SIGNED if t.kflag else _PAIR
    records = form.iter_unpack(_records(btf, t, 8))
    values = tuple(Enumerator(btf.string(name, t.at), value) for name, value in records)
    return Type(t.id, t.kind, t.name, t.value, kflag=t.kflag, values=values)


def _enum64(btf: Strings, t: RawType) -> Type:
    _check_enum(t)
    values = []
    for name, low, high in _TRIPLE.iter_unpack(_records(btf, t, 12)):
        value = high << 32 | low
        if t.kflag and value >> 63:
            value -= 1 << 64
        values.append(Enumerator(btf.string(name, t.at), value))
    return Type(t.id, t.kind, t.name, t.value, kflag=t.kflag, values=tuple(values))


def _func_proto(btf: Strings, t: RawType) -> Type:
    records = _PAIR.iter_unpack(_records(btf, t, 8))
    params = tuple(Param(btf.string(name, t.at) if name else "", type_id) for name, type_id in records)
    return Type(t.id, t.kind, t.name, type=t.value, params=params)


def _func(btf: Strings, t: RawType) -> Type:
    # vlen carries the linkage
    return Type(t.id, t.kind, t.name, type=t.value, linkage=t.vlen)


def _var(btf: Strings, t: RawType) -> Type:
    (linkage,) = _U32.unpack_from(btf.raw, t.at + TYPE_SIZE)
    return Type(t.id, t.kind, t.name, type=t.value, linkage=linkage)


def _datasec(btf: Strings, t: RawType) -> Type:
    variables = tuple(SectionVar(*v) for v in _TRIPLE.iter_unpack(_records(btf, t, 12)))
    return Type(t.id, t.kind, t.name, t.value, vars=variables)


def _decl_tag(btf: Strings, t: RawType) -> Type:
    (component,) = _U32.unpack_from(btf.raw, t.at + TYPE_SIZE)
    return Type(t.id, t.kind, t.name, type=t.value, component=-1 if component == 0xFFFFFFFF else component)


UNPACK: dict[Kind, Callable[[Strings, RawType], Type]] = {
    Kind.INT: _int,
    Kind.PTR: _reference,
    Kind.ARRAY: _array,
    Kind.STRUCT: _composite,
    Kind.UNION: _composite,
    Kind.ENUM: _enum,
    Kind.FWD: _fwd,
    Kind.TYPEDEF: _reference,
    Kind.VOLATILE: _reference,
    Kind.CONST: _reference,
    Kind.RESTRICT: _reference,
    Kind.FUNC: _func,
    Kind.FUNC_PROTO: _func_proto,
    Kind.VAR: _var,
    Kind.DATASEC: _datasec,
    Kind.FLOAT: _sized,
    Kind.DECL_TAG: _decl_tag,
    Kind.TYPE_TAG: _reference,
    Kind.ENUM64: _enum64,
}
