"""What maps hold, as tables and as JSON, typed by the BTF of the object they come from."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pyebpf.errors import Error
from pyebpf.objects.map import Map
from pyebpf.report import table
from pyebpf.report.fields import Field, fields, plain, to_json
from pyebpf.spec.collection import MapSpec
from pyebpf.spec.kinds import MapType

UNLISTED = frozenset({MapType.PROG_ARRAY, MapType.PERF_EVENT_ARRAY, MapType.STACK_TRACE, MapType.RINGBUF})
"""Kinds whose elements say nothing outside the program."""


def elements(m: Map) -> list[tuple[Any, Any]]:
    """All (key, value); [] for a kind that is not listed, or that user space may not read."""
    if m.type in UNLISTED:
        return []
    try:
        return list(m.items())
    except Error:
        return []


def as_json(maps: Mapping[str, Map]) -> dict[str, list[dict[str, Any]]]:
    """{name: [{"key": key, "value": value}]}."""
    return {n: [{"key": to_json(k), "value": to_json(v)} for k, v in elements(m)] for n, m in maps.items()}


def _weight(value: Any) -> tuple[int, ...]:
    """What orders elements: the value's numbers in its order, the largest first."""
    if isinstance(value, np.ndarray) and value.dtype.names is None and value.dtype.kind in "iuf":
        return (int(value.sum()),)
    if isinstance(value, np.ndarray):
        return tuple(sum(part) for part in zip(*(_weight(item) for item in value), strict=True))
    if isinstance(value, np.void) and value.dtype.names:
        return tuple(int(value[n]) for n in value.dtype.names if value.dtype[n].kind in "iu")
    if isinstance(value, (int, np.integer)):
        return (int(value),)
    return ()


def _cells(value: Any, columns: list[Field]) -> list[str]:
    return [column.show(value[column.name]) for column in columns] if columns else [plain(value)]


def text(m: Map, spec: MapSpec | None, top: int = 20) -> str:
    """A table of the `top` elements with the largest values, and how many there are; "" for an empty map."""
    found = elements(m)
    if not found:
        return ""
    found.sort(key=lambda item: _weight(item[1]), reverse=True)
    per_cpu = isinstance(found[0][1], (list, np.ndarray)) and m.type.name.startswith(("PERCPU", "LRU_PERCPU"))
    key_fields = fields(spec.btf, spec.key_type_id) if spec and _structured(found[0][0]) else []
    value_fields = fields(spec.btf, spec.value_type_id) if spec and not per_cpu and _structured(found[0][1]) else []
    header = [f.name for f in key_fields] or ["key"]
    header += [f.name for f in value_fields] or ["value"]
    rows = [_cells(k, key_fields) + _cells(v, value_fields) for k, v in found[:top]]
    more = f"\n... {len(found) - top:,} more" if len(found) > top else ""
    return table.render(header, rows) + more


def _structured(value: Any) -> bool:
    return isinstance(value, np.void) and value.dtype.names is not None
