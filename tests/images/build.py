"""Builds the test images from the machine's own programs, each once per content: no registry, no network.

    python -m tests.images.build          builds what is missing, prints the references

`agentainer-test/busybox` is a static busybox with its applets; `agentainer-test/python` adds the Python that
runs this script, its standard library, the shared libraries these need, and the `redis` client.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
from docker.errors import ImageNotFound

REPOSITORY = "agentainer-test"
# To be raised when what `Root.write` adds by itself changes, so that images are built anew.
_LAYOUT = 1
_LEFT_OUT = {
    "test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "site-packages", "distutils",
    "pydoc_data", "venv",
}  # fmt: skip
_LIBRARY = re.compile(r"(?:=>\s*)?(/\S+)\s+\(0x")
_PACKAGES = ("redis", "hiredis", "async_timeout")


class CannotBuildError(Exception):
    """Something that the image is made of is not installed here; the message says what."""


@dataclass
class Root:
    """The file tree of an image: path inside it -> file of this machine, symlink target, or content."""

    files: dict[str, Path] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)

    def key(self) -> str:
        """A digest that changes when any of it does (sizes and times stand for the contents of files)."""
        stats = [
            (path, found.st_size, found.st_mtime_ns)
            for path, source in sorted(self.files.items())
            if (found := source.stat())
        ]
        told = repr((_LAYOUT, stats, sorted(self.links.items()), sorted(self.texts.items()), self.changes))
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    def write(self, target: Path) -> None:
        """Write it as a tar file, owned by root."""
        with tarfile.open(target, "w") as tar:
            for directory, mode in (("tmp", 0o1777), ("proc", 0o755), ("root", 0o700)):
                entry = tarfile.TarInfo(directory)
                entry.type, entry.mode = tarfile.DIRTYPE, mode
                tar.addfile(entry)
            for path, source in sorted(self.files.items()):
                entry = tar.gettarinfo(str(source.resolve()), arcname=path)
                entry.uid = entry.gid = 0
                entry.uname = entry.gname = "root"
                with source.open("rb") as content:
                    tar.addfile(entry, content)
            for path, aim in sorted(self.links.items()):
                entry = tarfile.TarInfo(path)
                entry.type, entry.linkname = tarfile.SYMTYPE, aim
                tar.addfile(entry)
            for path, text in sorted(self.texts.items()):
                entry = tarfile.TarInfo(path)
                entry.size, entry.mode = len(text.encode()), 0o644
                tar.addfile(entry, io.BytesIO(text.encode()))


def busybox_root() -> Root:
    """A root with busybox and a link for each of its applets."""
    program = shutil.which("busybox")
    if program is None:
        raise CannotBuildError("no busybox on PATH: install the package `busybox-static`")
    if _libraries(Path(program)):
        raise CannotBuildError(f"{program} is not static: install the package `busybox-static`")
    root = Root(files={"bin/busybox": Path(program)})
    applets = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout
    for applet in applets.split():
        if applet != "busybox":
            root.links[f"bin/{applet}"] = "busybox"
    root.texts["etc/passwd"] = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/bin/sh\n"
    root.texts["etc/group"] = "root:x:0:\nnogroup:x:65534:\n"
    root.changes = ["ENV PATH=/usr/local/bin:/usr/bin:/bin", 'CMD ["/bin/sh"]']
    return root


def python_root() -> Root:
    """The busybox root with the running Python, kept at the paths it has here, and the `redis` client."""
    root = busybox_root()
    program = Path(sys.executable).resolve()
    binaries = [program]
    root.files[_inside(program)] = program
    for name in ("stdlib", "platstdlib"):
        library = Path(sysconfig.get_path(name, vars=_base_variables())).resolve()
        for path in _walk(library):
            root.files[_inside(path)] = path
            if path.suffix == ".so":
                binaries.append(path)
    for package in _PACKAGES:
        for path, place in _package(package):
            root.files[f"packages/{place}"] = path
            if path.suffix == ".so":
                binaries.append(path)
    for library_path in {found for binary in binaries for found in _libraries(binary)}:
        root.files[_inside(library_path)] = library_path
    for name in ("python", "python3"):
        root.links[f"usr/local/bin/{name}"] = str(program)
    root.changes = [
        "ENV PATH=/usr/local/bin:/usr/bin:/bin PYTHONPATH=/packages PYTHONUNBUFFERED=1",
        'CMD ["python3"]',
    ]
    return root


def shellless_root() -> Root:
    """The Python root without any shell."""
    root = python_root()
    del root.files["bin/busybox"]
    root.links = {path: aim for path, aim in root.links.items() if not path.startswith("bin/")}
    return root


def static_root() -> Root:
    """Nothing but one static program, called `true`: no shell, no Python."""
    return Root(files={"true": busybox_root().files["bin/busybox"]}, changes=['ENTRYPOINT ["/true"]'])


def _base_variables() -> dict[str, str]:
    return {"base": sys.base_prefix, "platbase": sys.base_exec_prefix, "installed_base": sys.base_prefix}


def _walk(directory: Path) -> Iterator[Path]:
    """Files of a library, without what tests never import; compiled files only of the plain kind."""
    for place, directories, names in os.walk(directory):
        directories[:] = [d for d in directories if d not in _LEFT_OUT and not d.startswith("config-")]
        for name in names:
            if not name.endswith((".opt-1.pyc", ".opt-2.pyc", ".exe", ".a")):
                yield Path(place, name)


def _package(name: str) -> Iterator[tuple[Path, str]]:
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        return
    directory = Path(found.submodule_search_locations[0])
    for path in _walk(directory):
        yield path, f"{name}/{path.relative_to(directory)}"


def _libraries(binary: Path) -> set[Path]:
    """The shared libraries that a binary needs, at the paths where it looks for them."""
    answer = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=False)
    return {Path(path) for path in _LIBRARY.findall(answer.stdout)}


def _inside(path: Path) -> str:
    return str(path).lstrip("/")


def ensure(client: Any, name: str, root: Root) -> str:
    """Make sure that the image is there; returns its reference, `agentainer-test/<name>:<content key>`.

    `client` is a `docker.APIClient`, whose type stubs have holes.
    """
    repository, tag = f"{REPOSITORY}/{name}", root.key()
    reference = f"{repository}:{tag}"
    try:
        client.inspect_image(reference)
        return reference
    except ImageNotFound:
        pass
    with tempfile.NamedTemporaryFile(suffix=".tar") as file:
        root.write(Path(file.name))
        client.import_image_from_file(file.name, repository=repository, tag=tag, changes=root.changes)
    client.tag(reference, repository, tag="latest", force=True)
    return reference


def main() -> None:
    """Build both and print where they are."""
    client = docker.APIClient(version="auto", timeout=300)
    for name, root in (("busybox", busybox_root()), ("python", python_root())):
        print(ensure(client, name, root))


if __name__ == "__main__":
    main()
