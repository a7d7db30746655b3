"""The results of a bench at a glance: means over suspects, what is left attack by attack, and figures per ratio."""

from collections.abc import Iterator, Sequence
from itertools import product
from statistics import mean
from typing import Final

from purify_cli.bench.report.tables import UNREPAIRED, Table, figures, harm, mean_of, points, share, value
from purify_cli.bench.report.view import Condition, Result, View, grouped

__all__ = ["attack_tables", "harm_by_attack", "headline_tables", "ratio_tables", "suspect_table"]

RULE: Final = (
    "The ratio of every method is the largest whose cross-validated accuracy on the clean samples is within the budget "
    "of plain fine-tuning's; neither test rows nor the attacker's trigger enter the choice."
)

HARM: Final = "ASR, of a bias attack 1 − BACC; in brackets ACC."


def headline_tables(view: View) -> Iterator[Table]:
    """Yield, per clean-set size, means at each budget over the suspects that all methods have been tried on.

    A method that the plan restricts to some attacks, tasks, seeds or sizes has no row here: its mean would be one over
    other suspects.
    """
    free = [
        name
        for name, method in zip(view.methods, view.plan["method"], strict=True)
        if not any(method[limit] for limit in ("tasks", "attacks", "seeds", "clean_per_class"))
    ]
    for size in view.sizes if view.budgets else ():
        shared = [
            condition
            for condition in view.measured(size)
            if all(view.chosen(condition, method, budget) for method in free for budget in view.budgets)
        ]
        suspects = view.suspects(shared)
        if not free or not suspects:
            continue
        rows = [_means(name, "-", [one[key] for one in suspects]) for name, key in UNREPAIRED.items()]
        for method in free:
            for budget in view.budgets:
                chosen = [view.chosen(condition, method, budget) for condition in shared]
                rows.append(_means(method, points(budget), [one[1] for one in chosen if one is not None]))
        yield Table(
            f"{len(shared)} suspects, {size} clean samples per class",
            ("method", "budget", "ACC", "ASR (backdoors)", "BACC (bias)"),
            tuple(rows),
            f"Means over the suspects on which all of these methods have been tried. {RULE}",
        )


def _means(name: str, budget: str, cells: Sequence[Result]) -> tuple[str, ...]:
    backdoors = [cell["attack_success"] for cell in cells if cell["bias_accuracy"] is None]
    accuracies, biases = ([cell[of] for cell in cells] for of in ("accuracy", "bias_accuracy"))
    return name, budget, *map(mean_of, (accuracies, backdoors, biases))


def _by_attack(view: View, size: int) -> dict[str, list[Condition]]:
    """Return the conditions of a size whose suspect was measured, by attack, in the plan's order."""
    ordered = sorted(view.measured(size), key=lambda condition: view.attacks.index(condition.attack))
    return grouped(ordered, lambda condition: condition.attack)


def _columns(view: View, conditions: Sequence[Condition], max_drop: float) -> dict[str, list[Result]]:
    """Return what was measured of the suspects, of what each method makes of them at a budget, and of the twins."""
    suspects = view.suspects(conditions)
    columns: dict[str, list[Result]] = {"suspect": [one["measured"] for one in suspects]}
    for method in view.methods:
        chosen = [view.chosen(condition, method, max_drop) for condition in conditions]
        columns[method] = [one[1] for one in chosen if one is not None]
    return columns | {"twin": [one["twin"] for one in suspects]}


def harm_by_attack(view: View, size: int, max_drop: float) -> dict[str, dict[str, float]]:
    """Return attack → column → mean harm: the suspect's, what each method leaves at a budget, and the twin's."""
    table: dict[str, dict[str, float]] = {}
    for attack, conditions in _by_attack(view, size).items():
        row = table.setdefault(attack, {})
        for column, cells in _columns(view, conditions, max_drop).items():
            known = [one for one in (value(harm(cell)) for cell in cells) if one is not None]
            if known:
                row[column] = mean(known)
    return table


def attack_tables(view: View) -> Iterator[Table]:
    """Yield, per size and budget, what every method leaves of every attack."""
    for size in view.sizes:
        groups = _by_attack(view, size)
        for budget in view.budgets if groups else ():
            rows = {attack: _columns(view, conditions, budget) for attack, conditions in groups.items()}
            names = [name for name in next(iter(rows.values())) if any(row[name] for row in rows.values())]
            yield Table(
                f"What is left at {points(budget)}, {size} clean samples per class",
                ("attack", *names),
                tuple((attack, *(figures(row[name]) for name in names)) for attack, row in rows.items()),
                f"{HARM} {RULE}",
            )


def ratio_tables(view: View) -> Iterator[Table]:
    """Yield, per size, the figures of every method at every ratio that was measured, and their mean over the attacks.

    A search stops at the first ratio that loses more than the largest budget: larger ones are missing. Ratio 0 has a
    column where no budget chooses. The mean is given where a ratio was measured on all of a method's attacks.
    """
    for size in view.sizes:
        groups = _by_attack(view, size)
        found = {
            (attack, method): [view.cells(condition, method) for condition in conditions]
            for attack, conditions in groups.items()
            for method in view.methods
        }
        found = {key: cells for key, cells in found.items() if any(cells)}
        ratios = sorted({ratio for several in found.values() for cells in several for ratio in cells})
        ratios = [ratio for ratio in ratios if ratio > 0 or not view.budgets]
        if not ratios:
            continue
        rows = [
            (*key, *(figures([cells[r] for cells in several if r in cells]) for r in ratios))
            for key, several in found.items()
        ]
        for method in view.methods:
            several = [cells for (_, name), all_seeds in found.items() if name == method for cells in all_seeds]
            if len(several) > 1:
                whole = {r: [cells[r] for cells in several] for r in ratios if all(r in cells for cells in several)}
                rows.append((f"mean of {len(several)}", method, *(figures(whole.get(r, [])) for r in ratios)))
        yield Table(
            f"All ratios, {size} clean samples per class",
            ("attack", "method", *(f"{ratio:g}" for ratio in ratios)),
            tuple(rows),
            HARM,
        )


def suspect_table(view: View) -> Iterator[Table]:
    """Yield what was planted: every suspect beside its clean twin, before any repair."""
    rows: list[tuple[str, ...]] = []
    for task, attack, seed in product(view.tasks, view.attacks, view.plan["bench"]["seeds"]):
        found = view.result("suspect", task, attack, f"s{seed}")
        if found is None:
            continue
        measure, what = ("BACC", "bias_accuracy") if found["bias"] else ("ASR", "attack_success")
        poisoned = f"{found['poisoned']:,} / {found['rows']:,}"
        changed = "-" if found["changed"] is None else f"{found['changed']:,}"
        accuracies, successes = ([share([found[of][key]]) for of in ("measured", "twin")] for key in ("accuracy", what))
        rows.append((task, attack, str(seed), poisoned, *accuracies, measure, *successes, changed))
    if rows:
        head = ("ACC", "twin's ACC", "measure", "suspect", "twin (floor)", "changed entries")
        yield Table(
            "Suspects and their clean twins",
            ("task", "attack", "seed", "poisoned rows", *head),
            tuple(rows),
            "The twin was trained alike on the clean rows. In brackets Wilson 95 % intervals. Changed entries: stored "
            "values that differ from the classifier that was attacked, where the attack starts from one.",
        )
