"""A configuration is data: what it asks for is held against the files before anything is built."""

from pathlib import Path
from typing import Any

import pytest

from purify_cli.checkpoint import open_checkpoint
from purify_cli.checkpoint.config_check import check_config
from purify_cli.errors import CheckpointError
from tests.checkpoint.shapes import CONFIG, classifier, folder

IMPOSSIBLE: dict[str, tuple[dict[str, Any], str]] = {
    "a million layers": ({"num_hidden_layers": 10**6}, "num_hidden_layers"),
    "a million layers of a part": ({"text_config": {"num_hidden_layers": 10**6}}, "num_hidden_layers"),
    "a million layers of a decoder": ({"is_encoder_decoder": True, "decoder_layers": 10**6}, "decoder_layers"),
    "a million experts": ({"num_local_experts": 10**6}, "num_local_experts"),
    "infinitely many experts": ({"n_routed_experts": float("inf")}, "n_routed_experts"),
    "a billion labels": ({"num_labels": 10**9}, "num_labels"),
    "half a width": ({"hidden_size": 8.5}, "width of 8.5"),
    "a width in words": ({"hidden_size": "eight"}, "width of 'eight'"),
    "another number of layers": ({"num_hidden_layers": 3}, "number of layers of 3"),
    "padding without a row": ({"pad_token_id": 10**9}, "has 30 rows"),
    "dropout that is no number": ({"hidden_dropout_prob": float("nan")}, "probability"),
    "dropout beyond 1": ({"attention_dropout": 7}, "probability"),
    "dropout in words": ({"classifier_dropout": "much"}, "probability"),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_what_cannot_be_is_refused(case: str, tmp_path: Path) -> None:
    change, words = IMPOSSIBLE[case]
    with pytest.raises(CheckpointError, match=words):
        check_config(open_checkpoint(str(folder(tmp_path, classifier(), config=CONFIG | change))))


def test_what_is_usual_passes(tmp_path: Path) -> None:
    usual = {
        "hidden_dropout_prob": 0.1,
        "classifier_dropout": None,
        "num_attention_heads": 4,
        "pad_token_id": -1,
        "num_experts": 128,
        "time_step_limit": [0.0, float("inf")],
        "num_hidden_groups": None,
    }
    check_config(open_checkpoint(str(folder(tmp_path, classifier(), config=CONFIG | usual))))
