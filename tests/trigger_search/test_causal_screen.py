"""The screen of a language model, against passes over whole prompts."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from purify_cli.checkpoint import open_checkpoint
from purify_cli.data.continuations import prompt_ids
from purify_cli.errors import DataError, SearchImpossible
from purify_cli.model import load_tokenizer
from purify_cli.model.causal import load_causal
from purify_cli.model.loaded import LoadedModel
from purify_cli.trigger_search.causal_screen import CachedPrompts, PrecededPrompts, Screen, ScreenBudget
from purify_cli.trigger_search.vocabulary import word_parts
from tests.tiny_causal import causal_tokenizer, fresh_causal

CPU = torch.device("cpu")
V = len(causal_tokenizer())
PROMPTS = ("the film was", "the actor was rather good and the")


@pytest.fixture(scope="module")
def model(tiny_causal: Path) -> LoadedModel:
    checkpoint = open_checkpoint(str(tiny_causal))
    return load_causal(checkpoint, config=checkpoint.config or {})


@pytest.fixture(scope="module")
def tokenizer(tiny_causal: Path) -> Any:
    return load_tokenizer(open_checkpoint(str(tiny_causal)).files)


@pytest.fixture(scope="module")
def prompts(tokenizer: Any) -> list[list[int]]:
    return prompt_ids(tokenizer, PROMPTS)


def test_a_kept_prompt_goes_on_as_if_it_were_read_anew(model: LoadedModel, prompts: list[list[int]]) -> None:
    read = CachedPrompts(model.module, prompts, CPU, vocabulary=V)
    strings = torch.tensor([[300, 301], [310, 290], [280, 280]])
    for _ in range(2):  # asking changes nothing that was kept
        for place, prompt in enumerate(prompts):
            whole = torch.cat([torch.tensor(prompt).expand(3, -1), strings], dim=1)
            with torch.inference_mode():
                expected = torch.log_softmax(model.module(input_ids=whole).logits[:, -1], dim=-1)
                bare = torch.log_softmax(model.module(input_ids=torch.tensor([prompt])).logits[0, -1], dim=-1)
            assert torch.allclose(read.after(place, strings), expected, atol=1e-5)
            assert torch.allclose(read.bare[place], bare, atol=1e-5)
    few = CachedPrompts(model.module, prompts, CPU, vocabulary=100)
    assert torch.equal(few.bare, read.bare[:, :100])
    assert torch.equal(few.after(0, strings), read.after(0, strings)[:, :100])


def test_a_string_in_front_of_a_prompt_is_read_between_its_first_tokens_and_the_rest(
    model: LoadedModel, prompts: list[list[int]]
) -> None:
    read = PrecededPrompts(model.module, prompts, CPU, vocabulary=V, lead=1)
    strings = torch.tensor([[300, 301], [310, 290]])
    for place, prompt in enumerate(prompts):
        found = read.after(place, strings)
        with torch.no_grad():
            for row, string in enumerate(strings.tolist()):
                whole = torch.tensor([[prompt[0], *string, *prompt[1:]]])
                expected = model.module(input_ids=whole).logits[0, -1].log_softmax(-1)
                assert torch.allclose(found[row], expected, atol=1e-4)
            bare = model.module(input_ids=torch.tensor([prompt])).logits[0, -1].log_softmax(-1)
        assert torch.allclose(read.bare[place], bare, atol=1e-4)


def test_asking_the_reference_about_few_strings_leaves_the_best_ones_as_they_are(
    model: LoadedModel, tokenizer: Any, prompts: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, begins = word_parts(tokenizer, len(tokenizer))
    other = fresh_causal(causal_tokenizer()).eval()
    own, beside = (CachedPrompts(one, prompts, CPU, vocabulary=V) for one in (model.module, other))
    screen = Screen(suspect=own, reference=beside, begins=begins)
    wide = ScreenBudget(prompts=2, strings=2000, tails=20, most=1, tried=8)
    everything = screen.words(parts, wide)
    monkeypatch.setattr("purify_cli.trigger_search.causal_screen.WIDE", 64)
    assert len([part for part in parts if begins[part]]) > 64
    assert screen.words(parts, wide)[0] == everything[0]
    assert {string for string, _ in screen.words(parts, wide)} & {string for string, _ in everything[1:]}


def test_words_that_bring_one_token_about_do_not_fill_the_list(
    model: LoadedModel, tokenizer: Any, prompts: list[list[int]]
) -> None:
    parts, begins = word_parts(tokenizer, len(tokenizer))
    other = fresh_causal(causal_tokenizer()).eval()
    own, beside = (CachedPrompts(one, prompts, CPU, vocabulary=V) for one in (model.module, other))
    wide = ScreenBudget(prompts=2, strings=2000, tails=20, most=1, tried=8)
    best = Screen(suspect=own, reference=beside, begins=begins).words(parts, wide)
    brought = Counter(
        int((own.after(0, torch.tensor([string])).exp() + own.after(1, torch.tensor([string])).exp())[0].argmax())
        for string, _ in best
    )
    assert len(brought) >= 4


def test_a_model_beside_itself_says_nothing_of_its_own(
    model: LoadedModel, tokenizer: Any, prompts: list[list[int]]
) -> None:
    read = CachedPrompts(model.module, prompts, CPU, vocabulary=V)
    parts, begins = word_parts(tokenizer, len(tokenizer))
    screen = Screen(suspect=read, reference=read, begins=begins)
    wide = ScreenBudget(prompts=2, strings=2000, tails=20, most=2, tried=12)
    own = screen.words(parts, wide)
    assert len(own) == 12
    assert all(abs(worth) < 1e-5 for _, worth in own)
    other = CachedPrompts(fresh_causal(causal_tokenizer()).eval(), prompts, CPU, vocabulary=V)
    strange = Screen(suspect=read, reference=other, begins=begins).words(parts, wide)
    assert [worth for _, worth in strange] == sorted((worth for _, worth in strange), reverse=True)
    assert strange[0][1] > 0.1
    # A word begins with a token that begins one, and goes on with others that do not.
    assert all(begins[head] and not any(begins[token] for token in tail) for (head, *tail), _ in strange)
    assert {len(word) for word, _ in strange} <= {1, 2}


def test_word_parts_are_letters_and_digits(tokenizer: Any) -> None:
    parts, begins = word_parts(tokenizer, len(tokenizer))
    texts = {token: tokenizer.decode([token]) for token in parts}
    assert all(text.strip().isalnum() for text in texts.values())
    assert {bool(begins[token]) for token in parts} == {True, False}
    assert all(texts[token].startswith(" ") == bool(begins[token]) for token in parts)
    few, _ = word_parts(tokenizer, 300)
    assert few == [token for token in parts if token < 300]
    with pytest.raises(DataError, match="begins a word"):
        word_parts(tokenizer, 3)


def test_a_model_without_a_cache_is_refused(monkeypatch: pytest.MonkeyPatch, prompts: list[list[int]]) -> None:
    forgetful = fresh_causal(causal_tokenizer()).eval()
    whole = forgetful.forward
    monkeypatch.setattr(forgetful, "forward", lambda input_ids, **_: whole(input_ids=input_ids, use_cache=False))
    with pytest.raises(SearchImpossible, match="keys and values"):
        CachedPrompts(forgetful, prompts, CPU, vocabulary=V)
