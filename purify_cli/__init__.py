"""Find, remove and disprove backdoors in fine-tuned language-model checkpoints.

The flow, and the modules in the order in which it passes them. A module imports only from those above it.

A *suspect* checkpoint and the *reference* it was fine-tuned from are opened by ``checkpoint`` and matched, tensor by
tensor, into a pair of comparable parts. Their difference is the ``drift``. Clean texts, or probe texts built in where
there are none, come through ``data``; run through the suspect by ``model``, their gradients give the ``curvature``: how
much each dimension matters for clean behaviour. Drift and curvature together give an ``indicator``, one score per
dimension: far moved and of little clean use ranks first. ``selection`` turns a ratio into an exact threshold over all
dimensions and writes the mask; ``reset`` puts the masked dimensions back to the reference; ``training`` tunes the
result on the clean texts; ``evaluation`` measures suspect and purified model side by side. ``evidence`` reads the same
scores and ends in a verdict; ``report`` says what was found, in records with a published schema.

``defences`` and ``attacks`` are tables: a published method is a row that names the parts above. ``purification`` is
the engine of a repair, ``trigger_search`` that of a search. What a command is asked stands in ``requests``, once;
``commands`` holds one function per command, and ``api`` and ``cli`` make the functions for Python and the command line
out of the two.

Everything between the two checkpoints and the purified one is a ``tensors.TensorSource``, keyed by parameter name and
read piece by piece; nothing as large as a model is held. Importing this package is cheap: public names are
imported when they are first read.
"""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from purify_cli.api import attack, detect, evaluate, finetune, purify
    from purify_cli.attacks import ATTACKS
    from purify_cli.checkpoint import (
        Checkpoint,
        CheckpointPair,
        open_checkpoint,
        pair_checkpoints,
        write_model,
        write_tensors,
    )
    from purify_cli.curvature import diagonal_fisher, hutchinson_diagonal
    from purify_cli.data.loading import load_examples
    from purify_cli.defences import METHODS
    from purify_cli.errors import PurifyError
    from purify_cli.indicators import INDICATORS
    from purify_cli.model import load_classifier
    from purify_cli.reset import reset_to_reference
    from purify_cli.selection.files import read_mask
    from purify_cli.selection.mask import Mask, build_mask
    from purify_cli.tensors import TensorSource
    from purify_cli.training import TrainingSettings, train

__all__ = [
    "ATTACKS",
    "INDICATORS",
    "METHODS",
    "Checkpoint",
    "CheckpointPair",
    "Mask",
    "PurifyError",
    "TensorSource",
    "TrainingSettings",
    "attack",
    "build_mask",
    "detect",
    "diagonal_fisher",
    "evaluate",
    "finetune",
    "hutchinson_diagonal",
    "load_classifier",
    "load_examples",
    "open_checkpoint",
    "pair_checkpoints",
    "purify",
    "read_mask",
    "reset_to_reference",
    "train",
    "write_model",
    "write_tensors",
]

_HOMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ATTACKS": "purify_cli.attacks",
        "INDICATORS": "purify_cli.indicators",
        "METHODS": "purify_cli.defences",
        "Checkpoint": "purify_cli.checkpoint",
        "CheckpointPair": "purify_cli.checkpoint",
        "Mask": "purify_cli.selection.mask",
        "PurifyError": "purify_cli.errors",
        "TensorSource": "purify_cli.tensors",
        "TrainingSettings": "purify_cli.training",
        "attack": "purify_cli.api",
        "build_mask": "purify_cli.selection.mask",
        "detect": "purify_cli.api",
        "diagonal_fisher": "purify_cli.curvature",
        "evaluate": "purify_cli.api",
        "finetune": "purify_cli.api",
        "hutchinson_diagonal": "purify_cli.curvature",
        "load_classifier": "purify_cli.model",
        "load_examples": "purify_cli.data.loading",
        "open_checkpoint": "purify_cli.checkpoint",
        "pair_checkpoints": "purify_cli.checkpoint",
        "purify": "purify_cli.api",
        "read_mask": "purify_cli.selection.files",
        "reset_to_reference": "purify_cli.reset",
        "train": "purify_cli.training",
        "write_model": "purify_cli.checkpoint",
        "write_tensors": "purify_cli.checkpoint",
    }
)
"""Where each public name lives."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
