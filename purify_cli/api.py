"""The commands as functions: the same work, the same records, nothing printed.

    import purify_cli

    found = purify_cli.detect("suspect/", "bert-base", clean_data="small.jsonl")
    if found.verdict.level == "poisoned":
        done = purify_cli.purify(clean_data="small.jsonl", ratio=0.1)
        print(done.output.path, done.verdict.level)

A function takes what its request holds (``purify_cli.requests``), under the names of its fields; ``help`` lists them.
Records are pydantic models: ``record.model_dump(mode="json")`` is what the command prints with ``--format json``. As
on the command line, the commands of one investigation share a run folder, and the later ones take their models from it.
"""

import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from purify_cli.commands import attack as attacking
from purify_cli.commands import detect as detecting
from purify_cli.commands import evaluate as evaluating
from purify_cli.commands import finetune as tuning
from purify_cli.commands import purify as purifying
from purify_cli.requests.attack import AttackRequest
from purify_cli.requests.detect import DetectRequest
from purify_cli.requests.evaluate import EvaluateRequest
from purify_cli.requests.finetune import FinetuneRequest
from purify_cli.requests.option import Request, options
from purify_cli.requests.purify import PurifyRequest

__all__ = ["attack", "detect", "evaluate", "finetune", "purify"]

P = ParamSpec("P")
R = TypeVar("R", bound=Request)
A = TypeVar("A")


def _function(name: str, request: Callable[P, R], command: Callable[[R], A]) -> Callable[P, A]:
    """Return a function that takes what the request's class takes, and does the command."""

    def function(*args: P.args, **kwargs: P.kwargs) -> A:
        return command(request(*args, **kwargs))

    function.__name__ = function.__qualname__ = name
    if isinstance(request, type) and issubclass(request, Request):
        known = {field.name: (kind, option) for field, kind, option in options(request)}
        taken = [one for one in inspect.signature(request).parameters.values() if one.name != "piped"]
        bare = [one.replace(annotation=known[one.name][0]) if one.name in known else one for one in taken]
        returns = inspect.signature(command).return_annotation
        function.__signature__ = inspect.Signature(bare, return_annotation=returns)  # pyright: ignore[reportFunctionMemberAccess]
        described = [f"    {name}: {option.help}" for name, (_, option) in known.items()]
        described += ["    progress: Told of the stages (purify_cli.progress.Progress)."]
        raises = ["", "Raises:", "    PurifyError: If an input cannot be used."]
        function.__doc__ = "\n".join([inspect.cleandoc(request.__doc__ or ""), "", "Args:", *described, *raises])
    return function


detect = _function("detect", DetectRequest, detecting.detect)
purify = _function("purify", PurifyRequest, purifying.purify)
evaluate = _function("evaluate", EvaluateRequest, evaluating.evaluate)
finetune = _function("finetune", FinetuneRequest, tuning.finetune)
attack = _function("attack", AttackRequest, attacking.attack)
