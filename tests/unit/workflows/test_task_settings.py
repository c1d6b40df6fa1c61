"""What a task finds around it: mounts, directory, user, network, secrets; and what is kept of it."""

from __future__ import annotations

import pytest

from engine.workflows.loader import Loaded, load_text
from engine.workflows.plan import ArtifactPlan, PlanStep, SecretSpec, TaskPlan, VolumePlan


def load_step(fields: str, top: str = "") -> Loaded:
    return load_text(f"name: x\n{top}steps:\n  - {{id: a, {fields}}}\n")


def step_of(fields: str, top: str = "") -> PlanStep:
    loaded = load_step(fields, top)
    assert loaded.problems == ()
    return loaded.require().steps["a"]


def task_of(fields: str, top: str = "") -> TaskPlan:
    task = step_of(f"command: run, {fields}", top).task
    assert task is not None
    return task


def refusal(fields: str, top: str = "") -> str:
    loaded = load_step(fields, top)
    assert loaded.plan is None
    (problem,) = loaded.problems
    return problem.message


# --- volumes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "volume"),
    [
        ("./data:/data", VolumePlan("./data", "/data")),
        ("../data:/data:ro", VolumePlan("../data", "/data", read_only=True)),
        ("/srv/data:/data:rw", VolumePlan("/srv/data", "/data")),
        (".:/work/", VolumePlan(".", "/work")),
        ("models:/models", VolumePlan("models", "/models", named=True)),
        ("./a:/b/./c", VolumePlan("./a", "/b/c")),
        ("{source: ./a b, target: /a b}", VolumePlan("./a b", "/a b")),
        ("{source: models, target: /m, read_only: true}", VolumePlan("models", "/m", True, True)),
        ("{source: './a:b', target: /a}", VolumePlan("./a:b", "/a")),
    ],
)
def test_volumes_in_both_forms(written: str, volume: VolumePlan) -> None:
    quoted = written if written.startswith("{") else f'"{written}"'
    assert task_of(f"volumes: [{quoted}]").volumes == (volume,)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ('"data"', "expected `source:target`"),
        ('"./data:/data:rx"', "expected `source:target`"),
        ('":/data"', "expected `source:target`"),
        ('"./data:data"', 'expected an absolute path in the container: write "/data"'),
        ('"./data:/"', "below `/`"),
        ('"./data:/a/.."', "without `..`"),
        ('"./data:/a/../b"', "without `..`"),
        ('"./data://b"', "begin it with one slash"),
        ('"./data:/./"', "below `/`"),
        ('"./data:/agentainer"', "outside of /agentainer"),
        ('"./data:/agentainer/artifacts"', "outside of /agentainer"),
        ('"data/x:/data"', 'write "./data/x" for a path beside the document'),
        ('"~/data:/data"', "`~` is not expanded"),
        ('"x:/data"', "names have two or more letters"),
        ('"da ta:/data"', "the name of a volume"),
        ('"-x:/data"', "the name of a volume"),
        ('{source: "./{{ $.a }}", target: /a}', "templates are not replaced here"),
        ('{source: "./a\\nb", target: /a}', "without control characters"),
        ('{source: "./a\\0b", target: /a}', "NUL character"),
        ('{source: "", target: /a}', "is empty"),
        ('{source: ./a, target: "/a\\x1b[2J"}', '"/a\\x1b[2J"'),
        ("{source: ./a}", "needs `target`"),
        ('"./a:/x", "./b:/x/"', "is the target of another volume already"),
    ],
)
def test_volumes_that_cannot_be(written: str, message: str) -> None:
    assert message in refusal(f"command: run, volumes: [{written}]")


# --- working directory, user, network ------------------------------------------------------------------


def test_working_dir_user_network_and_rights() -> None:
    task = task_of("working_dir: /srv/app, user: app:app, network: backend, privileged: true")
    assert (task.working_dir, task.user, task.network) == ("/srv/app", "app:app", "backend")
    assert task.privileged


@pytest.mark.parametrize("path", ["/srv", "work", "./work", "../beside"])
def test_a_working_dir_may_be_relative(path: str) -> None:
    assert task_of(f"working_dir: {path}").working_dir == path


@pytest.mark.parametrize("user", ["1000", "1000:1000", "nobody", "app:0", "_apt", "a.b-c"])
def test_users_as_docker_takes_them(user: str) -> None:
    assert task_of(f"user: {user}").user == user


@pytest.mark.parametrize("network", ["none", "host", "my_net-1.x"])
def test_networks(network: str) -> None:
    assert task_of(f"network: {network}, redis_access: none").network == network


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ('working_dir: ""', "`working_dir`: is empty"),
        ('working_dir: "/a\\0"', "NUL"),
        ('working_dir: "{{ $.dir }}"', "templates are not replaced here"),
        ('user: ""', "`user`: is empty"),
        ("user: 'a b'", "expected a user such as"),
        ("user: 'a:b:c'", "expected a user such as"),
        ("user: '-1'", "expected a user such as"),
        ("user: '$(id)'", "expected a user such as"),
        ("user: 2147483648", "the largest id is 2147483647"),
        ("user: '0:4294967295'", "the largest id is 2147483647"),
        ("network: ''", "`network`: is empty"),
        ("network: 'container:web'", "the name of a Docker network"),
        ("network: 'a b'", "the name of a Docker network"),
        ("network: none", "`network: none` cuts the task off from Redis"),
        ("privileged: yes", "expected true or false: write true"),
    ],
)
def test_settings_of_a_task_that_cannot_be(fields: str, message: str) -> None:
    assert message in refusal(f"command: run, {fields}")


