"""What MAP_CREATE asks of map types that have no native back end: Linux's checks, one row a type.

The native maps check themselves (struct map_ops); these are verified against and never hold an element.
"""

import errno
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pyebpf.errors import ENOTSUPP, Error
from pyebpf.spec import kinds
from pyebpf.spec.kinds import MapType

KMALLOC_MAX: Final = 4 << 20
PERCPU_MAX: Final = 32 << 10
"""The longest per-CPU value (PCPU_MIN_UNIT_SIZE)."""
MAX_CPUS: Final = 256
"""What the runtime has vCPUs for; Linux's NR_CPUS."""
_PAGE: Final = 4096

_NUMA = kinds.BPF_F_NUMA_NODE
_FD_ACCESS = kinds.BPF_F_RDONLY | kinds.BPF_F_WRONLY
_PROG_ACCESS = kinds.BPF_F_RDONLY_PROG | kinds.BPF_F_WRONLY_PROG
_ACCESS = _FD_ACCESS | _PROG_ACCESS
_HTAB = kinds.BPF_F_NO_PREALLOC | kinds.BPF_F_NO_COMMON_LRU | _NUMA | _ACCESS | kinds.BPF_F_ZERO_SEED


@dataclass(frozen=True, slots=True)
class CreateArgs:
    """MAP_CREATE's plain fields."""

    type: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int = 0
    extra: int = 0
    name: str = ""
    btf_key_type_id: int = 0
    btf_value_type_id: int = 0
    btf_vmlinux_value_type_id: int = 0


def _want(condition: bool, args: CreateArgs, wanted: str, code: int = errno.EINVAL) -> None:
    if not condition:
        seen = f"key {args.key_size}, value {args.value_size}, max_entries {args.max_entries}, flags {args.flags:#x}"
        raise Error(code, f"{MapType(args.type).name} map with {seen}: expected {wanted}")


def _flags(args: CreateArgs, allowed: int) -> None:
    _want(not args.flags & ~allowed, args, f"no flags beyond {allowed:#x}")
    _want(args.flags & _PROG_ACCESS != _PROG_ACCESS, args, "at most one of RDONLY_PROG and WRONLY_PROG")


def _fd_array(args: CreateArgs) -> None:
    _want(args.value_size == 4 and args.key_size == 4 and args.max_entries > 0, args, "key 4, value 4, an entry")
    allowed = _NUMA | _FD_ACCESS
    if args.type == MapType.PERF_EVENT_ARRAY:
        allowed |= kinds.BPF_F_PRESERVE_ELEMS
    _flags(args, allowed)


def _htab(args: CreateArgs) -> None:
    lru = args.type in (MapType.LRU_HASH, MapType.LRU_PERCPU_HASH)
    percpu = args.type == MapType.LRU_PERCPU_HASH
    _flags(args, _HTAB)
    _want(lru or not args.flags & kinds.BPF_F_NO_COMMON_LRU, args, "NO_COMMON_LRU only with LRU maps")
    _want(not (lru and args.flags & kinds.BPF_F_NO_PREALLOC), args, "preallocation with LRU maps", ENOTSUPP)
    if args.flags & _NUMA:
        _want(not percpu and not args.flags & kinds.BPF_F_NO_COMMON_LRU, args, "no NUMA node with per-CPU lists")
    _want(bool(args.max_entries and args.key_size and args.value_size), args, "sizes above 0")
    _want(args.key_size + args.value_size < KMALLOC_MAX - 64, args, "smaller elements", errno.E2BIG)
    _want(not percpu or (args.value_size + 7) & ~7 <= PERCPU_MAX, args, "a smaller per-CPU value", errno.E2BIG)
    if args.type == MapType.HASH_OF_MAPS:
        _want(args.value_size == 4, args, "value 4")


def _lpm(args: CreateArgs) -> None:
    _want(bool(args.flags & kinds.BPF_F_NO_PREALLOC), args, "NO_PREALLOC")
    _flags(args, kinds.BPF_F_NO_PREALLOC | _NUMA | _ACCESS)
    _want(args.max_entries > 0 and 5 <= args.key_size <= 260 and args.value_size > 0, args, "key 5 to 260, value")
    _want(args.value_size < KMALLOC_MAX - 300, args, "a smaller value")


def _queue(args: CreateArgs) -> None:
    _flags(args, _NUMA | _ACCESS)
    _want(args.max_entries > 0 and args.key_size == 0 and args.value_size > 0, args, "no key, a value, an entry")
    _want(args.value_size <= KMALLOC_MAX, args, "a smaller value", errno.E2BIG)


def _bloom(args: CreateArgs) -> None:
    _flags(args, _NUMA | kinds.BPF_F_ZERO_SEED | _ACCESS)
    _want(args.max_entries > 0 and args.key_size == 0 and args.value_size > 0, args, "no key, a value, an entry")
    _want(not args.extra & ~15, args, "map_extra (number of hashes) below 16")
    _want(args.value_size <= KMALLOC_MAX, args, "a smaller value", errno.E2BIG)


def _dev(args: CreateArgs) -> None:
    _flags(args, _NUMA | _FD_ACCESS)
    _want(args.max_entries > 0 and args.key_size == 4 and args.value_size in (4, 8), args, "key 4, value 4 or 8")


def _cpu(args: CreateArgs) -> None:
    _want(args.max_entries > 0 and args.key_size == 4 and args.value_size in (4, 8), args, "key 4, value 4 or 8")
    _flags(args, _NUMA)
    _want(args.max_entries <= MAX_CPUS, args, f"at most {MAX_CPUS} CPUs", errno.E2BIG)


