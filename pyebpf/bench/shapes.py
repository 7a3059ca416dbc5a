"""Eight packet shapes that take the dissector down different paths, at most 128 bytes each."""


def _frame(kind: str, *parts: str) -> bytes:
    return bytes.fromhex("020304050607 121314151617" + kind + "".join(parts)).ljust(64, b"\0")


def _ipv4(proto: int, *, words: int = 5, fragment: str = "0000", last: int = 1) -> str:
    return f"4{words:x}000054 0001{fragment} 40{proto:02x}0000 c0000201 c63364{last:02x}" + "01010101" * (words - 5)


def _ipv6(following: int) -> str:
    return f"60012345 0028{following:02x}40 20010db8000000000000000000000001 20010db8000700000000000000000002"


TCP = "1234 0050 00000001 00000002 50020400 00000000"
UDP = "14e9 0035 0010 0000"
SCTP = "0b59 0b5a 00000007 00000000 01000004"

SHAPES: tuple[bytes, ...] = (
    _frame("0800", _ipv4(6), TCP),
    _frame("86dd", _ipv6(17), UDP),
    _frame("8100", "0005 0800", _ipv4(17, words=7), UDP),
    _frame("88a8", "0005 8100 0009 86dd", _ipv6(6), TCP),
    _frame("86dd", _ipv6(0), "2b00 010400000000", "0600 000000000000", TCP),
    _frame("0800", _ipv4(47), "3000 0800 00000063 00000003", _ipv4(6, last=2), TCP),
    _frame("0800", _ipv4(4), _ipv4(132, last=3), SCTP),
    _frame("0800", _ipv4(17, fragment="2000"), UDP),
)
"""TCP; IPv6 and UDP; VLAN and options; QinQ and IPv6; extension headers; GRE with key and sequence; IPIP and SCTP;
a first fragment."""
