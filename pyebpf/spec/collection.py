"""What an object file describes: programs, maps and variables, as frozen values.

A ProgramSpec's instructions are complete but for maps, which do not exist yet: every reference to one
is PSEUDO_MAP_IDX or PSEUDO_MAP_IDX_VALUE with imm = an index into the program's `maps`, names of the
collection's maps. Whoever loads the program puts fds in their place (or hands them on as fd_array).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from pyebpf import btf as btf_types
from pyebpf.btf import Btf
from pyebpf.errors import ObjectError
from pyebpf.spec import kinds
from pyebpf.spec.debuginfo import FuncInfo, LineInfo
from pyebpf.spec.kinds import MapType, ProgType

T = TypeVar("T")

PIN_NONE, PIN_BY_NAME = 0, 1

TYPELESS_MAPS = frozenset(
    {
        MapType.PROG_ARRAY,
        MapType.PERF_EVENT_ARRAY,
        MapType.STACK_TRACE,
        MapType.CGROUP_ARRAY,
        MapType.ARRAY_OF_MAPS,
        MapType.HASH_OF_MAPS,
        MapType.DEVMAP,
        MapType.DEVMAP_HASH,
        MapType.CPUMAP,
        MapType.XSKMAP,
        MapType.SOCKMAP,
        MapType.SOCKHASH,
        MapType.QUEUE,
        MapType.STACK,
        MapType.RINGBUF,
    }
)
"""Kinds that Linux creates without BTF types of key and value."""


class Named(Mapping[str, T], Generic[T]):
    """An immutable mapping by name, whose values are attributes too: spec.maps["flows"], spec.maps.flows."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, T]) -> None:
        self._items = dict(items)

    def __getitem__(self, name: str) -> T:
        return self._items[name]

    def __getattr__(self, name: str) -> T:
        if name.startswith("_") or name not in self._items:
            raise AttributeError(name)
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._items]

    def __repr__(self) -> str:
        return f"{{{', '.join(self._items)}}}"

    def __reduce__(self) -> tuple[type["Named[T]"], tuple[dict[str, T]]]:
        return Named, (self._items,)


@dataclass(frozen=True, slots=True)
class MapSpec:
    """A map to create.

    name: what the object calls it; for data the section's name (".rodata").
    kernel_name: the name MAP_CREATE is given, as libbpf forms it.
    contents: value 0 of a data map, missing bytes zero.  freeze: read-only to programs and, once
    filled, to all.  slots: what to put where in a map of maps or programs: (index, name).
    max_entries: 0 where the machine decides (PERF_EVENT_ARRAY: one for each possible CPU).
    """

    name: str
    type: MapType
    key_size: int
    value_size: int
    max_entries: int
    flags: int = 0
    map_extra: int = 0
    numa_node: int = 0
    pinning: int = PIN_NONE
    key_type_id: int = 0
    value_type_id: int = 0
    inner: "MapSpec | None" = None
    contents: bytes | None = field(default=None, repr=False)
    freeze: bool = False
    slots: tuple[tuple[int, str], ...] = ()
    section: str = ""
    kernel_name: str = ""
    btf: Btf | None = field(default=None, repr=False)

    @property
    def is_data(self) -> bool:
        """Holds global variables."""
        return self.contents is not None

    @property
    def create_type_ids(self) -> tuple[int, int]:
        """btf_key_type_id and btf_value_type_id for MAP_CREATE: (0, 0) for kinds that take none."""
        return (0, 0) if self.type in TYPELESS_MAPS else (self.key_type_id, self.value_type_id)

    @property
    def key_dtype(self) -> "np.dtype[Any] | None":
        """The key's numpy dtype by BTF, None where it has none."""
        return _dtype(self.btf, self.key_type_id)

    @property
    def value_dtype(self) -> "np.dtype[Any] | None":
        """The value's numpy dtype by BTF, None where it has none."""
        return None if self.is_data else _dtype(self.btf, self.value_type_id)


