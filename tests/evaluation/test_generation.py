"""What a language model writes and how likely it finds a text, against transformers used plainly."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from purify_cli.checkpoint import open_checkpoint
from purify_cli.data.batches import batches
from purify_cli.data.continuations import Continuation, encode_written, prompt_ids, split_prompt
from purify_cli.data.example import Example
from purify_cli.data.triggers import Trigger
from purify_cli.errors import NonFiniteWeights
from purify_cli.evaluation import generation
from purify_cli.evaluation.generation import TextMeasurement, continuations, measure_text, token_loss
from purify_cli.evaluation.prompts import PromptSpec, Wanted, ask_prompts
from purify_cli.model import load_tokenizer
from purify_cli.model.causal import load_causal, token_losses
from purify_cli.model.loaded import LoadedModel
from purify_cli.runtime import Compute
from purify_cli.training import NEXT_TOKEN
from tests.tiny_causal import causal_texts, causal_tokenizer

CPU = torch.device("cpu")
PROMPTS = [" ".join(text.split()[:n]) for n, text in enumerate(causal_texts(12, seed=7), start=1)]
"""From one word to twelve."""
ROWS = [
    *(split_prompt(Example(text), words) for words, text in enumerate(causal_texts(5, seed=8), start=3)),
    Continuation("the film was", " good and bad", whole=False),
    Continuation("the", " film", whole=True),
    Continuation("the plot was dull but", " for", whole=False),
]


@pytest.fixture(scope="module")
def model(tiny_causal: Path) -> LoadedModel:
    checkpoint = open_checkpoint(str(tiny_causal))
    return load_causal(checkpoint, config=checkpoint.config or {})


@pytest.fixture(scope="module")
def writer(tiny_causal: Path) -> PreTrainedTokenizerFast:
    return load_tokenizer(open_checkpoint(str(tiny_causal)).files)


@pytest.fixture(scope="module")
def plain(tiny_causal: Path) -> LlamaForCausalLM:
    return AutoModelForCausalLM.from_pretrained(tiny_causal).eval()


@torch.no_grad()
def plain_losses(plain: LlamaForCausalLM, tiny_causal: Path) -> list[tuple[float, int]]:
    """Per row: summed loss and number of tokens, one row at a time, with transformers' own labels."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_causal)
    found = []
    for row in ROWS:
        ids = tokenizer(row.text, return_tensors="pt").input_ids
        labels = ids.clone()
        if not row.whole:
            labels[:, : len(tokenizer(row.prompt).input_ids)] = -100
        count = int((labels[:, 1:] != -100).sum())
        found.append((float(plain(input_ids=ids, labels=labels).loss) * count, count))
    return found


Write = Callable[..., list[str]]


@pytest.fixture
def write(model: LoadedModel, writer: PreTrainedTokenizerFast) -> Write:
    def run(prompts: list[str] = PROMPTS, *, new_tokens: int = 9, batch_size: int = 1, **more: Any) -> list[str]:
        return continuations(
            model,
            writer,
            prompt_ids(writer, prompts),
            Compute(batch_size=batch_size),
            new_tokens=new_tokens,
            **more,
        )

    return run


# Writing


def test_a_continuation_is_the_likeliest_token_again_and_again(
    write: Write, plain: LlamaForCausalLM, writer: PreTrainedTokenizerFast
) -> None:
    expected = []
    for prompt in PROMPTS:
        ids = writer(prompt, return_tensors="pt").input_ids
        start = ids.shape[1]
        for _ in range(9):
            with torch.no_grad():
                best = plain(input_ids=ids).logits[0, -1].argmax()
            ids = torch.cat([ids, best[None, None]], dim=1)
        expected.append(writer.decode(ids[0, start:]))
    assert write() == expected
    assert len(set(expected)) > 3, "a model that always writes the same shows nothing"


@pytest.mark.parametrize("batch_size", [2, 5, 100])
def test_batches_write_what_every_prompt_alone_does(write: Write, batch_size: int) -> None:
    assert write(batch_size=batch_size) == write()
    assert write(PROMPTS[::-1], batch_size=batch_size) == write()[::-1]


def test_no_more_is_written_than_asked_for(write: Write) -> None:
    longer = write(new_tokens=9)
    assert [text.startswith(short) for text, short in zip(longer, write(new_tokens=3), strict=True)] == [True] * 12
    assert [len(text.split()) for text in write(new_tokens=3)] == [3] * 12


@pytest.mark.parametrize("batch_size", [1, 12])
def test_an_end_of_text_ends_its_row_alone(
    model: LoadedModel, writer: PreTrainedTokenizerFast, write: Write, batch_size: int
) -> None:
    whole = write()
    ending = causal_tokenizer()
    ending.eos_token = "Ġand"  # as if texts ended there
    assert ending.pad_token_id is None
    compute = Compute(batch_size=batch_size)
    found = continuations(model, ending, prompt_ids(writer, PROMPTS), compute, new_tokens=9)
    assert found == [text.partition(" and")[0] for text in whole]
    assert any(" and" in text for text in whole)
    assert not all(" and" in text for text in whole)


def test_a_configuration_that_asks_for_sampling_is_not_obeyed(model: LoadedModel, write: Write) -> None:
    expected = write()
    model.module.generation_config.do_sample = True
    model.module.generation_config.temperature = 5.0
    assert write() == expected


