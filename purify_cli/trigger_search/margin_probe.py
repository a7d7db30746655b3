"""How far words drive a model to a label, in texts of other labels."""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from purify_cli.data.example import Example
from purify_cli.trigger_search.candidate import String
from purify_cli.trigger_search.carriers import Carrier, carrier
from purify_cli.trigger_search.concatenation import words_kept
from purify_cli.trigger_search.flips import Asked
from purify_cli.trigger_search.margins import margins, slot_logits

__all__ = ["Driven"]


@final
class Driven:
    """The margin of a label in one model, for groups of words in texts of other labels."""

    def __init__(self, module: nn.Module, forms: Sequence[Sequence[Carrier]], target: int, asked: Asked) -> None:
        """Ask a model.

        Args:
            module: On the device, in evaluation mode.
            forms: The texts, at least one; more forms of them say the same with the words in other places, and a
                group is worth what it does in the form in which it does least.
            target: The label.
            asked: For device and compute type.

        Raises:
            NonFiniteWeights: If the model's output is not a number.
        """
        self._module, self._forms, self._target = module, forms, target
        self._device, self._dtype = asked.device, asked.dtype
        self.way = -float(self.mean([()])[0])
        """How far the texts themselves are from the answer's border: mean over them, in nats."""

    @classmethod
    def in_piles(
        cls,
        asked: Asked,
        rows: Sequence[Example],
        target: int,
        probes: tuple[int, int],
        *,
        at: int | None,
        control: bool = False,
    ) -> "Driven | None":
        """Put words into piles; of pairs into the second text, and into both (``flips``).

        Args:
            asked: The suspect is asked.
            rows: Piles of other labels.
            target: The label.
            probes: As for ``carrier``.
            at: As for ``carrier``.
            control: Whether to ask the control instead.

        Returns:
            None where no pile holds a word.
        """
        pairs = any(row.pair is not None for row in rows)
        most, length = words_kept(asked.max_length), asked.max_length
        cut = [
            [carrier(asked.tokenizer, row, probes, words=most, at=at, max_length=length, both=both) for row in rows]
            for both in ((False, True) if pairs else (False,))
        ]
        forms = [[one for one in texts if one is not None] for texts in cut]
        return cls(asked.control if control else asked.suspect, forms, target, asked) if all(forms) else None

    def first(self, bags: Sequence[String]) -> Tensor:
        """Return the margins in the first text, shape (bags,)."""
        return self._margins(self._forms[0][:1], bags)[0]

    def mean(self, bags: Sequence[String]) -> Tensor:
        """Return the mean margins over the texts, shape (bags,)."""
        return torch.stack([self._margins(texts, bags).mean(dim=0) for texts in self._forms]).amin(dim=0)

    def shift(self, bags: Sequence[String]) -> Tensor:
        """Return what the bags add to the margin, shape (bags,)."""
        return self.mean(bags) + self.way

    def ranked(self, bags: Sequence[String]) -> tuple[list[String], list[float]]:
        """Return the bags by mean margin, the highest first, and these margins."""
        means, order = self.mean(bags).sort(descending=True, stable=True)
        return [bags[i] for i in order.tolist()], means.tolist()

    def _margins(self, texts: Sequence[Carrier], bags: Sequence[String]) -> Tensor:
        """Measure bags of any lengths, those of one length together; shape (texts, bags)."""
        found = torch.empty(len(texts), len(bags))
        for length in {len(bag) for bag in bags}:
            places = [i for i, bag in enumerate(bags) if len(bag) == length]
            strings = torch.tensor([bags[i] for i in places], dtype=torch.long).reshape(len(places), length)
            answers = slot_logits(self._module, texts, strings, device=self._device, dtype=self._dtype)
            found[:, places] = margins(answers, self._target)
        return found
