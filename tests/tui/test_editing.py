"""Files are edited in $EDITOR, saves are told of, new ones are made; what was changed can be run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from textual.app import SuspendNotSupported
from textual.widgets import Input

from agentainer_tui.app import DashboardApp
from agentainer_tui.client import Preview, RetryScope, RunFile, WorkflowEntry
from agentainer_tui.copying import at_line
from agentainer_tui.screens.new_workflow import NewWorkflow
from agentainer_tui.screens.params_form import ParamsForm
from agentainer_tui.screens.retry import RetryDialog
from agentainer_tui.widgets.param_field import ParamField
from engine.errors import DocumentError, Problem, UsageError
from engine.facade import FieldChange, ParamSpec, PlanDiff, StepChange
from tests.tui.driving import dashboard, home, on_screen, run_screen, until, until_seen
from tests.tui.fake_client import FakeClient
from tests.tui.fake_editing import fate
from tests.tui.scenes import COUNT, HELLO, counting, failed, finished
from tests.tui.test_dialogs import commands

RUN = "bad0bad0bad0"
EDIT = PlanDiff(
    (FieldChange("timeout", 60.0, 90.0, matters=False),),
    (
        StepChange("send", "send", "changed", (FieldChange("command", "exit 7", "exit 0"),)),
        StepChange("log", "log", "added"),
        StepChange("tell", "tell", "removed"),
    ),
)


class Editor:
    """A script as $EDITOR: notes how it was called, and appends `text` to the file."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "hello.yaml"
        self.file.write_text("name: hello\n")
        self.calls = directory / "calls"
        self.script = directory / "ed"
        self.script.write_text(
            f'#!/bin/sh\necho "$@" >> {self.calls}\nfor f; do :; done\necho "# edited" >> "$f"\n'
        )
        self.script.chmod(0o755)

    @property
    def called(self) -> list[str]:
        """The arguments of each call."""
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Editor:
    """The editor; a headless app can give its terminal away here."""

    @contextlib.contextmanager
    def suspend(app: DashboardApp) -> Iterator[None]:
        yield

    found = Editor(tmp_path)
    monkeypatch.setenv("VISUAL", "")
    monkeypatch.setenv("EDITOR", str(found.script))
    monkeypatch.setattr(DashboardApp, "suspend", suspend)
    return found


def at(editor: Editor, entry: WorkflowEntry = HELLO) -> WorkflowEntry:
    return replace(entry, path=str(editor.file))


# -- the editor ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "argv"),
    [
        (["vi"], ["vi", "+7", "/w/a b.yaml"]),
        (["/usr/bin/nvim", "-R"], ["/usr/bin/nvim", "-R", "+7", "/w/a b.yaml"]),
        (["nano"], ["nano", "+7", "/w/a b.yaml"]),
        (["hx"], ["hx", "/w/a b.yaml:7"]),
        (["code", "--wait"], ["code", "--wait", "--goto", "/w/a b.yaml:7"]),
        (["my-editor"], ["my-editor", "/w/a b.yaml"]),
    ],
)
def test_editors_open_at_a_line_in_their_own_way(command: list[str], argv: list[str]) -> None:
    file = Path("/w/a b.yaml")
    assert at_line(command, file, 7) == argv
    assert at_line(command, file, 0) == [*command, str(file)]


