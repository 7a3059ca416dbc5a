"""Keys and values of maps for people and for JSON, by their BTF types.

What a field is meant to show is read off its type and name: `__be16` is a number in network order, 4 bytes named as an
address (addr, src, dst, ip) a dotted quad, 16 bytes so named an IPv6 address (an IPv4 one where all but the first four
are zero), an array of 6 bytes so named or named mac a MAC address, and a protocol or family a name where it has one.
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyebpf.btf import Btf
from pyebpf.btf.types import MODIFIERS, Kind
from pyebpf.errors import ObjectError

ADDRESS = re.compile(r"(^|_|[sd])(addrs?|src|dst|ip|mac)($|_|\d)")
PROTOCOLS = {
    1: "ICMP", 4: "IPIP", 6: "TCP", 17: "UDP", 33: "DCCP", 41: "IPv6", 47: "GRE", 50: "ESP", 51: "AH", 58: "ICMPv6",
    132: "SCTP", 136: "UDP-Lite",
}  # fmt: skip
"""IANA's protocol numbers."""
FAMILIES = {0x0800: "IPv4", 0x86DD: "IPv6", 2: "IPv4", 10: "IPv6"}
"""EtherTypes, and AF_INET and AF_INET6 of Linux."""
Show = Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class Field:
    """One column: the name and how to show its value."""

    name: str
    show: Show


def _names_of(btf: Btf, type_id: int) -> list[str]:
    """The type's typedef names, outermost first."""
    names = []
    t = btf.type(type_id)
    while t.kind in MODIFIERS:
        names.append(t.name)
        t = btf.type(t.type)
    return names


def _quad(value: Any) -> str:
    return str(ipaddress.IPv4Address(int(value).to_bytes(4, "little")))


def _quad_host(value: Any) -> str:
    return str(ipaddress.IPv4Address(int(value)))


def _protocol(value: Any) -> str:
    return PROTOCOLS.get(int(value), str(int(value)))


def _family(value: Any) -> str:
    return FAMILIES.get(int(value), str(int(value)))


def _address16(value: Any) -> str:
    raw = np.ascontiguousarray(value).tobytes() if not isinstance(value, bytes) else value.ljust(16, b"\0")
    if raw[4:] == bytes(12) and raw[:4] != bytes(4) and raw[:4] != b"\0\0\0\1":
        return str(ipaddress.IPv4Address(raw[:4]))
    return str(ipaddress.IPv6Address(raw))


def _mac(value: Any) -> str:
    return np.ascontiguousarray(value).tobytes().hex(":")


def _be16(value: Any) -> str:
    return str(int(value) >> 8 | (int(value) & 0xFF) << 8)


def _be32(value: Any) -> str:
    return str(int.from_bytes(int(value).to_bytes(4, "little"), "big"))


def _show(btf: Btf, type_id: int, name: str) -> Show:
    """How to show a value of that type under that name."""
    named = bool(ADDRESS.search(name.lower()))
    types = _names_of(btf, type_id)
    t = btf.resolve(type_id)
    if "__be16" in types:
        return _be16
    if t.kind is Kind.INT and t.size == 4 and "__be32" in types:
        return _quad if named else _be32
    if t.kind is Kind.INT and t.size == 4 and named:
        return _quad_host
    if t.kind is Kind.INT and name in BY_NAME:
        return BY_NAME[name]
    if t.kind is Kind.ARRAY and named:
        size = t.count * (btf.resolve(t.type).size or 0)
        if size in (6, 16):
            return _mac if size == 6 else _address16
    return plain


BY_NAME: dict[str, Show] = {"protocol": _protocol, "ip_proto": _protocol, "proto": _protocol, "family": _family}


def plain(value: Any) -> str:
    """A value whose meaning is not known."""
    made = to_json(value)
    if isinstance(made, dict):
        return " ".join(f"{k}={plain(v)}" for k, v in made.items())
    if isinstance(made, list):
        return "[" + " ".join(map(plain, made)) + "]"
    return str(made)


def fields(btf: Btf | None, type_id: int) -> list[Field]:
    """The columns of a struct's named members; [] for a type that is none, or without BTF."""
    if btf is None or not type_id:
        return []
    try:
        return _members(btf, type_id)
    except ObjectError:
        return []


def _members(btf: Btf, type_id: int, depth: int = 0) -> list[Field]:
    t = btf.resolve(type_id)
    if t.kind is not Kind.STRUCT or depth > 8:
        return []
    found = []
    for member in t.members:
        inner = btf.resolve(member.type)
        if not member.name and inner.is_composite:
            found += _members(btf, member.type, depth + 1)
        elif member.name and not re.match(r"_?(pad|unused|reserved)", member.name):
            found.append(Field(member.name, _show(btf, member.type, member.name)))
    return found


def to_json(value: Any) -> Any:
    """A decoded key or value as JSON can hold it: dict, list, number, text; bytes in hex."""
    if isinstance(value, np.void):
        if value.dtype.names is None:
            return value.tobytes().hex()
        return {name: to_json(value[name]) for name in value.dtype.names}
    if isinstance(value, np.ndarray):
        return [to_json(item) for item in value]
    if isinstance(value, np.generic):
        return to_json(value.item())
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).hex()
    return value
