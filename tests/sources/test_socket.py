"""Programs on packet sockets: what is kept comes out, trimmed; what is wrong is refused with a reason."""

import select
import socket
import time

import pytest

import pyebpf
from tests import require
from tests.netns import veth_pair
from tests.sources.test_dropmon import SENDER

KEEP_20 = "r0 = 20\nexit"


def test_kept_frames_are_trimmed_to_the_return_value() -> None:
    require.netns()
    prog = pyebpf.Program.load(
        "r6 = r1\nr0 = *(u16 *)skb[12]\nif r0 == 0x88b5 goto keep\nr0 = 0\nexit\nkeep:\n" + KEEP_20, "socket_filter"
    )
    with veth_pair() as (a, b):
        with a.enter():
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        with sock, prog.attach(sock) as link:
            sock.bind((a.interface, 3))
            a.run("python3", "-c", SENDER, a.interface, b.mac, a.mac, "3")
            frames: list[bytes] = []
            deadline = time.monotonic() + 10
            while len(frames) < 3 and time.monotonic() < deadline:
                select.select([link.fileno()], [], [], 1)
                if (frame := link.recv()) is not None:
                    frames.append(frame)
            header = bytes.fromhex((b.mac + a.mac).replace(":", "")) + b"\x88\xb5"
            assert frames == [header + bytes(6)] * 3
            assert link.recv() is None
            assert link.stats()["kept"] == 3


def test_a_program_goes_with_its_socket() -> None:
    require.netns()
    prog = pyebpf.Program.load(KEEP_20, "socket_filter")
    with veth_pair() as (a, _):
        with a.enter():
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        link = prog.attach(sock)
        sock.close()
        deadline = time.monotonic() + 10
        while not link.attachment.error() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert link.attachment.error() == 9  # EBADF
        link.detach()


def test_a_stream_socket_is_refused() -> None:
    prog = pyebpf.Program.load(KEEP_20, "socket_filter")
    with socket.socket() as sock, pytest.raises(pyebpf.Error, match="only AF_PACKET") as refused:
        prog.attach(sock)
    assert refused.value.errno == 95  # EOPNOTSUPP


def test_another_program_type_is_refused() -> None:
    require.netns()
    prog = pyebpf.Program.load("r0 = 2\nexit", "xdp")
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock,
        pytest.raises(pyebpf.Error, match="is XDP, a socket takes SOCKET_FILTER"),
    ):
        prog.attach(sock)


def test_detaching_what_is_not_attached_is_enoent() -> None:
    require.netns()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock, pytest.raises(pyebpf.Error) as refused:
        pyebpf.setsockopt(sock, socket.SOL_SOCKET, pyebpf.SO_DETACH_BPF, 0)
    assert refused.value.errno == 2
