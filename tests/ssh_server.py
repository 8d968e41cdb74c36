# SPDX-License-Identifier: MIT
"""An SSH server in this process: the protocol is real, commands run here in a shell."""

import os
import socket
import subprocess
import threading
from contextlib import contextmanager, suppress

import paramiko


class _Session(paramiko.ServerInterface):
    def __init__(self, server):
        self._server = server

    def check_auth_publickey(self, username, key):
        return paramiko.AUTH_SUCCESSFUL if key == self._server.key else paramiko.AUTH_FAILED

    def get_allowed_auths(self, username):
        return "publickey"

    def check_channel_request(self, kind, chanid):
        self._server.answers.wait()
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel, command):
        threading.Thread(target=self._run, args=(channel, command), daemon=True).start()
        return True

    def _run(self, channel, command):
        self._server.commands.append(command.decode())
        if self._server.hangs_up:
            channel.get_transport().close()
            return
        done = subprocess.run(
            ["sh", "-c", command],
            capture_output=True,
            check=False,
            env={**os.environ, "PATH": f"{self._server.folder}:{os.environ['PATH']}"},
        )
        with suppress(OSError):  # of who has not waited for it
            channel.sendall(done.stdout)
            channel.sendall_stderr(done.stderr)
            channel.send_exit_status(done.returncode)
            channel.close()


class Server:
    """`commands` are those that came; without `answers` it is silent, though TCP lives."""

    def __init__(self, folder):
        self.folder = folder  # whose programs come first
        self.key = paramiko.ECDSAKey.generate()
        self.commands = []
        self.answers = threading.Event()
        self.answers.set()
        self.hangs_up = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._transports = []
        self.port = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def known_hosts(self):
        file = self.folder / "known_hosts"
        file.write_text(f"[127.0.0.1]:{self.port} {self.key.get_name()} {self.key.get_base64()}\n")
        return file

    def key_file(self):
        file = self.folder / "key"
        self.key.write_private_key_file(str(file))
        return file

    def _accept(self):
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(peer)
            transport.add_server_key(self.key)
            self._transports.append(transport)
            transport.start_server(threading.Event(), _Session(self))

    def close(self):
        self.answers.set()
        # A thread that still waits in accept() after close() goes on with whatever gets the
        # descriptor's number next, should a signal make the kernel repeat the system call.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        for transport in self._transports:
            transport.close()


@contextmanager
def ssh_server(folder):
    server = Server(folder)
    try:
        yield server
    finally:
        server.close()
