"""What is known of a suspect's triggers before a repair."""

from dataclasses import dataclass, replace
from typing import Self, final

from purify_cli.choices import SearchEffort
from purify_cli.evidence.search_outcome import ContinuationSearch, TriggerSearch, repair_triggers
from purify_cli.inputs.identity import DataFacts
from purify_cli.trigger_search.found import FoundTrigger

__all__ = ["KnownSearch"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSearch:
    """A search for triggers that was made before the repair; of no detection, nothing of it is known."""

    detected: bool = False
    """Whether a detection was read."""
    triggers: tuple[FoundTrigger, ...] = ()
    """Those that are held to be planted, and words of a language model's forced text that go with one."""
    texts: str | None = None
    """What the search looked at; None without a search."""
    by_student: bool = False
    """Whether it held a classifier against a student that was taught on clean samples."""
    impossible: bool = False
    """Whether built-in texts were to be searched, and it was impossible."""
    effort: SearchEffort = "normal"
    seed: int = 0
    data: DataFacts | None = None
    """The clean data of the detection; None where built-in texts served."""
    samples: DataFacts | None = None
    """The same, where a repair can learn from them: they are labelled, or are texts of a language model."""

    def after(self, search: TriggerSearch | ContinuationSearch) -> Self:
        """Return what is known after a further search; what was known before stays."""
        new = repair_triggers(search)
        there = {(one.text, one.target) for one in new}
        return replace(
            self,
            triggers=(*new, *(one for one in self.triggers if (one.text, one.target) not in there)),
            texts=search.texts,
            by_student=isinstance(search, TriggerSearch) and search.texts == "clean data",
            effort=search.effort,
        )

    def chose_on(self, data: DataFacts | None) -> int | None:
        """Return the seed of a search that chose its words on these very samples; None if it did not."""
        same = data is not None and self.data is not None and self.data.sha256 == data.sha256
        return self.seed if same and self.texts == "clean data" else None
