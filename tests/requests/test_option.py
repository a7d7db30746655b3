"""An option is one field: the command line, the Python function and the refusals follow from it."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import fspath
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from typer.testing import CliRunner

import purify_cli
from purify_cli.choices import Name, Position
from purify_cli.cli.commands import COMMANDS
from purify_cli.cli.derive import derived
from purify_cli.errors import UsageError
from purify_cli.requests.attack import AttackRequest
from purify_cli.requests.detect import DetectRequest
from purify_cli.requests.evaluate import EvaluateRequest
from purify_cli.requests.option import Option, Request, argument, options, refuse_foreign
from purify_cli.requests.purify import PurifyRequest
from purify_cli.requests.readers import many

REQUESTS = {name: command.request for name, command in COMMANDS.items() if command.request is not None}


@dataclass(frozen=True, kw_only=True)
class Toy(Request):
    """Do something with models."""

    models: Annotated[Sequence[Name], argument("Models.", shown=list[str])] = ()
    data: Annotated[Name, Option(help="Data.", read=fspath)]
    places: Annotated[
        Position | Sequence[Position], Option(flag="--place", help="Places.", read=many, shown=list[Position])
    ] = ()
    kind: Annotated[Literal["a", "b"] | None, Option(help="Kind.", only="causal")] = None
    count: Annotated[int, Option(help="Count.", low=1, high=9)] = 3
    tuned: Annotated[bool, Option(flag="--no-tuning", help="Leave tuning out.", negated=True)] = True
    hidden: int = 0


@pytest.fixture
def asked() -> Any:
    """What the command line makes of arguments: a request, or the output of a refusal."""
    seen: list[Toy] = []

    def body(values: dict[str, Any], *, loud: bool) -> None:
        seen.append(Toy(**values))
        assert loud in (True, False)

    app = typer.Typer(rich_markup_mode=None)
    app.command()(derived(Toy, body, {"loud": (Annotated[bool, typer.Option("--loud", help="Loud.")], False)}))

    def run(*arguments: str) -> Toy | str:
        done = CliRunner().invoke(app, list(arguments))
        return seen.pop() if done.exit_code == 0 and seen else done.output

    return run


def test_what_is_typed_is_what_python_says(asked: Any) -> None:
    typed = asked(
        "one", "two", "--data", "d", "--place", "end", "--place", "start", "--count", "5", "--no-tuning", "--loud"
    )
    said = Toy(models=["one", Path("two")], data=Path("d"), places=["end", "start"], count=5, tuned=False)
    assert replace(typed, models=many(typed.models)) == replace(said, models=many(said.models))
    assert (typed.data, typed.places) == ("d", ("end", "start"))
    assert asked("--data", "d") == Toy(data="d")
    assert asked("--data", "d", "--kind", "b").kind == "b"


def test_the_help_page_holds_every_option_with_its_default(asked: Any) -> None:
    told = asked("--help")
    for word in ("--data", "--place", "start|end|random|scattered", "--kind", "a|b", "--count", "1<=x<=9", "--loud"):
        assert word in told, told
    assert "default: 3" in told
    assert "hidden" not in told
    assert "Do something with models." in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "--count 0 is out of range"),
        ({"count": 10}, "--count 10 is out of range"),
        ({"count": None}, "--count needs a value"),
        ({"kind": "c"}, "--kind c is not known"),
        ({"places": ["end", "middle"]}, "--place middle is not known"),
        ({"count": "8"}, "--count '8' is no int"),
        ({"count": True}, "--count True is no int"),
        ({"tuned": "no"}, "--no-tuning 'no' is no bool"),
        ({"data": 7}, "--data cannot be 7"),
        ({"data": None}, "--data needs a value"),
    ],
    ids=str,
)
def test_python_is_refused_what_the_command_line_is(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Toy(**({"data": "d"} | arguments))


def test_an_option_of_another_kind_of_model_is_refused_where_it_was_given() -> None:
    refuse_foreign(Toy(data="d"), "classification")
    refuse_foreign(Toy(data="d", kind="a"), "causal")
    with pytest.raises(UsageError, match="--kind says nothing about a classifier"):
        refuse_foreign(Toy(data="d", kind="a"), "classification")


@pytest.mark.parametrize("name", REQUESTS)
def test_every_option_of_a_command_is_in_its_help(name: str, run_cli: Any) -> None:
    code, told, _ = run_cli([name, "--help"])
    assert code == 0
    flags = [option.flag for _, _, option in options(REQUESTS[name]) if option.flag]
    assert len(set(flags)) == len(flags)
    words = told.replace(",", " ").split()
    assert all(flag in words for flag in flags)


@pytest.mark.parametrize("name", ["detect", "purify", "evaluate", "finetune", "attack"])
def test_the_python_function_takes_what_the_request_holds(name: str) -> None:
    function = getattr(purify_cli, name)
    taken = inspect.signature(function).parameters
    assert {field.name for field, _, _ in options(REQUESTS[name])} < set(taken)
    assert function.__name__ == name
    for field, _, option in options(REQUESTS[name]):
        assert f"{field.name}: {option.help}" in function.__doc__


def test_the_requests_read_what_they_are_given() -> None:
    assert PurifyRequest(ratio="0.25", settings=["steps=8"]).ratio == 0.25
    assert PurifyRequest(ratio="auto").ratio == "auto"
    assert PurifyRequest(settings={"steps": 8}).settings == {"steps": "8"}
    assert DetectRequest(Path("a"), "b").suspect == "a"
    assert EvaluateRequest(data="d", target=1, trigger="cf").target == ("1",)
    assert AttackRequest("badword", data="d", target=1).target == "1"
    for wrong in ({}, {"target": 1, "target_text": "a"}, {"target_text": "a", "settings": {"rate": 1}}):
        with pytest.raises(UsageError):
            AttackRequest("badword", data="d", **wrong)
    with pytest.raises(UsageError, match=r"ratio 1\.5 is not a share"):
        PurifyRequest(ratio=1.5)
    with pytest.raises(UsageError, match="not NAME=VALUE"):
        PurifyRequest(settings=["steps"])
    with pytest.raises(UsageError, match="--max-drop nan is out of range"):
        PurifyRequest(max_drop=float("nan"))
    # What is left to its default may be said so.
    assert EvaluateRequest(data="d", trigger=None, target=None) == EvaluateRequest(data="d")
    assert DetectRequest(settings=None) == DetectRequest()
