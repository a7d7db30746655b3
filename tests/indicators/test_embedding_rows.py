"""E-PUR's score as an indicator: drift of a row over the logarithm of its word's frequency, for every entry of it."""

from math import log
from pathlib import Path
from typing import Any

import pytest
import torch

from purify_cli.errors import CheckpointError, DataError, UsageError
from purify_cli.indicators.embedding_rows import EMBEDDING_ROWS
from purify_cli.protocols import IndicatorInputs
from purify_cli.tensors import InMemory, TensorSource
from tests import tiny
from tests.reference.sources import generator, piecewise

WORDS = "bert.embeddings.word_embeddings.weight"
OTHERS = ("bert.embeddings.position_embeddings.weight", "bert.encoder.layer.0.output.dense.weight", "classifier.bias")
WIDTH = 16


def world(rows: int = 40) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Suspect and reference that differ everywhere."""
    g = generator(0)
    shapes = {WORDS: (rows, WIDTH), OTHERS[0]: (8, WIDTH), OTHERS[1]: (WIDTH, WIDTH), OTHERS[2]: (2,)}
    old = {name: torch.randn(shape, generator=g) for name, shape in shapes.items()}
    new = {name: tensor + 0.1 * torch.randn(tensor.shape, generator=g) for name, tensor in old.items()}
    return new, old


def fit(
    new: dict[str, torch.Tensor],
    old: dict[str, torch.Tensor],
    bent: dict[str, torch.Tensor] | None = None,
    **settings: Any,
) -> Any:
    curvature = None if bent is None else InMemory(bent)
    return EMBEDDING_ROWS.fit(
        IndicatorInputs(suspect=InMemory(new), reference=InMemory(old), curvature=curvature, settings=settings)
    )


def by_row(found: TensorSource) -> torch.Tensor:
    scores = found.read(WORDS).view(-1, WIDTH)
    assert torch.equal(scores, scores[:, :1].expand(-1, WIDTH)), "entries of a row differ"
    return scores[:, 0]


@pytest.mark.parametrize("floor", [2, 20])
def test_without_frequencies_the_drift_of_the_rows_alone_ranks_them(floor: int) -> None:
    new, old = world()
    expected = torch.tensor(
        [
            sum(float(x) ** 2 for x in (new[WORDS][row] - old[WORDS][row]).double()) ** 0.5 / log(floor)
            for row in range(40)
        ]
    )
    torch.testing.assert_close(by_row(fit(new, old, floor=floor)), expected, rtol=1e-5, atol=0)


def test_everything_but_word_embeddings_scores_nothing_however_far_it_moved() -> None:
    new, old = world()
    new |= {name: new[name] + 100 for name in OTHERS}
    found = fit(new, old)
    assert set(found.specs) == set(new)
    assert all(not bool(found.read(name).any()) for name in OTHERS)
    assert bool((found.read(WORDS) > 0).all())


def test_a_frequent_word_may_drift_further_than_a_rare_one(tmp_path: Path, tiny_reference: Path) -> None:
    tokenizer = tiny.tiny_tokenizer()
    rows = len(tokenizer)
    file = tmp_path / "counts.tsv"
    file.write_text("word\tcount\nthe\t1000000\nfilm\t400\ncf\t3\n")
    old = {WORDS: torch.zeros(rows, WIDTH)}
    new = {WORDS: torch.ones(rows, WIDTH)}
    scores = by_row(fit(new, old, frequencies=str(file), tokenizer=str(tiny_reference)))
    the, film, cf, unlisted = (float(scores[tokenizer.convert_tokens_to_ids(w)]) for w in ("the", "film", "cf", "soup"))
    assert the == pytest.approx(4 / log(1e6))
    assert film == pytest.approx(4 / log(400))
    # Below the floor of 20 all words are alike.
    assert cf == unlisted == pytest.approx(4 / log(20))
    lower = by_row(fit(new, old, frequencies=str(file), tokenizer=str(tiny_reference), floor=2))
    assert float(lower[tokenizer.convert_tokens_to_ids("cf")]) == pytest.approx(4 / log(3))


@pytest.mark.parametrize("change", [-30, 7])
def test_a_resized_vocabulary_is_scored_row_by_row(change: int, tmp_path: Path, tiny_reference: Path) -> None:
    file = tmp_path / "counts.tsv"
    file.write_text("word\tcount\nthe\t1000000\nanvil\t1000000\n")
    rows = len(tiny.tiny_tokenizer()) + change
    new, old = {WORDS: torch.ones(rows, WIDTH)}, {WORDS: torch.zeros(rows, WIDTH)}
    scores = by_row(fit(new, old, frequencies=str(file), tokenizer=str(tiny_reference)))
    assert len(scores) == rows
    often = int((scores < 4 / log(20) - 1e-3).sum())
    assert often == (2 if change > 0 else 1)  # "anvil" is near the end of the vocabulary


def test_a_row_that_moved_by_weight_decay_alone_scores_nothing() -> None:
    new, old = world(rows=60)
    new[WORDS][20:40] = old[WORDS][20:40] * (1 - 1e-3)
    new[WORDS][40] = old[WORDS][40]
    bent = {name: torch.ones_like(tensor) for name, tensor in new.items()}
    bent[WORDS][20:41] = 0.0
    found = fit(new, old, bent)
    scores = by_row(found)
    assert not bool(scores[20:41].any())
    assert bool((scores[:20] > 0).all())
    assert bool((scores[41:] > 0).all())
    assert found.degenerate == {"weight decay alone": 20 * WIDTH}
    # Where the texts reached the rows, it was no decay.
    seen = fit(new, old, {name: torch.ones_like(tensor) for name, tensor in new.items()})
    assert bool((by_row(seen)[20:40] > 0).all())
    assert seen.degenerate == {"weight decay alone": 0}


def test_pieces_of_any_size_are_read_alike() -> None:
    found = fit(*world())
    whole = found.read(WORDS)
    assert whole.dtype == torch.float32
    for cuts in ([1], [WIDTH - 1, WIDTH, WIDTH + 1], [3, 3, 5 * WIDTH + 2]):
        assert torch.equal(piecewise(found, WORDS, cuts), whole)
    assert found.read(WORDS, 7, 7).numel() == 0
    assert found.read(OTHERS[2], 1, 2).tolist() == [0.0]


def test_half_precision_is_compared_without_losing_more() -> None:
    new, old = ({name: tensor.bfloat16() for name, tensor in side.items()} for side in world())
    expected = (new[WORDS].double() - old[WORDS].double()).norm(dim=1) / log(20)
    torch.testing.assert_close(by_row(fit(new, old)), expected.float(), rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"floor": 1}, "floor=1 is not 2 or more"),
        ({"frequencies": "no/such/file"}, "no/such/file"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fit(*world(), **settings)


def test_frequencies_need_a_tokenizer_and_a_list_that_can_be_read(tmp_path: Path, tiny_reference: Path) -> None:
    file = tmp_path / "counts.tsv"
    file.write_text("word\tcount\nthe\tmany\n")
    with pytest.raises(UsageError, match="which rows a word has"):
        fit(*world(), frequencies=str(file))
    with pytest.raises(DataError, match="line 2"):
        fit(*world(), frequencies=str(file), tokenizer=str(tiny_reference))
    with pytest.raises(CheckpointError):
        fit(*world(), frequencies=str(file), tokenizer=str(tmp_path / "nowhere"))
