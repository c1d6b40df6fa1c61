"""A container registry of one small image on the loopback, which can be slow, refuse and count."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import tarfile
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass
class Registry:
    """Serves `<address>/<any name>:<any tag>`.

    Attributes:
        marker: makes the image unlike any other.
        refuse: HTTP status and error code with which manifests are refused, or None.
        counts: how often each kind of thing was asked for.
        gate: manifests are served once it is set.
    """

    marker: str
    refuse: tuple[int, str] | None = None
    counts: Counter[str] = field(default_factory=Counter)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    _blobs: dict[str, bytes] = field(default_factory=dict)
    _server: asyncio.Server | None = None
    address: str = ""

    async def open(self) -> None:
        """Make the image and listen."""
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as tar:
            entry = tarfile.TarInfo("marker")
            entry.size = len(self.marker)
            tar.addfile(entry, io.BytesIO(self.marker.encode()))
        packed = gzip.compress(layer.getvalue())
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {"Cmd": ["/marker"]},
                "rootfs": {"type": "layers", "diff_ids": [_digest(layer.getvalue())]},
            }
        ).encode()
        manifest: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": _CONFIG, "size": len(config), "digest": _digest(config)},
            "layers": [{"mediaType": _LAYER, "size": len(packed), "digest": _digest(packed)}],
        }
        self._manifest = json.dumps(manifest).encode()
        self._blobs = {_digest(config): config, _digest(packed): packed}
        self.gate.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """Stop listening."""
        self.gate.set()
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.read(1)
        if first not in (b"G", b"H"):
            writer.close()  # the engine tries TLS before plain HTTP
            return
        head = first + await reader.readuntil(b"\r\n\r\n")
        method, path, _ = head.split(b" ", 2)
        status, kind, body = await self._answer(path.decode())
        lines = f"HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        lines += f"Docker-Content-Digest: {_digest(body)}\r\nConnection: close\r\n\r\n"
        writer.write(lines.encode() + (b"" if method == b"HEAD" else body))
        writer.close()

    async def _answer(self, path: str) -> tuple[int, str, bytes]:
        if "/manifests/" in path:
            self.counts["manifest"] += 1
            self.asked.set()
            await self.gate.wait()
            if self.refuse is not None:
                status, code = self.refuse
                told = {"errors": [{"code": code, "message": f"{code.lower()} says the test"}]}
                return status, "application/json", json.dumps(told).encode()
            return 200, _MANIFEST, self._manifest
        if "/blobs/" in path:
            self.counts["blob"] += 1
            return 200, "application/octet-stream", self._blobs[path.rsplit("/", 1)[1]]
        return 200, "application/json", b"{}"
