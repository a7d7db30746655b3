"""How two checkpoints are brought together: tensor by tensor, each left-over with its reason."""

from collections.abc import Mapping
from typing import final

from purify_cli.checkpoint.aligned import CheckpointPair, Comparable, Kind, Side, Skipped, same_entries
from purify_cli.checkpoint.config_check import check_config, check_filled
from purify_cli.checkpoint.names import (
    canonical,
    has_rows,
    is_buffer,
    is_head,
    is_known_buffer,
    is_pooler,
    is_word_embedding,
    tie_group,
)
from purify_cli.checkpoint.reader import Checkpoint
from purify_cli.checkpoint.unique import equal_tensors, tied_copies, unique_names
from purify_cli.errors import PairError
from purify_cli.tensors import TensorSpec

__all__ = ["pair_checkpoints"]


def pair_checkpoints(suspect: Checkpoint, reference: Checkpoint) -> CheckpointPair:
    """Decide which entries of two checkpoints can be compared.

    Tensors meet by name, base-model prefixes and legacy spellings aside, and by shape; embeddings with different
    numbers of rows meet in their first rows. Heads, buffers and second copies of tied tensors are left out with an
    explanation, everything else that has no counterpart without one.

    Raises:
        PairError: If the two are of different architectures or widths, or share no tensor, or one of them stores a
            tensor twice with different contents.
        CheckpointError: If a config.json contradicts the tensors beside it, or one side holds an empty tensor where the
            other does not.
    """
    check_filled(suspect, "the suspect", other=reference)
    check_filled(reference, "the reference", other=suspect)
    check_config(suspect)
    check_config(reference)
    _same_architecture(suspect, reference)
    state = _Matching(suspect, reference)
    theirs = state.unique(reference, "reference")
    ours = state.unique(suspect, "suspect")
    state.put_ties_aside(ours)
    for short, name in ours.items():
        state.match(name, theirs.pop(short, None) or state.stand_in(name, ours, theirs))
    for name in theirs.values():
        state.missing(name)
    if not state.comparables:
        raise PairError(
            "suspect and reference have no tensor in common",
            hint="Give the model that the suspect was fine-tuned from as --ref.",
        )
    order = {name: at for at, name in enumerate(suspect.specs)}
    return CheckpointPair(
        suspect=suspect,
        reference=reference,
        comparables=dict(sorted(state.comparables.items(), key=lambda item: order[item[0]])),
        skipped=tuple(state.skipped),
        # A copy of a copy follows the tensor that is compared.
        tied={name: state.tied.get(first, first) for name, first in state.tied.items()},
    )


