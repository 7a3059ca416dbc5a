"""Trace points as tracefs describes them: number, fields of the record, in `events/SYSTEM/NAME/`."""

import errno
import pathlib
import re
from dataclasses import dataclass

from pyebpf.errors import Error

MOUNTS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
COMMON_SIZE = 8
"""Bytes of the fields every record begins with (type, flags, preempt count, pid)."""

_FIELD = re.compile(r"\s*field:(?P<decl>[^;]+);\s*offset:(\d+);\s*size:(\d+);(?:\s*signed:([01]);)?")
_NAME = re.compile(r"(\w+)(?:\[.*\])?$")


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a trace record: bytes from its start, size in bytes."""

    name: str
    offset: int
    size: int
    signed: bool


@dataclass(frozen=True, slots=True)
class TracePoint:
    """A trace point: perf's `config` number and the record's fields in order."""

    system: str
    name: str
    id: int
    fields: tuple[Field, ...]

    @property
    def args(self) -> tuple[Field, ...]:
        """The fields behind the common ones."""
        return tuple(f for f in self.fields if f.offset >= COMMON_SIZE)


def root() -> pathlib.Path:
    """Where tracefs is mounted; ENOENT if it is not, EACCES if it may not be read."""
    for mount in MOUNTS:
        events = pathlib.Path(mount) / "events"
        try:
            if events.is_dir():
                return pathlib.Path(mount)
        except PermissionError as err:
            raise Error(errno.EACCES, f"{mount}: trace points may be read by root alone") from err
    raise Error(
        errno.ENOENT, f"tracefs is mounted at neither {' nor '.join(MOUNTS)}: mount -t tracefs tracefs {MOUNTS[0]}"
    )


def parse_format(text: str, where: str) -> tuple[Field, ...]:
    """The fields of a `format` file; EINVAL with `where` when there are none."""
    fields = []
    for line in text.splitlines():
        if m := _FIELD.match(line):
            name = _NAME.search(m["decl"].strip())
            if name is None:
                raise Error(errno.EINVAL, f"{where}: no field name in {m['decl']!r}")
            fields.append(Field(name[1], int(m[2]), int(m[3]), m[4] == "1"))
    if not fields:
        raise Error(errno.EINVAL, f"{where}: no field lines, expected `field:...; offset:...; size:...;`")
    return tuple(fields)


def find(name: str) -> TracePoint:
    """`SYSTEM:NAME`, `SYSTEM/NAME`, or NAME alone where one system has it; ENOENT if there is none."""
    events = root() / "events"
    system, _, event = name.replace("/", ":").rpartition(":")
    if not re.fullmatch(r"[\w-]+", event) or not re.fullmatch(r"[\w-]*", system):
        raise Error(errno.EINVAL, f"trace point {name!r}: expected SYSTEM:NAME")
    folders = sorted(events.glob(f"{system or '*'}/{event}"))
    if len(folders) != 1:
        found = ", ".join(f"{f.parent.name}:{f.name}" for f in folders) or "none"
        raise Error(errno.ENOENT, f"trace point {name!r}: found {found} in {events}, expected one")
    folder = folders[0]
    fields = parse_format((folder / "format").read_text(), str(folder / "format"))
    return TracePoint(folder.parent.name, event, int((folder / "id").read_text()), fields)
