"""From a TOML file to a checked plan; whatever is wrong in it is named with its line."""

import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from purify_cli.attacks import ATTACKS
from purify_cli.bench.plan import AttackPlan, BenchPlan, MethodPlan, Shared, TaskPlan
from purify_cli.defences import METHODS
from purify_cli.errors import UnknownName, UsageError
from purify_cli.indicators import INDICATORS
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
        near = get_close_matches(given, PLANS, n=1, cutoff=0.5)
        known = f"Did you mean {near[0]}?" if near else f"Shipped plans: {', '.join(PLANS)}."
        raise UsageError(f"the plan {given} cannot be read: {reason}", hint=known) from error


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


def _refusal(text: str, origin: str, problem: Any) -> UsageError:
    where: Where = tuple(problem["loc"])
    line = _line_of(text, where)
    shown = ".".join(str(part) for part in where if not isinstance(part, int))
    if problem["type"] == "extra_forbidden":
        key = str(where[-1])
        section = SECTIONS.get(str(where[0]))
        known = list(section.model_fields) if section and len(where) > 1 else list(SECTIONS)
        near = get_close_matches(key, known, n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]}?" if near else f"Known keys: {', '.join(known)}."
        return UsageError(f"{origin}, line {line}: unknown key {key!r} in [{where[0]}]" if len(where) > 1 else
                          f"{origin}, line {line}: unknown section {key!r}", hint=hint)  # fmt: skip
    if problem["type"] == "missing":
        return UsageError(f"{origin}, line {line}: {shown} is missing", hint="See the shipped plans for the form.")
    return UsageError(f"{origin}, line {line}: {shown}: {problem['msg']}", hint="See the shipped plans for the form.")


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

    def table(where: Where, look: Callable[[], object]) -> None:
        try:
            look()
        except UnknownName as error:
            raise UnknownName(f"{origin}, line {_line_of(text, where)}: {error}", hint=error.hint) from error

    def among(where: Where, chosen: Iterable[object] | None, known: Sequence[object], what: str) -> None:
        for one in chosen or ():
            if one not in known:
                near = get_close_matches(str(one), [str(name) for name in known], n=1, cutoff=0.5)
                hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(map(str, known))}."
                raise UsageError(f"{origin}, line {_line_of(text, where)}: the plan has no {what} {one!r}", hint=hint)

    tasks = [task.name for task in plan.task]
    attacks = [attack.title for attack in plan.attack]
    for kind, names in (("task", tasks), ("attack", attacks), ("method", [method.title for method in plan.method])):
        for i, name in enumerate(names):
            if name in names[:i]:
                line = _line_of(text, (kind, i))
                hint = "Give each a name, or a label, of its own."
                raise UsageError(f"{origin}, line {line}: two [[{kind}]] are called {name!r}", hint=hint)
    for i, task in enumerate(plan.task):
        among(("task", i, "seeds"), task.seeds, plan.bench.seeds, "seed")
    for i, attack in enumerate(plan.attack):
        table(("attack", i, "name"), lambda name=attack.name: ATTACKS.entry(name))
        among(("attack", i, "tasks"), attack.tasks, tasks, "task")
        among(("attack", i, "seeds"), attack.seeds, plan.bench.seeds, "seed")
        if attack.title == "clean":
            line = _line_of(text, ("attack", i))
            raise UsageError(f"{origin}, line {line}: 'clean' is the name of the twin", hint="Choose another label.")
    for i, method in enumerate(plan.method):
        for name in map(str.strip, method.name.split(",") if method.name != AUTO else ()):
            table(("method", i, "name"), lambda name=name: METHODS.entry(name))
        if method.indicator is not None:
            table(("method", i, "indicator"), lambda name=method.indicator: INDICATORS.entry(str(name)))
        among(("method", i, "tasks"), method.tasks, tasks, "task")
        among(("method", i, "attacks"), method.attacks, attacks, "attack")
        among(("method", i, "seeds"), method.seeds, plan.bench.seeds, "seed")
        among(("method", i, "clean_per_class"), method.clean_per_class, plan.bench.clean_per_class, "clean set of size")
        if method.ratios is not None and list(method.ratios) != sorted(set(method.ratios)):
            line = _line_of(text, ("method", i, "ratios"))
            raise UsageError(f"{origin}, line {line}: the ratios do not ascend", hint="List each once, smallest first.")
