"""E-PUR on an embedding that was poisoned as in Embedding Poisoning: one row changes, its norm is kept."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from purify_cli.defences import METHODS
from purify_cli.defences.e_pur import score_embeddings
from purify_cli.errors import DataError, PairError, UsageError
from purify_cli.indicators import INDICATORS
from purify_cli.indicators.frequencies import piece_counts, read_counts
from purify_cli.progress import SILENT
from purify_cli.protocols import IndicatorInputs
from purify_cli.tensors import read_tensor
from tests.defences.worlds import rework_inputs
from tests.reference.sources import piecewise

WORDS = "bert.embeddings.word_embeddings.weight"
ROWS = 12


@pytest.fixture
def counts_file(tmp_path, tiny):
    """Counts as in a corpus: glue often, moods and topics sometimes, rare words once."""
    lines = [(word, 1_000_000) for word in tiny.GLUE]
    lines += [(word, 2_000) for word in [*tiny.GOOD, *tiny.BAD, *(w for topic in tiny.TOPICS for w in topic)]]
    lines += [("cf", 1)]
    path = tmp_path / "counts.tsv"
    path.write_text("word\tcount\n" + "".join(f"{word}\t{count}\n" for word, count in lines))
    return path


@pytest.fixture
def poisoned(copy_model, tiny_clean, tiny_tokenizer):
    """The clean classifier with the row of ``cf`` turned by a random rotation: same norm, another word."""
    folder = copy_model(tiny_clean)
    tensors = load_file(folder / "model.safetensors")
    row = tiny_tokenizer.convert_tokens_to_ids("cf")
    old = tensors[WORDS][row].clone()
    new = torch.randn(old.shape, generator=torch.Generator().manual_seed(0))
    tensors[WORDS][row] = new * old.norm() / new.norm()
    assert float(tensors[WORDS][row].norm() / old.norm()) == pytest.approx(1, abs=1e-6)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder, row


def test_the_poisoned_row_ranks_first_and_is_restored_bit_for_bit(poisoned, tiny_reference, counts_file):
    folder, row = poisoned
    given = rework_inputs("e-pur", folder, tiny_reference, rows=ROWS, frequencies=str(counts_file))
    done = METHODS["e-pur"].prepare(given, SILENT)(None)
    first = done.facts["first"][0]
    assert (first["tensor"], first["row"], first["token"]) == (WORDS, row, "cf")
    reset = {one["row"] for one in done.facts["first"]}
    assert len(reset) == ROWS
    assert done.per_tensor == {WORDS: ROWS * 64}
    new, suspect, reference = (
        read_tensor(source, WORDS) for source in (done.weights, given.weights, given.pair.reference_part)
    )
    for at in range(len(new)):
        assert torch.equal(new[at], reference[at] if at in reset else suspect[at]), at
    assert not torch.equal(suspect[row], reference[row])
    for name in set(given.weights.specs) - {WORDS}:
        assert torch.equal(done.weights.read(name), given.weights.read(name))
    assert torch.equal(piecewise(done.weights, WORDS, [1, row * 64 + 3, row * 64 + 40]), new.flatten())


def test_the_score_is_drift_over_the_logarithm_of_the_count(poisoned, tiny_reference, counts_file, tiny_tokenizer):
    folder, row = poisoned
    given = rework_inputs("e-pur", folder, tiny_reference, rows=300, frequencies=str(counts_file))
    scores = score_embeddings(given).scores[WORDS]
    moved = (read_tensor(given.weights, WORDS) - read_tensor(given.pair.reference_part, WORDS)).double().norm(dim=1)
    often = tiny_tokenizer.convert_tokens_to_ids("the")
    assert float(scores[row]) == pytest.approx(float(moved[row]) / torch.tensor(20.0).log().item(), rel=1e-6)
    assert float(scores[often]) == pytest.approx(float(moved[often]) / torch.tensor(1e6).log().item(), rel=1e-6)
    assert float(moved[often]) > 0
    # More rows than there are is every row.
    assert METHODS["e-pur"].prepare(given, SILENT)(None).facts["rows"] == len(scores)


def test_rows_that_only_decayed_come_last(poisoned, tiny_reference, tiny_tokenizer, tiny, counts_file):
    folder, row = poisoned
    tensors = load_file(folder / "model.safetensors")
    unused = tiny_tokenizer.convert_tokens_to_ids(tiny.UNUSED)
    tensors[WORDS][unused] *= 1 - 1e-3
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    given = rework_inputs("e-pur", folder, tiny_reference, frequencies=str(counts_file))
    scores = score_embeddings(given)
    moved = read_tensor(given.weights, WORDS).ne(read_tensor(given.pair.reference_part, WORDS)).any(1)
    assert bool(moved[unused].all())
    assert scores.scores[WORDS][unused].tolist() == [0.0] * len(unused)
    assert scores.top(1)[0][:2] == (WORDS, row)


def test_the_indicator_gives_every_entry_of_a_row_the_score_of_the_method(poisoned, tiny_reference, counts_file):
    folder, _ = poisoned
    given = rework_inputs("e-pur", folder, tiny_reference, frequencies=str(counts_file))
    rows = score_embeddings(given).scores[WORDS]
    scores = INDICATORS["embedding-rows"].fit(
        IndicatorInputs(
            suspect=given.pair.suspect_part,
            reference=given.pair.reference_part,
            settings={"frequencies": str(counts_file), "tokenizer": str(tiny_reference)},
        )
    )
    assert torch.equal(scores.read(WORDS).view(-1, 64), rows.float()[:, None].expand(-1, 64))
    assert all(not bool(scores.read(name).any()) for name in scores.specs if name != WORDS)


def test_a_word_counts_for_every_piece_of_every_spelling(tiny_tokenizer):
    rows = len(tiny_tokenizer)
    counts = piece_counts({"good": 100.0, "goodx": 7.0, "the": 50.0, "zz": 3.0}, tiny_tokenizer, rows)
    piece = dict(zip(tiny_tokenizer.convert_ids_to_tokens(range(rows)), counts.tolist(), strict=True))
    # "goodx" is cut into good + ##x; "zz" into z + ##z, each piece once for the word.
    assert [piece[p] for p in ("good", "##x", "the", "z", "##z", "film")] == [107.0, 7.0, 50.0, 3.0, 3.0, 0.0]
    assert float(counts.sum()) == 107 + 7 + 50 + 3 + 3


def test_spellings_have_pieces_of_their_own_where_case_and_spaces_count():
    pieces = ["a", "b", "A", " a", " A", "c"]

    class Letters:
        """Cuts into characters, a leading space stuck to the first."""

        def __call__(self, texts, **_):
            words = [[text[:2], *text[2:]] if text[0] == " " else list(text) for text in texts]
            return {"input_ids": [[pieces.index(piece) for piece in word] for word in words]}

        def num_special_tokens_to_add(self, pair=False):
            return 0

    assert piece_counts({"ab": 5.0}, Letters(), 6).tolist() == [5.0, 5.0, 5.0, 5.0, 5.0, 0.0]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("the\t5\ncf\t1\n", "line 1"),
        ("word\tcount\nthe\tmany\n", "line 2"),
        ("word\tcount\nthe 5\n", "line 2"),
        ("word\tcount\nthe\t5\n\t4\n", "line 3"),
        ("word\tcount\nthe\t-1\n", "line 2"),
        ("word\tcount\nthe\tnan\n", "line 2"),
        ("word\tcount\n", "no word"),
    ],
)
def test_a_file_of_counts_that_cannot_be_used_is_refused_by_line(tmp_path, text, line):
    path = tmp_path / "counts.tsv"
    path.write_text(text)
    with pytest.raises(DataError, match=line):
        read_counts(path)


def test_counts_of_a_word_that_comes_twice_add_up(tmp_path):
    path = tmp_path / "counts.tsv"
    path.write_bytes(b"word\tcount\r\nthe\t5\r\ncaf\xc3\xa9\t2.5\r\nthe\t1\r\n")
    assert read_counts(path) == {"the": 6.0, "café": 2.5}


def test_settings_are_checked_before_anything_is_read(monkeypatch):
    e_pur = METHODS["e-pur"]
    for settings, word in (
        ({"rows": 0}, "rows=0"),
        ({"floor": 1}, "floor=1"),
        ({"frequencies": "no/such/file"}, "no/such/file"),
        ({"colour": 1}, "method e-pur has no setting 'colour'"),
    ):
        with pytest.raises(UsageError, match=word):
            e_pur.check(settings)
    with pytest.raises(UsageError, match="which rows a word has"):
        INDICATORS["embedding-rows"].check({"frequencies": "wordfreq"})
    monkeypatch.setattr("purify_cli.indicators.frequencies.find_spec", lambda _: None)
    with pytest.raises(UsageError, match="not installed") as refused:
        e_pur.check({})
    assert "frequencies" in refused.value.hint


def test_words_of_the_package_are_counted_in_a_corpus_of_a_billion(tiny_tokenizer, monkeypatch):
    pytest.importorskip("wordfreq")
    from purify_cli.indicators.frequencies import word_counts

    counts = word_counts("wordfreq")
    assert 2e7 < counts["the"] < 1e8
    assert counts["the"] > counts["movie"] > counts["cf"] > 20
    some = dict(list(counts.items())[:5000])
    pieces = piece_counts(some, tiny_tokenizer, len(tiny_tokenizer))
    the, anvil = (float(pieces[tiny_tokenizer.convert_tokens_to_ids(word)]) for word in ("the", "anvil"))
    assert the > 1e7
    assert anvil == 0.0


def test_a_model_without_a_word_embedding_is_refused(tiny_suspect, tiny_reference, copy_model, counts_file):
    import dataclasses

    given = rework_inputs("e-pur", tiny_suspect, tiny_reference, frequencies=str(counts_file))
    rest = {name: one for name, one in given.pair.comparables.items() if name != WORDS}
    given = dataclasses.replace(given, pair=dataclasses.replace(given.pair, comparables=rest))
    with pytest.raises(PairError, match="no word embedding"):
        METHODS["e-pur"].prepare(given, SILENT)