@dataclass(frozen=True, slots=True)
class VariableSpec:
    """A global variable: `size` bytes at `offset` of the value of a data map."""

    name: str
    map: str
    offset: int
    size: int
    type_id: int = 0
    is_static: bool = False
    read_only: bool = False
    contents: bytes = field(default=b"", repr=False)
    """Value 0 of the map, missing bytes zero."""
    btf: Btf | None = field(default=None, repr=False)

    @property
    def initial(self) -> bytes:
        """Its bytes in the object; b"" in .bss, whose bytes are zero."""
        return self.contents[self.offset : self.offset + self.size]

    @property
    def dtype(self) -> "np.dtype[Any] | None":
        """Its numpy dtype by BTF, None where it has none (bit fields, flexible arrays, no BTF)."""
        return _dtype(self.btf, self.type_id)

    @property
    def c_type(self) -> str:
        """Its C declaration by BTF, "" without."""
        return btf_types.declare(self.btf, self.type_id, self.name) if self.btf and self.type_id else ""


@dataclass(frozen=True, slots=True, eq=False)
class ProgramSpec:
    """A program: the main function, then the functions it calls in libbpf's order.

    insns: 8 bytes an instruction; map references as the module says.
    type: UNSPEC when the section's name says none.  attach_to: the text after the slash of its section.
    func_info, line_info: bpf_func_info and bpf_line_info records, instruction numbers counted from the
    program's start, as PROG_LOAD takes them.
    functions: (first instruction, name) of main and of each function appended.
    problem: why the program cannot be loaded ("" if it can): what it needs is not there.
    """

    name: str
    section: str
    type: ProgType
    insns: bytes = field(repr=False)
    maps: tuple[str, ...] = ()
    license: str = ""
    kern_version: int = 0
    attach_type: int = 0
    attach_to: str = ""
    prog_flags: int = 0
    autoload: bool = True
    functions: tuple[tuple[int, str], ...] = ()
    func_info: NDArray[Any] | None = field(default=None, repr=False)
    line_info: NDArray[Any] | None = field(default=None, repr=False)
    btf: Btf | None = field(default=None, repr=False)
    problem: str = ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProgramSpec) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash((self.name, self.insns))

    def _key(self) -> tuple[object, ...]:
        raw = [None if info is None else info.tobytes() for info in (self.func_info, self.line_info)]
        plain = [getattr(self, name) for name in self.__slots__ if name not in ("func_info", "line_info")]
        return (*plain, *raw)

    @property
    def kernel_name(self) -> str:
        """The name PROG_LOAD is given: at most 15 characters of the function's."""
        return self.name[: kinds.OBJ_NAME_LEN - 1]

    def require_loadable(self) -> None:
        """ObjectError with the reason if the program needs what is not there."""
        if self.problem:
            raise ObjectError(f"program {self.name!r} cannot be loaded: {self.problem}", section=self.section)

    def funcs(self) -> list[FuncInfo]:
        """The functions with BTF types and names."""
        if self.btf is None or self.func_info is None:
            return []
        return [FuncInfo(int(at), int(t), self.btf.type(int(t)).name) for at, t in self.func_info.tolist()]

    def lines(self) -> list[LineInfo]:
        """The source lines, in the order of their instructions."""
        btf = self.btf
        if btf is None or self.line_info is None:
            return []
        strings: dict[int, str] = {}
        out = []
        for at, file_off, line_off, place in self.line_info.tolist():
            for offset in (file_off, line_off):
                if offset not in strings:
                    strings[offset] = btf.string(offset)
            out.append(LineInfo(at, strings[file_off], strings[line_off], place >> 10, place & 0x3FF))
        return out


@dataclass(frozen=True, slots=True)
class CollectionContents:
    """Everything an object describes, by name and in the object's order.

    btf: as BPF_BTF_LOAD takes it (sizes and places of data sections filled in), None without.
    """

    name: str
    programs: Named[ProgramSpec]
    maps: Named[MapSpec]
    variables: Named[VariableSpec]
    license: str = ""
    kern_version: int = 0
    btf: Btf | None = None


def _dtype(btf: Btf | None, type_id: int) -> "np.dtype[Any] | None":
    if btf is None or not type_id:
        return None
    try:
        return btf_types.dtype(btf, type_id)
    except ObjectError:
        return None
