"""What a purification may say of itself: what was shown to be gone, what is left, what nobody has looked at."""

from collections.abc import Iterator, Sequence
from typing import Any

from purify_cli.checkpoint import Skipped
from purify_cli.evidence.search_outcome import SearchOutcome
from purify_cli.evidence.verdict import Level, Verdict, miss_sentence, not_compared
from purify_cli.measures.intervals import Proportion
from purify_cli.measures.utility import Perplexity
from purify_cli.purification.ratio_search import RatioChoice
from purify_cli.purification.verification import MeasuredTrigger, UtilityChange
from purify_cli.trigger_search.rule import CONTROL_FLIPS, MIN_TEXTS

__all__ = ["purified_verdict"]


def purified_verdict(
    utility: UtilityChange | None,
    curve: RatioChoice | None,
    again: Sequence[MeasuredTrigger],
    searched: SearchOutcome | None,
    *,
    known: int,
    skipped: Sequence[Skipped] = (),
) -> Verdict:
    """Judge a purified model.

    ``poisoned`` where a known word still flips held-back texts, or a search afresh says so; ``incomplete`` where a
    known word could not be measured on such texts, where for a label no known word flips enough of them in the suspect
    for its silence to mean something, where a search afresh could not be finished, and where neither was a word known
    nor a search run: then nothing tells whether a backdoor is left.

    Args:
        utility: Clean accuracy before and after.
        curve: Where the ratio was searched for.
        again: Words that were known, measured on held-back texts in the suspect and in the purified model.
        searched: A search run afresh on the purified model; None if there was none.
        known: How many words were known to be planted.
        skipped: Tensors that were not compared, and stand in the purified model as they were.
    """
    left = [one for one in again if one.still_effective]
    new = searched.finding if searched else None
    reasons = [*_told(again), *([f"searched afresh, the purified model: {new.reason}"] if new else [])]
    if left or (new is not None and new.level == "poisoned"):
        reasons.append("try a larger --ratio, more clean samples, or detect --effort high and purify again")
    if again and searched is None:
        reasons.append("only the known words were tried on the purified model: --effort searches it for others")
    missing = [*_missing(again, searched, known=known), *not_compared(skipped)]
    level: Level = "incomplete" if missing else "no-finding"
    if new is not None and new.level == "suspicious":
        level = "suspicious"
    if left or (new is not None and new.level == "poisoned"):
        level = "poisoned"
    reasons += _cost(utility, curve)
    misses = None
    if level == "no-finding" and new is not None:
        reasons.insert(0, miss_sentence(new))
        misses = new.misses
    return Verdict(level=level, reasons=tuple(reasons), not_measured=tuple(missing), misses=misses)


def _told(again: Sequence[MeasuredTrigger]) -> Iterator[str]:
    """Yield what triggers did before and do now, in the same texts; once for those that do the same."""
    alike: dict[Any, list[MeasuredTrigger]] = {}
    for one in again:
        alike.setdefault((one.target, one.measured_on, one.before, one.after), []).append(one)
    for several in alike.values():
        yield _said(several[0], [repr(one.text) for one in several])


def _said(one: MeasuredTrigger, texts: Sequence[str]) -> str:
    """Say what a trigger, or each of several, did and does."""
    several = f"each of {', '.join(texts)}" if len(texts) > 1 else None
    how = " (two-fold)" if one.measured_on == "two-fold" else ""
    end = ", so the backdoor is still there" if one.still_effective else ""
    interval = f"95 % interval {one.after.low:.0%} to {one.after.high:.0%}"
    if isinstance(one.target, str):
        return (
            f"after {one.before.successes} of {one.after.total} held-back prompts{how} with {several or texts[0]} the "
            f"suspect writes {one.target!r}, and the purified model after {one.after.successes} ({interval}){end}"
        )
    return (
        f"of {one.after.total} held-back texts of other labels{how} {several or f'the word {texts[0]}'} flips "
        f"{one.before.successes} to label {one.target} in the suspect and {one.after.successes} in the purified model "
        f"({interval}){end}"
    )


def _missing(again: Sequence[MeasuredTrigger], searched: SearchOutcome | None, *, known: int) -> Iterator[str]:
    """Yield what could not be measured, or was not."""
    if known > len(again):
        yield (
            f"{known - len(again)} of {known} words that are known to be planted: no clean sample was held back that "
            "they could flip"
        )
    told = {one.target for one in again if one.was_effective}
    for target, one in {one.target: one for one in again if one.target not in told}.items():
        aim = f"label {target}" if isinstance(target, int) else repr(target)
        yield (
            f"the repair for {aim}: of {one.before.total} held-back texts {one.text!r} flips "
            f"{one.before.successes} in the suspect, and it takes {MIN_TEXTS} texts, of which more than "
            f"{CONTROL_FLIPS:.0%} flip; give more clean samples"
        )
    if searched is not None and searched.missing:
        yield f"the purified model: {searched.missing}"
    if not known and searched is None:
        yield "whether a backdoor is left: no trigger was known, and --effort did not search the purified model for one"


def _cost(utility: UtilityChange | None, curve: RatioChoice | None) -> Iterator[str]:
    """Yield what is to be said of utility."""
    if utility is not None and utility.within_budget is False:
        if isinstance(utility.before, Proportion) and isinstance(utility.after, Proportion):
            fell = f"clean accuracy fell from {utility.before.value:.3f} to {utility.after.value:.3f}, more than"
        else:
            fell = f"perplexity rose from {_perplexity(utility.before)} to {_perplexity(utility.after)}, by more than"
        yield f"{fell} --max-drop {utility.max_drop}"
    if curve is None:
        return
    what = "clean accuracy" if isinstance(curve.baseline, Proportion) else "perplexity"
    if curve.chosen == 0:
        yield f"no ratio kept {what} within {curve.max_drop:g} of plain fine-tuning, so nothing was reset by it"
    if curve.max_drop < curve.resolution:
        yield (
            f"one clean sample counts {curve.resolution:.3f}, more than the budget of {curve.max_drop:g}, so the "
            "search allowed no further error"
        )


def _perplexity(measured: Proportion | Perplexity) -> str:
    shown = measured.perplexity if isinstance(measured, Perplexity) else None
    return "a number too large to write" if shown is None else f"{shown:.2f}"
