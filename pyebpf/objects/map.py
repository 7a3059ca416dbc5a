"""Map: a map as a mutable mapping, typed by size, numpy dtype or BTF."""

import builtins
import contextlib
import errno
import os
from collections.abc import ItemsView, Iterator, Mapping, MutableMapping, ValuesView
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pyebpf import syscall
from pyebpf.errors import Error
from pyebpf.objects import batch
from pyebpf.objects.codec import Codec, PerCpuCodec, Typed, resolve
from pyebpf.objects.handle import KernelMap, UserMap, close_fd, load_btf, open_map
from pyebpf.runtime.mapobj import OF_FDS, PERCPU
from pyebpf.spec.kinds import MapType

KINDS = {kind.name.lower(): kind for kind in MapType}


def map_type(kind: "MapType | int | str") -> MapType:
    """A map type by number or name ("hash", "percpu_array")."""
    if isinstance(kind, str):
        if kind.lower() not in KINDS:
            raise Error(errno.EINVAL, f"map type {kind!r}, expected one of {', '.join(KINDS)}")
        return KINDS[kind.lower()]
    return MapType(kind)


class Map(MutableMapping[Any, Any]):
    """A map. Keys and values are copies: of bytes, or typed (see pyebpf.objects.codec).

    Mapping operations raise KeyError for a missing key; lookup, update, delete, next_key and lookup_and_delete are
    bpf(2)'s and raise Error with its errno. The map lives until nothing holds it: this object (until `close`), a pin,
    a program.
    """

    def __init__(self, handle: "UserMap | KernelMap", key: Typed = None, value: Typed = None) -> None:
        """For `create`, `from_id`, `from_pin` and Collection; takes over the handle."""
        self._handle = handle
        facts = handle.facts
        key_dtype = resolve(key)[1] if key is not None else None
        value_dtype = resolve(value)[1] if value is not None else None
        self.key = Codec(facts.key_size, key_dtype, key=True)
        user_size = 4 if facts.type in OF_FDS else facts.value_size
        inner = Codec(user_size, value_dtype)
        self.value: Codec | PerCpuCodec = PerCpuCodec(inner, handle.cpus) if facts.type in PERCPU else inner
        self._update_raw = handle.update
        self._lookup_raw = handle.lookup

    @classmethod
    def create(
        cls,
        type: "MapType | int | str",
        key: Typed = 4,
        value: Typed = 4,
        max_entries: int = 1,
        flags: int = 0,
        name: str = "",
        *,
        map_extra: int = 0,
        inner: "Map | None" = None,
        backend: str = "user",
    ) -> Self:
        """A new map.

        key, value: a size in bytes, a numpy dtype, or (Btf, type id or name).  inner: the model of the maps that a
        map of maps holds.  backend: "user" or "kernel".  With both types of one Btf the map itself knows them, too.
        """
        key_size, key_dtype, key_btf, key_id = resolve(key)
        value_size, value_dtype, value_btf, value_id = resolve(value)
        typed = value_btf if value_btf is not None and key_btf == value_btf else None
        btf_fd = load_btf(typed, backend) if typed is not None else 0
        try:
            fd = syscall.bpf_create_map(
                map_type(type),
                key_size,
                value_size,
                max_entries,
                flags,
                name=name,
                inner_map_fd=inner.fd if inner is not None else 0,
                map_extra=map_extra,
                btf_fd=btf_fd,
                btf_key_type_id=key_id if btf_fd else 0,
                btf_value_type_id=value_id if btf_fd else 0,
                backend=backend,
            )
        finally:
            if btf_fd:
                close_fd(btf_fd, backend)
        return cls(open_map(fd, backend), key_dtype, value_dtype)

    @classmethod
    def from_fd(cls, fd: int, key: Typed = None, value: Typed = None, *, backend: str = "user") -> Self:
        """The map of an fd, which it takes over."""
        return cls(open_map(fd, backend), key, value)

    @classmethod
    def from_id(cls, id: int, key: Typed = None, value: Typed = None, *, backend: str = "user") -> Self:
        """The map with that id; ENOENT."""
        return cls.from_fd(syscall.bpf_map_get_fd_by_id(id, backend=backend), key, value, backend=backend)

    @classmethod
    def from_pin(
        cls, path: str | os.PathLike[str], key: Typed = None, value: Typed = None, *, backend: str = "user"
    ) -> Self:
        """The map pinned at `path`; ENOENT."""
        return cls.from_fd(syscall.bpf_obj_get(path, backend=backend), key, value, backend=backend)

    # What it is

    @property
    def fd(self) -> int:
        """Its fd, for bpf() and LD_MAP_FD; EBADF once it is closed."""
        if self._handle.fd < 0:
            raise Error(errno.EBADF, f"{self!r} is closed")
        return self._handle.fd

    def fileno(self) -> int:
        """The fd."""
        return self.fd

    @property
    def backend(self) -> str:
        """ "user" or "kernel"."""
        return self._handle.backend

    @property
    def type(self) -> MapType:
        """Its kind."""
        return self._handle.facts.type

    @property
    def id(self) -> int:
        """Its global id."""
        return self._handle.facts.id

    @property
    def name(self) -> str:
        """Its name."""
        return self._handle.facts.name

    @property
    def key_size(self) -> int:
        """Bytes of a key."""
        return self._handle.facts.key_size

    @property
    def value_size(self) -> int:
        """Bytes of a value (per CPU)."""
        return self._handle.facts.value_size

    @property
    def max_entries(self) -> int:
        """How many elements it can have."""
        return self._handle.facts.max_entries

    @property
    def flags(self) -> int:
        """BPF_F_* of its creation."""
        return self._handle.facts.flags

    @property
    def runnable(self) -> bool:
        """False for a kind that can only be verified against: using its elements is ENOTSUPP."""
        return self._handle.runnable

    def __repr__(self) -> str:
        state = "" if self._handle.fd >= 0 else ", closed"
        return f"<Map {self.name or self.id} {self.type.name} {self.key_size}:{self.value_size}{state}>"

    # A mapping

    def __getitem__(self, key: Any) -> Any:
        raw = self._lookup_raw(self.key.encode(key))
        if raw is None:
            raise KeyError(key)
        return self.value.decode(raw)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.update(key, value)

    def __delitem__(self, key: Any) -> None:
        try:
            self._handle.delete(self.key.encode(key))
        except Error as exc:
            if exc.errno == errno.ENOENT:
                raise KeyError(key) from None
            raise

    def __contains__(self, key: object) -> bool:
        return self._lookup_raw(self.key.encode(key)) is not None

    def __iter__(self) -> Iterator[Any]:
        """Keys in the map's order. One that is removed meanwhile may make it start over, as bpf(2) does."""
        handle, decode = self._handle, self.key.decode
        raw = handle.next_key(None)
        while raw is not None:
            yield decode(raw)
            raw = handle.next_key(raw)

    def __len__(self) -> int:
        """Elements it has now."""
        if self.type in (MapType.ARRAY, MapType.PERCPU_ARRAY):
            return self.max_entries
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def items(self) -> ItemsView[Any, Any]:
        """Key and value of every element; one that is removed meanwhile is left out."""
        return _Items(self)

    def values(self) -> ValuesView[Any]:
        """Value of every element."""
        return _Values(self)

    # bpf(2)

    def lookup(self, key: Any, flags: int = 0) -> Any:
        """The value of `key`; ENOENT."""
        return self.value.decode(self._found(self._handle.lookup(self.key.encode(key), flags), key))

    def _found(self, raw: bytes | None, key: object) -> bytes:
        if raw is None:
            raise Error(errno.ENOENT, f"{self!r} has no key {key!r}")
        return raw

    # API.md promises bpf(2)'s update(key, value, flags) on a MutableMapping; dict's form is taken beside it.
    def update(self, key: Any, value: Any = None, flags: int = 0) -> None:  # type: ignore[override]
        """Set `key`; BPF_NOEXIST gives EEXIST, BPF_EXIST ENOENT, a full map E2BIG.

        The value of a PROG_ARRAY is a Program or its fd. As a dict's update it takes one mapping instead.
        """
        if value is None and isinstance(key, Mapping):
            for one, its in key.items():
                self.update(one, its, flags)
        elif self.type == MapType.PROG_ARRAY and not isinstance(value, (bytes, bytearray)):
            fd = getattr(value, "fd", value)
            if not isinstance(fd, int):
                raise Error(errno.EINVAL, f"value is {value!r}, expected a Program or its fd")
            self._handle.set_prog(self.key.encode(key), fd)
        else:
            self._update_raw(self.key.encode(key), self.value.encode(value), flags)

    def delete(self, key: Any) -> None:
        """Remove `key`; ENOENT."""
        self._handle.delete(self.key.encode(key))

    def next_key(self, key: Any = None) -> Any:
        """The key after `key` (None: the first); ENOENT after the last."""
        raw = self._handle.next_key(None if key is None else self.key.encode(key))
        return self.key.decode(self._found(raw, key))

    def lookup_and_delete(self, key: Any = b"", flags: int = 0) -> Any:
        """Remove `key` and give its value; ENOENT."""
        return self.value.decode(self._found(self._handle.lookup_and_delete(self.key.encode(key), flags), key))

    # Whole arrays

    def lookup_batch(self, keys: Any) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Values of an array of keys, and which of them were found; the others are zero."""
        values, found = self._handle.lookup_many(batch.pack(keys, batch.key_dtype(self.key)))
        return np.frombuffer(values, batch.value_dtype(self.value)), np.frombuffer(found, bool)

    def update_batch(self, keys: Any, values: Any, flags: int = 0) -> int:
        """Set many elements in one native call; how many. An error's `done` says how many came before it."""
        packed_keys = batch.pack(keys, batch.key_dtype(self.key))
        packed_values = batch.pack(values, batch.value_dtype(self.value))
        return self._handle.update_batch(packed_keys, packed_values, flags)

    def delete_batch(self, keys: Any) -> int:
        """Remove many elements in one native call; how many. The first that is missing ends it with ENOENT."""
        return self._handle.delete_batch(batch.pack(keys, batch.key_dtype(self.key)))

    def to_numpy(self) -> NDArray[Any]:
        """All elements as a structured array with fields "key" and "value"; each element is consistent in itself."""
        return self._rows(drain=False)

    def drain(self) -> NDArray[Any]:
        """As to_numpy, and removes them: each value is the last one that was stored."""
        return self._rows(drain=True)

    def _rows(self, *, drain: bool) -> NDArray[Any]:
        keys, values = self._handle.read_all(drain=drain)
        key_dtype, value_dtype = batch.key_dtype(self.key), batch.value_dtype(self.value)
        return batch.join(np.frombuffer(keys, key_dtype), np.frombuffer(values, value_dtype))

    def freeze(self) -> None:
        """No more writes from user space; EPERM when it is frozen."""
        self._handle.freeze()

    def pin(self, path: str | os.PathLike[str]) -> None:
        """Give it a name: in this process (user back end) or in bpffs (kernel); EEXIST."""
        self._handle.pin(os.fspath(path))

    # Life

    def close(self) -> None:
        """Let go of it; twice is no error."""
        self._handle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: "builtins.type[BaseException] | None", exc: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        handle = getattr(self, "_handle", None)
        if handle is not None:
            with contextlib.suppress(Error):  # Somebody closed the fd already.
                handle.close()


class _Items(ItemsView[Any, Any]):
    """items(): one lookup an element, no KeyError for one that went meanwhile."""

    def __init__(self, m: Map) -> None:
        super().__init__(m)
        self._m = m

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        handle, key, value = self._m._handle, self._m.key.decode, self._m.value.decode
        raw = handle.next_key(None)
        while raw is not None:
            found = handle.lookup(raw)
            if found is not None:
                yield key(raw), value(found)
            raw = handle.next_key(raw)


class _Values(ValuesView[Any]):
    """values(), as items()."""

    def __init__(self, m: Map) -> None:
        super().__init__(m)
        self._m = m

    def __iter__(self) -> Iterator[Any]:
        return (value for _, value in self._m.items())
