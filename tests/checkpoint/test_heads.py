"""A classifier tuned from any published pre-training model leaves nothing unexplained behind."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import CONFIG_MAPPING, AutoModelForSequenceClassification

from purify_cli.checkpoint import open_checkpoint, pair_checkpoints
from tests.curvature.worlds import BART, CONFIGS, PAD, VOCABULARY

BERT = CONFIGS["bert"]
DEBERTA = BERT | {"relative_attention": True, "position_buckets": 8, "pos_att_type": ["p2c", "c2p"]}
MODERN = BERT | {"local_attention": 8, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}

PRE_TRAINED: list[tuple[str, str, dict[str, Any]]] = [
    ("bert", "BertForPreTraining", BERT),
    ("roberta", "RobertaForMaskedLM", BERT),
    ("albert", "AlbertForPreTraining", CONFIGS["albert"]),
    ("electra", "ElectraForPreTraining", CONFIGS["electra"]),
    ("electra", "ElectraForMaskedLM", CONFIGS["electra"]),
    ("distilbert", "DistilBertForMaskedLM", CONFIGS["distilbert"]),
    ("deberta-v2", "DebertaV2ForMaskedLM", DEBERTA),
    ("deberta-v2", "DebertaV2ForMaskedLM", DEBERTA | {"legacy": False}),
    ("modernbert", "ModernBertForMaskedLM", MODERN),
    ("mpnet", "MPNetForMaskedLM", BERT),
    ("longformer", "LongformerForMaskedLM", BERT | {"attention_window": 4}),
    ("big_bird", "BigBirdForPreTraining", BERT | {"attention_type": "original_full"}),
    ("bert", "BertForQuestionAnswering", BERT),
    ("gpt2", "GPT2LMHeadModel", CONFIGS["gpt2"]),
    ("llama", "LlamaForCausalLM", CONFIGS["llama"]),
    ("bart", "BartForConditionalGeneration", BART),
]


@pytest.mark.parametrize("untied", [False, True])
@pytest.mark.parametrize(("kind", "pre_trained", "settings"), PRE_TRAINED)
def test_heads_of_the_pre_training_are_explained(
    kind: str, pre_trained: str, settings: dict[str, Any], untied: bool, tmp_path: Path
) -> None:
    config = CONFIG_MAPPING[kind].from_dict(settings | {"pad_token_id": PAD, "tie_word_embeddings": not untied})
    reference = getattr(transformers, pre_trained)(config)
    reference.save_pretrained(tmp_path / "r")
    if kind == "deberta-v2":
        # microsoft/deberta-v3-base holds these besides, which no class of transformers makes.
        weights = load_file(tmp_path / "r" / "model.safetensors")
        weights |= {
            "mask_predictions.dense.weight": torch.ones(16, 16),
            "mask_predictions.classifier.bias": torch.ones(1),
        }
        weights |= {"lm_predictions.lm_head.bias": torch.ones(VOCABULARY)}
        save_file(weights, tmp_path / "r" / "model.safetensors", metadata={"format": "pt"})
    AutoModelForSequenceClassification.from_pretrained(tmp_path / "r", num_labels=3).save_pretrained(tmp_path / "s")
    pair = pair_checkpoints(open_checkpoint(str(tmp_path / "s")), open_checkpoint(str(tmp_path / "r")))
    assert [one.name for one in pair.skipped if not one.explained] == []


@pytest.mark.parametrize(
    "name",
    [
        "model.decoder.layers.0.bias",
        "decoder.dense.bias",
        "encoder.layer.0.head.weight",
        "encoder.mask_predictions.dense.weight",
        "heads.weight",
        "decoder.bias.weight",
    ],
)
def test_what_only_sounds_like_a_head_is_not_explained(name: str, tmp_path: Path) -> None:
    config = CONFIG_MAPPING["bert"].from_dict(BERT | {"pad_token_id": PAD})
    transformers.BertModel(config).save_pretrained(tmp_path / "r")
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path / "s")
    weights = load_file(tmp_path / "s" / "model.safetensors") | {name: torch.ones(3)}
    save_file(weights, tmp_path / "s" / "model.safetensors", metadata={"format": "pt"})
    pair = pair_checkpoints(open_checkpoint(str(tmp_path / "s")), open_checkpoint(str(tmp_path / "r")))
    assert [one.name for one in pair.skipped if not one.explained] == [name]
