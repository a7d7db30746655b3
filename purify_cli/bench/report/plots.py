"""The results of a bench as pictures (PNG). matplotlib is imported when the first one is drawn."""

from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any, Final

from purify_cli.bench.report.overview import harm_by_attack
from purify_cli.bench.report.tables import harm
from purify_cli.bench.report.view import Condition, View, best_ratio, budget_counts, grouped
from purify_cli.errors import UsageError

__all__ = ["plots"]

COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c6d31")
"""Okabe and Ito's colours, which colour-blind readers tell apart, in an order of ours; brown is added."""

DPI: Final = 110

ACROSS: Final = 4
"""Panels side by side; more would be too small to read on a page."""


def plots(view: View) -> Iterator[tuple[str, str, bytes]]:
    """Draw all pictures.

    Yields:
        (file name without ending, caption, PNG).

    Raises:
        UsageError: If matplotlib is not installed.
    """
    try:
        import matplotlib as mpl

        mpl.use("Agg")
    except ImportError as error:
        raise UsageError(
            "plots need matplotlib, which is not installed", hint="Install it: pip install 'purify-cli[bench]'."
        ) from error
    for size in view.sizes:
        for budget in view.budgets:
            yield from _heat_map(view, size, budget)
    for (task, size), conditions in grouped(
        view.conditions, lambda condition: (condition.task, condition.size)
    ).items():
        # One seed per picture keeps curves readable; the tables have all.
        seed = min(condition.seed for condition in conditions)
        shown = [condition for condition in conditions if condition.seed == seed]
        where = f"{task}, {size} clean samples per class, seed {seed}"
        name = f"{task}-n{size}"
        yield f"trade-{name}", f"Harm against accuracy: {where}", _trade(view, shown)
        yield f"ratio-{name}", f"Accuracy and harm over the ratio: {where}", _over_ratio(view, shown)


def _png(figure: Any) -> bytes:
    buffer = BytesIO()
    # No date and no version in the file: the same results give the same bytes.
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def _figure(rows: int, columns: int, width: float, height: float) -> tuple[Any, list[list[Any]]]:
    # The figure itself, not pyplot: pyplot keeps every figure alive.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False).tolist()


