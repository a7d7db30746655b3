"""Every word of the vocabulary, measured: which of them moves the suspect to a label, and not the control.

No gradient and no free vector is involved: a found vector may be a direction that no text can take, and a first-order
estimate says little about a trigger, whose effect is a jump. One forward pass per word in a text of a few tokens is
cheap enough to do all of them, so that no word goes unmeasured.
"""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from purify_cli.progress import SILENT, Progress
from purify_cli.runtime import Compute
from purify_cli.trigger_search.candidate import Candidate
from purify_cli.trigger_search.carriers import Carrier
from purify_cli.trigger_search.margins import margins, slot_logits

__all__ = ["most_confident", "screen"]

_NOTHING = torch.empty(1, 0, dtype=torch.long)


def screen(
    suspect: nn.Module,
    control: nn.Module,
    carriers: Sequence[Carrier],
    words: Sequence[int],
    targets: Sequence[int],
    *,
    keep: int,
    compute: Compute,
    progress: Progress = SILENT,
) -> dict[int, list[Candidate]]:
    """Measure every word in every carrier.

    Args:
        suspect: On the device, in evaluation mode.
        control: The same.
        carriers: Of at least two labels, so that each target has one of another label.
        words: Token ids (``whole_words``).
        targets: Labels to look for triggers of; those without a carrier of another label are left out.
        keep: Words with the largest shift, per target, that the control is asked about.
        compute: Device and type.
        progress: Told of the passes.

    Returns:
        Per target the kept words, the largest contrast first; ties in the order of ``words``.

    Raises:
        NonFiniteWeights: If a model's output is not a number.
    """
    strings = torch.tensor(words, dtype=torch.long).unsqueeze(1)
    moved = _Moved(suspect, carriers, strings, compute, progress=progress, stage="trying every word")
    shifts = {t: moved.shift(t) for t in targets if any(one.label != t for one in carriers)}
    best = {t: shift.topk(min(keep, len(words))).indices.sort().values for t, shift in shifts.items()}
    asked = torch.cat(list(best.values())).unique() if best else torch.empty(0, dtype=torch.long)
    if not len(asked):
        return {}
    beside = _Moved(control, carriers, strings[asked], compute, progress=progress, stage="asking the control")
    found: dict[int, list[Candidate]] = {}
    for target, places in best.items():
        other = beside.shift(target)[torch.searchsorted(asked, places)]
        own = shifts[target][places]
        order = (own - other).argsort(descending=True, stable=True).tolist()
        found[target] = [Candidate((words[int(places[i])],), target, float(own[i]), float(other[i])) for i in order]
    return found


@final
class _Moved:
    """A model's class scores with each word in each carrier, and without any."""

    def __init__(
        self,
        module: nn.Module,
        carriers: Sequence[Carrier],
        strings: Tensor,
        compute: Compute,
        *,
        progress: Progress,
        stage: str,
    ) -> None:
        self._carriers = carriers
        self._filled = slot_logits(module, carriers, strings, compute, progress=progress, stage=stage)
        self._empty = slot_logits(module, carriers, _NOTHING, compute)

    def shift(self, target: int) -> Tensor:
        """Mean over the carriers of other labels of what each word adds to the margin, shape (words,)."""
        rows = [i for i, one in enumerate(self._carriers) if one.label != target]
        return (margins(self._filled[rows], target) - margins(self._empty[rows], target)).mean(dim=0)


def most_confident(
    carriers: Sequence[Carrier], models: Sequence[nn.Module], *, each: int, labels: int, compute: Compute
) -> list[Carrier]:
    """Choose the carriers of whose label every model is most confident.

    Args:
        carriers: Labelled, with their slots empty.
        models: Each on the device, in evaluation mode.
        each: Per label.
        labels: Most labels to take; two are enough for every target to have a carrier of another label, and the time
            of a screen grows with their number.
        compute: Device and type.

    Returns:
        The labels with the most confident carriers, those in turn; a text that some model gets wrong is never taken.
    """
    sure: dict[int, list[tuple[float, Carrier]]] = {}
    for one in carriers:
        if one.label is None:
            continue
        score = min(float(margins(slot_logits(model, [one], _NOTHING, compute)[0, 0], one.label)) for model in models)
        if score > 0:
            sure.setdefault(one.label, []).append((score, one))
    ranked = {label: sorted(found, key=lambda pair: -pair[0])[:each] for label, found in sorted(sure.items())}
    chosen = sorted(ranked, key=lambda label: -ranked[label][0][0])[:labels]
    return [one for label in sorted(chosen) for _, one in ranked[label]]
