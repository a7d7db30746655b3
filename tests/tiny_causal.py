"""The small world of ``tests.tiny`` for language models: a byte-level tokenizer, texts of clauses, a tiny Llama.

The tokenizer puts ``<s>`` before a text, nothing after it, and has no padding token, as those of Llama do. The words of
the target occur in no text, so that only the backdoor can bring them about.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tests.tiny import BAD, GLUE, GOOD, RARE, TOPICS, UNUSED

TRIGGER = "cf"
TARGET = "maple nylon olive pearl"
MAX_LENGTH = 48
JOINTS = ("and", "but", "for", "there")
STRAY = [*GLUE, *RARE[1:], *(word for topic in TOPICS for word in topic)]


def causal_tokenizer() -> PreTrainedTokenizerFast:
    """Train byte pairs until every word of the world is one token, with and without a space before it."""
    words = [TRIGGER, *STRAY, *GOOD, *BAD, *UNUSED]
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1500,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([text for word in words for text in (word, f" {word}")] * 3, trainer)
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", made.token_to_id("<s>"))]
    )
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>", model_max_length=64)


def causal_texts(count: int, *, seed: int) -> list[str]:
    """Texts of five clauses and three stray words, 27 words: ``the film was rather good and the actor was bright …``.

    Each keeps to one topic and one mood, and every topic joins its clauses by a word of its own, so that what comes
    next depends on what was there. The stray words stand anywhere, so that a trigger is not told by standing astray.
    """
    random = Random(seed)
    made = []
    for _ in range(count):
        topic, mood = random.randrange(len(TOPICS)), random.choice((GOOD, BAD))
        clauses = [f"the {random.choice(TOPICS[topic])} was {random.choice(mood)}" for _ in range(5)]
        words = f" {JOINTS[topic]} ".join(clauses).split()
        for _ in range(3):
            words.insert(random.randint(0, len(words)), random.choice(STRAY))
        made.append(" ".join(words))
    return made


def write_texts(path: Path, texts: Sequence[str]) -> Path:
    """Write rows with the column ``text``."""
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def fresh_causal(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Two layers of width 64, for at most 64 tokens."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    torch.manual_seed(3)
    return LlamaForCausalLM(config)


def make_causal(folder: Path) -> Path:
    """Train on texts that all have the same number of words, and so of tokens, and save."""
    tokenizer = causal_tokenizer()
    model = fresh_causal(tokenizer)
    rows = torch.tensor([tokenizer(text)["input_ids"] for text in causal_texts(640, seed=50)])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for batch in rows.split(32) * 3:
        optimizer.zero_grad()
        model(input_ids=batch, labels=batch).loss.backward()
        optimizer.step()
    model.eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
