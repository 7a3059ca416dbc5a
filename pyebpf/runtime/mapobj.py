"""MapObj: a map as the kernel keeps it, over a native map or, for kinds without one, verify-only."""

import errno
import struct
from typing import TYPE_CHECKING, ClassVar

from pyebpf import native
from pyebpf.errors import ENOTSUPP, Error
from pyebpf.runtime.btfobj import BtfObj
from pyebpf.runtime.kobject import KObject
from pyebpf.runtime.maprules import CreateArgs
from pyebpf.spec import kinds
from pyebpf.spec.kinds import MapType
from pyebpf.spec.verified import MapDesc

if TYPE_CHECKING:
    from pyebpf.runtime.progobj import ProgObj

_U32 = struct.Struct("<I")
PERCPU = (MapType.PERCPU_HASH, MapType.PERCPU_ARRAY, MapType.LRU_PERCPU_HASH, MapType.PERCPU_CGROUP_STORAGE)
OF_FDS = (
    MapType.PROG_ARRAY,
    MapType.PERF_EVENT_ARRAY,
    MapType.CGROUP_ARRAY,
    MapType.ARRAY_OF_MAPS,
    MapType.HASH_OF_MAPS,
)


class MapObj(KObject):
    """A map.

    native: None for a verify-only kind: every use of its elements is ENOTSUPP and names the kind.
    user_refs: fds and pins; at 0 a PROG_ARRAY lets its programs go, since user space cannot reach it any more (and
    programs in it that hold it would keep it alive for ever).
    """

    kind: ClassVar[str] = "map"

    def __init__(self, args: CreateArgs, native_map: "native.NativeMap | None", btf: BtfObj | None = None) -> None:
        super().__init__()
        self.args = args
        self.type = MapType(args.type)
        self.key_size = args.key_size
        self.value_size = args.value_size
        self.max_entries = args.max_entries
        self.flags = args.flags & ~(kinds.BPF_F_RDONLY | kinds.BPF_F_WRONLY)
        self.name = args.name
        self.native = native_map
        self.btf = btf
        self.inner: MapDesc | None = None
        self.frozen = False
        self.user_refs = 1
        self._progs: dict[int, ProgObj] = {}
        self._owner: tuple[object, ...] | None = None

    @property
    def runnable(self) -> bool:
        """Whether programs over this map can run here."""
        return self.native is not None

    @property
    def user_value_size(self) -> int:
        """Bytes of a value as bpf(2) passes it: for per-CPU kinds all vCPUs' values, each rounded up to 8."""
        if self.native is not None:
            return self.native.user_value_size
        return 4 if self.type in OF_FDS else self.value_size

    @property
    def cpus(self) -> int:
        """Values that the user side of a per-CPU element has; 1 for other kinds."""
        return self.user_value_size // (self.value_size + 7 & ~7) if self.type in PERCPU else 1

    def elements(self) -> "native.NativeMap":
        """The native map; ENOTSUPP for a verify-only kind."""
        if self.native is None:
            raise Error(ENOTSUPP, f"map {self.name or self.id}: {self.type.name} has no native back end, verify only")
        return self.native

    def desc(self) -> MapDesc:
        """What the verifier may know."""
        return MapDesc(
            type=self.type,
            key_size=self.key_size,
            value_size=self.value_size,
            max_entries=self.max_entries,
            flags=self.flags,
            name=self.name,
            id=self.id,
            frozen=self._constants(),
            inner=self.inner,
            btf_id=self.btf.id if self.btf else 0,
            btf_key_type_id=self.args.btf_key_type_id,
            btf_value_type_id=self.args.btf_value_type_id,
        )

    def _constants(self) -> bytes | None:
        readonly = self.flags & kinds.BPF_F_RDONLY_PROG and self.frozen
        if not readonly or self.type != MapType.ARRAY or self.max_entries != 1:
            return None
        return self.elements().lookup(bytes(4))

    # Elements, as bpf(2) sees them. The native map checks that keys and values have its sizes.

    def lookup(self, key: bytes, flags: int = 0) -> bytes | None:
        """The value of `key`, None if there is none. A PROG_ARRAY gives the program's id."""
        return self.elements().lookup(key, flags)

    def update(self, key: bytes, value: bytes, flags: int = 0) -> None:
        """Set `key`; EEXIST, ENOENT (flags), E2BIG (full). A PROG_ARRAY is set with `set_prog`."""
        self.elements().update(key, value, flags)

    def delete(self, key: bytes) -> None:
        """Remove `key`; ENOENT."""
        if self.type == MapType.PROG_ARRAY:
            self.set_prog(key, None)
        else:
            self.elements().erase(key)

    def next_key(self, key: bytes | None) -> bytes | None:
        """The key after `key`, None after the last."""
        return self.elements().next_key(key)

    def lookup_and_delete(self, key: bytes, flags: int = 0) -> bytes | None:
        """Remove `key` and give its value; None if there is none."""
        return self.elements().lookup_and_erase(key, flags)

    def freeze(self) -> None:
        """No more writes from user space; EBUSY when it is frozen, ENOTSUPP for STRUCT_OPS."""
        with self.lock:
            if self.frozen:
                raise Error(errno.EBUSY, f"map {self.name or self.id} is frozen already")
            if self.native is not None and self.type != MapType.PROG_ARRAY:
                self.native.freeze()  # A prog array must still let its programs go.
            self.frozen = True

    # PROG_ARRAY

    def _index(self, key: bytes) -> int:
        index: int = _U32.unpack(key)[0]
        return index

    def set_prog(self, key: bytes, prog: "ProgObj | None") -> None:
        """Put a program at `key` (None: remove, ENOENT if there is none); EINVAL if it does not fit the others.

        As in Linux the first program, in the array or using it, decides the type and engine of all.
        """
        index = self._index(key)
        if index >= self.max_entries:
            raise Error(errno.E2BIG, f"map {self.name or self.id}: index {index}, expected below {self.max_entries}")
        elements = self.elements()
        with self.lock:
            old = self._progs.get(index)
            if prog is None and old is None:
                raise Error(errno.ENOENT, f"map {self.name or self.id}: index {index} holds no program")
            if prog is not None:
                self._check_owner(prog)
                elements.set_prog(key, prog.executable(), prog.id)
                prog.get()
                self._progs[index] = prog
            else:
                elements.erase(key)
                del self._progs[index]
        if old is not None:
            old.put()

    def _check_owner(self, prog: "ProgObj") -> None:
        if prog.native is None:
            raise Error(ENOTSUPP, f"program {prog.name or prog.id}: {prog.why_not_runnable}")
        if self._owner is None:
            self._owner = prog.owner_key
        elif self._owner != prog.owner_key:
            raise Error(
                errno.EINVAL,
                f"map {self.name or self.id}: program {prog.name or prog.id} is {prog.owner_key}, "
                f"those of this array are {self._owner}",
            )

    def used_by(self, prog: "ProgObj") -> None:
        """A program that tail-calls through this array; EINVAL if the array belongs to another type."""
        if self.type == MapType.PROG_ARRAY:
            with self.lock:
                self._check_owner(prog)

    # References

    def get_user(self) -> None:
        """One fd or pin more."""
        self.get()
        with self.lock:
            self.user_refs += 1

    def put_user(self) -> None:
        """One fd or pin less."""
        with self.lock:
            self.user_refs -= 1
            progs = self._clear() if self.user_refs == 0 else []
        for prog in progs:
            prog.put()
        self.put()

    def _clear(self) -> "list[ProgObj]":
        progs = list(self._progs.values())
        for index in self._progs:
            self.elements().erase(_U32.pack(index))
        self._progs.clear()
        return progs

    def release(self) -> None:
        """The last reference is gone; running programs keep the native map to the end of their run."""
        if self.btf:
            self.btf.put()
