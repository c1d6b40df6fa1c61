"""What a task finds around it: mounts, working directory, user, network, secrets, and what is kept of it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

from engine.workflows.compiling import At, Compiler
from engine.workflows.documents import StepDocument, WorkflowDocument
from engine.workflows.plan import ArtifactPlan, SecretSpec, VolumePlan
from engine.workflows.policy_documents import ArtifactDocument, VolumeDocument
from engine.workflows.wording import advice, quoted, show

# The names that every task's environment has from us (contract §2), which win over the step's own.
OUR_VARIABLES = frozenset(
    (
        "WORKFLOW_ID",
        "STEP_ID",
        "TASK_ID",
        "AGENT_ID",
        "WORKER_ID",
        "WORKER_ITEM",
        "MAP_INDEX",
        "MAP_ITEM",
        "TASK_INPUT",
        "AGENTAINER_ARTIFACTS",
        "AGENTAINER_ATTEMPT",
        "AGENTAINER_RUN_STATUS",
        "AGENTAINER_RUN_REASON",
        "AGENTAINER_RUN_ERROR",
        "AGENTAINER_RUN_FAILED_STEP",
        "REDIS_URL",
        "REDIS_USERNAME",
        "REDIS_PASSWORD",
    )
)
# A secret of these names would be taken for the place where Redis is.
_REDIS_PLACE = frozenset(("REDIS_HOST", "REDIS_PORT"))
# Ours inside every container: the artifacts of earlier steps are mounted there.
OUR_DIRECTORY = "/agentainer"
MAX_ID = 2**31 - 1  # Docker's

_VOLUME_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{1,127}")
_NETWORK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_USER = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.-]{0,63})(?::([A-Za-z0-9_][A-Za-z0-9_.-]{0,63}))?")


def literal_complaint(text: str) -> str:
    """Why a text cannot be a path or a name on the machine, or "": they hold no templates."""
    if not text.strip():
        return "is empty: write it, or take the line out"
    if "{{" in text:
        return f"found {show(text)}, but templates are not replaced here: write it out"
    if not text.isprintable():
        return f"found {show(text)}, expected a text without control characters and line breaks"
    return ""


def _checked(text: str | None, at: At, label: str, compiler: Compiler, check: Callable[[str], str]) -> bool:
    """Whether a text is given and good; what is wrong with it is noted."""
    if text is None:
        return False
    complaint = literal_complaint(text) or check(text)
    if complaint:
        compiler.error(at, f"`{label}`: {complaint}")
    return not complaint


# --- volumes -------------------------------------------------------------------------------------------


def plan_volumes(step: StepDocument, at: At, compiler: Compiler) -> tuple[VolumePlan, ...]:
    """What is mounted into the step's agents; what cannot be is noted."""
    volumes: dict[str, VolumePlan] = {}
    for index, document in enumerate(step.volumes):
        where: At = (*at, "volumes", index)
        label = f"volumes[{index}]"
        source = _checked(document.source, (*where, "source"), f"{label}.source", compiler, _source_complaint)
        target = _checked(document.target, (*where, "target"), f"{label}.target", compiler, _target_complaint)
        if not (source and target):
            continue
        volume = _volume(document)
        if volumes.setdefault(volume.target, volume) is not volume:
            compiler.error(
                (*where, "target"),
                f"`{label}.target`: {quoted(volume.target)} is the target of another volume already: "
                "choose another",
            )
    return tuple(volumes.values())


def _volume(document: VolumeDocument) -> VolumePlan:
    named = not document.source.startswith(("/", "."))
    return VolumePlan(document.source, posixpath.normpath(document.target), document.read_only, named)


def _source_complaint(source: str) -> str:
    if source.startswith(("/", ".")) or _VOLUME_NAME.fullmatch(source):
        return ""
    if source.startswith("~"):
        return f"found {show(source)}, but `~` is not expanded: write the path out"
    meant = f"write {show('./' + source)} for a path beside the document" if "/" in source else ""
    return (
        f"found {show(source)}, expected a host path, which begins with / or ., or the name of a volume: "
        f"{meant or 'names have two or more letters, digits, `_`, `.` and `-`'}"
    )


def _target_complaint(target: str) -> str:
    expected = f"found {show(target)}, expected an absolute path in the container"
    if not target.startswith("/"):
        return f"{expected}: write {show('/' + target)}"
    if ".." in target.split("/"):
        return f"{expected} without `..`: write where it leads to"
    # POSIX leaves the meaning of exactly two leading slashes open, so normpath keeps them.
    if target.startswith("//"):
        return f"{expected}: begin it with one slash"
    normal = posixpath.normpath(target)
    if normal == "/":
        return f"{expected} below `/`, which is the image's own"
    if normal == OUR_DIRECTORY or normal.startswith(f"{OUR_DIRECTORY}/"):
        return f"{expected} outside of {OUR_DIRECTORY}, which is the engine's own: choose another"
    return ""


# --- working directory, user, network ------------------------------------------------------------------


def plan_working_dir(step: StepDocument, at: At, compiler: Compiler) -> str | None:
    """Where the step's command starts."""
    good = _checked(step.working_dir, (*at, "working_dir"), "working_dir", compiler, lambda _: "")
    return step.working_dir if good else None


def plan_user(step: StepDocument, at: At, compiler: Compiler) -> str | None:
    """Whom the step's agents run as."""
    return step.user if _checked(step.user, (*at, "user"), "user", compiler, _user_complaint) else None


