"""How far the pull of an image is, by what the Docker engine tells of its layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class _Layer:
    """Bytes of a layer: all of them, those that are here, those that are unpacked."""

    total: int = 0
    here: int = 0
    unpacked: int = 0


class PullProgress:
    """Adds up layers. Their sizes become known one by one, but what was told is never taken back."""

    def __init__(self) -> None:
        self._layers: dict[str, _Layer] = {}
        self._percent = 0

    def take(self, told: Mapping[str, Any]) -> None:
        """One line of the engine's answer to a pull."""
        layer = self._layers.setdefault(str(told.get("id")), _Layer())
        detail = told.get("progressDetail") or {}
        current, total = detail.get("current"), detail.get("total")
        match told.get("status"):
            case "Downloading" if current is not None and total:
                layer.here, layer.total = current, total
            case "Extracting" if current is not None and layer.total:
                layer.here, layer.unpacked = layer.total, min(current, layer.total)
            case "Download complete" | "Verifying Checksum":
                layer.here = layer.total
            case "Pull complete":
                layer.here = layer.unpacked = layer.total
        total = sum(each.total for each in self._layers.values())
        if total:
            done = sum(each.here + each.unpacked for each in self._layers.values())
            self._percent = max(self._percent, min(99, 50 * done // total))

    @property
    def percent(self) -> int:
        """Half of it is to have the layers, half to unpack them; 100 is never told, since then it is over."""
        return self._percent
