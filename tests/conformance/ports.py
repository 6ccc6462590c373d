"""Ports that belong to a test. None is picked in the hope that it stays free.

A server binds port 0 and says in its ready line what it got. Between the end of a server and its next start the
port is held by a socket of ours, so that neither another test nor an outgoing connection is given it.
"""

import socket

LOOPBACK = "127.0.0.1"


class HeldPort:
    """A port that the system gives to nobody else until `close`.

    The socket is bound and never listens: a server that sets SO_REUSEADDR (Kyu and Postgres do) binds the same
    port beside it and listens, and while none does, connections are refused. `port` 0 lets the system choose.
    """

    def __init__(self, host: str = LOOPBACK, port: int = 0):
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((host, port))
        except OSError:
            self._socket.close()
            raise
        self.number: int = self._socket.getsockname()[1]

    def close(self) -> None:
        self._socket.close()


def ports_of(ready_line: str) -> dict[str, int]:
    """The ports that a ready line names, by door: `kyu ready http=127.0.0.1:4711 pgmq=off` has one."""
    words = (word.split("=", 1) for word in ready_line.split() if "=" in word)
    return {
        door: int(address.rsplit(":", 1)[1])
        for door, address in words
        if ":" in address and address.rsplit(":", 1)[1].isdigit()
    }