def _user_complaint(user: str) -> str:
    match = _USER.fullmatch(user)
    if match is None:
        return f'found {show(user)}, expected a user such as "1000", "1000:1000", nobody or app:app'
    for part in filter(None, match.groups()):
        if part.isdigit() and int(part) > MAX_ID:
            return f"found {part}, but the largest id is {MAX_ID}"
    return ""


def plan_network(step: StepDocument, at: At, compiler: Compiler) -> str:
    """The network of the step's agents."""
    _checked(step.network, (*at, "network"), "network", compiler, _network_complaint)
    if step.network == "none" and step.redis_access != "none":
        compiler.error(
            (*at, "network"),
            "`network: none` cuts the task off from Redis: add `redis_access: none`, or take `network` out",
        )
    return step.network


def _network_complaint(network: str) -> str:
    if _NETWORK_NAME.fullmatch(network):
        return ""
    return (
        f"found {show(network)}, expected default, run, none, host, or the name of a Docker network "
        "(letters, digits, `_`, `.` and `-`)"
    )


# --- secrets and env files -----------------------------------------------------------------------------


def plan_secrets(document: WorkflowDocument, compiler: Compiler) -> dict[str, SecretSpec]:
    """The workflow's secrets by name; names that cannot be are noted."""
    secrets: dict[str, SecretSpec] = {}
    for index, secret in enumerate(document.secrets):
        at: At = ("secrets", index, "name")
        if secret.name in OUR_VARIABLES | _REDIS_PLACE:
            compiler.error(
                at,
                f"`secrets[{index}]`: the engine itself sets {quoted(secret.name)}: choose another name",
            )
        elif secret.name in secrets:
            compiler.error(at, f"`secrets[{index}]`: {quoted(secret.name)} is named twice: keep one")
        if secret.file is not None:
            _checked(secret.file, ("secrets", index, "file"), f"secrets[{index}].file", compiler, _no_home)
        secrets.setdefault(secret.name, SecretSpec(secret.name, secret.env, secret.file))
    return secrets


def plan_env_files(document: WorkflowDocument, compiler: Compiler) -> tuple[str, ...]:
    """The files of variables, in the order in which later ones win. They are read when a run starts."""
    for index, path in enumerate(document.env_file):
        _checked(path, ("env_file", index), "env_file", compiler, _no_home)
    return tuple(document.env_file)


def _no_home(path: str) -> str:
    return f"found {show(path)}, but `~` is not expanded: write the path out" if path.startswith("~") else ""


def plan_task_secrets(
    step: StepDocument, at: At, document: WorkflowDocument, compiler: Compiler
) -> tuple[str, ...]:
    """Which of the workflow's secrets the step's tasks get."""
    known = [secret.name for secret in document.secrets]
    for index, name in enumerate(step.secrets or ()):
        if name not in known:
            hint = advice(name, known, kind="secrets of this workflow")
            compiler.error(
                (*at, "secrets", index), f"`secrets[{index}]`: there is no secret {show(name)}: {hint}"
            )
    given = tuple(dict.fromkeys(known if step.secrets is None else step.secrets))
    for name in given:
        if name in step.env_vars:
            compiler.error(
                (*at, "env_vars", name),
                f"`env_vars.{name}`: {quoted(name)} is a secret that this task gets, too: take it out here, "
                "or out of the step's `secrets`",
            )
    return given


# --- artifacts -----------------------------------------------------------------------------------------


def plan_artifacts(step: StepDocument, at: At, compiler: Compiler) -> tuple[ArtifactPlan, ...]:
    """What is kept of what the step's tasks leave; what cannot be is noted."""
    artifacts: dict[str, ArtifactPlan] = {}
    for index, document in enumerate(step.artifacts):
        where: At = (*at, "artifacts", index)
        label = f"artifacts[{index}]"
        if not _checked(document.path, (*where, "path"), f"{label}.path", compiler, _artifact_complaint):
            continue
        name = _artifact_name(document)
        written = "name" if document.name is not None else "path"
        if not _checked(name, (*where, written), f"{label}.name", compiler, _name_complaint):
            continue
        artifact = ArtifactPlan(posixpath.normpath(document.path), name, document.optional)
        # Folded, for file systems that know no difference between upper and lower case.
        if artifacts.setdefault(name.casefold(), artifact) is not artifact:
            compiler.error(
                (*where, written),
                f"`{label}`: the name {quoted(name)} is taken by another artifact of this step: "
                "add another `name`",
            )
    return tuple(artifacts.values())


def _artifact_name(document: ArtifactDocument) -> str:
    if document.name is not None:
        return document.name
    return posixpath.basename(posixpath.normpath(document.path))


def _artifact_complaint(path: str) -> str:
    if ".." in path.split("/"):
        return f"found {show(path)}, which may not contain `..`: write an absolute path, or one further down"
    if "*" in path:
        return f"found {show(path)}, but `*` is not expanded: name the directory"
    if posixpath.normpath(path).strip("/") == "":
        return f"found {show(path)}, which is the whole file system: name a file or directory in it"
    return ""


def _name_complaint(name: str) -> str:
    if "/" in name or "\\" in name:
        return f"found {show(name)}, expected a name without slashes: it is one file in the run's folder"
    if name in (".", ".."):
        return f"{quoted(name)} cannot be the name of an artifact: add a `name`"
    if len(name.encode()) > 200:
        return f"has {len(name.encode())} bytes, at most 200 are allowed: add a shorter `name`"
    return "" if name == name.strip() else f"found {show(name)}, expected a name without blanks at its ends"
