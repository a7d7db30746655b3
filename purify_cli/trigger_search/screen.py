"""Every word of the vocabulary, measured: which of them moves the suspect to a label, and not the control.

No gradient and no free vector is involved: a found vector may be a direction that no text can take, and a first-order
estimate says little about a trigger, whose effect is a jump. One forward pass per word in a text of a few tokens is
cheap enough to do all of them, so that no word goes unmeasured.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from purify_cli.trigger_search.candidate import Candidate, String
from purify_cli.trigger_search.carriers import Carrier
from purify_cli.trigger_search.inputs import SearchInputs
from purify_cli.trigger_search.margins import NOTHING, margins, slot_logits

__all__ = ["screen"]


def screen(
    asked: SearchInputs, carriers: Sequence[Carrier], words: Sequence[String], targets: Sequence[int], *, keep: int
) -> dict[int, list[Candidate]]:
    """Measure every word in every carrier.

    Args:
        asked: Suspect and control.
        carriers: Of at least two labels, so that each target has one of another label.
        words: At least one, all of as many tokens.
        targets: Labels to look for triggers of; those without a carrier of another label are left out.
        keep: Words with the largest shift, per target, that the control is asked about.

    Returns:
        Per target the kept words, the largest contrast first; ties in the order of ``words``.

    Raises:
        NonFiniteWeights: If a model's output is not a number.
    """
    strings = torch.tensor(words, dtype=torch.long)
    moved = _moved(asked, asked.suspect, carriers, strings, "trying every word")
    shifts = {t: moved(t) for t in targets if any(one.label != t for one in carriers)}
    best = {t: shift.topk(min(keep, len(words))).indices.sort().values for t, shift in shifts.items()}
    union = torch.cat(list(best.values())).unique() if best else torch.empty(0, dtype=torch.long)
    if not len(union):
        return {}
    beside = _moved(asked, asked.control, carriers, strings[union], "asking the control")
    found: dict[int, list[Candidate]] = {}
    for target, places in best.items():
        other = beside(target)[torch.searchsorted(union, places)]
        own = shifts[target][places]
        order = (own - other).argsort(descending=True, stable=True).tolist()
        found[target] = [Candidate(words[int(places[i])], float(own[i]), float(other[i])) for i in order]
    return found


def _moved(
    asked: SearchInputs, module: nn.Module, carriers: Sequence[Carrier], strings: Tensor, stage: str
) -> Callable[[int], Tensor]:
    """Measure strings in a model; return from a target to what each adds to its margin, shape (strings,).

    That is the mean over the carriers of other labels.
    """
    filled = slot_logits(module, carriers, strings, asked.compute, progress=asked.progress, stage=stage)
    empty = slot_logits(module, carriers, NOTHING, asked.compute)

    def shift(target: int) -> Tensor:
        rows = [i for i, one in enumerate(carriers) if one.label != target]
        return (margins(filled[rows], target) - margins(empty[rows], target)).mean(dim=0)

    return shift
