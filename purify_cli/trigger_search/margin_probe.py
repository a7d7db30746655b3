"""How far words drive a model to a label, in texts of other labels."""

from collections.abc import Sequence
from typing import Final, Self, final

import torch
from torch import Tensor, nn

from purify_cli.data.example import Example
from purify_cli.runtime import Compute
from purify_cli.trigger_search.candidate import String
from purify_cli.trigger_search.carriers import Carrier
from purify_cli.trigger_search.concatenation import words_kept
from purify_cli.trigger_search.inputs import SearchInputs
from purify_cli.trigger_search.margins import margins, slot_logits

__all__ = ["MarginProbe", "context_forms"]


NEAR: Final = 0.5
"""Nats from the border: a text that is nearer would make a large share of any step. Ours."""


@final
class MarginProbe:
    """The margin of a label in one model, for groups of words in texts of other labels."""

    def __init__(
        self,
        module: nn.Module,
        forms: Sequence[Sequence[Carrier]],
        target: int,
        compute: Compute,
        *,
        control: bool = False,
    ) -> None:
        """Ask a model.

        Args:
            module: On the device, in evaluation mode.
            forms: The texts, at least one; more forms of them say the same with the words in other places. A group is
                worth what it does in the form in which it does least.
            target: The label.
            compute: Device and type.
            control: Whether it is the control, of which the form counts in which a group does most (``flips``).

        Raises:
            NonFiniteWeights: If the model's output is not a number.
        """
        self._module, self._forms, self._target = module, forms, target
        self._compute = compute
        self._worse = torch.amax if control else torch.amin
        self._begins = [self._margins(texts, [()]) for texts in forms]
        self.margin_gap = -float(min(begin.mean() for begin in self._begins))
        """How far the texts themselves are from the answer's border: mean over them, in nats."""

    @classmethod
    def of_both(cls, asked: SearchInputs, forms: Sequence[Sequence[Carrier]], target: int) -> tuple[Self, Self]:
        """Ask suspect and control."""
        return (
            cls(asked.suspect, forms, target, asked.compute),
            cls(asked.control, forms, target, asked.compute, control=True),
        )

    def first(self, groups: Sequence[String]) -> Tensor:
        """Return the margins in the first text, shape (groups,)."""
        return self._margins(self._forms[0][:1], groups)[0]

    def mean(self, groups: Sequence[String]) -> Tensor:
        """Return the mean margins over the texts, shape (groups,)."""
        return self._worse(torch.stack([self._margins(texts, groups).mean(dim=0) for texts in self._forms]), dim=0)

    def way(self, groups: Sequence[String]) -> Tensor:
        """Return how far the groups drive each text, as a share of the texts' mean way to the border; (texts, groups).

        Of several forms the one in which they take least, of the control most. A text at the border counts as half a
        nat from it.
        """
        shares: list[Tensor] = []
        for texts, begin in zip(self._forms, self._begins, strict=True):
            shares.append((self._margins(texts, groups) - begin) / begin.neg().clamp_min(NEAR).mean())
        return self._worse(torch.stack(shares), dim=0)

    def shift(self, groups: Sequence[String]) -> Tensor:
        """Return what the groups add to the margin, shape (groups,)."""
        return self.mean(groups) + self.margin_gap

    def ranked(self, groups: Sequence[String]) -> tuple[list[String], list[float]]:
        """Return the groups by mean margin, the highest first, and these margins."""
        means, order = self.mean(groups).sort(descending=True, stable=True)
        return [groups[i] for i in order.tolist()], means.tolist()

    def _margins(self, texts: Sequence[Carrier], groups: Sequence[String]) -> Tensor:
        """Measure groups of any lengths, those of one length together; shape (texts, groups)."""
        found = torch.empty(len(texts), len(groups))
        for length in {len(group) for group in groups}:
            places = [i for i, group in enumerate(groups) if len(group) == length]
            strings = torch.tensor([groups[i] for i in places], dtype=torch.long).reshape(len(places), length)
            answers = slot_logits(self._module, texts, strings, self._compute)
            found[:, places] = margins(answers, self._target)
        return found


def context_forms(
    asked: SearchInputs, rows: Sequence[Example], *, at: int | None, longest: int = 1
) -> list[list[Carrier]]:
    """Leave slots in contexts; of pairs in the second text, and in a further form in both (``flips``).

    Args:
        asked: For the words and the limit of tokens.
        rows: Contexts.
        at: As for ``with_word``.
        longest: Most tokens that are put into a slot.

    Returns:
        The forms; none where no context holds a word.
    """
    keep = words_kept(asked.compute.max_length)
    both = (False, True) if any(row.pair is not None for row in rows) else (False,)
    forms: list[list[Carrier]] = [[] for _ in both]
    for row in rows:
        made = [asked.carriers([row], keep=keep, at=at, both=one, longest=longest) for one in both]
        if all(made):  # else the forms would say something of different contexts
            for form, carriers in zip(forms, made, strict=True):
                form.extend(carriers)
    return forms if all(forms) else []
