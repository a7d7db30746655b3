"""Decoder classifiers read the last token that is not their padding, whatever the tokenizer pads with."""

import pytest
import torch
from transformers import AutoModelForSequenceClassification, GPT2Config, LlamaConfig, PreTrainedConfig, Qwen2Config

from purify_cli.data.batches import Encoded, batches
from purify_cli.model import logits, pad_id

SMALL = {"num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 16, "vocab_size": 40, "num_labels": 3}
CONFIGS = {
    "gpt2": GPT2Config(n_layer=1, n_head=2, n_embd=16, vocab_size=40, num_labels=3, pad_token_id=39, eos_token_id=38),
    "llama": LlamaConfig(**SMALL, intermediate_size=16, num_key_value_heads=2, pad_token_id=30, eos_token_id=31),
    "qwen2": Qwen2Config(**SMALL, intermediate_size=16, num_key_value_heads=2, pad_token_id=39, eos_token_id=38),
}
TOKENIZER_PADDING = 38
ROWS = [Encoded(ids=ids, type_ids=None, label=0, index=i) for i, ids in enumerate([(5, 6), (7, 8, 9, 10, 11, 12)])]


@pytest.mark.parametrize("config", CONFIGS.values(), ids=list(CONFIGS))
@torch.no_grad()
def test_a_padded_row_gets_the_scores_of_the_row_alone(config: PreTrainedConfig) -> None:
    torch.manual_seed(0)
    module = AutoModelForSequenceClassification.from_config(config).eval()
    padding = pad_id(TOKENIZER_PADDING, module)
    alone = [logits(module, batches([row], batch_size=1, pad_id=padding)[0])[0] for row in ROWS]
    (both,) = batches(ROWS, batch_size=2, pad_id=padding)
    for index, scores in zip(both.index.tolist(), logits(module, both), strict=True):
        torch.testing.assert_close(scores, alone[index], rtol=1e-4, atol=1e-5)


def test_a_module_without_padding_takes_the_tokenizers() -> None:
    assert pad_id(TOKENIZER_PADDING, torch.nn.Linear(1, 1)) == TOKENIZER_PADDING
    assert pad_id(None, torch.nn.Linear(1, 1)) == 0
