"""What a purification may say of itself: what was shown to be gone, what is left, what nobody has looked at."""

from collections.abc import Sequence

from purify_cli.pipelines.search import Outcome
from purify_cli.pipelines.unlearning import is_left
from purify_cli.report.schema import RatioCurveFacts, UnlearnedFact, Utility, Verdict

__all__ = ["purified_verdict"]


def purified_verdict(
    utility: Utility | None,
    curve: RatioCurveFacts | None,
    again: Sequence[UnlearnedFact],
    searched: Outcome | None,
    *,
    known: int,
) -> Verdict:
    """Judge a purified model; the level is never ``clean``.

    Args:
        utility: Clean accuracy before and after.
        curve: Where the ratio was searched for.
        again: Words that were known, measured on suspect and purified model.
        searched: A search run afresh on the purified model; None if there was none.
        known: How many words were known to be planted.
    """
    left = [one for one in again if is_left(one)]
    reasons = [
        f"the word {one.text!r} turned {one.before.successes} of {one.before.total} texts over to label {one.target}; "
        f"now {one.after.successes}" + (", so the backdoor is still there" if is_left(one) else "")
        for one in again
    ]
    new = searched.finding if searched else None
    if new is not None:
        reasons.append(f"searched afresh, the purified model: {new.reason}")
    if left or (new is not None and new.level == "poisoned"):
        reasons.append("try a larger --ratio, more clean samples, or detect --effort high and purify again")
    if known > len(again):
        reasons.append(
            f"{known - len(again)} of {known} planted words that are known could not be measured again: there is no "
            "clean sample that they could turn over"
        )
    elif not known:
        reasons.append("no trigger was known, so it was not measured whether a backdoor is left")
    if utility is not None and utility.within_budget is False:
        reasons.append(
            f"clean accuracy fell from {utility.before.value:.3f} to {utility.after.value:.3f}, "
            f"more than --max-drop {utility.max_drop}"
        )
    if curve is not None and curve.chosen == 0:
        reasons.append(
            f"no ratio kept clean accuracy within {curve.max_drop:g} of plain fine-tuning, so nothing was reset by it"
        )
    if curve is not None and curve.max_drop < curve.resolution:
        reasons.append(
            f"one clean sample counts {curve.resolution:.3f}, more than the budget of {curve.max_drop:g}, so the "
            "search allowed no further error"
        )
    poisoned = bool(left) or (new is not None and new.level == "poisoned")
    missing = ["triggers that show in no word or group of words"]
    if new is None:
        missing.insert(0, (searched.missing if searched else None) or "a search for triggers in the purified model")
    return Verdict(level="poisoned" if poisoned else "incomplete", reasons=reasons, not_measured=missing)
