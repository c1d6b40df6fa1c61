"""What documents ask of the machine and do not get, however they write it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from engine.agents.backend import BackendFacts, Mount
from engine.errors import DocumentError, InputError
from engine.orchestrator.admission import check_admission
from engine.orchestrator.permissions import mounts_of, objections, working_dir_of
from engine.settings import Settings
from engine.workflows.loader import load_text
from engine.workflows.plan import TaskPlan, VolumePlan

DOCKER = BackendFacts("docker")
PROCESS = BackendFacts("process")


@dataclass
class Place:
    """A home, a document in a directory of its own, and what is around."""

    root: Path
    changes: dict[str, Any] = field(default_factory=dict)
    facts: BackendFacts = DOCKER

    @property
    def beside(self) -> Path:
        return self.root / "project"

    @property
    def document(self) -> str:
        return str(self.beside / "flow.yaml")

    def settings(self) -> Settings:
        return Settings(**{"home": self.root / "home", **self.changes})

    def mount(self, source: str, *, document: str | None = "") -> Mount:
        task = TaskPlan(volumes=(VolumePlan(source, "/in"),))
        place = self.document if document == "" else document
        (mount,) = mounts_of(task, place, self.settings(), self.facts)
        assert not objections(task, place, self.settings(), self.facts)
        return mount

    def refused(self, source: str, *, document: str | None = "") -> str:
        task = TaskPlan(volumes=(VolumePlan(source, "/in"),))
        place = self.document if document == "" else document
        with pytest.raises(InputError) as caught:
            mounts_of(task, place, self.settings(), self.facts)
        (objection,) = objections(task, place, self.settings(), self.facts)
        assert objection == f"{caught.value.message}: {caught.value.hint}"
        assert repr(source) in objection
        return objection


@pytest.fixture
def place(tmp_path: Path) -> Place:
    for name in ("home/logs", "project/data", "elsewhere/deep"):
        (tmp_path / name).mkdir(parents=True)
    return Place(tmp_path)


@pytest.fixture
def listening(place: Place) -> Iterator[Path]:
    """A socket, in a directory beside the document."""
    (place.beside / "run").mkdir()
    path = place.beside / "run" / "engine.sock"
    # Socket addresses are short; the name of a test's directory may be long.
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX):
        before = Path.cwd()
        os.chdir(path.parent)
        try:
            server.bind(path.name)
        finally:
            os.chdir(before)
        yield path


# -- what lies beside the document ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    ["./data", "data/../data", "./data/", "././data//", "../project/data", "./link", "{beside}/data"],
)
def test_what_lies_beside_the_document_is_mounted_with_its_real_path(place: Place, source: str) -> None:
    (place.beside / "link").symlink_to("data")
    written = source.format(beside=place.beside)
    assert place.mount(written) == Mount(str(place.beside / "data"), "/in")


def test_the_directory_of_the_document_itself_may_be_mounted(place: Place) -> None:
    assert place.mount(".").source == str(place.beside)


def test_a_document_behind_a_link_is_where_it_seems_to_be(place: Place) -> None:
    (place.root / "seen").symlink_to(place.beside)
    assert place.mount("./data", document=str(place.root / "seen" / "flow.yaml")).source == str(
        place.beside / "data"
    )


def test_named_volumes_and_read_only_are_handed_on(place: Place) -> None:
    task = TaskPlan(
        volumes=(VolumePlan("cache", "/cache", named=True), VolumePlan("./data", "/data", read_only=True))
    )
    assert mounts_of(task, place.document, place.settings(), DOCKER) == (
        Mount("cache", "/cache", named=True),
        Mount(str(place.beside / "data"), "/data", read_only=True),
    )


# -- what does not ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    ["../elsewhere", "./../elsewhere/", "./data/../../elsewhere", "{root}/elsewhere/deep", "/usr/bin"],
)
def test_what_lies_elsewhere_is_refused(place: Place, source: str) -> None:
    assert "allowed place" in place.refused(source.format(root=place.root))


@pytest.mark.parametrize("target", ["/", "/etc", "..", "../elsewhere", "/usr/bin"])
def test_links_are_followed_before_anything_is_judged(place: Place, target: str) -> None:
    (place.beside / "innocent").symlink_to(target)
    (place.beside / "second").symlink_to("innocent")
    for source in ("./innocent", "./innocent/", "./innocent/.", "./second", "./data/../second"):
        place.refused(source)


def test_a_directory_whose_name_only_begins_alike_is_another(place: Place) -> None:
    (place.root / "project-secrets").mkdir()
    assert "allowed place" in place.refused("../project-secrets")


@pytest.mark.parametrize(
    "name", ["dаta", "data\u200b", "ｄata", "data\u0301", "．．", "‥", "~", "~root", "$HOME"]
)
def test_names_that_look_alike_are_names_of_their_own(place: Place, name: str) -> None:
    assert "is not there" in place.refused(f"./{name}")
    (place.beside / name).mkdir()
    assert place.mount(f"./{name}").source == str(place.beside / name)


@pytest.mark.parametrize(
    "source", ["./none", "./data/none", "./flow.yaml/below", "./circle", "./a\0b", "./" + "x" * 300]
)
def test_what_is_not_there_or_cannot_be_is_refused(place: Place, source: str) -> None:
    (place.beside / "flow.yaml").write_text("")
    (place.beside / "circle").symlink_to("circle")
    place.refused(source)


def test_a_path_so_long_that_links_are_no_longer_seen_is_refused(place: Place) -> None:
    """A chain of directories and links that makes a path longer than the system resolves."""
    name = "d" * 200
    at = os.open(place.beside, os.O_RDONLY)
    for _ in range(30):
        os.mkdir(name, dir_fd=at)
        below = os.open(name, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.symlink("/", "out", dir_fd=at)
    os.close(at)
    place.refused("./" + f"{name}/" * 30 + "out")


def test_a_document_that_is_no_file_has_nothing_beside_it(place: Place) -> None:
    assert "not a file" in place.refused("./data", document=None)
    assert "allowed place" in place.refused(str(place.beside), document=None)


def test_a_document_in_the_root_directory_does_not_open_the_whole_machine(place: Place) -> None:
    assert "allowed place" in place.refused(str(place.beside), document="/flow.yaml")


def test_a_link_that_changes_after_admission_is_judged_again(place: Place) -> None:
    (place.beside / "link").symlink_to("data")
    place.mount("./link")
    (place.beside / "link").unlink()
    (place.beside / "link").symlink_to("/etc")
    place.refused("./link")


# -- allowed roots ----------------------------------------------------------------------------------------


def test_a_root_of_the_settings_opens_what_lies_below_it_through_links_too(place: Place) -> None:
    (place.root / "alias").symlink_to("elsewhere")
    place.changes["allowed_roots"] = (place.root / "alias",)
    for source in ("../elsewhere", "../elsewhere/deep", "../alias/deep", "./data"):
        place.mount(source)


def test_a_root_that_is_not_there_opens_nothing(place: Place) -> None:
    place.changes["allowed_roots"] = (place.root / "none",)
    place.refused("../elsewhere")


# -- what is dangerous wherever it lies -------------------------------------------------------------------


@pytest.mark.parametrize(
    "source", ["/", "/proc", "/proc/self/root/etc", "/sys/kernel", "/dev", "/dev/null", "/.", "//"]
)
def test_the_root_and_the_kernel_s_trees_need_more_than_a_root_of_the_settings(
    place: Place, source: str
) -> None:
    place.changes["allowed_roots"] = (Path("/"),)
    place.changes["allow_docker_socket"] = True
    if source != "/proc/self/root/etc":
        place.refused(source)
    place.changes["allow_privileged"] = True
    place.mount(source)


def test_the_whole_machine_holds_the_docker_socket(place: Place) -> None:
    place.changes |= {"allowed_roots": (Path("/"),), "allow_privileged": True}
    assert "socket" in place.refused("/")


@pytest.mark.parametrize("source", ["../home", "../home/logs", "./link/logs"])
def test_the_home_of_the_engine_is_refused_whatever_the_settings_say(place: Place, source: str) -> None:
    (place.beside / "link").symlink_to("../home")
    place.changes |= {
        "allowed_roots": (Path("/"),),
        "allow_privileged": True,
        "allow_docker_socket": True,
    }
    assert "own home" in place.refused(source)


def test_what_holds_the_home_of_the_engine_needs_a_setting(place: Place) -> None:
    place.changes["home"] = place.beside / ".agentainer"
    (place.beside / ".agentainer").mkdir()
    assert "own home" in place.refused(".")
    place.mount("./data")
    place.changes["allow_privileged"] = True
    place.mount(".")


def test_the_engine_s_socket_is_known_under_any_name(place: Place, listening: Path) -> None:
    place.facts = BackendFacts("docker", sockets=(str(listening),))
    (place.beside / "link").symlink_to("run/engine.sock")
    (place.beside / "there").symlink_to("run")
    os.link(listening, place.beside / "data" / "other-name")
    sources = ("./run/engine.sock", "./link", "./run", "./there", ".", "./data/other-name")
    for source in sources:
        assert "socket" in place.refused(source)
    place.changes["allow_docker_socket"] = True
    for source in sources:
        place.mount(source)


def test_any_socket_may_be_an_engine_s(place: Place, listening: Path) -> None:
    assert "socket" in place.refused("./run/engine.sock")


@pytest.mark.parametrize("source", ["/var/run", "/run", "/var/run/docker.sock", "/run/docker.sock"])
def test_the_usual_places_of_the_docker_socket_are_known(place: Place, source: str) -> None:
    place.changes["allowed_roots"] = (Path("/"),)
    if not Path(source).exists():
        pytest.skip(f"there is no {source} here")
    assert "socket" in place.refused(source)


def test_the_socket_of_docker_host_and_of_the_user_are_known(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place.beside / "mine").mkdir()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{place.beside}/data/engine")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place.beside / "mine"))
    for source in ("./data", "./mine"):
        assert "socket" in place.refused(source)


# -- rights and networks ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "setting"),
    [(TaskPlan(privileged=True), "allow_privileged"), (TaskPlan(network="host"), "allow_host_network")],
)
def test_rights_need_their_setting(place: Place, task: TaskPlan, setting: str) -> None:
    (objection,) = objections(task, place.document, place.settings(), DOCKER)
    assert setting in objection
    place.changes[setting] = True
    assert objections(task, place.document, place.settings(), DOCKER) == []


def test_a_container_s_working_directory_is_absolute(place: Place) -> None:
    (objection,) = objections(TaskPlan(working_dir="./src"), place.document, place.settings(), DOCKER)
    assert "'/src'" in objection
    assert objections(TaskPlan(working_dir="/src"), place.document, place.settings(), DOCKER) == []


# -- local processes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "word"),
    [
        (TaskPlan(volumes=(VolumePlan("./data", "/in"),)), "volumes"),
        (TaskPlan(privileged=True), "privileged"),
    ],
)
def test_what_only_a_container_can_have_is_refused_for_processes(
    place: Place, task: TaskPlan, word: str
) -> None:
    place.changes["allow_privileged"] = True
    (objection,) = objections(task, place.document, place.settings(), PROCESS)
    assert word in objection and "docker" in objection


def test_a_process_starts_where_the_document_says(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    task = TaskPlan(working_dir="data")
    assert working_dir_of(task, place.document, "process") == str(place.beside / "data")
    assert working_dir_of(task, place.document, "docker") == "data"
    assert working_dir_of(TaskPlan(), place.document, "process") is None
    assert objections(task, place.document, place.settings(), PROCESS) == []
    missing = TaskPlan(working_dir="none")
    assert "not a directory" in objections(missing, place.document, place.settings(), PROCESS)[0]
    monkeypatch.chdir(place.beside)
    assert working_dir_of(task, "flow.yaml", "process") == str(place.beside / "data")


# -- admission --------------------------------------------------------------------------------------------

DOCUMENT = """
name: outer
steps:
  - id: own
    image: a
    volumes: ["/etc:/in"]
  - id: inner
    type: subworkflow
    workflow:
      steps:
        - id: hidden
          image: a
          privileged: true
"""


def test_a_run_is_refused_for_what_any_of_its_workflows_asks(place: Place) -> None:
    plan = load_text(DOCUMENT, place.document).require()
    with pytest.raises(DocumentError) as caught:
        check_admission(plan, DOCKER, place.settings())
    told = [problem.message for problem in caught.value.problems]
    assert len(told) == 2
    assert told[0].startswith("step 'own': the volume '/etc'")
    assert told[1].startswith("step 'hidden': asks for `privileged`")
