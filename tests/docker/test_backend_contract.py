"""Containers keep the contract of backends."""

from __future__ import annotations

import pytest

from tests.backend_contract import BackendContract

pytestmark = pytest.mark.docker


@pytest.fixture
def image(busybox_image: str) -> str:
    return busybox_image


class TestDockerContract(BackendContract):
    """Every case, run in containers."""