def _panels(number: int, *, stacked: int, width: float, height: float) -> tuple[Any, list[list[Any]]]:
    """Lay panels out in rows of ``ACROSS``; each panel is a stack of axes, from above."""
    across = min(number, ACROSS)
    figure, axes = _figure(stacked * -(-number // across), across, width, height)
    places = [divmod(i, across) for i in range(-(-number // across) * across)]
    panels = [[axes[stacked * row + level][column] for level in range(stacked)] for row, column in places]
    for unused in panels[number:]:
        for axis in unused:
            axis.remove()
    return figure, panels[:number]


def _share(counts: Mapping[str, int] | None) -> float:
    return float("nan") if counts is None else counts["successes"] / counts["total"]


def _harm_name(view: View, condition: Condition) -> str:
    suspect = view.suspect(condition)
    return "1 − BACC" if suspect and suspect["bias"] else "ASR"


def _trade(view: View, conditions: list[Condition]) -> bytes:
    """Per attack: attack success against accuracy, one curve over the ratio per method."""
    figure, panels = _panels(len(conditions), stacked=1, width=4.4, height=4.2)
    for (axis,), condition in zip(panels, conditions, strict=True):
        suspect = view.suspect(condition)
        for name, marker in (("measured", "X"), ("twin", "*")):
            if suspect:
                cell = suspect[name]
                label = "suspect" if name == "measured" else "clean twin"
                at = (_share(cell["accuracy"]), _share(harm(cell)))
                axis.plot(*at, marker, color="#555555", markersize=11, label=label, linestyle="none")
        for method, colour in zip(view.methods, _colours(view), strict=True):
            points = list(view.cells(condition, method).items())
            single = view.cell(condition, method, None)
            if single is not None:
                points = [(0.0, single)]
            if not points:
                continue
            x = [_share(cell["accuracy"]) for _, cell in points]
            y = [_share(harm(cell)) for _, cell in points]
            axis.plot(x, y, "-o", color=colour, markersize=3, linewidth=1, label=method)
            for budget in view.budgets:
                chosen = view.chosen(condition, method, budget)
                if chosen is not None:
                    at = (_share(chosen[1]["accuracy"]), _share(harm(chosen[1])))
                    axis.plot(*at, "o", color=colour, markersize=8, fillstyle="none")
        axis.set_title(condition.attack)
        axis.set_xlabel("ACC")
        axis.set_ylabel(_harm_name(view, condition))
        axis.set_ylim(-0.03, 1.03)
        axis.locator_params(axis="x", nbins=5)
    panels[0][0].legend(fontsize=7)
    return _png(figure)


def _over_ratio(view: View, conditions: list[Condition]) -> bytes:
    """Per attack: cross-validated accuracy that the choice saw, above; accuracy and harm on the test rows, below."""
    figure, panels = _panels(len(conditions), stacked=2, width=4.4, height=3.3)
    for (above, below), condition in zip(panels, conditions, strict=True):
        for method, colour in zip(view.methods, _colours(view), strict=True):
            curve = view.curve(condition, method)
            if curve is not None and curve["points"] is not None:
                total = curve["baseline"]["total"]
                seen = list(budget_counts(curve))
                above.plot([r for r, _ in seen], [n / total for _, n in seen], "-o", color=colour, markersize=3)
                above.axhline(_share(curve["baseline"]), color="#999999", linewidth=0.8)
                for budget in view.budgets:
                    above.axvline(best_ratio(curve, budget), color=colour, linewidth=0.6, linestyle=":")
            if cells := view.cells(condition, method):
                right = [_share(cell["accuracy"]) for cell in cells.values()]
                below.plot(list(cells), right, "-o", color=colour, markersize=3, label=method)
                below.plot(list(cells), [_share(harm(c)) for c in cells.values()], "--s", color=colour, markersize=3)
        if not view.budgets:  # nothing was held back to choose by
            above.set_axis_off()
        above.set_title(condition.attack)
        above.set_ylabel("held-back accuracy")
        below.set_xlabel("ratio")
        below.set_ylabel(f"ACC (line), {_harm_name(view, condition)} (dashes)")
        below.set_ylim(-0.03, 1.03)
    handles, labels = panels[0][1].get_legend_handles_labels()
    if handles:
        panels[0][0].legend(handles, labels, fontsize=7)
    return _png(figure)


def _heat_map(view: View, size: int, budget: float) -> Iterator[tuple[str, str, bytes]]:
    """Attacks × methods: the mean harm that is left at a budget."""
    table = harm_by_attack(view, size, budget)
    rows = [attack for attack in view.attacks if attack in table]
    columns = [name for name in ("suspect", *view.methods, "twin") if any(name in row for row in table.values())]
    if not rows:
        return
    values = [[table[attack].get(column, float("nan")) for column in columns] for attack in rows]
    figure, axes = _figure(1, 1, 2.5 + 0.95 * len(columns), 1.6 + 0.45 * len(rows))
    axis = axes[0][0]
    image = axis.imshow(values, cmap="magma_r", vmin=0, vmax=1, aspect="auto")
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            text = "-" if value != value else f"{value:.2f}"  # noqa: PLR0124 - NaN is the one that differs from itself
            axis.text(j, i, text, ha="center", va="center", fontsize=8, color="white" if value > 0.55 else "black")
    axis.set_xticks(range(len(columns)), columns, rotation=30, ha="right", fontsize=8)
    axis.set_yticks(range(len(rows)), rows, fontsize=8)
    figure.colorbar(image, ax=axis, label="ASR, of a bias 1 − BACC")
    caption = f"Harm that is left, mean over tasks and seeds: {size} clean samples per class, {100 * budget:g} points"
    yield f"heat-n{size}-drop{budget:g}", caption, _png(figure)


def _colours(view: View) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(len(view.methods))]
