"""A relay in front of an engine, which lets the engine seem to stop."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path


class Relay:
    """Stands between the program and the engine, so that the engine can seem to stop."""

    def __init__(self, path: Path, engine: str) -> None:
        self.path, self.engine = path, engine
        self.ends: list[socket.socket] = []
        self.threads: list[threading.Thread] = []
        self.frozen = False

    def __enter__(self) -> Relay:
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(self.path))
        self.listening.listen()
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        for thread in self.threads:
            thread.join()
        for end in (self.listening, *self.ends):
            end.close()

    def cut(self) -> None:
        """End all connections, and accept no more."""
        for end in (self.listening, *self.ends):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:  # the other side was first
                continue

    def freeze(self) -> None:
        """Keep all connections open, and pass nothing on any more."""
        self.frozen = True

    def _start(self, work: Callable[..., None], *ends: socket.socket) -> None:
        self.threads.append(threading.Thread(target=work, args=ends))
        self.threads[-1].start()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self.listening.accept()
            except OSError:  # cut
                return
            there = socket.socket(socket.AF_UNIX)
            there.connect(self.engine)
            self.ends += [here, there]
            self._start(self._pass_on, here, there)
            self._start(self._pass_on, there, here)

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                if self.frozen:
                    return
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:  # cut
            return
