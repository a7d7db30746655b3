"""The curve of a search for the ratio: as a table for a terminal, and as a picture where matplotlib is installed."""

from importlib.util import find_spec
from io import BytesIO
from math import exp

from purify_cli.measures.intervals import Proportion
from purify_cli.measures.utility import Perplexity
from purify_cli.purification.ratio_search import RatioChoice
from purify_cli.report.parts import utility_name

__all__ = ["curve_sentences", "draw_curve"]


def curve_sentences(curve: RatioChoice) -> list[str]:
    """Say how the ratio was chosen and how far it can be trusted."""
    if isinstance(curve.baseline, Perplexity):
        budget = f"{curve.max_drop:.0%} above the perplexity of plain fine-tuning"
        sure = f"over {curve.baseline.texts} clean texts in {curve.folds} folds"
    else:
        budget = f"{curve.max_drop:g} below plain fine-tuning"
        sure = (
            f"over {curve.baseline.total} clean samples in {curve.folds} folds, each sample counting "
            f"{curve.resolution:.3f}"
        )
    sentences = [f"ratio {curve.chosen:g} chosen: {curve.rule}; budget {budget}, {sure}"]
    if curve.untried:
        left = ", ".join(f"{ratio:g}" for ratio in curve.untried)
        lost = "perplexity had risen" if isinstance(curve.baseline, Perplexity) else "accuracy had fallen"
        sentences.append(f"not tried, since {lost} too far before: {left}")
    return sentences


def draw_curve(curve: RatioChoice, method: str) -> bytes | None:
    """Draw utility over the ratio as a PNG file; None where matplotlib is not installed, or nothing can be drawn.

    Args:
        curve: The points, with 95 % intervals.
        method: For the title.
    """
    if find_spec("matplotlib") is None:
        return None
    # Slow to import. A figure of its own, not pyplot: no window system is looked for and no global state is left.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(6.4, 4.0), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    ratios = [point.ratio for point in curve.points]
    measured = [_shown(point.utility) for point in curve.points]
    baseline = _shown(curve.baseline)
    if baseline is None or None in measured:
        return None
    values = [one[0] for one in measured if one]
    spread = [[one[0] - one[1] for one in measured if one], [one[2] - one[0] for one in measured if one]]
    axes.errorbar(ratios, values, yerr=spread, fmt="o-", capsize=3, label=f"{method} (95 % interval)")
    axes.axhline(baseline[0], color="black", linewidth=1, label="plain fine-tuning")
    causal = isinstance(curve.baseline, Perplexity)
    budget = baseline[0] * (1 + curve.max_drop) if causal else baseline[0] - curve.max_drop
    label = f"budget: {curve.max_drop:.0%} more" if causal else f"budget: {curve.max_drop:g} less"
    axes.axhline(budget, color="black", linewidth=1, linestyle="--", label=label)
    if curve.chosen:
        axes.axvline(curve.chosen, color="tab:green", linewidth=1, label=f"chosen: {curve.chosen:g}")
    axes.set(xlim=(0, 1), xlabel="ratio", ylabel=f"{utility_name(curve.baseline)} on held-back clean samples")
    axes.set_title(f"{_rows(curve)} clean samples, {curve.folds} folds", fontsize="medium")
    axes.legend(fontsize="small", loc="lower left")
    drawn = BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None})  # no version inside: equal runs, equal bytes
    return drawn.getvalue()


def _rows(curve: RatioChoice) -> int:
    return curve.baseline.texts if isinstance(curve.baseline, Perplexity) else curve.baseline.total


def _shown(fact: Proportion | Perplexity | None) -> tuple[float, float, float] | None:
    """Return value, low and high end; None where a perplexity is beyond the largest number."""
    if isinstance(fact, Proportion):
        return fact.value, fact.low, fact.high
    if fact is None or fact.perplexity is None:
        return None
    low, high = (fact.perplexity if end is None else exp(end) for end in (fact.low, fact.high))
    return fact.perplexity, low, high
