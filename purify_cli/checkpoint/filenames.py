"""The names of files in a model folder, and what each name means to transformers.

Checked against transformers 5.23: ``utils/__init__.py``, ``tokenization_utils_base.py``, and the ``VOCAB_FILES_NAMES``
of its tokenizers.
"""

import re
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import Final

__all__ = [
    "ADAPTER_CONFIG",
    "CONFIG",
    "INDEX",
    "PICKLED_INDEX",
    "PICKLED_WEIGHTS",
    "TOKENIZER_FILES",
    "VOCABULARY_FILES",
    "WEIGHTS",
    "is_distributed",
    "is_index",
    "is_pickle",
    "is_tokenizer_file",
    "is_weight_file",
    "other_format",
    "part_of_model",
    "shard_number",
    "tokenizer_files",
]

WEIGHTS: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"
PICKLED_WEIGHTS: Final = "pytorch_model.bin"
PICKLED_INDEX: Final = "pytorch_model.bin.index.json"
CONFIG: Final = "config.json"
ADAPTER_CONFIG: Final = "adapter_config.json"

VOCABULARY_FILES: Final = tuple(
    """
    tokenizer.json vocab.txt vocab.json merges.txt spiece.model spm.model spm_char.model sentencepiece.bpe.model
    sentencepiece.model tokenizer.model tokenizer.model.v* tiktoken.model *.tiktoken tekken.json bpe.codes
    byte_maps.json prophetnet.tokenizer source.spm target.spm vocab-src.json vocab-tgt.json
    """.split()  # noqa: SIM905 - a block of words is read at a glance
)
"""Names and patterns of files that hold a vocabulary: a tokenizer needs one of them."""

TOKENIZER_FILES: Final = (
    *VOCABULARY_FILES,
    *"""
    target_vocab.json dict.txt emoji.json entity_vocab.json normalizer.json word_pronunciation.json word_shape.json
    tokenizer_config.json special_tokens_map.json added_tokens.json chat_template.jinja chat_template.json
    """.split(),  # noqa: SIM905 - a block of words is read at a glance
)
"""What transformers may read for a tokenizer: names and patterns."""

PICKLES: Final = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
OTHER_FORMATS: Final = {
    ".distcp": "distributed",
    ".gguf": "GGUF",
    ".h5": "Keras",
    ".msgpack": "Flax",
    ".npz": "NumPy",
    ".onnx": "ONNX",
    ".ot": "Rust",
    ".tflite": "TensorFlow Lite",
}

TRAINING_STATE: Final = re.compile(
    r"(training_args|optimizer|scheduler|scaler|sampler|rng_state|random_states)(_\d+)*\.(bin|pt|pth|pkl)"
)
"""What transformers' and accelerate's trainers save besides the model."""

INDEX_NAME: Final = re.compile(r".+\.(safetensors|bin)\.index(\..+)?\.json")
NUMBERED: Final = re.compile(r"(?P<stem>.+)-(?P<number>\d{1,9})-of-(?P<total>\d{1,9})\.(safetensors|bin)")
DISTRIBUTED: Final = re.compile(r"shard-\d{5}-model-\d{5}-of-\d{5}\.safetensors$")
"""One of these, and transformers reads every .safetensors file of the folder, as parts of tensors."""
PARTITION: Final = re.compile(r"(bf16_|fp16_)?zero_pp_rank_.*|.*_optim_states\.pt|mp_rank_\d+_model_states\.pt")
"""DeepSpeed's files for the state that one process keeps."""


def is_tokenizer_file(name: str) -> bool:
    """Tell whether transformers may read a file of this name for a tokenizer."""
    return any(fnmatchcase(name, pattern) for pattern in TOKENIZER_FILES)


def tokenizer_files(folder: Path) -> tuple[Path, ...]:
    """Return what a folder holds for a tokenizer, in order of the names; nothing where no vocabulary is among it."""
    found = sorted(entry for entry in folder.iterdir() if is_tokenizer_file(entry.name))
    complete = any(fnmatchcase(one.name, pattern) for one in found for pattern in VOCABULARY_FILES)
    return tuple(found) if complete else ()


def is_pickle(name: str) -> bool:
    """Tell whether a file of this name is a pickle that may hold weights."""
    return name.endswith(PICKLES) and not TRAINING_STATE.fullmatch(name)


def is_index(name: str) -> bool:
    """Tell whether a file of this name says which tensor is in which weight file, in any variant."""
    return bool(INDEX_NAME.fullmatch(name))


def other_format(name: str) -> str | None:
    """Return what program a weight file of a format that is not read here was made for."""
    return OTHER_FORMATS.get(PurePath(name).suffix)


def is_weight_file(name: str) -> bool:
    """Tell whether a file of this name holds, or points to, weights of a model in any format."""
    name = name.lower()
    return name.endswith(".safetensors") or is_pickle(name) or is_index(name) or other_format(name) is not None


def shard_number(name: str) -> tuple[str, int, int] | None:
    """Return stem, number and total of ``stem-00001-of-00002.safetensors``, None for any other name."""
    found = NUMBERED.fullmatch(name)
    return (found["stem"], int(found["number"]), int(found["total"])) if found else None


def is_distributed(name: str) -> bool:
    """Tell whether a file of this name makes transformers read the folder as a distributed checkpoint."""
    return bool(DISTRIBUTED.match(name))


def part_of_model(name: str) -> str | None:
    """Return what a file of this name is, where that is not a whole model."""
    numbered = shard_number(name)
    if name.startswith("adapter_model."):
        return "an adapter, not a whole model"
    if is_distributed(name):
        return "one part of a distributed checkpoint"
    if PARTITION.fullmatch(name):
        return "one part of a DeepSpeed checkpoint"
    return "one shard of a sharded model" if numbered and numbered[2] > 1 else None