# --- secrets and env files -----------------------------------------------------------------------------

SECRETS = "secrets: [TOKEN, {name: KEY, env: MY_KEY}, {name: CERT, file: ./cert.pem}]\n"


def test_secrets_in_both_forms() -> None:
    plan = load_step("command: run", SECRETS).require()
    assert plan.secrets == {
        "TOKEN": SecretSpec("TOKEN"),
        "KEY": SecretSpec("KEY", env="MY_KEY"),
        "CERT": SecretSpec("CERT", file="./cert.pem"),
    }


def test_a_task_gets_all_secrets_or_those_it_names() -> None:
    assert task_of("pull_policy: never", SECRETS).secrets == ("TOKEN", "KEY", "CERT")
    assert task_of("secrets: [CERT, TOKEN, CERT]", SECRETS).secrets == ("CERT", "TOKEN")
    assert task_of("secrets: []", SECRETS).secrets == ()


@pytest.mark.parametrize(
    ("top", "fields", "message"),
    [
        ("secrets: [A, B, A]\n", "", '"A" is named twice'),
        ("secrets: [REDIS_PASSWORD]\n", "", 'the engine itself sets "REDIS_PASSWORD"'),
        ("secrets: [REDIS_HOST]\n", "", "the engine itself sets"),
        ("secrets: ['a b']\n", "", "cannot be the name of an environment variable"),
        ("secrets: [{env: A}]\n", "", "needs `name`"),
        ("secrets: [{name: A, env: B, file: c}]\n", "", "has both `env` and `file`"),
        ("secrets: [{name: A, file: ~/c}]\n", "", "`~` is not expanded"),
        ("secrets: [{name: A, file: ''}]\n", "", "is empty"),
        (SECRETS, "secrets: [TOKE]", 'there is no secret "TOKE": did you mean "TOKEN"?'),
        ("", "secrets: [TOKEN]", "there are no secrets of this workflow"),
        (SECRETS, "env_vars: {KEY: x}", "is a secret that this task gets, too"),
    ],
)
def test_secrets_that_cannot_be(top: str, fields: str, message: str) -> None:
    assert message in refusal(f"command: run, {fields}", top)


def test_a_variable_may_have_the_name_of_a_secret_that_the_task_does_not_get() -> None:
    assert task_of("secrets: [TOKEN], env_vars: {KEY: x}", SECRETS).secrets == ("TOKEN",)


@pytest.mark.parametrize(
    ("written", "files"), [(".env", (".env",)), ("[a.env, ../b.env]", ("a.env", "../b.env"))]
)
def test_env_files(written: str, files: tuple[str, ...]) -> None:
    assert load_step("command: run", f"env_file: {written}\n").require().env_files == files


@pytest.mark.parametrize(("written", "message"), [("''", "is empty"), ("~/x.env", "`~`"), ('"a\\0"', "NUL")])
def test_env_files_that_cannot_be(written: str, message: str) -> None:
    assert message in refusal("command: run", f"env_file: {written}\n")


# --- artifacts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "artifact"),
    [
        ("out.csv", ArtifactPlan("out.csv", "out.csv")),
        ("./out/", ArtifactPlan("out", "out")),
        ("/data/report.html", ArtifactPlan("/data/report.html", "report.html")),
        ("{path: ., name: everything}", ArtifactPlan(".", "everything")),
        ("{path: a/b, name: c d.txt, optional: true}", ArtifactPlan("a/b", "c d.txt", True)),
        (".cache", ArtifactPlan(".cache", ".cache")),
    ],
)
def test_artifacts_in_both_forms(written: str, artifact: ArtifactPlan) -> None:
    assert task_of(f"artifacts: [{written}]").artifacts == (artifact,)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("''", "`artifacts[0].path`: is empty"),
        ("../secret", "may not contain `..`"),
        ("a/../../b", "may not contain `..`"),
        ("/a/../etc/shadow", "may not contain `..`"),
        ("..", "may not contain `..`"),
        ("/", "the whole file system"),
        ("'//'", "the whole file system"),
        (".", "cannot be the name of an artifact: add a `name`"),
        ("'*.csv'", "`*` is not expanded"),
        ("'out/{{ $.name }}'", "templates are not replaced here"),
        ("{path: a, name: b/c}", "a name without slashes"),
        ("{path: a, name: 'b\\c'}", "a name without slashes"),
        ("{path: a, name: ..}", "cannot be the name of an artifact"),
        ("{path: a, name: ''}", "`artifacts[0].name`: is empty"),
        ('{path: a, name: "b\\n"}', "without control characters"),
        ("{path: a, name: ' b'}", "without blanks at its ends"),
        (f"{{path: a, name: {'é' * 101}}}", "has 202 bytes, at most 200"),
        ('"a\\0"', "NUL"),
        ("out/a, b/a", 'the name "a" is taken by another artifact'),
        ("out/a, b/A", 'the name "A" is taken by another artifact'),
    ],
)
def test_artifacts_that_cannot_be(written: str, message: str) -> None:
    assert message in refusal(f"command: run, artifacts: [{written}]")
