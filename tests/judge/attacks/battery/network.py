# SPDX-License-Identifier: Apache-2.0
"""Talking to anybody: listeners of the outside notice every visit, so a program that only pretends is no matter."""

from __future__ import annotations

from tests.judge.attacks.battery.attack import LIBC, Attack, script, syscall

_SOCKET = "import socket\n"


def _talk(name: str, tries: str, code: str) -> Attack:
    return script(f"network_{name}", tries, _SOCKET + code + "\nprint(42)")


ATTACKS = (
    _talk(
        "tcp", "connects to a listener on the loopback", "socket.create_connection(('127.0.0.1', @TCP@), 1).send(b'x')"
    ),
    _talk("tcp_six", "the same over IPv6", "socket.create_connection(('::1', @TCP@), 1).send(b'x')"),
    _talk("tcp_listen", "listens itself", "s = socket.socket()\ns.bind(('127.0.0.1', 0))\ns.listen()"),
    _talk(
        "tcp_fast_open",
        "sends with the first packet, without connect",
        "s = socket.socket()\ns.sendto(b'x', socket.MSG_FASTOPEN, ('127.0.0.1', @TCP@))",
    ),
    _talk(
        "multipath_tcp",
        "MPTCP, which filters of TCP forget",
        "s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)\ns.connect(('127.0.0.1', @TCP@))",
    ),
    _talk("udp", "one datagram", "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', @UDP@))"),
    _talk(
        "udp_connected",
        "connect, then send",
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.connect(('127.0.0.1', @UDP@))\ns.send(b'x')",
    ),
    _talk(
        "sctp",
        "a stream of another protocol",
        "socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132).connect(('127.0.0.1', @TCP@))",
    ),
    _talk("name_service", "asks the resolver", "socket.getaddrinfo('example.org', 80)"),
    _talk(
        "http", "fetches a page", "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:@TCP@/', timeout=1)"
    ),
    _talk("raw", "raw packets", "socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)"),
    _talk(
        "ping",
        "unprivileged ICMP",
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)\n"
        "s.sendto(b'\\x08\\0' * 4, ('127.0.0.1', 0))",
    ),
    _talk("packet", "frames of the link layer", "socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x300)"),
    _talk(
        "netlink", "the kernel's routing tables", "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).bind((0, 0))"
    ),
    _talk("vsock", "the hypervisor", "socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)"),
    _talk(
        "crypto_socket",
        "AF_ALG: kernel code that needs no socket peer",
        "socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)",
    ),
    _talk("bluetooth", "a family that loads kernel modules", "socket.socket(31, socket.SOCK_RAW, 1)"),
    _talk(
        "abstract_socket",
        "a unix socket without a file",
        "s = socket.socket(socket.AF_UNIX)\ns.connect('\\0@ABSTRACT@')\ns.send(b'x')",
    ),
    _talk(
        "abstract_datagram",
        "a datagram to a unix socket without a file",
        "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', '\\0@ABSTRACT@_datagram')",
    ),
    _talk(
        "path_socket",
        "a unix socket in a public folder",
        "s = socket.socket(socket.AF_UNIX)\ns.connect('@FOLDER@/socket')\ns.send(b'x')",
    ),
    _talk("fifo", "a named pipe in a public folder", "open('@FOLDER@/fifo', 'wb', 0).write(b'x')"),
    syscall("network_socket_by_number", "socket(AF_INET, SOCK_DGRAM) without a wrapper", 41, "2, 2, 0"),
    syscall(
        "network_socket_pair_by_number",
        "a socket pair of datagrams, then connect",
        42,
        "libc.socketpair(1, 2, 0, (ctypes.c_int * 2)()) * 0 + 3, b'\\2\\0' + bytes(14), 16",
    ),
    syscall(
        "network_send_to_by_number",
        "sendto on whatever descriptor 3 is",
        44,
        "3, b'x', 1, 0, b'\\2\\0\\0\\x35\\x7f\\0\\0\\1' + bytes(8), 16",
    ),
    *(
        script(
            f"network_pair_{name}",
            "a pair of sockets leads nowhere, unless one of them is given another address",
            LIBC
            + f"""
import socket
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
{code}
print(42)
""",
        )
        for name, code in {
            "reconnected": "a.connect('\\0@ABSTRACT@_datagram'), a.send(b'x')",
            "reconnected_to_path": "a.connect('@FOLDER@/datagram'), a.send(b'x')",
            "sends_elsewhere": "a.sendto(b'x', '\\0@ABSTRACT@_datagram')",
            "sends_to_path": "a.sendto(b'x', '@FOLDER@/datagram')",
            "sends_message_to_path": "a.sendmsg([b'x'], [], 0, '@FOLDER@/datagram')",
            "sends_to_system_log": "a.sendto(b'<13>x', '/dev/log')",
            "bound_to_path": "a.bind('@FOLDER@/klear_attack')",
        }.items()
    ),
)