def _xsk(args: CreateArgs) -> None:
    _want(args.max_entries > 0 and args.key_size == 4 and args.value_size == 4, args, "key 4, value 4, an entry")
    _flags(args, _NUMA | _FD_ACCESS)


def _sock(args: CreateArgs) -> None:
    hashed = args.type == MapType.SOCKHASH
    _want(args.max_entries > 0 and args.value_size in (4, 8), args, "value 4 or 8, an entry")
    _want(args.key_size > 0 if hashed else args.key_size == 4, args, "a key" if hashed else "key 4")
    _flags(args, _NUMA | _FD_ACCESS)
    _want(args.key_size <= kinds.STACK_SIZE, args, "key at most 512", errno.E2BIG)


def _cgroup_storage(args: CreateArgs) -> None:
    _want(args.key_size in (8, 16) and args.value_size > 0, args, "key 8 or 16, a value")
    _flags(args, _NUMA | _ACCESS)
    _want(args.max_entries == 0, args, "max_entries 0")
    limit = PERCPU_MAX if args.type == MapType.PERCPU_CGROUP_STORAGE else KMALLOC_MAX - 64
    _want(args.value_size <= limit, args, "a smaller value", errno.E2BIG)


def _reuseport(args: CreateArgs) -> None:
    _want(args.value_size in (4, 8) and args.key_size == 4 and args.max_entries > 0, args, "key 4, value 4 or 8")
    _flags(args, _NUMA | _ACCESS)


def _local_storage(args: CreateArgs) -> None:
    _want(bool(args.flags & kinds.BPF_F_NO_PREALLOC), args, "NO_PREALLOC")
    _flags(args, kinds.BPF_F_NO_PREALLOC | kinds.BPF_F_CLONE)
    _want(args.max_entries == 0 and args.key_size == 4 and args.value_size > 0, args, "key 4, value, max_entries 0")
    _want(bool(args.btf_key_type_id and args.btf_value_type_id), args, "BTF types of key and value")
    _want(args.value_size < (64 << 10) - 128, args, "a smaller value", errno.E2BIG)


def _ringbuf(args: CreateArgs) -> None:
    _flags(args, _NUMA)
    size = args.max_entries
    ok = args.key_size == 0 and args.value_size == 0 and size >= _PAGE and size & (size - 1) == 0
    _want(ok, args, "no key, no value, max_entries a power of 2 of at least a page")


def _arena(args: CreateArgs) -> None:
    _want(bool(args.flags & kinds.BPF_F_MMAPABLE), args, "MMAPABLE")
    _flags(args, kinds.BPF_F_MMAPABLE | 1 << 17 | 1 << 18)
    _want(args.key_size == 0 and args.value_size == 0 and args.max_entries > 0, args, "no key, no value, pages")
    _want(args.extra % _PAGE == 0, args, "map_extra a page address")
    _want(args.max_entries * _PAGE <= 1 << 32, args, "at most 4 GiB", errno.E2BIG)


def _struct_ops(args: CreateArgs) -> None:
    ok = args.key_size == 4 and args.max_entries == 1 and args.btf_vmlinux_value_type_id
    _want(bool(ok), args, "key 4, one entry, a type of the kernel's BTF")
    raise Error(ENOTSUPP, "STRUCT_OPS maps replace functions of the running kernel; there is none in a process")


RULES: Final[dict[MapType, Callable[[CreateArgs], None]]] = {
    MapType.PERF_EVENT_ARRAY: _fd_array,
    MapType.CGROUP_ARRAY: _fd_array,
    MapType.ARRAY_OF_MAPS: _fd_array,
    MapType.HASH_OF_MAPS: _htab,
    MapType.LRU_HASH: _htab,
    MapType.LRU_PERCPU_HASH: _htab,
    MapType.LPM_TRIE: _lpm,
    MapType.DEVMAP: _dev,
    MapType.DEVMAP_HASH: _dev,
    MapType.CPUMAP: _cpu,
    MapType.XSKMAP: _xsk,
    MapType.SOCKMAP: _sock,
    MapType.SOCKHASH: _sock,
    MapType.CGROUP_STORAGE: _cgroup_storage,
    MapType.PERCPU_CGROUP_STORAGE: _cgroup_storage,
    MapType.REUSEPORT_SOCKARRAY: _reuseport,
    MapType.QUEUE: _queue,
    MapType.STACK: _queue,
    MapType.SK_STORAGE: _local_storage,
    MapType.INODE_STORAGE: _local_storage,
    MapType.TASK_STORAGE: _local_storage,
    MapType.CGRP_STORAGE: _local_storage,
    MapType.STRUCT_OPS: _struct_ops,
    MapType.RINGBUF: _ringbuf,
    MapType.USER_RINGBUF: _ringbuf,
    MapType.BLOOM_FILTER: _bloom,
    MapType.ARENA: _arena,
}

UNPRIVILEGED: Final = frozenset(
    {
        MapType.ARRAY,
        MapType.PERCPU_ARRAY,
        MapType.PROG_ARRAY,
        MapType.PERF_EVENT_ARRAY,
        MapType.CGROUP_ARRAY,
        MapType.ARRAY_OF_MAPS,
        MapType.HASH,
        MapType.PERCPU_HASH,
        MapType.HASH_OF_MAPS,
        MapType.RINGBUF,
        MapType.USER_RINGBUF,
        MapType.CGROUP_STORAGE,
        MapType.PERCPU_CGROUP_STORAGE,
    }
)
"""Types that a user without CAP_BPF may create where unprivileged BPF is on (caps="none")."""