@final
class _Matching:
    """What has been decided so far."""

    def __init__(self, suspect: Checkpoint, reference: Checkpoint) -> None:
        self.suspect, self.reference = suspect, reference
        self.comparables: dict[str, Comparable] = {}
        self.skipped: list[Skipped] = []
        self.tied: dict[str, str] = {}

    def skip(
        self, spec: TensorSpec, side: Side, kind: Kind, reason: str, *, explained: bool, entries: int | None = None
    ) -> None:
        count = spec.numel if entries is None else entries
        self.skipped.append(
            Skipped(name=spec.name, side=side, reason=reason, explained=explained, entries=count, kind=kind)
        )

    def unique(self, source: Checkpoint, side: Side) -> dict[str, str]:
        """Return short name → name, and record second copies."""
        names = unique_names(source, side=f"the {side}", error=PairError)
        for name, first in names.copies.items():
            self.second(source.specs[name], side, first)
        return dict(names.chosen)

    def put_ties_aside(self, ours: dict[str, str]) -> None:
        """Remove the suspect's second copies of tied tensors from the names to be matched."""
        for name, first in tied_copies(self.suspect, ours.values()).items():
            self.second(self.suspect.specs[name], "suspect", first)
            del ours[canonical(name)]

    def second(self, spec: TensorSpec, side: Side, first: str) -> None:
        """Record a second copy of a tensor."""
        self.skip(spec, side, "tied", f"the same tensor as {first}", explained=True)
        if side == "suspect":
            self.tied[spec.name] = first

    def stand_in(self, name: str, ours: Mapping[str, str], theirs: dict[str, str]) -> str | None:
        """Return the reference's name of a tied tensor of which either side kept only one name, not the same one."""
        group = tie_group(name)
        for short, other in theirs.items() if group else ():
            same = tie_group(other) == group and self.reference.specs[other].shape == self.suspect.specs[name].shape
            if same and short not in ours:
                return theirs.pop(short)
        return None

    def match(self, name: str, other: str | None) -> None:
        spec = self.suspect.specs[name]
        if other is None:
            self._extra(spec)
            return
        counterpart = self.reference.specs[other]
        if is_buffer(spec) and is_buffer(counterpart):
            self._buffers(spec, counterpart)
        elif spec.dtype.is_floating_point != counterpart.dtype.is_floating_point:
            reason = f"stored as {spec.dtype}, in the reference as {counterpart.dtype}"
            self.skip(spec, "suspect", "shape", reason, explained=False)
        elif spec.shape == counterpart.shape:
            self._compare(spec, other, spec.shape)
        elif _rows_differ(spec, counterpart):
            rows = min(spec.shape[0], counterpart.shape[0])
            self._compare(spec, other, (rows, *spec.shape[1:]))
            longer, side = (spec, "suspect") if spec.shape[0] > rows else (counterpart, "reference")
            more = longer.shape[0] - rows
            reason = f"{more} rows that only the {side} has"
            self.skip(longer, side, "rows", reason, explained=True, entries=more * (longer.numel // longer.shape[0]))
        elif is_head(name):
            self.skip(spec, "suspect", "head", f"a head of shape {counterpart.shape} in the reference", explained=True)
        else:
            reason = f"shape {spec.shape}, in the reference {counterpart.shape}"
            self.skip(spec, "suspect", "shape", reason, explained=False)

    def _compare(self, spec: TensorSpec, other: str, shape: tuple[int, ...]) -> None:
        if spec.numel:
            self.comparables[spec.name] = Comparable(reference_name=other, shape=shape)

    def _buffers(self, spec: TensorSpec, counterpart: TensorSpec) -> None:
        equal = spec.shape == counterpart.shape and same_entries(
            self.suspect, spec.name, self.reference, counterpart.name
        )
        reason = "a buffer, equal on both sides" if equal else "a buffer that differs from the reference's"
        self.skip(spec, "suspect", "buffer", reason, explained=equal)

    def _extra(self, spec: TensorSpec) -> None:
        if is_head(spec.name):
            self.skip(spec, "suspect", "head", "a task head, which no reference holds", explained=True)
        elif is_pooler(spec.name):
            self.skip(spec, "suspect", "head", "a pooler that the reference does not hold", explained=True)
        elif is_known_buffer(spec):
            self.skip(spec, "suspect", "buffer", "a buffer that the reference does not store", explained=True)
        else:
            self.skip(spec, "suspect", "extra", "not in the reference", explained=False)

    def missing(self, name: str) -> None:
        spec = self.reference.specs[name]
        rivals = (one.reference_name for one in self.comparables.values())
        group = tie_group(name)
        if group and any(tie_group(one) == group and equal_tensors(self.reference, name, one) for one in rivals):
            self.skip(spec, "reference", "tied", "a tied tensor that the suspect stores once", explained=True)
        elif is_head(name) or is_pooler(name):
            self.skip(spec, "reference", "head", "a head that the suspect does not use", explained=True)
        elif is_buffer(spec):
            self.skip(spec, "reference", "buffer", "a buffer that the suspect does not store", explained=True)
        else:
            self.skip(spec, "reference", "missing", "not in the suspect", explained=False)


def _rows_differ(spec: TensorSpec, other: TensorSpec) -> bool:
    return has_rows(spec) and len(spec.shape) == len(other.shape) > 0 and spec.shape[1:] == other.shape[1:]


def _same_architecture(suspect: Checkpoint, reference: Checkpoint) -> None:
    ours, theirs = ((one.config or {}).get("model_type") for one in (suspect, reference))
    if ours and theirs and ours != theirs:
        raise PairError(
            f"the suspect is a {ours!r:.40} model and the reference a {theirs!r:.40} model",
            hint="Give the model that the suspect was fine-tuned from as --ref.",
        )
    ours, theirs = _width(suspect.specs), _width(reference.specs)
    if ours and theirs and ours != theirs:
        raise PairError(
            f"the suspect has width {ours} and the reference width {theirs}",
            hint="Give the model that the suspect was fine-tuned from as --ref.",
        )


def _width(specs: Mapping[str, TensorSpec]) -> int | None:
    return next((spec.shape[-1] for name, spec in specs.items() if is_word_embedding(name) and spec.shape), None)
