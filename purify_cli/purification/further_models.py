"""Further suspects for methods that work on several models at once."""

from collections.abc import Sequence

from purify_cli.checkpoint import Checkpoint, nonfinite_entries, pair_checkpoints
from purify_cli.checkpoint.finite import OUT_OF_RANGE
from purify_cli.checkpoint.names import canonical
from purify_cli.errors import NonFiniteWeights, PairError
from purify_cli.inputs.identity import ModelFacts
from purify_cli.inputs.opening import OpenedPair, open_model
from purify_cli.progress import Progress
from purify_cli.requests.common import Common

__all__ = ["open_others"]


def open_others(given: Sequence[str], opened: OpenedPair, common: Common, progress: Progress) -> tuple[Checkpoint, ...]:
    """Open further suspects and check that they are of the same architecture as the first.

    Args:
        given: Files, folders, hub ids.
        opened: The suspect and the reference.
        common: For ``allow_pickle``.
        progress: Told of the passes over the weights.

    Raises:
        PairError: If one lacks a tensor of the suspect, or holds it in another shape.
        NonFiniteWeights: If one holds NaN or infinity.
    """
    found: list[Checkpoint] = []
    for name in given:
        other = open_model(ModelFacts.named(name), common, vocabulary=opened.suspect.vocabulary)
        pair_checkpoints(other, opened.reference)
        _require_same_tensors(name, other, opened)
        broken = nonfinite_entries(other, progress)
        if broken:
            raise NonFiniteWeights(
                f"{name} holds {OUT_OF_RANGE}, first in {next(iter(broken))}",
                hint="Leave it out of --with.",
            )
        found.append(other)
    return tuple(found)


def _require_same_tensors(name: str, other: Checkpoint, opened: OpenedPair) -> None:
    theirs = {canonical(one): spec.shape for one, spec in other.specs.items()}
    for one, spec in opened.suspect.specs.items():
        shape = theirs.get(canonical(one))
        if shape != spec.shape and spec.dtype.is_floating_point:
            held = f"holds {one} with the shape {list(shape)}" if shape else f"does not hold {one}"
            raise PairError(
                f"{name} {held}; the suspect has {list(spec.shape)}",
                hint="--with takes models tuned from the same reference for the same labels.",
            )
