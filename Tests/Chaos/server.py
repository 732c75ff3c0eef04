"""A genrec process that can be started, signalled and started again on the same port."""

import http.client
import os
import signal
import socket
import ssl
import subprocess
import time


class Server:
    processes = []

    def __init__(self, binary, bundles, folder):
        self.binary, self.bundles, self.folder = binary, bundles, folder
        # The server loads the bundle through a link, as in a deployment that swaps bundles.
        self.link = folder / "current"
        self.point_to("1")
        self.port = free_port()
        self.environment = {}
        self.arguments = []
        self.key = None
        self.tls = None
        self.error_path = folder / "log"
        self.process = None

    def point_to(self, name):
        spare = self.link.with_name("next")
        spare.symlink_to(self.bundles[name])
        os.replace(spare, self.link)

    def start(self, wait=True):
        errors = open(self.error_path, "ab")
        self.process = subprocess.Popen(
            [self.binary, "serve", "--bundle", str(self.link), "--listen", f"127.0.0.1:{self.port}", *self.arguments],
            env={**os.environ, **self.environment},
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        errors.close()
        Server.processes.append(self.process)
        if wait:
            self.wait_until_ready()

    def wait_until_ready(self, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if self.request("GET", "/health/ready")[0] == 200:
                    return
            except OSError:
                pass
            except http.client.HTTPException:
                pass
            time.sleep(0.02)
        raise SystemExit(f"the server is not ready after {seconds} s: {self.log_tail()}")

    def connection(self, timeout=30):
        if self.tls:
            context = ssl.create_default_context(cafile=str(self.tls))
            context.check_hostname = False
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=context)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def headers(self):
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        return headers

    def request(self, method, path, body=None, headers=None):
        """Sends a request over a new connection; returns status and body."""
        connection = self.connection()
        try:
            connection.request(method, path, body, headers or self.headers())
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Sends SIGTERM and returns the exit status."""
        if self.process is None:
            return 0
        self.process.terminate()
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
            return "a time-out"

    def log_tail(self):
        if not self.error_path.is_file():
            return ""
        return self.error_path.read_text(errors="replace")[-600:].strip()

    @classmethod
    def kill_all(cls):
        for process in cls.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
