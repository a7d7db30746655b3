"""The curve of a search for the ratio: as a table for a terminal, and as a picture where matplotlib is installed."""

from importlib.util import find_spec
from io import BytesIO

from purify_cli.records.purification import RatioCurveFacts

__all__ = ["curve_sentences", "draw_curve"]


def curve_sentences(curve: RatioCurveFacts) -> list[str]:
    """Say how the ratio was chosen and how far it can be trusted."""
    total = curve.baseline.total
    sentences = [
        f"ratio {curve.chosen:g} chosen: {curve.rule}; budget {curve.max_drop:g} below plain fine-tuning, over "
        f"{total} clean samples in {curve.folds} folds, each sample counting {curve.resolution:.3f}"
    ]
    if curve.untried:
        left = ", ".join(f"{ratio:g}" for ratio in curve.untried)
        sentences.append(f"not tried, since accuracy had fallen too far before: {left}")
    return sentences


def draw_curve(curve: RatioCurveFacts, method: str) -> bytes | None:
    """Draw clean accuracy over the ratio as a PNG file; None where matplotlib is not installed.

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
    values = [point.accuracy.value for point in curve.points]
    below = [point.accuracy.value - point.accuracy.low for point in curve.points]
    above = [point.accuracy.high - point.accuracy.value for point in curve.points]
    axes.errorbar(ratios, values, yerr=[below, above], fmt="o-", capsize=3, label=f"{method} (95 % interval)")
    axes.axhline(curve.baseline.value, color="black", linewidth=1, label="plain fine-tuning")
    budget = curve.baseline.value - curve.max_drop
    axes.axhline(budget, color="black", linewidth=1, linestyle="--", label=f"budget: {curve.max_drop:g} less")
    if curve.chosen:
        axes.axvline(curve.chosen, color="tab:green", linewidth=1, label=f"chosen: {curve.chosen:g}")
    axes.set(xlim=(0, 1), xlabel="ratio", ylabel="accuracy on held-back clean samples")
    axes.set_title(f"{curve.baseline.total} clean samples, {curve.folds} folds", fontsize="medium")
    axes.legend(fontsize="small", loc="lower left")
    drawn = BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None})  # no version inside: equal runs, equal bytes
    return drawn.getvalue()
