"""numpy dtypes of BTF types: structs as structured dtypes, unions as overlapping fields.

Fields of anonymous members are fields of the struct around them, as in C. `char x[n]` is a byte
string. What numpy cannot express is refused with the reason: bit fields, arrays without a length.
"""

from typing import Any

import numpy as np

from pyebpf.btf.layout import size_of
from pyebpf.btf.reader import MAX_DEPTH, SECTION, Btf
from pyebpf.btf.types import INT_BOOL, INT_SIGNED, Kind, Type
from pyebpf.errors import BtfError

MAX_FIELDS = 65536
_Fields = list[tuple[str, "np.dtype[Any]", int]]


def dtype(btf: Btf, type_id: int) -> "np.dtype[Any]":
    """The numpy dtype with the bytes of a BTF type; BtfError says why there is none."""
    try:
        return _Maker(btf).make(type_id, 0)
    except (ValueError, TypeError, OverflowError, MemoryError) as error:
        raise BtfError(f"type {type_id} has no numpy dtype: {error}", section=SECTION) from error


class _Maker:
    """One conversion; a type that occurs many times is made once."""

    def __init__(self, btf: Btf) -> None:
        self.btf = btf
        self.made: dict[int, np.dtype[Any]] = {}
        self.visits = 0

    def make(self, type_id: int, depth: int) -> "np.dtype[Any]":
        if depth > MAX_DEPTH:
            raise BtfError(f"type {type_id} is nested more than {MAX_DEPTH} deep", section=SECTION)
        t = self.btf.resolve(type_id)
        if t.id not in self.made:
            self.made[t.id] = self._make(t, depth)
        return self.made[t.id]

    def _make(self, t: Type, depth: int) -> "np.dtype[Any]":
        if t.kind is Kind.INT:
            return _int(t)
        if t.kind is Kind.PTR:
            return np.dtype("<u8")
        if t.kind in (Kind.ENUM, Kind.ENUM64):
            return np.dtype(f"<{'i' if t.kflag else 'u'}{t.size}")
        if t.kind is Kind.FLOAT:
            return np.dtype(f"<f{t.size}") if t.size in (2, 4, 8) else np.dtype(f"V{t.size}")
        if t.kind is Kind.ARRAY:
            return self._array(t, depth)
        if t.is_composite:
            return self._composite(t, depth)
        raise BtfError(f"{t.kind.name} {t.name!r} has no values, so no dtype", section=SECTION)

    def _array(self, t: Type, depth: int) -> "np.dtype[Any]":
        if t.count == 0:
            raise BtfError(f"array {t.id} has no length: a flexible array has no dtype", section=SECTION)
        element = self.btf.resolve(t.type)
        size_of(self.btf, t.id)
        if element.kind is Kind.INT and element.name == "char":
            return np.dtype(f"S{t.count}")
        inner = self.make(element.id, depth + 1)
        if inner.subdtype is not None:
            base, shape = inner.subdtype
            return np.dtype((base, (t.count, *shape)))
        return np.dtype((inner, (t.count,)))

    def _composite(self, t: Type, depth: int) -> "np.dtype[Any]":
        fields: _Fields = []
        self._collect(t, 0, fields, depth)
        names, formats, offsets = [f[0] for f in fields], [f[1] for f in fields], [f[2] for f in fields]
        for name, form, offset in fields:
            if offset + form.itemsize > t.size:
                raise BtfError(
                    f"field {name!r} of {t.name!r} ends at {offset + form.itemsize}, the type at {t.size}",
                    section=SECTION,
                )
        return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": t.size})

    def _collect(self, t: Type, start: int, fields: _Fields, depth: int) -> None:
        """Fields of t and of its anonymous members, `start` bytes into the struct being made."""
        if depth > MAX_DEPTH:
            raise BtfError(f"type {t.id} is nested more than {MAX_DEPTH} deep", section=SECTION)
        for m in t.members:
            self.visits += 1
            if self.visits > MAX_FIELDS:
                raise BtfError(f"type {t.id} has more than {MAX_FIELDS} fields", section=SECTION)
            if m.bit_size or m.bit_offset % 8:
                raise BtfError(
                    f"field {m.name!r} of {t.name!r} is a bit field of {m.bit_size} bits, which numpy cannot express",
                    section=SECTION,
                )
            inner = self.btf.resolve(m.type)
            offset = start + m.bit_offset // 8
            if not m.name and inner.is_composite:
                self._collect(inner, offset, fields, depth + 1)
            elif m.name:
                fields.append((m.name, self.make(inner.id, depth + 1), offset))


def _int(t: Type) -> "np.dtype[Any]":
    if t.bits != 8 * t.size or t.bit_offset:
        raise BtfError(
            f"INT {t.name!r} uses {t.bits} of {8 * t.size} bits, which numpy cannot express", section=SECTION
        )
    if t.encoding & INT_BOOL and t.size == 1:
        return np.dtype("?")
    if t.size > 8:
        return np.dtype(f"V{t.size}")
    return np.dtype(f"<{'i' if t.encoding & INT_SIGNED else 'u'}{t.size}")
