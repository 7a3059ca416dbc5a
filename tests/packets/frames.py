"""Frames made by hand and what they say: each layer wraps the rest, each fact is given where it is put in.

    frame = ether(vlan(5, ipv4(udp(53, 4000), src="10.0.0.1", dst="10.0.0.2")))
    frame.raw, frame.facts.sport

Facts are those of the innermost packet, as RFCs and a reader's eyes give them, not as any dissector computes them.
"""

import ipaddress
import struct
from dataclasses import dataclass, replace

ETH_P_IP, ETH_P_IPV6, ETH_P_8021Q, ETH_P_8021AD, ETH_P_PPP_SES, ETH_P_TEB = (
    0x0800,
    0x86DD,
    0x8100,
    0x88A8,
    0x8864,
    0x6558,
)
ICMP, IPIP, TCP, UDP, DCCP, IPV6, GRE, ESP, AH, ICMPV6, SCTP, UDPLITE = 1, 4, 6, 17, 33, 41, 47, 50, 51, 58, 132, 136
HOPOPTS, ROUTING, FRAGMENT, NONE, DSTOPTS = 0, 43, 44, 59, 60


@dataclass(frozen=True)
class Facts:
    """What a flow is told by. src, dst: packed addresses. encap: one IP packet inside another, or GRE.

    thoff: where the transport header stands, from the frame's first byte.
    """

    proto: int = 0
    src: bytes = b""
    dst: bytes = b""
    sport: int = 0
    dport: int = 0
    fragment: bool = False
    first_fragment: bool = False
    encap: bool = False
    thoff: int = 0

    @property
    def family(self) -> int:
        """EtherType of the innermost network layer."""
        return ETH_P_IP if len(self.src) == 4 else ETH_P_IPV6


@dataclass(frozen=True)
class Part:
    """Bytes from some layer inwards; kind: its EtherType or IP protocol."""

    raw: bytes
    kind: int
    facts: Facts

    def under(self, header: bytes, kind: int, **changes: object) -> "Part":
        """This part behind one more header."""
        facts = replace(self.facts, thoff=self.facts.thoff + len(header), **changes)  # type: ignore[arg-type]
        return Part(header + self.raw, kind, facts)


def ports(proto: int, sport: int, dport: int, body: bytes) -> Part:
    """A transport header that begins with its ports."""
    return Part(struct.pack("!HH", sport, dport) + body, proto, Facts(proto, sport=sport, dport=dport))


def tcp(sport: int, dport: int) -> Part:
    """20 bytes, SYN."""
    return ports(TCP, sport, dport, struct.pack("!IIBBHHH", 1, 0, 5 << 4, 2, 1024, 0, 0))


def udp(sport: int, dport: int, payload: bytes = b"payload.") -> Part:
    """8 bytes and a payload."""
    return ports(UDP, sport, dport, struct.pack("!HH", 8 + len(payload), 0) + payload)


def udplite(sport: int, dport: int) -> Part:
    """UDP-Lite, RFC 3828."""
    return ports(UDPLITE, sport, dport, struct.pack("!HH", 8, 0) + bytes(8))


def sctp(sport: int, dport: int) -> Part:
    """The common header and an INIT chunk's head, RFC 9260."""
    return ports(SCTP, sport, dport, struct.pack("!II", 7, 0) + struct.pack("!BBH", 1, 0, 4))


def dccp(sport: int, dport: int) -> Part:
    """A generic header, RFC 4340."""
    return ports(DCCP, sport, dport, bytes([4, 0, 0, 0]) + bytes(8))


def icmp(kind: int = 8, code: int = 0, ident: int = 77, proto: int = ICMP) -> Part:
    """An echo request; type and code stand for the source port, the identifier for the destination's."""
    raw = struct.pack("!BBHHH", kind, code, 0, ident, 1) + bytes(8)
    return Part(raw, proto, Facts(proto, sport=kind << 8 | code, dport=ident))


