"""``purify purify``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal, final

from purify_cli.choices import Effort, Name
from purify_cli.requests.option import Option
from purify_cli.requests.readers import many
from purify_cli.requests.readers import ratio as read_ratio
from purify_cli.requests.shared import Examination, Output, Overwrite

__all__ = ["AUTO", "PurifyRequest"]

AUTO: Final = "auto"


@final
@dataclass(frozen=True, kw_only=True)
class PurifyRequest(Examination):
    """Reset the most suspicious dimensions to the reference, fine-tune on clean samples, write a safetensors model.

    Without SUSPECT the record on standard input names it, else the run folder. The number of dimensions reset is
    exactly round(ratio · d) (a posterior blend aside); ratio 0 only fine-tunes, ratio 1 resets all that can be.
    What detect found to be planted is unlearnt on the clean samples, or stands in the texts of a graft, and is measured
    again on a quarter of these that is held back; of fewer than 16 samples each half measures the other's repair.
    Ratio auto takes the largest one that keeps clean accuracy, or a language model's perplexity, cross-validated on the
    clean samples alone, within --max-drop of plain fine-tuning.
    """

    ratio: Annotated[
        float | Literal["auto"] | None,
        Option(help="Share of comparable dimensions to reset, 0 to 1; auto looks for it.", read=read_ratio),
    ] = None
    folds: Annotated[int, Option(low=2, help="Parts of the clean samples for --ratio auto.")] = 4
    """Each part is measured after scoring and tuning on the others. Ours: more folds cost as many trainings per ratio
    more."""
    method: Annotated[
        str,
        Option(
            help="Defence, or several in order: e-pur,fine-mixing; see `purify methods`. auto: graft for a classifier "
            "with unlabelled texts, or that detect searched with clean samples without flagging just one word that "
            "works anywhere; else unlearning where it flagged something, else fine-purifying."
        ),
    ] = AUTO
    others: Annotated[
        Sequence[Name],
        Option(
            flag="--with", metavar="MODEL", help="Further suspect to average; repeatable.", read=many, shown=list[str]
        ),
    ] = ()
    effort: Annotated[Effort, Option(help="How much a new search, on the purified model, looks at.")] = "none"
    self_test: Annotated[
        bool,
        Option(
            help="Plant a word, a sentence, a form and a style of our own in a copy, repair it likewise, and say what "
            "is left of them. Takes as long again, and more.",
            only="classification",
        ),
    ] = False
    finetune: Annotated[bool, Option(flag="--no-finetune", help="Write the reset model as it is.", negated=True)] = True
    max_drop: Annotated[
        float | None,
        Option(
            low=0.0,
            high=1.0,
            help="Clean accuracy that may be lost on held-back rows, or by how much a language model's perplexity may "
            "rise; with --ratio auto 0.02, or 5 % (0.05), if left out.",
        ),
    ] = None
    output: Output = None
    overwrite: Overwrite = False
