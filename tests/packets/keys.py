"""struct bpf_flow_keys in Python."""

import struct
from dataclasses import dataclass

from tests.packets.frames import ETH_P_IPV6, Facts

SIZE = 56


@dataclass(frozen=True)
class Keys:
    """The 56 bytes, ports in host order."""

    nhoff: int
    thoff: int
    addr_proto: int
    is_frag: int
    is_first_frag: int
    is_encap: int
    ip_proto: int
    n_proto: int
    sport: int
    dport: int
    addrs: bytes
    flags: int
    flow_label: int

    @classmethod
    def unpack(cls, raw: bytes) -> "Keys":
        """From the struct's bytes."""
        assert len(raw) == SIZE
        head = struct.unpack("<HHHBBBB", raw[:10]) + struct.unpack(">HHH", raw[10:16])
        return cls(*head, raw[16:48], *struct.unpack("<I", raw[48:52]), *struct.unpack(">I", raw[52:56]))

    def facts(self) -> Facts:
        """What they say of the flow."""
        size = 16 if self.addr_proto == ETH_P_IPV6 else 4
        return Facts(
            self.ip_proto,
            self.addrs[:size],
            self.addrs[size : 2 * size],
            self.sport,
            self.dport,
            bool(self.is_frag),
            bool(self.is_first_frag),
            bool(self.is_encap),
            self.thoff,
        )
