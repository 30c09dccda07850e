"""Messages between the trusted side and a student's process: a length in four bytes, then what `wire` makes of it."""

import os
import socket
import struct
from typing import Any

from . import wire


class Channel:
    """Two file descriptors to read from and to write to; they may be the same."""

    def __init__(self, read_from: int, write_to: int) -> None:
        self._read_from, self._write_to = read_from, write_to

    def send(self, message: Any) -> None:
        """Send one message."""
        self.send_raw(wire.dumps(message))

    def send_raw(self, raw: wire.Bytes) -> None:
        """Send one message that `wire.dumps` has made already."""
        header, data = memoryview(struct.pack(">I", len(raw))), memoryview(raw)
        while header or data:
            sent = os.writev(self._write_to, [header, data])
            header, data = header[sent:], data[max(0, sent - len(header)) :]

    def receive(self) -> Any:
        """The next message, None once the other side has closed."""
        header = self._read(4)
        return wire.loads(self._read(struct.unpack(">I", header)[0])) if header else None

    def receive_descriptors(self, most: int) -> list[int]:
        """The descriptors that the other side passes next, with one byte of no meaning."""
        with socket.socket(fileno=os.dup(self._read_from)) as connection:
            return socket.recv_fds(connection, 1, most)[1]

    def _read(self, size: int) -> bytes | bytearray:
        raw = bytearray(size)
        left = memoryview(raw)
        while left:
            count = os.readv(self._read_from, [left])
            if not count:
                return b""
            left = left[count:]
        return raw
