"""Encoding cuts, batching pads, and neither loses a row."""

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from purify_cli.data.batches import Batch, Encoded, batches, encode, token_ids
from purify_cli.data.example import Example
from purify_cli.data.tokenizer import limit_ids
from purify_cli.errors import CheckpointError, DataError, UsageError


def rows(lengths: list[int]) -> list[Encoded]:
    return [Encoded(tuple(range(1, n + 1)), (0,) * n, i % 2, i) for i, n in enumerate(lengths)]


def unpadded(batch: Batch) -> dict[int, tuple[int, ...]]:
    kept = [tuple(ids[mask.bool()].tolist()) for ids, mask in zip(*map(batch.inputs.get, INPUTS), strict=True)]
    return dict(zip(batch.index.tolist(), kept, strict=True))


INPUTS = ("input_ids", "attention_mask")
LENGTHS = [3, 9, 4, 4, 12, 5, 3, 8, 6, 7, 3]


@pytest.mark.parametrize("seed", [None, 0, 1])
@pytest.mark.parametrize("size", [1, 4, 100])
def test_every_row_lands_in_one_batch_with_its_label_and_tokens(size: int, seed: int | None) -> None:
    encoded = rows(LENGTHS)
    made = batches(encoded, batch_size=size, pad_id=0, shuffle_seed=seed)
    together: dict[int, tuple[int, ...]] = {}
    for batch in made:
        assert len(batch.index) <= size
        assert batch.labels is not None
        assert batch.labels.tolist() == [i % 2 for i in batch.index.tolist()]
        assert batch.inputs["input_ids"].shape[1] == max(map(len, unpadded(batch).values()))
        together |= unpadded(batch)
    assert together == {row.index: row.ids for row in encoded}
    assert sum(len(batch.index) for batch in made) == len(encoded)


def test_unshuffled_batches_are_sorted_by_length() -> None:
    lengths = [batch.inputs["input_ids"].shape[1] for batch in batches(rows(LENGTHS), batch_size=3, pad_id=0)]
    assert lengths == sorted(lengths)


def test_a_seed_fixes_the_order_and_another_changes_it() -> None:
    def order(seed: int) -> list[list[int]]:
        made = batches(rows([5] * 64), batch_size=4, pad_id=0, shuffle_seed=seed)
        return [batch.index.tolist() for batch in made]

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert {frozenset(group) for group in order(1)} != {frozenset(group) for group in order(2)}


def test_a_shuffled_pass_pads_little() -> None:
    encoded = rows([3 + i * 7 % 60 for i in range(512)])
    padded = sum(
        batch.inputs["input_ids"].numel() for batch in batches(encoded, batch_size=8, pad_id=0, shuffle_seed=0)
    )
    assert padded <= 1.15 * sum(len(row.ids) for row in encoded)


def test_a_batch_without_all_labels_has_none() -> None:
    encoded = [Encoded((1, 2), None, None, 0), Encoded((1, 2), None, 1, 1)]
    (batch,) = batches(encoded, batch_size=2, pad_id=0)
    assert batch.labels is None
    assert "token_type_ids" not in batch.inputs
    assert batch.to(torch.device("cpu")).labels is None


def test_a_batch_size_below_one_is_refused() -> None:
    with pytest.raises(UsageError, match="--batch-size 0"):
        batches(rows([3]), batch_size=0, pad_id=0)


def test_encoding_many_rows_equals_encoding_one_at_a_time(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    examples = [Example("the film was good " * (i % 5 + 1), "and bad" if i % 3 == 0 else None, 1) for i in range(20)]
    together = encode(tiny_tokenizer, examples, max_length=12)
    assert [row.index for row in together] == list(range(20))
    for example, row in zip(examples, together, strict=True):
        (alone,) = encode(tiny_tokenizer, [example], max_length=12)
        assert (alone.ids, alone.type_ids) == (row.ids, row.type_ids)


def test_the_longer_text_of_a_pair_is_cut_first(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    (row,) = encode(tiny_tokenizer, [Example("good " * 30, "bad film")], max_length=12)
    assert len(row.ids) == 12
    pieces = tiny_tokenizer.convert_ids_to_tokens(list(row.ids))
    assert pieces == ["[CLS]", *["good"] * 7, "[SEP]", "bad", "film", "[SEP]"]
    assert row.type_ids == (0,) * 9 + (1,) * 3


def test_saved_padding_and_truncation_are_not_inherited(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    from tests.tiny import tiny_tokenizer as fresh

    marked = fresh()
    marked.backend_tokenizer.enable_padding(length=40)
    marked.backend_tokenizer.enable_truncation(3)
    examples = [Example("the film was very good", label=0)]
    assert encode(marked, examples, max_length=20) == encode(tiny_tokenizer, examples, max_length=20)


def test_a_length_without_room_is_refused(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(UsageError, match="--max-length 2 leaves no room"):
        encode(tiny_tokenizer, [Example("good")], max_length=2)
    assert len(encode(tiny_tokenizer, [Example("good film")], max_length=3)[0].ids) == 3


def test_a_token_beyond_the_embedding_is_named() -> None:
    from tests.tiny import tiny_tokenizer as fresh

    tokenizer = fresh()
    rows = len(tokenizer)
    tokenizer.add_tokens(["<url>"])
    examples = [Example("a good film"), Example("good <url> film", "bad")]
    limit_ids(tokenizer, rows + 1)
    assert encode(tokenizer, examples, max_length=20)[1].ids.count(rows) == 1
    limit_ids(tokenizer, rows)
    with pytest.raises(DataError, match=f"row 2 holds the token '<url>' \\({rows}\\), and .* has {rows} rows"):
        encode(tokenizer, examples, max_length=20)
    with pytest.raises(DataError, match="the text 'good <url>' holds the token '<url>'"):
        token_ids(tokenizer, "good <url>")
    assert len(encode(tokenizer, examples[:1], max_length=20)) == 1


def test_a_tokenizer_that_panics_on_a_text_is_refused() -> None:
    class PanicException(BaseException):
        pass

    class Broken:
        def __call__(self, *_: object, **__: object) -> object:
            raise PanicException("index\nout of range")

        def num_special_tokens_to_add(self, pair: bool = False) -> int:
            return 0

    with pytest.raises(CheckpointError, match="fails on a text: index out of range"):
        encode(Broken(), [Example("good")], max_length=9)
