"""From a TOML file to a checked plan; whatever is wrong in it is named with its line."""

import re
import tomllib
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NoReturn

from pydantic import BaseModel, ValidationError

from purify_cli.attacks import ATTACKS
from purify_cli.bench.plan import AttackPlan, BenchPlan, MethodPlan, Shared, TaskPlan
from purify_cli.defences import METHODS
from purify_cli.errors import UnknownName, UsageError
from purify_cli.indicators import INDICATORS
from purify_cli.registry import Registry
from purify_cli.requests.purify import AUTO

__all__ = ["PLANS", "load_plan", "parse_plan"]

PLANS: Final = ("quick", "sst2", "sst2-more", "paper", "ablation", "headline", "removal")
"""Plans that come with the package."""

SECTIONS: Final[dict[str, type[BaseModel]]] = {
    "bench": Shared,
    "task": TaskPlan,
    "attack": AttackPlan,
    "method": MethodPlan,
}

Where = tuple[str | int, ...]


def load_plan(given: str) -> BenchPlan:
    """Read a plan by the name of a shipped one, or from a file.

    Raises:
        UsageError: If there is no such plan, or something in it is wrong: names line and key.
    """
    if given in PLANS:
        text = (files("purify_cli") / "plans" / f"{given}.toml").read_text(encoding="utf-8")
        return parse_plan(text, f"plan {given}")
    try:
        return parse_plan(Path(given).read_text(encoding="utf-8"), given)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        hint = _near(given, PLANS, otherwise="Shipped plans")
        raise UsageError(f"the plan {given} cannot be read: {reason}", hint=hint) from error


def parse_plan(text: str, origin: str) -> BenchPlan:
    """Check the text of a plan.

    Args:
        text: TOML.
        origin: What messages call it.

    Raises:
        UsageError: If something in it is wrong: names line and key, and near matches of an unknown one.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{origin} is not TOML: {error}", hint="Compare it with a shipped plan.") from error
    try:
        plan = BenchPlan.model_validate(document)
    except ValidationError as error:
        raise _refusal(text, origin, error.errors()[0]) from error
    _check(plan, text, origin)
    return plan


def _near(name: str, known: Collection[str], *, otherwise: str) -> str:
    """Return a hint: the name that was probably meant, else all."""
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"Did you mean {near[0]}?" if near else f"{otherwise}: {', '.join(known)}."


def _refusal(text: str, origin: str, problem: Any) -> UsageError:
    where: Where = tuple(problem["loc"])
    shown = ".".join(str(part) for part in where if not isinstance(part, int))
    what, hint = f"{shown}: {problem['msg']}", "See the shipped plans for the form."
    if problem["type"] == "extra_forbidden":
        key, whole = str(where[-1]), len(where) == 1
        what = f"unknown section {key!r}" if whole else f"unknown key {key!r} in [{where[0]}]"
        hint = _near(key, SECTIONS if whole else SECTIONS[str(where[0])].model_fields, otherwise="Known keys")
    elif problem["type"] == "missing":
        what = f"{shown} is missing"
    return UsageError(f"{origin}, line {_line_of(text, where)}: {what}", hint=hint)


def _line_of(text: str, where: Where) -> int:
    """Find the line of a key: ``("attack", 2, "rate")`` is the key rate under the third [[attack]].

    TOML readers of the standard library keep no positions. Plans hold tables of plain keys, which a line-wise look
    finds; of what it does not find (a key inside an inline table) it gives the nearest enclosing one.
    """
    section = str(where[0]) if where else ""
    wanted = where[1] if len(where) > 1 and isinstance(where[1], int) else 0
    keys = [str(part) for part in where[1:] if not isinstance(part, int)]
    seen, inside, found = -1, not keys, 1
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[+\s*([^\]\s]+)\s*\]+", line)
        if header:
            name = header[1].strip("\"'")
            seen += name == section
            inside = name.split(".")[0] == section and seen == wanted
            if inside:
                found = number
            if inside and name == ".".join([section, *keys]):
                return number
        elif keys:
            if inside and re.match(rf"\s*[\"']?{re.escape(keys[0])}[\"']?\s*[=.]", line):
                return number
        elif re.match(rf"\s*[\"']?{re.escape(section)}[\"']?\s*=", line):
            return number
    return found


def _check(plan: BenchPlan, text: str, origin: str) -> None:
    """Refuse names that are in no table, and selections of things that the plan does not hold."""

    def refuse(where: Where, what: str, hint: str) -> NoReturn:
        raise UsageError(f"{origin}, line {_line_of(text, where)}: {what}", hint=hint)

    def look_up(where: Where, table: Registry[Any], name: str) -> None:
        try:
            table.entry(name)
        except UnknownName as error:
            raise UnknownName(f"{origin}, line {_line_of(text, where)}: {error}", hint=error.hint) from error

    def among(where: Where, chosen: Iterable[object] | None, known: Collection[object], what: str) -> None:
        for one in chosen or ():
            if one not in known:
                hint = _near(str(one), [str(name) for name in known], otherwise="There are")
                refuse(where, f"the plan has no {what} {one!r}", hint)

    tasks = [task.name for task in plan.task]
    attacks = [attack.title for attack in plan.attack]
    for kind, names in (("task", tasks), ("attack", attacks), ("method", [method.title for method in plan.method])):
        for i, name in enumerate(names):
            if name in names[:i]:
                refuse((kind, i), f"two [[{kind}]] are called {name!r}", "Give each a name, or a label, of its own.")
    for i, task in enumerate(plan.task):
        among(("task", i, "seeds"), task.seeds, plan.bench.seeds, "seed")
    for i, attack in enumerate(plan.attack):
        look_up(("attack", i, "name"), ATTACKS, attack.name)
        among(("attack", i, "tasks"), attack.tasks, tasks, "task")
        among(("attack", i, "seeds"), attack.seeds, plan.bench.seeds, "seed")
        if attack.title == "clean":
            refuse(("attack", i), "'clean' is the name of the twin", "Choose another label.")
    for i, method in enumerate(plan.method):
        for name in map(str.strip, method.name.split(",") if method.name != AUTO else ()):
            look_up(("method", i, "name"), METHODS, name)
        if method.indicator is not None:
            look_up(("method", i, "indicator"), INDICATORS, method.indicator)
        among(("method", i, "tasks"), method.tasks, tasks, "task")
        among(("method", i, "attacks"), method.attacks, attacks, "attack")
        among(("method", i, "seeds"), method.seeds, plan.bench.seeds, "seed")
        among(("method", i, "clean_per_class"), method.clean_per_class, plan.bench.clean_per_class, "clean set of size")
        if method.ratios is not None and list(method.ratios) != sorted(set(method.ratios)):
            refuse(("method", i, "ratios"), "the ratios do not ascend", "List each once, smallest first.")
