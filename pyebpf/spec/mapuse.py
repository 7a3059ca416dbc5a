"""Which helpers take which map types: Linux's compatibility of the two, written once, by helper and by map."""

from typing import Final

from pyebpf.spec.kinds import MapType

_BY_MAP: Final[dict[MapType, frozenset[int]]] = {
    MapType.PROG_ARRAY: frozenset({12}),
    MapType.PERF_EVENT_ARRAY: frozenset({22, 25, 55, 111, 121}),
    MapType.RINGBUF: frozenset({130, 131, 134, 198, 199, 200}),
    MapType.USER_RINGBUF: frozenset({209}),
    MapType.STACK_TRACE: frozenset({27}),
    MapType.CGROUP_ARRAY: frozenset({33, 37}),
    MapType.CGROUP_STORAGE: frozenset({81}),
    MapType.PERCPU_CGROUP_STORAGE: frozenset({81}),
    MapType.DEVMAP: frozenset({51, 1}),
    MapType.DEVMAP_HASH: frozenset({51, 1}),
    MapType.CPUMAP: frozenset({51}),
    MapType.XSKMAP: frozenset({51, 1}),
    MapType.ARRAY_OF_MAPS: frozenset({1}),
    MapType.HASH_OF_MAPS: frozenset({1}),
    MapType.SOCKMAP: frozenset({52, 53, 3, 60, 82, 1, 2}),
    MapType.SOCKHASH: frozenset({72, 70, 3, 71, 82, 1, 2}),
    MapType.REUSEPORT_SOCKARRAY: frozenset({82}),
    MapType.QUEUE: frozenset({87, 88, 89}),
    MapType.STACK: frozenset({87, 88, 89}),
    MapType.SK_STORAGE: frozenset({107, 108}),
    MapType.INODE_STORAGE: frozenset({145, 146}),
    MapType.TASK_STORAGE: frozenset({156, 157}),
    MapType.CGRP_STORAGE: frozenset({210, 211}),
    MapType.BLOOM_FILTER: frozenset({89, 87}),
}
"""Map types that only these helpers take."""

_BY_HELPER: Final[dict[int, frozenset[MapType]]] = {
    12: frozenset({MapType.PROG_ARRAY}),
    22: frozenset({MapType.PERF_EVENT_ARRAY}),
    25: frozenset({MapType.PERF_EVENT_ARRAY}),
    55: frozenset({MapType.PERF_EVENT_ARRAY}),
    130: frozenset({MapType.RINGBUF}),
    131: frozenset({MapType.RINGBUF}),
    134: frozenset({MapType.RINGBUF}),
    27: frozenset({MapType.STACK_TRACE}),
    37: frozenset({MapType.CGROUP_ARRAY}),
    33: frozenset({MapType.CGROUP_ARRAY}),
    51: frozenset({MapType.DEVMAP, MapType.DEVMAP_HASH, MapType.CPUMAP, MapType.XSKMAP}),
    88: frozenset({MapType.QUEUE, MapType.STACK}),
    89: frozenset({MapType.QUEUE, MapType.STACK, MapType.BLOOM_FILTER}),
    87: frozenset({MapType.QUEUE, MapType.STACK, MapType.BLOOM_FILTER}),
    195: frozenset({MapType.PERCPU_ARRAY, MapType.PERCPU_HASH, MapType.LRU_PERCPU_HASH}),
    164: frozenset({
        MapType.HASH, MapType.PERCPU_HASH, MapType.LRU_HASH, MapType.LRU_PERCPU_HASH, MapType.ARRAY,
        MapType.PERCPU_ARRAY,
    }),
}  # fmt: skip
"""Helpers that take only these map types."""


def check_use(map_type: MapType, helper: int) -> bool:
    """Whether the helper may be given a map of the type."""
    return helper in _BY_MAP.get(map_type, (helper,)) and map_type in _BY_HELPER.get(helper, (map_type,))