async def test_e_edits_the_selected_workflow_at_its_first_error(
    editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    vi = editor.script.rename(editor.script.with_name("vi"))
    monkeypatch.setenv("EDITOR", str(vi))
    bad = replace(at(editor), problems=(Problem(str(editor.file), 9, 5, "unknown key `comand`"),))
    async with dashboard(FakeClient([bad])) as (app, pilot):
        await until_seen(pilot, "unknown key")
        await pilot.press("e")
        await until(pilot, lambda: editor.called == [f"+9 {editor.file}"])
        assert home(app)


async def test_a_terminal_that_cannot_be_given_away_is_said(
    editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def suspend(app: DashboardApp) -> Iterator[None]:
        raise SuspendNotSupported
        yield

    monkeypatch.setattr(DashboardApp, "suspend", suspend)
    async with dashboard(FakeClient([at(editor)])) as (_, pilot):
        await pilot.press("e")
        await until_seen(pilot, "this terminal cannot be given to another program")
        assert editor.called == []


async def test_a_file_that_is_gone_and_an_editor_that_is_none_are_said(
    editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with dashboard(FakeClient([HELLO, at(editor, COUNT)])) as (_, pilot):
        await pilot.press("e")
        await until_seen(pilot, "is not there any more")
        monkeypatch.setenv("PATH", "")
        monkeypatch.setenv("EDITOR", "no-such-editor")
        await pilot.press("j", "e")
        await until_seen(pilot, "no editor is found")


# -- from a run ---------------------------------------------------------------------------------------


async def test_e_on_a_run_edits_at_the_step_and_previews_what_the_edit_comes_to(editor: Editor) -> None:
    client = FakeClient([at(editor)], [failed()])
    client.file = RunFile(str(editor.file), digest="new")
    steps = (fate("get", "reused", "its result stands"), fate("send", "rerun", "changed: command"))
    client.outlook = lambda scope: Preview(steps, {"get": 12.0}, 12.0, EDIT, "new")
    async with dashboard(client) as (app, pilot):
        app.open_run(RUN)
        await until_seen(pilot, "send")
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, RetryDialog))
        assert editor.called == [str(editor.file)]
        for text in (
            "≡ reused",
            "its result stands",
            "↻ rerun",
            "changed: command",
            "1 result taken over, 12s saved",
            "~ timeout 1m00s → 1m30s",
            "~ send: command exit 7 → exit 0",
            "+ log: added",
        ):
            await until_seen(pilot, text)
        await pilot.press("enter")
        await until(pilot, lambda: run_screen(app).run_id == client.started)
        assert commands(client) == [("retry", RUN, RetryScope(failed=True, edited=True))]
        assert client.digest == "new"


async def test_an_edit_that_changed_nothing_says_so_and_asks_nothing(editor: Editor) -> None:
    story = failed()
    client = FakeClient([at(editor)], [story])
    client.file = RunFile(str(editor.file), digest=story.events[0].data["digest"])
    async with dashboard(client) as (app, pilot):
        app.open_run(RUN)
        await until_seen(pilot, "send")
        await pilot.press("e")
        await until_seen(pilot, "hello.yaml is as it was when this run began.")
        assert run_screen(app)


async def test_errors_of_the_edited_file_are_shown_with_their_line_and_e_goes_back(editor: Editor) -> None:
    client = FakeClient([at(editor)], [failed()])
    problem = Problem(str(editor.file), 3, 13, "`command`: [red]unclosed[/x] template")
    broken = RunFile(str(editor.file), "", (problem,), {3: "  - {id: a, command: '{{ $.x'}\x1b[2J"})
    client.file = broken
    client.outlook = lambda scope: (
        DocumentError((problem,), path=editor.file) if scope.edited else Preview(())
    )
    async with dashboard(client) as (app, pilot):
        app.open_run(RUN)
        await until_seen(pilot, "send")
        await pilot.press("e")
        await until_seen(pilot, "`command`: [red]unclosed[/x] template")
        await until_seen(pilot, "3 ┊   - {id: a, command: '{{ $.x'}␛[2J")
        text = on_screen(app).splitlines()
        caret = next(row for row in text if "^" in row)
        source = next(row for row in text if "{{ $.x" in row)
        assert source[caret.index("^") :].startswith("command"), "the caret stands under column 13"
        await pilot.press("enter")
        assert commands(client) == []
        client.file = replace(broken, digest="good", problems=(), excerpts={})
        client.outlook = lambda scope: Preview((fate("send", "rerun", "mended"),), digest="good")
        await pilot.press("e")
        await until_seen(pilot, "mended")
        assert len(editor.called) == 2


async def test_a_save_from_elsewhere_renews_the_preview_of_the_edited_file() -> None:
    client = FakeClient([HELLO], [failed()])
    client.outlook = lambda scope: Preview((fate("send", "rerun", "first look"),), digest="v1")
    async with dashboard(client) as (app, pilot):
        app.open_run(RUN)
        await until_seen(pilot, "send")
        await pilot.press("R", "up")
        await until_seen(pilot, "--edited")
        await until_seen(pilot, "first look")
        client.outlook = lambda scope: Preview((fate("send", "rerun", "second look"),), digest="v2")
        client.save(replace(HELLO, digest="v2"))
        await until_seen(pilot, "second look")
        assert not app._notifications, "the dialog tells of it; above its buttons nothing stands in the way"
        await pilot.press("enter")
        await until(pilot, lambda: client.digest == "v2")


async def test_a_run_in_progress_is_told_how_to_go_on_after_an_edit(editor: Editor) -> None:
    client = FakeClient([at(editor, COUNT)], [counting()])
    client.file = RunFile(str(editor.file), digest="new")
    async with dashboard(client) as (app, pilot):
        app.open_run("a1b2c3d4e5f6")
        await until_seen(pilot, "Count words")
        await pilot.press("e")
        await until_seen(pilot, "R runs it again from")


async def test_a_run_without_a_file_says_so() -> None:
    client = FakeClient([HELLO], [failed()])
    client.file = UsageError("run bad0bad0bad0 did not come from a file")
    async with dashboard(client) as (app, pilot):
        app.open_run(RUN)
        await until_seen(pilot, "send")
        await pilot.press("e")
        await until_seen(pilot, "did not come from a file")


async def test_p_asks_for_other_params_and_the_retry_has_them() -> None:
    story = failed()
    story.events[0].data.update(params={"who": "him"})  # type: ignore[attr-defined]
    client = FakeClient([HELLO], [story])
    level = ParamSpec("level", "integer", required=True, description="How loud.")
    client.file = RunFile(HELLO.path, "d", params=(ParamSpec("who", "string", "you"), level))
    client.outlook = lambda scope: (
        UsageError("param 'level' is required")
        if client.calls[-1][3] == {}
        else Preview((fate("send", "rerun", "params.level changed"),), digest="d")
    )
    async with dashboard(client) as (app, pilot):
        app.open_run(RUN)
        await until_seen(pilot, "send")
        await pilot.press("R")
        await until_seen(pilot, "param 'level' is required")
        await pilot.press("p")
        await until_seen(pilot, "How loud.")
        assert isinstance(app.screen, ParamsForm)
        fields = {field.spec.name: field for field in app.screen.query(ParamField)}
        await until(pilot, lambda: app.focused is fields["level"].query_one(Input))
        assert fields["who"].query_one(Input).value == "him", "as the run had it"
        await pilot.press("7")
        await until_seen(pilot, "--edited -p who=him -p level=7")
        await pilot.press("enter")
        await until_seen(pilot, "params.level changed")
        await until_seen(pilot, f"$ agentainer retry {RUN} --edited -p level=7")
        await pilot.press("enter")
        await until(pilot, lambda: run_screen(app).run_id == client.started)
        assert commands(client) == [("retry", RUN, RetryScope(failed=True, edited=True))]
        assert client.given == {"level": 7}


async def test_p_says_so_where_there_are_no_params() -> None:
    client = FakeClient([HELLO], [failed()])
    async with dashboard(client) as (app, pilot):
        app.open_run(RUN)
        await until_seen(pilot, "send")
        await pilot.press("R")
        await until_seen(pilot, "to run")
        await pilot.press("p")
        await until_seen(pilot, "This workflow has no params.")


# -- saves --------------------------------------------------------------------------------------------


async def test_a_save_is_told_of_at_once_and_stays_in_sight_until_it_has_run() -> None:
    client = FakeClient([HELLO], [finished("aa11", 1)])
    async with dashboard(client) as (app, pilot):
        await until_seen(pilot, "Says hello.")
        saved = replace(HELLO, digest="v2", save=EDIT, edit=EDIT)
        client.save(saved)
        await until_seen(pilot, "hello.yaml: 1 step changed (send)")
        await until_seen(pilot, "Changed since it last ran:")
        await until_seen(pilot, "send: command exit 7 → exit 0")
        again = finished("bb22", 100)
        again.events[0].data.update(digest="v2")  # type: ignore[attr-defined]
        client.tell(again)
        await until(pilot, lambda: "Changed since it last ran" not in on_screen(app))


async def test_a_bad_save_shows_the_line_and_the_last_good_version_stays() -> None:
    client = FakeClient([HELLO])
    async with dashboard(client) as (_, pilot):
        await until_seen(pilot, "Says hello.")
        bad = replace(
            HELLO,
            problems=(Problem(HELLO.path, 3, 5, "unknown key `comand`"),),
            excerpts={3: "    comand: [/nothing] \x1b]0;title\x07"},
        )
        client.save(bad)
        await until_seen(pilot, "hello.yaml has 1 error at 3:5.")
        await until_seen(pilot, "3 ┊     comand: [/nothing] ␛]0;title␇")
        await until_seen(pilot, "The last good version is kept")
        client.save(replace(HELLO))
        await until_seen(pilot, "hello.yaml is good again.")


async def test_a_new_file_is_told_of() -> None:
    client = FakeClient([HELLO])
    async with dashboard(client) as (_, pilot):
        await until_seen(pilot, "Says hello.")
        client.save(COUNT, HELLO)
        await until_seen(pilot, "count.yaml is new here.")


# -- new workflows ------------------------------------------------------------------------------------


async def test_a_new_workflow_is_written_from_a_template_under_a_name() -> None:
    client = FakeClient([HELLO])
    async with dashboard(client) as (app, pilot):
        await pilot.press("N")
        await until(pilot, lambda: isinstance(app.screen, NewWorkflow))
        await until_seen(pilot, "One step with a param")
        assert app.screen.query_one("#create").disabled, "it has no name yet"
        await pilot.press("down", "down")
        await until_seen(pilot, "max_concurrency: 2")
        await pilot.press(*"words")  # letters are for the name, wherever the focus is
        await until_seen(pilot, "writes /projects/flows/words.yaml")
        await pilot.click("#create")
        await until_seen(pilot, "words.yaml was written.")
        assert commands(client) == [("create_workflow", "words", "map-reduce")]
        client.save(HELLO, WorkflowEntry("/projects/flows/words.yaml", "words"))
        await until(pilot, lambda: home(app).workflows.key == "/projects/flows/words.yaml")


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "[/x]"])
async def test_a_name_that_is_none_is_refused_while_it_is_typed(name: str) -> None:
    client = FakeClient([HELLO])
    async with dashboard(client) as (app, pilot):
        await pilot.press("N")
        await until(pilot, lambda: isinstance(app.screen, NewWorkflow))
        app.screen.query_one("#name", Input).value = name
        await until_seen(pilot, "no path" if "/" in name and "[" not in name else "name")
        await pilot.press("enter", "enter")
        assert app.screen.query_one("#create").disabled
        assert commands(client) == []


async def test_create_and_edit_opens_the_new_file(editor: Editor) -> None:
    client = FakeClient([HELLO])
    made = editor.file

    async def create(name: str, template: str) -> str:
        return str(made)

    client.create_workflow = create  # type: ignore[method-assign]
    async with dashboard(client) as (app, pilot):
        await pilot.press("N")
        await until(pilot, lambda: isinstance(app.screen, NewWorkflow))
        app.screen.query_one("#name", Input).value = "words"
        await until_seen(pilot, "words.yaml")
        app.screen.query_one("#name", Input).focus()
        await pilot.press("enter")
        await until(pilot, lambda: editor.called == [str(made)])


async def test_what_cannot_be_written_is_said_in_the_dialog() -> None:
    client = FakeClient([HELLO])
    client.refuse = UsageError("words.yaml exists already: choose another name")
    async with dashboard(client) as (app, pilot):
        await pilot.press("N")
        await until(pilot, lambda: isinstance(app.screen, NewWorkflow))
        app.screen.query_one("#name", Input).value = "words"
        await until_seen(pilot, "writes /projects/flows/words.yaml")
        await pilot.click("#create")
        await until_seen(pilot, "exists already: choose another name")
        assert isinstance(app.screen, NewWorkflow)