def spi(proto: int, index: int) -> Part:
    """ESP (RFC 4303: SPI first) or AH (RFC 4302: SPI at offset 4); the SPI stands for the ports."""
    facts = Facts(proto, sport=index >> 16, dport=index & 0xFFFF)
    if proto == ESP:
        return Part(struct.pack("!II", index, 1) + bytes(16), ESP, facts)
    return Part(struct.pack("!BBHII", NONE, 4, 0, index, 1) + bytes(12), AH, facts)


def ipv4(inner: Part, src: str, dst: str, options: bytes = b"", offset: int = 0, more: bool = False) -> Part:
    """RFC 791. offset: of a fragment, in units of 8 bytes; a later fragment begins with payload, not with ports."""
    a, b = ipaddress.IPv4Address(src).packed, ipaddress.IPv4Address(dst).packed
    length = 20 + len(options) + len(inner.raw)
    head = struct.pack("!BBHHHBBH", 0x40 | 5 + len(options) // 4, 0, length, 1, more << 13 | offset, 64, inner.kind, 0)
    return _wrap(inner, head + a + b + options, ETH_P_IP, a, b, offset, more)


def ipv6(inner: Part, src: str, dst: str, flow: int = 0) -> Part:
    """RFC 8200."""
    a, b = ipaddress.IPv6Address(src).packed, ipaddress.IPv6Address(dst).packed
    head = struct.pack("!IHBB", 6 << 28 | flow, len(inner.raw), inner.kind, 64) + a + b
    return _wrap(inner, head, ETH_P_IPV6, a, b)


def _wrap(inner: Part, head: bytes, kind: int, a: bytes, b: bytes, offset: int = 0, more: bool = False) -> Part:
    facts = inner.facts
    if not facts.src:
        facts = replace(facts, src=a, dst=b)
    elif inner.kind in (IPIP, IPV6, GRE):
        facts = replace(facts, encap=True)
    if offset or more:
        facts = replace(facts, fragment=True, first_fragment=offset == 0)
    if offset:
        facts = replace(facts, sport=0, dport=0)
    return Part(inner.raw, inner.kind, facts).under(head, kind)


def inside(packet: Part) -> Part:
    """An IP packet as the payload of another: IPIP, 6in4, 4in6, 6in6."""
    return replace(packet, kind=IPIP if packet.kind == ETH_P_IP else IPV6)


def gre(packet: Part, key: int | None = None, seq: int | None = None, checksum: bool = False) -> Part:
    """RFC 2784 and 2890; the payload is an IP packet, or a frame of `bridged`."""
    flags = checksum << 15 | (key is not None) << 13 | (seq is not None) << 12
    head = struct.pack("!HH", flags, packet.kind) + (bytes(4) if checksum else b"")
    for word in (key, seq):
        head += b"" if word is None else struct.pack("!I", word)
    return packet.under(head, GRE)


def option_header(kind: int, inner: Part, words: int = 0) -> Part:
    """A hop-by-hop, destination options or routing header of 8 + 8 * words bytes."""
    return inner.under(bytes([inner.kind, words]) + b"\x01\x04" + bytes(4 + 8 * words), kind)


def fragment_header(inner: Part, offset: int, more: bool) -> Part:
    """RFC 8200, section 4.5."""
    part = inner.under(
        struct.pack("!BBHI", inner.kind, 0, offset << 3 | more, 9), FRAGMENT, fragment=True, first_fragment=offset == 0
    )
    return replace(part, facts=replace(part.facts, sport=0, dport=0)) if offset else part


def vlan(tag: int, inner: Part, kind: int = ETH_P_8021Q) -> Part:
    """IEEE 802.1Q, or 802.1ad with kind=ETH_P_8021AD."""
    return inner.under(struct.pack("!HH", tag, inner.kind), kind)


def pppoe(inner: Part) -> Part:
    """RFC 2516, a session's data with RFC 1661's protocol number."""
    number = 0x21 if inner.kind == ETH_P_IP else 0x57
    return inner.under(struct.pack("!BBHHH", 0x11, 0, 3, len(inner.raw) + 2, number), ETH_P_PPP_SES)


def ether(inner: Part) -> Part:
    """The frame."""
    return inner.under(bytes(range(2, 8)) + bytes(range(18, 24)) + struct.pack("!H", inner.kind), 0)


def bridged(inner: Part) -> Part:
    """A whole frame as the payload of GRE."""
    return replace(ether(inner), kind=ETH_P_TEB)


A4, B4, C4, D4 = "192.0.2.1", "198.51.100.7", "203.0.113.9", "10.11.12.13"
A6, B6, C6, D6 = "2001:db8::1", "2001:db8:7::2", "2001:db8:ffff::3", "fd00::4"

FRAMES: dict[str, Part] = {
    "tcp": ether(ipv4(tcp(4660, 80), A4, B4)),
    "udp6": ether(ipv6(udp(5353, 53), A6, B6)),
    "vlan": ether(vlan(5, ipv4(udp(1, 65535), A4, B4))),
    "qinq": ether(vlan(5, vlan(9, ipv6(tcp(33000, 443), A6, B6)), ETH_P_8021AD)),
    "options": ether(ipv4(tcp(1000, 2000), A4, B4, options=bytes([7, 7, 4, 0, 0, 0, 0, 0]))),
    "most options": ether(ipv4(udp(1000, 2000), A4, B4, options=b"\x01" * 40)),
    "first fragment": ether(ipv4(udp(700, 800), A4, B4, more=True)),
    "later fragment": ether(ipv4(udp(700, 800), A4, B4, offset=185)),
    "hop-by-hop, routing, destination": ether(
        ipv6(option_header(HOPOPTS, option_header(ROUTING, option_header(DSTOPTS, tcp(8, 9), 1), 2)), A6, B6)
    ),
    "first fragment, IPv6": ether(ipv6(fragment_header(udp(70, 80), 0, True), A6, B6)),
    "later fragment, IPv6": ether(ipv6(fragment_header(udp(70, 80), 100, False), A6, B6)),
    "gre": ether(ipv4(gre(ipv4(tcp(11, 12), C4, D4)), A4, B4)),
    "gre, key and sequence": ether(ipv4(gre(ipv6(udp(13, 14), C6, D6), key=99, seq=3), A4, B4)),
    "gre, checksum and key": ether(ipv4(gre(ipv4(udp(13, 14), C4, D4), key=99, checksum=True), A4, B4)),
    "gre, ethernet": ether(ipv4(gre(bridged(ipv4(tcp(15, 16), C4, D4)), key=1), A4, B4)),
    "gre over IPv6": ether(ipv6(gre(ipv4(tcp(21, 22), C4, D4)), A6, B6)),
    "ipip": ether(ipv4(inside(ipv4(udp(17, 18), C4, D4)), A4, B4)),
    "6in4": ether(ipv4(inside(ipv6(tcp(19, 20), C6, D6)), A4, B4)),
    "pppoe": ether(pppoe(ipv4(tcp(23, 24), A4, B4))),
    "pppoe, IPv6 in VLAN": ether(vlan(3, pppoe(ipv6(udp(25, 26), A6, B6)))),
    "sctp": ether(ipv4(sctp(2905, 2906), A4, B4)),
    "dccp": ether(ipv6(dccp(5001, 5002), A6, B6)),
    "udplite": ether(ipv4(udplite(27, 28), A4, B4)),
    "icmp": ether(ipv4(icmp(), A4, B4)),
    "icmpv6": ether(ipv6(icmp(128, proto=ICMPV6), A6, B6)),
    "esp": ether(ipv4(spi(ESP, 0x11223344), A4, B4)),
    "ah": ether(ipv6(spi(AH, 0x55667788), A6, B6)),
}
