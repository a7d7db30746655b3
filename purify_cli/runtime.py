"""Device, precision, sizes and seeds: the choices that hold for a whole run.

Random numbers are drawn from a counter, not from a stream: entry ``i`` of tensor ``name`` under seed ``s`` always
gets the same number, so that neither shard size nor the number of processes can change a result.
"""

import hashlib
import os
from dataclasses import dataclass, replace
from typing import Final, Literal, final

import torch
from torch import Tensor

from purify_cli.errors import UsageError

__all__ = ["DTYPES", "Compute", "entry_hash", "entry_hash_at", "name_key"]

DTYPES: Final[dict[str, torch.dtype]] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
}
"""Compute types by their option name. Curvature is always float32: float16 squares underflow below 6e-8."""

NATIVE: Final = ("avx512_bf16", "amx_bf16", "sve_bf16")
"""Of a processor that multiplies bfloat16, as ``torch.cpu.get_capabilities`` calls it."""

WORLDS: Final = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
"""Environment variables by which launchers tell the number of processes; those that accelerate reads."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """Where and how a run computes, and in what pieces."""

    device: torch.device = torch.device("cpu")
    dtype: torch.dtype = torch.float32
    """Type of the forward passes of training and evaluation (autocast); weights stay as they are."""
    search_dtype: torch.dtype = torch.float32
    """The same, of a search for triggers and of learning a teacher's answers."""
    batch_size: int = 32
    """Most texts per forward pass."""
    max_length: int = 128
    """Most tokens per text."""
    seed: int = 0

    @classmethod
    def choose(
        cls,
        device: str = "auto",
        dtype: Literal["auto", "float32", "bfloat16"] | str = "auto",
        seed: int = 0,
        *,
        batch_size: int = 32,
        max_length: int = 128,
    ) -> "Compute":
        """Find a device and a compute type.

        Args:
            device: ``auto`` takes an accelerator where accelerate finds one, else the CPU; or a torch device name.
            dtype: ``auto`` is float32, and in a search for triggers, and on a teacher's answers, bfloat16 where the
                device multiplies it natively: a search compares margins of whole nats, and bfloat16 moves them by
                hundredths.
            seed: Seed of every random choice of the run.
            batch_size: Most texts per forward pass.
            max_length: Most tokens per text.

        Raises:
            UsageError: If the device does not exist here, the type is unknown, or this is one of several processes.
        """
        if launched := next((name for name in WORLDS if _number(os.environ.get(name)) > 1), None):
            raise UsageError(
                f"this is one of {os.environ[launched]} processes ({launched}), and each would write the same output",
                hint="Start purify once, without accelerate launch, torchrun or mpirun.",
            )
        if dtype != "auto" and dtype not in DTYPES:
            raise UsageError(f"--dtype {dtype} is not known", hint=f"Use auto, {' or '.join(DTYPES)}.")
        try:
            if device == "auto":
                from accelerate import PartialState  # noqa: PLC0415 - slow to import, and only needed here

                chosen = PartialState().device or torch.device("cpu")
            else:
                chosen = torch.device(device)
                torch.empty(0, device=chosen)
        except (RuntimeError, AssertionError) as error:
            raise UsageError(
                f"--device {device} cannot be used: {error}".splitlines()[0], hint="Try --device cpu."
            ) from error
        return cls(
            device=chosen,
            dtype=DTYPES.get(dtype, torch.float32),
            search_dtype=DTYPES[dtype] if dtype in DTYPES else _native(chosen),
            seed=seed,
            batch_size=batch_size,
            max_length=max_length,
        )

    @property
    def searching(self) -> "Compute":
        """The same, in the type of a search."""
        return replace(self, dtype=self.search_dtype)


def _native(device: torch.device) -> torch.dtype:
    """Return the fastest of the known types: elsewhere bfloat16 is emulated, which is slower than float32."""
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu":
        told = getattr(torch.cpu, "get_capabilities", dict)()  # older versions of torch do not tell
        native = any(told.get(name) for name in NATIVE)
    else:
        native = False
    return torch.bfloat16 if native else torch.float32


def _number(given: str | None) -> int:
    return int(given) if given and given.isdecimal() else 1


def name_key(name: str, seed: int) -> int:
    """Return a 64-bit key of a tensor name under a seed, the same on every machine and Python version."""
    digest = hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def entry_hash(name: str, start: int, stop: int, *, seed: int, device: torch.device | None = None) -> Tensor:
    """Hash the entries ``start`` to ``stop`` of a tensor (SplitMix64 on key + index).

    Returns:
        Shape (stop − start,), int64, uniform over all 64-bit values; depends on name, index and seed alone.

    Source:
        The finaliser of SplitMix64: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014.
    """
    return entry_hash_at(name, torch.arange(start, stop, dtype=torch.int64, device=device), seed=seed)


def entry_hash_at(name: str, indices: Tensor, *, seed: int) -> Tensor:
    """Hash scattered entries of a tensor: the numbers that ``entry_hash`` gives at these indices.

    Args:
        name: The tensor's name.
        indices: Shape (k,), int64.
        seed: Seed of the hash.

    Returns:
        Shape (k,), int64.
    """
    # The arithmetic is modulo 2^64; int64 products wrap alike, and a logical shift is an arithmetic one with the
    # copied sign bits masked off.
    golden = -0x61C8864680B583EB  # 0x9E3779B97F4A7C15 as a signed number
    x = (indices + 1).mul_(golden).add_(name_key(name, seed))
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
        x.bitwise_xor_((x >> shift) & ((1 << (64 - shift)) - 1)).mul_(factor)
    return x.bitwise_xor_((x >> 31) & ((1 << 33) - 1))
