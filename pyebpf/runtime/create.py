"""Creating maps: what both bpf(2) and the objects do."""

import errno

from pyebpf import native
from pyebpf.errors import ENOTSUPP, Error
from pyebpf.runtime.btfobj import BtfObj
from pyebpf.runtime.mapobj import MapObj
from pyebpf.runtime.maprules import RULES, UNPRIVILEGED, CreateArgs
from pyebpf.runtime.state import Runtime
from pyebpf.spec import kinds
from pyebpf.spec.kinds import MapType

_INDEXED = (MapType.ARRAY, MapType.PERCPU_ARRAY)
_TYPELESS = (
    MapType.PERF_EVENT_ARRAY,
    MapType.CGROUP_ARRAY,
    MapType.STACK_TRACE,
    MapType.ARRAY_OF_MAPS,
    MapType.HASH_OF_MAPS,
    MapType.DEVMAP,
    MapType.DEVMAP_HASH,
    MapType.SOCKMAP,
    MapType.SOCKHASH,
    MapType.CPUMAP,
    MapType.XSKMAP,
)
_NEVER_INNER = (
    MapType.PROG_ARRAY,
    MapType.STRUCT_OPS,
    MapType.CGROUP_STORAGE,
    MapType.PERCPU_CGROUP_STORAGE,
)


def check_args(args: CreateArgs) -> MapType:
    """The rules that hold for every type; EINVAL."""
    try:
        kind = MapType(args.type)
    except ValueError:
        raise Error(errno.EINVAL, f"map type {args.type} is unknown") from None
    if kind == MapType.UNSPEC:
        raise Error(errno.EINVAL, "map type 0 is no type")
    if args.btf_vmlinux_value_type_id:
        if kind != MapType.STRUCT_OPS or args.btf_key_type_id or args.btf_value_type_id:
            raise Error(errno.EINVAL, "btf_vmlinux_value_type_id is for STRUCT_OPS maps, without other types")
    elif args.btf_key_type_id and not args.btf_value_type_id:
        raise Error(errno.EINVAL, "a map with a BTF key type needs a value type")
    if args.extra and kind not in (MapType.BLOOM_FILTER, MapType.ARENA):
        raise Error(errno.EINVAL, f"map_extra is {args.extra:#x}, expected 0 for {kind.name}")
    both = kinds.BPF_F_RDONLY | kinds.BPF_F_WRONLY
    if args.flags & both == both:
        raise Error(errno.EINVAL, "RDONLY and WRONLY exclude each other")
    if args.flags & kinds.BPF_F_NUMA_NODE and kind in (MapType.PERCPU_HASH, MapType.PERCPU_ARRAY):
        raise Error(errno.EINVAL, f"{kind.name} maps have values on every node, none can be chosen")
    return kind


def new_map(args: CreateArgs, caps: str = "all") -> MapObj:
    """A map without an id yet; its one reference will count as user space's."""
    kind = check_args(args)
    native_map = None
    if kind in RULES:
        RULES[kind](args)
    else:
        native_map = native.NativeMap(
            kind, args.key_size, args.value_size, args.max_entries, args.flags, args.extra, args.name
        )
    if caps == "none" and kind not in UNPRIVILEGED:
        raise Error(errno.EPERM, f"{kind.name} maps need CAP_BPF, the caller has caps='none'")
    return MapObj(args, native_map)


def set_inner(obj: MapObj, inner: MapObj) -> None:
    """Make `inner` the model of the maps that `obj` holds; EINVAL, ENOTSUPP."""
    if inner.inner is not None:
        raise Error(errno.EINVAL, "the inner map is a map of maps itself")
    if inner.type in _NEVER_INNER:
        raise Error(ENOTSUPP, f"{inner.type.name} maps cannot be inner maps")
    obj.inner = inner.desc()


def set_btf(obj: MapObj, btf: BtfObj) -> None:
    """Give keys and values their types, and take a reference of `btf`.

    EINVAL when the sizes differ, or without a key's type where one is wanted; ENOTSUPP for kinds that take no types.
    """
    args = obj.args
    for what, type_id, size in (
        ("key", args.btf_key_type_id, args.key_size),
        ("value", args.btf_value_type_id, args.value_size),
    ):
        if not type_id:
            continue
        seen = btf.size_of(type_id)
        if seen != size:
            raise Error(errno.EINVAL, f"BTF type {type_id} of the {what} has {seen} bytes, the map {size}")
    if obj.type in _TYPELESS:
        raise Error(ENOTSUPP, f"{obj.type.name} maps take no BTF types")
    if not args.btf_key_type_id:
        # Global variables: one value, whose type is a whole section.
        data = obj.type == MapType.ARRAY and obj.max_entries == 1 and btf.is_section(args.btf_value_type_id)
        if not data and obj.type != MapType.BLOOM_FILTER:
            raise Error(errno.EINVAL, f"a {obj.type.name} map with a value type needs a key type")
    elif obj.type in _INDEXED and not btf.is_u32(args.btf_key_type_id):
        raise Error(errno.EINVAL, f"keys of {obj.type.name} maps are 32-bit integers, BTF type differs")
    btf.get()
    obj.btf = btf


def create_map(rt: Runtime, args: CreateArgs, *, inner: MapObj | None = None, btf: BtfObj | None = None) -> MapObj:
    """A map with an id, for the caller who holds objects and not fds."""
    obj = new_map(args)
    if inner is not None:
        set_inner(obj, inner)
    if btf is not None:
        set_btf(obj, btf)
    return rt.maps.add(obj)