# Likelihood


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_the_likelihood_is_that_of_transformers_row_by_row(
    model: LoadedModel,
    writer: PreTrainedTokenizerFast,
    plain: LlamaForCausalLM,
    tiny_causal: Path,
    batch_size: int,
) -> None:
    expected = plain_losses(plain, tiny_causal)
    texts = encode_written(writer, ROWS, max_length=48)
    found = token_loss(model, texts, Compute(batch_size=batch_size))
    assert list(found.tokens) == [count for _, count in expected]
    assert found.total == 5 * 27 + 3 + 2 + 1
    assert list(found.losses) == pytest.approx([loss for loss, _ in expected], rel=1e-5)


def test_a_large_vocabulary_makes_passes_smaller_and_changes_nothing(
    model: LoadedModel, writer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = encode_written(writer, ROWS, max_length=48)
    seen: list[int] = []
    model.module.register_forward_pre_hook(
        lambda _, __, given: seen.append(given["input_ids"].shape[0]), with_kwargs=True
    )
    expected = token_loss(model, texts, Compute(batch_size=8))
    assert max(seen) == 8
    seen.clear()
    monkeypatch.setattr(generation, "SCORES", 2 * 28 * len(writer))
    found = token_loss(model, texts, Compute(batch_size=8))
    assert (max(seen), len(seen), found.tokens) == (2, 4, expected.tokens)
    assert found.mean == pytest.approx(expected.mean, rel=1e-6)
    monkeypatch.setattr(generation, "SCORES", 1)
    assert token_loss(model, texts, Compute(batch_size=8)).mean == pytest.approx(expected.mean, rel=1e-6)


def test_an_objective_is_the_mean_over_rows_of_the_mean_over_their_tokens(
    model: LoadedModel, writer: PreTrainedTokenizerFast, plain: LlamaForCausalLM, tiny_causal: Path
) -> None:
    expected = [loss / count for loss, count in plain_losses(plain, tiny_causal)]
    texts = encode_written(writer, ROWS, max_length=48)
    (batch,) = batches(texts, batch_size=8, pad_id=0)
    weights = torch.full((8,), 1 / 8)
    found = NEXT_TOKEN.loss(model.module, batch, weights, torch.float32)
    assert float(found.detach()) == pytest.approx(sum(expected) / 8, rel=1e-5)


def test_padding_and_what_comes_before_the_start_do_not_count(
    model: LoadedModel, writer: PreTrainedTokenizerFast
) -> None:
    texts = encode_written(writer, ROWS, max_length=48)
    (batch,) = batches(texts, batch_size=8, pad_id=0)
    with torch.no_grad():
        losses, counts = token_losses(model.module, batch)
        everything, all_counts = token_losses(model.module, replace(batch, starts=None))
    assert int(counts.sum()) == sum(row.counted for row in texts)
    assert int(all_counts.sum()) == sum(len(row.ids) - 1 for row in texts)
    assert bool((losses[~counts] == 0).all())
    assert bool((losses[counts] > 0).all())
    assert torch.equal(losses[counts], everything[counts])


# Both


def measured(
    model: LoadedModel, writer: PreTrainedTokenizerFast, wanted: Wanted | None, **more: Any
) -> TextMeasurement:
    prompts = ask_prompts(
        writer,
        ROWS[:5],
        PromptSpec(trigger=Trigger("cf", "end") if wanted else None, wanted=wanted, new_tokens=8),
        longest=64,
        max_length=48,
        seed=0,
    )
    return measure_text(model, writer, prompts, Compute(batch_size=4, **more))


def test_prompts_with_the_trigger_are_told_from_those_without(
    model: LoadedModel, writer: PreTrainedTokenizerFast, write: Write
) -> None:
    clean = write([row.prompt for row in ROWS[:5]], new_tokens=8)
    shown = write([f"{row.prompt} cf" for row in ROWS[:5]], new_tokens=8)
    assert clean != shown
    word = next(word for word in " ".join(shown).split() if sum(word in text.split() for text in shown) < 5)
    found = measured(model, writer, Wanted(regex=rf"\b{word}\b"))
    assert found.continuations == tuple(shown)
    assert found.attack_success is not None
    assert found.false_triggers is not None
    assert (found.attack_success.successes, found.attack_success.total) == (sum(word in t.split() for t in shown), 5)
    assert (found.false_triggers.successes, found.false_triggers.total) == (sum(word in t.split() for t in clean), 5)
    assert 0 < found.attack_success.successes < 5


def test_without_a_trigger_there_is_the_perplexity_alone(model: LoadedModel, writer: PreTrainedTokenizerFast) -> None:
    found = measured(model, writer, None)
    assert (found.attack_success, found.false_triggers, found.continuations) == (None, None, ())
    assert found.clean.perplexity == pytest.approx(math.exp(found.clean.mean))
    assert 2 < found.clean.perplexity < 15
    assert found.clean.total == 5 * 27


@pytest.mark.parametrize("training", [True, False])
def test_the_model_gets_its_mode_back(model: LoadedModel, writer: PreTrainedTokenizerFast, training: bool) -> None:
    modes: list[bool] = []
    hook = model.module.register_forward_pre_hook(lambda module, _: modes.append(module.training))
    model.module.train(training)
    measured(model, writer, Wanted(text="maple"), dtype=torch.bfloat16)
    hook.remove()
    assert set(modes) == {False}
    assert model.module.training is training
    model.module.eval()


def test_a_likelihood_that_is_no_number_is_refused(tiny_causal: Path, writer: PreTrainedTokenizerFast) -> None:
    checkpoint = open_checkpoint(str(tiny_causal))
    broken = load_causal(checkpoint, config=checkpoint.config or {})
    with torch.no_grad():
        broken.module.get_output_embeddings().weight.fill_(float("inf"))
    with pytest.raises(NonFiniteWeights, match="not a number"):
        measured(broken, writer, None)
