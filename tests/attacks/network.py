"""Attacks that reach out: to the internet, to this machine's own services, to whoever listens."""

import os
import socket
import urllib.request

from .attack import attack
from .prelude import WHERE, attempt, away, find, proof


@attack("connects to services of this machine over TCP")
def connects_to_localhost():
    found = ""
    for family, host in (
        (socket.AF_INET, "127.0.0.1"),
        (socket.AF_INET6, "::1"),
        (socket.AF_INET, "0.0.0.0"),
    ):
        with socket.socket(family) as talk:
            talk.settimeout(0.3)
            if attempt(talk.connect_ex, (host, WHERE["tcp"])) != 0:
                continue
            attempt(talk.sendall, WHERE["student"].encode())
            found += find(attempt(talk.recv, 100) or b"")
    return found


@attack("sends datagrams to services of this machine and to a name server")
def sends_datagrams():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as talk:
        talk.settimeout(0.2)
        for host in ("127.0.0.1", "127.0.0.53", "255.255.255.255"):
            attempt(talk.sendto, WHERE["student"].encode(), (host, WHERE["udp"]))
            attempt(talk.sendto, b"\1\1\1\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1", (host, 53))
        return find(attempt(talk.recv, 100) or b"")


@attack("reaches the internet by name and by number")
def reaches_the_internet():
    found = ""
    socket.setdefaulttimeout(0.3)
    for host in ("1.1.1.1", "169.254.169.254", "10.0.2.2", "example.org"):
        for port in (53, 80, 443):
            with socket.socket() as talk:
                talk.settimeout(0.1)
                if (
                    talk.connect_ex((host, port)) == 0
                    if host[0].isdigit()
                    else attempt(socket.gethostbyname, host)
                ):
                    found += proof(f"{host}:{port}")
    if attempt(urllib.request.urlopen, f"http://127.0.0.1:{WHERE['tcp']}"):
        found += proof("a web service")
    return found


@attack("finds an interface of the machine's network")
def lists_interfaces():
    names = [name for _, name in attempt(socket.if_nameindex) or [] if name != "lo"]
    return proof(f"interfaces {names}") if names else ""


@attack(
    "connects to the machine's services over sockets in the file system and in the abstract space"
)
def connects_to_unix_sockets():
    found = ""
    sockets = [
        WHERE["unix"],
        "\0" + WHERE["abstract"],
        "/run/docker.sock",
        "/run/dbus/system_bus_socket",
    ]
    for address in [*sockets, "/run/systemd/private", os.environ.get("SSH_AUTH_SOCK", "/nowhere")]:
        with socket.socket(socket.AF_UNIX) as talk:
            talk.settimeout(0.3)
            if attempt(talk.connect_ex, address) != 0:
                continue
            attempt(talk.sendall, WHERE["student"].encode())
            found += find(attempt(talk.recv, 100) or b"")
    return found


@attack("speaks below the sockets that are usually guarded: raw, packet, netlink, vsock")
def uses_rare_sockets():
    found = ""
    if attempt(
        socket.socket, 40, 1, 0
    ):  # vsock, which no namespace bounds: it leads to the hypervisor
        found += proof("a socket of the hypervisor's")
    raw = attempt(socket.socket, 17, 3, 0x300)
    if raw and len(attempt(socket.if_nameindex) or []) > 1:
        found += proof("raw packets of the machine's network")
    return found + proof("raw sockets") * bool(attempt(socket.socket, 2, 3, 1))


@attack("offers a service of its own to the machine")
def offers_a_service():
    def serve():
        with socket.create_server(("0.0.0.0", WHERE["free"])) as server:
            for _ in range(5):
                server.accept()[0].sendall(WHERE["student"].encode())

    away(serve)
