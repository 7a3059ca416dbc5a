"""Keys and values as Python sees them: bytes, or what a numpy dtype (given, or of a BTF type) makes of them.

    dtype             read as                          written from
    none              bytes                            bytes-like of the exact size; an int if that is 1 to 8 bytes
    integer, bool     int, bool                        the same
    float             float                            the same
    S16               bytes without trailing NULs      bytes
    structured        numpy structured scalar          the same, a tuple, or a dict by field
    array             numpy array                      anything numpy makes one of

Always copies: a key is read-only (so that it hashes), a value may be changed without changing the map.
"""

import errno
import struct
from typing import Any

import numpy as np

from pyebpf import btf as btf_types
from pyebpf.btf import Btf
from pyebpf.errors import Error

_CODES = {
    "i1": "b",
    "i2": "h",
    "i4": "i",
    "i8": "q",
    "u1": "B",
    "u2": "H",
    "u4": "I",
    "u8": "Q",
    "f2": "e",
    "f4": "f",
    "f8": "d",
    "b1": "?",
}
"""struct's codes for numpy's plain types."""

Typed = Any
"""A size in bytes, anything numpy takes for a dtype, or (Btf, type id or name)."""


class Codec:
    """bytes <-> value of one key or value. dtype: None for plain bytes."""

    def __init__(self, nbytes: int, dtype: "np.dtype[Any] | None" = None, *, key: bool = False) -> None:
        if dtype is not None and dtype.itemsize != nbytes:
            raise Error(errno.EINVAL, f"dtype {dtype} has {dtype.itemsize} bytes, expected {nbytes}")
        self.nbytes = nbytes
        self.dtype = dtype
        self._key = key
        self._plain = dtype is not None and dtype.subdtype is None and dtype.names is None
        code = _CODES.get(dtype.str[1:]) if dtype is not None and self._plain else None
        self._number = (
            struct.Struct((">" if dtype.str[0] == ">" else "<") + code) if dtype is not None and code else None
        )

    def encode(self, value: Any) -> bytes:
        """The bytes of `value`; EINVAL when it does not fit."""
        if self._number is not None:
            try:
                return self._number.pack(value)
            except (struct.error, OverflowError):
                pass
        if isinstance(value, (bytes, bytearray, memoryview)) and (self.dtype is None or self.dtype.kind != "S"):
            return self._exact(bytes(value))
        try:
            return self._pack(value)
        except (TypeError, ValueError, OverflowError, KeyError, struct.error) as exc:
            wanted = self.dtype if self.dtype is not None else f"{self.nbytes} bytes"
            raise Error(errno.EINVAL, f"{value!r} is no {wanted}: {exc}") from exc

    def _exact(self, raw: bytes) -> bytes:
        if len(raw) != self.nbytes:
            raise Error(errno.EINVAL, f"{len(raw)} bytes, expected {self.nbytes}")
        return raw

    def _pack(self, value: Any) -> bytes:
        dtype = self.dtype
        if dtype is None:
            if isinstance(value, (int, np.integer)) and 1 <= self.nbytes <= 8:
                return int(value).to_bytes(self.nbytes, "little", signed=bool(value < 0))
            return self._exact(bytes(memoryview(value).cast("B")))
        if self._number is not None:
            return self._number.pack(value)
        if dtype.names is not None and isinstance(value, dict):
            row = np.zeros((), dtype)
            for name, field in value.items():
                row[name] = field
            return row.tobytes()
        if dtype.kind == "S" and self._plain and len(value) > self.nbytes:
            raise ValueError(f"{len(value)} bytes, expected at most {self.nbytes}")
        shape = dtype.shape
        array = np.asarray(value, dtype.base)
        if array.shape != shape:
            raise ValueError(f"shape {array.shape}, expected {shape}")
        return array.tobytes()

    def decode(self, raw: bytes) -> Any:
        """The value of `raw`."""
        if self._number is not None:
            return self._number.unpack(raw)[0]
        if self.dtype is None:
            return raw
        return np.frombuffer(raw if self._key else bytearray(raw), self.dtype, 1)[0]


class PerCpuCodec:
    """The user side of a per-CPU value: one value for each CPU, each rounded up to 8 bytes.

    Read as a numpy array over the CPUs (without a dtype: a list of bytes). Written from one value for each CPU, or
    from a single one, which every CPU gets.
    """

    def __init__(self, inner: Codec, cpus: int) -> None:
        self.inner = inner
        self.cpus = cpus
        self.stride = inner.nbytes + 7 & ~7
        self.nbytes = self.stride * cpus
        self.dtype = inner.dtype

    def encode(self, value: Any) -> bytes:
        """Bytes of all CPUs."""
        if isinstance(value, (bytes, bytearray, memoryview)) and len(value) == self.nbytes:
            return bytes(value)
        many = isinstance(value, (list, np.ndarray)) and len(value) == self.cpus
        values = list(value) if many else [value] * self.cpus
        return b"".join(self.inner.encode(v).ljust(self.stride, b"\0") for v in values)

    def decode(self, raw: bytes) -> Any:
        """One value for each CPU."""
        parts = [raw[i : i + self.inner.nbytes] for i in range(0, len(raw), self.stride)]
        if self.dtype is None:
            return parts
        return np.frombuffer(bytearray(b"".join(parts)), self.dtype)


def resolve(what: Typed) -> "tuple[int, np.dtype[Any] | None, Btf | None, int]":
    """size, dtype, BTF and type id of a `key=` or `value=`."""
    if isinstance(what, (int, np.integer)) and not isinstance(what, bool):
        return int(what), None, None, 0
    if isinstance(what, tuple) and len(what) == 2 and isinstance(what[0], Btf):
        btf, ident = what
        type_id = ident if isinstance(ident, int) else _find(btf, ident)
        return btf_types.size_of(btf, type_id), btf_types.dtype(btf, type_id), btf, type_id
    if what is None:  # to numpy it would be a float64
        raise TypeError("a type is None, expected a size, a numpy dtype or (Btf, type)")
    dtype = np.dtype(what)
    if dtype.hasobject or not dtype.itemsize:
        raise Error(errno.EINVAL, f"dtype {dtype} has no fixed bytes")
    return dtype.itemsize, dtype, None, 0


def _find(btf: Btf, name: str) -> int:
    found = btf.find(name)
    if found is None:
        raise Error(errno.ENOENT, f"BTF has no type {name!r}")
    return found.id
