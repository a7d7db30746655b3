"""What the evidence amounts to, and what nobody has looked at.

Weights alone cannot tell a poisoned model from an unusual clean one: what a score would be without poison is not known
for a single suspect. As long as no trigger search was run, the level is therefore ``incomplete``, whatever the scores
are. A stage that does run is passed in as a ``Finding`` and takes its name off the list.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, final

from purify_cli.checkpoint.aligned import Skipped
from purify_cli.checkpoint.structure import Difference
from purify_cli.detection.evidence import Evidence

__all__ = ["MISSED", "STAGES", "TOO_OFTEN", "Finding", "Level", "Verdict", "judge"]

Level = Literal["clean", "incomplete", "suspicious", "poisoned"]

STAGES: Final = {
    "trigger search": "no search for an input pattern that drives the suspect to one label",
}
"""Stages without which no suspect is called clean, and what their absence means."""

MISSED: Final = (6, 31)
"""Of the census (docs/detection.md): suspects with a working attack in which nothing was flagged, and all with one."""

ENOUGH_FOUND: Final = 0.9
"""What share of them a search must find before its silence clears a model."""


TOO_OFTEN: Final = "trigger search: it misses too many triggers for its silence to clear a model (docs/detection.md)"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The outcome of one stage."""

    stage: str
    level: Literal["clean", "suspicious", "poisoned"]
    reason: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A level, why, and what was not measured."""

    level: Level
    reasons: tuple[str, ...]
    not_measured: tuple[str, ...]


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
        The worst level among the findings; ``clean`` only if every stage ran, found nothing, every tensor is accounted
        for, and the search is known to find enough; else ``incomplete``.
    """
    told = {one.stage for one in findings} | {sentence.partition(":")[0] for sentence in unmeasured}
    missing = [*unmeasured, *(f"{stage}: {what}" for stage, what in STAGES.items() if stage not in told)]
    missing += [
        f"{one.name} ({one.side}): {one.reason}, {one.entries} entries not compared"
        for one in skipped
        if not one.explained
    ]
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
    level: Level = "incomplete" if missing else "clean"
    for worse in ("suspicious", "poisoned"):
        if worse in levels:
            level = worse
    if level == "clean":
        missed, working = MISSED
        reasons.append(
            f"the search found nothing; of {working} small models with a working backdoor or bias it missed {missed}"
        )
        if working - missed < ENOUGH_FOUND * working:
            level, missing = "incomplete", [TOO_OFTEN]
    elif missing:
        reasons.append("scores rank dimensions; without the stages below they accuse and acquit nobody")
    return Verdict(level=level, reasons=tuple(reasons), not_measured=tuple(missing))


def _drift_sentence(evidence: Evidence) -> str:
    if not evidence.moved:
        return "no comparable dimension differs from the reference"
    share = evidence.moved / evidence.dimensions
    sentence = f"{share:.1%} of {evidence.dimensions} comparable dimensions moved"
    if evidence.suspicious:
        first = evidence.suspicious[0]
        sentence += f"; {first.name} has {first.top_share:.1%} of its dimensions among the top 1 % of scores"
    return sentence
