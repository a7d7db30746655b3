"""Find, remove and disprove backdoors in fine-tuned language-model checkpoints.

The flow, and the modules in the order in which it passes them. A module imports only from those above it.

A *suspect* checkpoint and the *reference* it was fine-tuned from are opened by ``checkpoint`` and matched, tensor by
tensor, into a pair of comparable parts. Their difference is the ``drift``. Clean texts, or probe texts built in where
there are none, come through ``data``; run through the suspect by ``model``, their gradients give the ``curvature``: how
much each dimension matters for clean behaviour. Drift and curvature together give an ``indicator``, one score per
dimension: far moved and of little clean use ranks first. ``selection`` turns a ratio into an exact threshold over all
dimensions and writes the mask; ``reset`` puts the masked dimensions back to the reference; ``training`` tunes the
result on the clean texts; ``evaluation`` measures suspect and purified model side by side. ``detection`` reads the same
scores as evidence and ends in a verdict; ``report`` says what was found, in records with a published schema.

``defences`` and ``attacks`` are tables: a published method is a row that names the parts above. ``pipelines`` holds one
function per command, and ``cli`` is the command line around them.

Everything between the two checkpoints and the purified one is a ``tensors.TensorSource``, keyed by parameter name and
read piece by piece; nothing as large as a model is held. Importing this package is cheap: public names are
imported when they are first read.
"""

from importlib import import_module
from typing import Any, Final

__all__ = ["PurifyError"]

_HOMES: Final[dict[str, str]] = {
    "PurifyError": "purify_cli.errors",
}
"""Where each public name lives."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
