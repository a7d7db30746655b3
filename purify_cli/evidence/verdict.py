"""What the evidence amounts to, and what nobody has looked at.

Weights alone cannot tell a poisoned model from an unusual honest one: what a score would be without poison is not known
for a single suspect. As long as no trigger search was run, the level is therefore ``incomplete``, whatever the scores
are. A stage that does run is passed in as a ``Finding`` and takes its name off the list. Where every stage ran, all was
accounted for and nothing was flagged, the level is ``no-finding``, and what such a search misses stands beside it.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, Literal, Self, final

from purify_cli.checkpoint.aligned import Skipped
from purify_cli.checkpoint.structure import Difference
from purify_cli.evidence.gathering import Evidence
from purify_cli.measures.intervals import Proportion

__all__ = ["STAGES", "Finding", "Level", "Misses", "Verdict", "judge", "miss_sentence", "not_compared"]

Level = Literal["no-finding", "incomplete", "suspicious", "poisoned"]

STAGES: Final = {
    "trigger search": "no search for an input pattern that drives the suspect to one label",
}
"""Stages without which nothing can be said of a suspect, and what their absence means."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Misses:
    """How often a search that finds nothing is wrong, as counted on models that were poisoned for it."""

    missed: int
    """Suspects with a backdoor or bias that works in which nothing was flagged."""
    of: int
    low: float
    """Of the Wilson 95 % interval of their share."""
    high: float
    kinds: dict[str, tuple[int, int]]
    """Per kind of attack, those missed and those searched."""
    given: str
    """What the searches had: clean samples alone, or unlabelled texts as well. With fewer the share is not known."""

    @classmethod
    def counted(cls, given: str) -> Self | None:
        """Return what the census counted (docs/detection.md); None if it did not."""
        counts = json.loads(files("purify_cli.evidence").joinpath("misses.json").read_text(encoding="utf-8")).get(given)
        if counts is None:
            return None
        share = Proportion.of(counts["missed"], counts["of"])
        kinds = {kind: (missed, of) for kind, (missed, of) in counts["kinds"].items()}
        return cls(missed=counts["missed"], of=counts["of"], low=share.low, high=share.high, kinds=kinds, given=given)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The outcome of one stage."""

    stage: str
    level: Literal["no-finding", "suspicious", "poisoned"]
    reason: str
    misses: Misses | None = None
    """What such a stage misses where it finds nothing; None where nobody counted."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the evidence amounts to."""

    level: Level
    """no-finding: all was measured and nothing found; incomplete: something could not be measured."""
    reasons: tuple[str, ...]
    not_measured: tuple[str, ...]
    """Empty where the level is no-finding."""
    misses: Misses | None = None
    """Beside no-finding: what such a search misses; null where nobody counted, and of other levels."""


def judge(
    evidence: Evidence,
    *,
    skipped: Sequence[Skipped] = (),
    differences: Sequence[Difference] = (),
    findings: Sequence[Finding] = (),
    unmeasured: Sequence[str] = (),
    built_in_probes: bool = False,
) -> Verdict:
    """Weigh what was found.

    Args:
        evidence: From the weights; named in the reasons, never a reason to accuse.
        skipped: Tensors that were not compared; unexplained ones are named.
        differences: What differs besides weights; counted in the reasons. One that says that not all was examined
            counts as not measured.
        findings: Outcomes of stages that ran.
        unmeasured: What else was not measured; a sentence that begins with a stage and a colon says more than that the
            stage was not run.
        built_in_probes: Whether the curvature is from the built-in texts instead of clean data.

    Returns:
        The worst level among the findings; ``no-finding`` only if every stage ran and found nothing, and everything is
        accounted for; else ``incomplete``.
    """
    told = {one.stage for one in findings} | {sentence.partition(":")[0] for sentence in unmeasured}
    missing = [*unmeasured, *(f"{stage}: {what}" for stage, what in STAGES.items() if stage not in told)]
    missing += not_compared(skipped)
    missing += [f"{one.subject}: {one.detail}" for one in differences if one.unexamined]
    heads = [one.name for one in skipped if one.kind == "head" and one.side == "suspect"]
    reasons = [one.reason for one in findings]
    reasons.append(_drift_sentence(evidence))
    if differences:
        reasons.append(f"{len(differences)} differences besides weight values")
    if heads:
        reasons.append(f"the task head ({', '.join(heads)}) has no reference, so a backdoor in it alone would not show")
    if built_in_probes:
        reasons.append("curvature is from built-in texts and the suspect's own labels, not from clean data")
    levels = {one.level for one in findings}
    level: Level = "incomplete" if missing else "no-finding"
    for worse in ("suspicious", "poisoned"):
        if worse in levels:
            level = worse
    if level == "no-finding":
        reasons = [*(miss_sentence(one) for one in findings), *reasons]
    elif level == "incomplete":
        reasons.append("scores rank dimensions; without what was not measured they accuse and acquit nobody")
    misses = next((one.misses for one in findings), None) if level == "no-finding" else None
    return Verdict(level=level, reasons=tuple(reasons), not_measured=tuple(missing), misses=misses)


def not_compared(skipped: Sequence[Skipped]) -> Iterator[str]:
    """Yield which tensors were not compared without an explanation."""
    for one in skipped:
        if not one.explained:
            yield f"{one.name} ({one.side}): {one.reason}, {one.entries} entries not compared"


def miss_sentence(finding: Finding) -> str:
    """Say how often a stage that found nothing is wrong, as far as that was counted."""
    misses = finding.misses
    if misses is None:
        return f"nothing was found; how much such a {finding.stage} misses was not measured (docs/detection.md)"
    kinds = ", ".join(f"{kind} {missed} of {of}" for kind, (missed, of) in misses.kinds.items() if missed)
    return (
        f"nothing was found, which is no proof: of {misses.of} small models with a working backdoor or bias such a "
        f"{finding.stage} ({misses.given}, 32 per class) missed {misses.missed} ({misses.missed / misses.of:.0%}, 95 % "
        f"interval {misses.low:.0%} to {misses.high:.0%}{f'; {kinds}' if kinds else ''}); with other models or fewer "
        "samples it may miss more"
    )


def _drift_sentence(evidence: Evidence) -> str:
    if not evidence.moved:
        return "no comparable dimension differs from the reference"
    share = evidence.moved / evidence.dimensions
    sentence = f"{share:.1%} of {evidence.dimensions} comparable dimensions moved"
    if evidence.suspicious:
        first = evidence.suspicious[0]
        sentence += f"; {first.name} has {first.top_share:.1%} of its dimensions among the top 1 % of scores"
    return sentence
