"""The floor of a cold step: the same calls with the same options, straight to the Docker engine."""

from __future__ import annotations

import json
import socket
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any

SOCKET = "/var/run/docker.sock"


class _Connection(HTTPConnection):
    """HTTP over the engine's socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(SOCKET)


def _call(connection: HTTPConnection, method: str, path: str, body: Any = None) -> Any:
    data = json.dumps(body) if body is not None else None
    connection.request(method, path, data, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= 300:
        raise RuntimeError(f"{method} {path}: {answer.status} {text.decode(errors='replace')}")
    return json.loads(text) if text else None


def _attach(container: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(SOCKET)
    head = f"POST /containers/{container}/attach?stream=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: docker\r\n"
    connection.sendall(f"{head}Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n".encode())
    connection.recv(4096)
    return connection


def cold_step(image: str, network: str) -> float:
    """Seconds from nothing to the end of `true` in a new container, which is removed afterwards."""
    host: dict[str, Any] = {
        "RestartPolicy": {"Name": "no"},
        "Init": True,
        "SecurityOpt": ["no-new-privileges"],
    }
    config: dict[str, Any] = {"Image": image, "Cmd": ["true"], "AttachStdout": True, "AttachStderr": True}
    if network == "none":
        config["NetworkDisabled"] = True
    else:
        host |= {"NetworkMode": network, "ExtraHosts": ["host.docker.internal:host-gateway"]}
    connection = _Connection("docker")
    began = time.perf_counter()
    container = _call(connection, "POST", "/containers/create", config | {"HostConfig": host})["Id"]
    output = _attach(container)
    _call(connection, "POST", f"/containers/{container}/start")
    _call(connection, "POST", f"/containers/{container}/wait?condition=not-running")
    taken = time.perf_counter() - began
    output.close()
    _call(connection, "DELETE", f"/containers/{container}?force=1&v=1")
    connection.close()
    return taken


def cold_steps(image: str, network: str, count: int) -> float:
    """Median seconds of some, one after the other."""
    return statistics.median(cold_step(image, network) for _ in range(count))


def throughput(image: str, network: str, count: int, at_once: int) -> float:
    """Containers per second, so many at a time, removals included."""
    began = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(lambda _: cold_step(image, network), range(count)))
    return count / (time.perf_counter() - began)
