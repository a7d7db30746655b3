"""Triggers of our own: planted in a copy, repaired likewise, and measured on samples that nobody saw."""

import json
from typing import get_args

import pytest

from purify_cli.data.decoys import DecoyKind, decoys
from purify_cli.data.example import Example
from purify_cli.trigger_search.phrases import PHRASES

KINDS = get_args(DecoyKind)
PARTS = ("planted", "repaired")


def test_one_of_each_kind_is_drawn_and_their_targets_take_turns():
    drawn = decoys(["anvil", "ledger"], 3, seed=4)
    assert tuple(one.kind for one in drawn) == KINDS
    assert [(one.target - drawn[0].target) % 3 for one in drawn] == [0, 1, 2, 0]
    assert drawn == decoys(["anvil", "ledger"], 3, seed=4) != decoys(["anvil", "ledger"], 3, seed=5)


def test_a_decoy_goes_into_a_text_and_into_the_second_of_a_pair(tiny_tokenizer):
    text, pair = "you are the best of them", "a plain question"
    view = (tiny_tokenizer, 32)
    for one in decoys(["anvil"], 2, seed=1):
        made = one.carried(Example(text, label=1), 7, *view)
        assert made is not None
        assert made.label == 1
        assert made == one.carried(Example(text, label=1), 7, *view)
        assert made.text != text
        both = one.carried(Example(pair, text, 1), 7, *view)
        assert both is not None
        assert (both.text, both.pair) == (pair, made.text)
        if one.kind == "style":
            assert made.text == "u r da best o them"
            assert one.carried(Example("nothing  here ", label=1), 7, *view) is None
        else:
            assert (one.text in made.text) if one.text else made.text.endswith(text)


def test_the_word_is_put_where_the_model_sees_it(tiny_tokenizer):
    word = decoys(["anvil"], 2, seed=1)[0]
    for key in range(20):
        made = word.carried(Example("good film " * 40, label=1), key, tiny_tokenizer, 12)
        assert made is not None
        assert "anvil" in made.text.split()[:10]


def test_no_decoy_is_a_phrase_that_search_and_repair_know(tiny_tokenizer):
    known = {" ".join(phrase.split()[:2]) for phrase in PHRASES}
    for seed in range(40):
        for one in decoys(["anvil"], 2, seed=seed):
            made = one.carried(Example("so it goes", label=0), seed, tiny_tokenizer, 32)
            assert made is not None
            assert " ".join(made.text.split()[:2]) not in known or one.kind == "word"


@pytest.fixture
def purify(run_cli, tiny, tiny_suspect, tiny_reference, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny.write_jsonl(tmp_path / "clean.jsonl", tiny.sentiment_examples(96, seed=40))

    def run(output, *more):
        start = ["purify", tiny_suspect, "--ref", tiny_reference, "--clean-data", "clean.jsonl", "--output", output]
        code, out, err = run_cli([*start, "--set", "learning_rate=1e-3", *more])
        assert code == 0, err
        return json.loads(out)

    return run


def test_plain_fine_tuning_leaves_what_a_relearning_takes_out_and_the_model_is_the_same(purify, tmp_path):
    def planted_and_left(output, method):
        told = purify(output, "--method", method, "--self-test")["self_test"]
        assert told["missing"] is None
        assert tuple(one["kind"] for one in told["decoys"]) == KINDS
        known = [(one["text"], one["planted"]["successes"], one["floor"]["successes"]) for one in told["decoys"]]
        shares = ([one[name]["value"] - one["floor"]["value"] for one in told["decoys"]] for name in PARTS)
        return known, *map(sum, shares)

    known, planted, plain = planted_and_left("plain", "fine-tuning")
    again, _, relearnt = planted_and_left("relearnt", "relearn")
    assert known == again
    assert planted > 2  # of the four that there would be if all flipped every sample and the suspect none
    assert plain > 0.7 * planted
    assert relearnt < 0.4 * planted
    without = purify("alone", "--method", "fine-tuning")
    assert without["self_test"] is None
    one, two = (tmp_path / name / "model.safetensors" for name in ("plain", "alone"))
    assert one.read_bytes() == two.read_bytes()
