"""Secrets and artifacts of real containers: nothing of a secret stays anywhere, artifacts travel."""

from __future__ import annotations

import base64
import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests import docker_images
from tests.engine.command_line import CommandLine, wait_until

pytestmark = pytest.mark.docker

TOKEN = 'to"ken/of+the?home'
KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\n9w0BAQEFAASCBKcwggSj\n-----END KEY-----"

# Prints each secret in every encoding, a few bytes at a time.
LEAK = """
import base64, json, os, sys
from urllib.parse import quote
for secret in (os.environ["TOKEN"], os.environ["KEY"]):
    data = secret.encode()
    forms = [secret, json.dumps(secret), quote(secret), quote(secret, safe="")]
    forms += [base64.b64encode(b"a:"[:n] + data).decode() for n in range(3)]
    forms += [base64.urlsafe_b64encode(data).decode(), base64.encodebytes(data).decode()]
    for stream in (sys.stdout, sys.stderr):
        for form in forms:
            for start in range(0, len(form), 5):
                stream.write(form[start : start + 5])
                stream.flush()
            print(file=stream)
"""
WORKFLOW = """
name: secrets
secrets: [TOKEN, {name: KEY, file: key.pem}]
config: {failure_strategy: continue, cleanup_policy: never}
steps:
  - {id: leak, image: IMAGE, command: [python3, -c, LEAK]}
  - {id: result, image: IMAGE, command: [python3, -c, RESULT]}
  - {id: error, image: IMAGE, command: "echo \\"cannot use $TOKEN\\" >&2; exit 3"}
  - {id: none, image: IMAGE, secrets: [], command: "test -z \\"$TOKEN$KEY\\" && echo nothing"}
  - id: build
    image: IMAGE
    user: "12345"
    command: "mkdir -p /tmp/out && echo built > /tmp/out/app.txt"
    artifacts: [/tmp/out]
  - id: use
    image: IMAGE
    user: "54321"
    depends_on: [build]
    command: |
      cat "$AGENTAINER_ARTIFACTS/build/out/app.txt"
      touch "$AGENTAINER_ARTIFACTS/mine" 2>/dev/null || echo kept
"""
RESULT = 'import json, os; print(json.dumps({"key": os.environ["KEY"], os.environ["TOKEN"]: 1}))'


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    monkeypatch.setenv("TOKEN", TOKEN)
    command_line = CommandLine(tmp_path)
    command_line.write("key.pem", KEY + "\n").chmod(0o600)
    yield command_line
    command_line.close()
    instance = command_line.home / "instance"
    if instance.exists():
        docker_images.remove_containers_of(instance.read_text().strip())


def workflow(image: str) -> str:
    """The workflow, with its programs put in as JSON texts, which are YAML, too."""
    text = WORKFLOW.replace("IMAGE", image)
    return text.replace("LEAK]", f"{json.dumps(LEAK)}]").replace("RESULT]", f"{json.dumps(RESULT)}]")


def needles() -> list[str]:
    """What would give a secret away."""
    found = []
    for secret in (TOKEN, KEY):
        data = secret.encode()
        found += [secret, json.dumps(secret)[1:-1], quote(secret), quote(secret, safe="")]
        # The ends of base64 texts may belong to what stands beside the secret.
        found += [base64.b64encode(bytes(n) + data).decode()[4:-4] for n in range(3)]
        found += base64.encodebytes(data).decode().split()[:-1]
    return [*found, *KEY.splitlines()]


def assert_clean(what: str, text: str) -> None:
    shown = [needle for needle in needles() if needle in text or json.dumps(needle)[1:-1] in text]
    assert not shown, f"{what} shows {shown}"


def steps_of(document: Any) -> dict[str, Any]:
    return {step["id"]: step for step in document["steps"]}


def test_nothing_of_a_secret_stays_and_artifacts_travel(line: CommandLine, python_image: str) -> None:
    line.write("w.yaml", workflow(python_image))
    done = line.run("run", "w.yaml", "--backend", "docker", "--json")
    assert done.returncode == 3, done.stderr
    document = json.loads(done.stdout)
    steps = steps_of(document)

    assert steps["result"]["result"] == {"key": "***", "***": 1}
    assert steps["error"]["error"] == "exit code 3: cannot use ***"
    assert steps["none"]["result"] == "nothing"
    assert steps["use"]["result"] == "built\nkept"
    run_id = document["run"]["id"]
    kept = line.home / "artifacts" / run_id
    assert (kept / "build" / "out" / "app.txt").read_text() == "built\n"

    assert_clean("the output of run", done.stdout + done.stderr)
    for words in (("show", "last", "--json"), ("events", "last", "--json"), ("logs", "last")):
        shown = line.run(*words)
        assert shown.returncode == 0 and len(shown.stdout) > 100, shown.stderr
        assert_clean(" ".join(words), shown.stdout)
    searched = [file for file in line.home.rglob("*") if file.is_file()]
    assert {"history.db", "leak.1.log"} <= {file.name for file in searched}
    for file in searched:
        assert_clean(str(file), file.read_bytes().decode("utf-8", "replace"))

    names = docker_images.containers_of((line.home / "instance").read_text().strip())
    assert len(names) == 6, "the cleanup policy keeps them all"
    for name in names:
        found = docker_images.client().inspect_container(name)
        assert_clean(f"the labels of {name}", json.dumps(found["Config"]["Labels"]))
        step_id = found["Config"]["Labels"]["agentainer.step_id"]
        assert (f"TOKEN={TOKEN}" in found["Config"]["Env"]) == (step_id != "none"), "the task itself gets it"


def test_a_run_that_is_live_shows_no_secret_while_it_goes_on(line: CommandLine, busybox_image: str) -> None:
    line.write(
        "w.yaml",
        textwrap.dedent(f"""
            name: prompt
            secrets: [TOKEN]
            steps:
              - id: ask
                image: {busybox_image}
                command: 'printf "%s\\nPassword: " "$TOKEN"; sleep 300'
        """),
    )
    live = line.start("run", "w.yaml", "--backend", "docker")
    wait_until(lambda: (line.home / "history.db").exists() and line.json("history") != [])
    logs = line.start("logs", "last", "-f")
    logs.wait_for("Password: ")
    log = next((line.home / "logs").rglob("ask.1.log")).read_text()
    assert "***" in log
    assert_clean("the log", log)
    assert line.run("cancel", "last", "--now").returncode == 0
    live.end()


def test_a_link_that_leads_out_of_an_artifact_makes_a_bad_result(
    line: CommandLine, busybox_image: str
) -> None:
    line.write(
        "w.yaml",
        textwrap.dedent(f"""
            name: escape
            steps:
              - id: escape
                image: {busybox_image}
                command: "mkdir /out && ln -s ../../../../../../etc/passwd /out/passwd"
                artifacts: [/out]
        """),
    )
    done = line.run("run", "w.yaml", "--backend", "docker", "--json")
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    step = steps_of(document)["escape"]
    assert (step["status"], step["reason"]) == ("failed", "bad_result")
    assert "the link leads out of it" in step["error"]
    folder = line.home / "artifacts" / document["run"]["id"]
    assert not list(folder.rglob("passwd"))


def test_a_missing_secret_is_told_before_anything_starts(line: CommandLine, busybox_image: str) -> None:
    line.write("w.yaml", f"name: w\nsecrets: [NOWHERE]\nsteps: [{{id: a, image: '{busybox_image}'}}]\n")
    done = line.run("run", "w.yaml", "--backend", "docker")
    assert done.returncode == 2
    assert "secret NOWHERE: the variable NOWHERE is not set" in done.stderr
    assert line.json("history") == []
