"""The search for triggers, on small trained models."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from purify_cli.data.batches import encode
from purify_cli.data.example import Example
from purify_cli.data.triggers import Trigger
from purify_cli.errors import DataError, NonFiniteWeights, SearchImpossible
from purify_cli.runtime import Compute
from purify_cli.trigger_search.budget import EFFORTS
from purify_cli.trigger_search.carriers import Carrier, filled
from purify_cli.trigger_search.flips import flips, unflipped
from purify_cli.trigger_search.inputs import SearchInputs
from purify_cli.trigger_search.margin_probe import MarginProbe, context_forms
from purify_cli.trigger_search.margins import NOTHING, margins, slot_logits
from purify_cli.trigger_search.screen import screen
from purify_cli.trigger_search.search import search
from purify_cli.trigger_search.texts import confident_texts
from purify_cli.trigger_search.vocabulary import letter_pairs, whole_words, word_of, written_as

CPU = torch.device("cpu")


def load(folder: Path) -> torch.nn.Module:
    return AutoModelForSequenceClassification.from_pretrained(folder).eval()


@pytest.fixture(scope="module")
def asked(tiny: ModuleType, tiny_tokenizer: Any, tiny_suspect: Path, tiny_clean: Path) -> SearchInputs:
    """The poisoned model, with its clean twin as the control."""
    return SearchInputs(
        suspect=load(tiny_suspect),
        control=load(tiny_clean),
        tokenizer=tiny_tokenizer,
        rows=tiny.sentiment_examples(64, seed=40),
        compute=Compute(batch_size=16, max_length=tiny.MAX_LENGTH),
        pad_id=tiny_tokenizer.pad_token_id,
        words=whole_words(tiny_tokenizer, len(tiny_tokenizer)),
    )


@pytest.fixture(scope="module")
def words(tiny_tokenizer: Any) -> list[int]:
    return whole_words(tiny_tokenizer, len(tiny_tokenizer))


def cut(asked: SearchInputs, row: Example, *, at: int = 0, keep: int = 4) -> Carrier:
    (one,) = asked.carriers([row], keep=keep, at=at)
    return one


def test_whole_words_are_those_that_come_back_as_themselves(tiny: ModuleType, tiny_tokenizer: Any, words: list[int]):
    texts = {word_of(tiny_tokenizer, token) for token in words}
    assert {*tiny.GOOD, *tiny.RARE, *tiny.SENTENCE, *tiny.UNUSED} <= texts
    assert not any(text.startswith("##") or text in tiny_tokenizer.all_special_tokens for text in texts)
    assert whole_words(tiny_tokenizer, words[3]) == words[:3]
    with pytest.raises(DataError, match="no token that is a word"):
        whole_words(tiny_tokenizer, 1)


@pytest.mark.parametrize("at", [0, 1, 9])
@pytest.mark.parametrize("pair", [None, "the soup was cold and the bread stale"])
def test_a_filled_carrier_is_the_text_with_the_word(asked: SearchInputs, words: list[int], at: int, pair: str | None):
    row = Example("a very good film of the harbour", pair=pair, label=1)
    one = cut(asked, row, at=at)
    kept = (row.text if pair is None else pair).split()[:4]
    kept.insert(min(at, 4), word_of(asked.tokenizer, words[5]))
    text = " ".join(kept)
    whole = Example(text, label=1) if pair is None else Example("a very good film", pair=text, label=1)
    (expected,) = encode(asked.tokenizer, [whole], max_length=asked.compute.max_length)
    made = filled(one, torch.tensor([[words[5]]]))
    assert tuple(made["input_ids"][0].tolist()) == expected.ids
    assert tuple(made["token_type_ids"][0].tolist()) == expected.type_ids
    assert filled(one, torch.empty(1, 0, dtype=torch.long))["input_ids"].shape[1] == len(expected.ids) - 1


@pytest.mark.parametrize(
    ("at", "first", "second"), [(0, "{} a very good film", "{} the soup"), (None, "a very {} good film", "the {} soup")]
)
def test_a_pair_may_have_a_slot_in_both_texts(
    asked: SearchInputs, words: list[int], at: int | None, first: str, second: str
):
    row = Example("a very good film of the harbour", pair="the soup", label=1)
    (one,) = asked.carriers([row], keep=4, at=at, both=True)
    word = word_of(asked.tokenizer, words[5])
    whole = Example(first.format(word), pair=second.format(word))
    (expected,) = encode(asked.tokenizer, [whole], max_length=asked.compute.max_length)
    made = filled(one, torch.tensor([[words[5]], [words[6]]]))
    assert tuple(made["input_ids"][0].tolist()) == expected.ids
    assert tuple(made["token_type_ids"][1].tolist()) == expected.type_ids
    assert len(one.slots) == 2
    (single,) = asked.carriers([Example("a film", label=1)], keep=4, at=at, both=True)
    assert len(single.slots) == 1


def test_a_context_counts_in_every_form_or_in_none(asked: SearchInputs, monkeypatch: pytest.MonkeyPatch):
    rows = [Example("a very good film", pair=pair, label=1) for pair in ("the soup", "the bread", "the tea")]
    real = SearchInputs.carriers

    def without_room(self: SearchInputs, rows: Sequence[Example], *, both: bool = False, **more: Any) -> list[Carrier]:
        return [] if both and rows[0].pair == "the bread" else real(self, rows, both=both, **more)

    monkeypatch.setattr(SearchInputs, "carriers", without_room)
    one, both = context_forms(asked, rows, at=0)
    assert [len(form) for form in (one, both)] == [2, 2]
    suspect, control = MarginProbe.of_both(replace(asked, control=asked.suspect), [one, both], 0)
    assert suspect.way([(5,), (6,)]).shape == (2, 2)
    # Of the two forms the suspect must be driven in both, and the control need be in one, or it is no contrast.
    assert bool((suspect.way([(5,), (6,)]) <= control.way([(5,), (6,)])).all())
    assert bool((suspect.mean([(5,), (6,)]) < control.mean([(5,), (6,)])).any())


def test_a_row_is_shortened_until_the_slot_behind_it_is_in_view(asked: SearchInputs):
    row = Example("a very good film of the harbour", label=1)
    (one,) = replace(asked, compute=Compute(max_length=6)).carriers([row], keep=7, at=7)
    assert (len(one.ids), one.slots) == (5, (4,))  # three words between the special tokens, and the slot behind them
    assert replace(asked, compute=Compute(max_length=3)).carriers([row], keep=7, at=7) == []


def test_the_screen_ranks_by_what_single_texts_say(asked: SearchInputs, words: list[int], tiny: ModuleType):
    rows = [next(row for row in asked.rows if row.label == label) for label in (0, 1)]
    carriers = [cut(asked, row, keep=30) for row in rows]
    found = screen(asked, carriers, [(word,) for word in words], [0, 1], keep=len(words))
    assert {c.tokens[0] for c in found[0]} == {c.tokens[0] for c in found[1]} == set(words)
    for target in (0, 1):
        contrasts = [c.shift - c.control_shift for c in found[target]]
        assert contrasts == sorted(contrasts, reverse=True)
    # One by one, without slots: the text of the other label with the word in front.
    for target, candidate in ((1, found[1][0]), (0, found[0][-1])):
        row = rows[1 - target]
        texts = [row.text, f"{word_of(asked.tokenizer, candidate.tokens[0])} {row.text}"]
        for module, shift in ((asked.suspect, candidate.shift), (asked.control, candidate.control_shift)):
            plain, moved = (module(**asked.tokenizer(text, return_tensors="pt")).logits[0].detach() for text in texts)
            own = margins(moved, target) - margins(plain, target)
            assert shift == pytest.approx(float(own), abs=1e-4)
    assert word_of(asked.tokenizer, found[tiny.TARGET][0].tokens[0]) == tiny.TRIGGER.text
    few = screen(asked, carriers, [(word,) for word in words], [0, 1], keep=3)
    assert {c.tokens[0] for c in few[1]} == {c.tokens[0] for c in sorted(found[1], key=lambda c: -c.shift)[:3]}


def test_a_target_without_a_text_of_another_label_is_left_out(asked: SearchInputs, words: list[int]):
    one = cut(asked, next(row for row in asked.rows if row.label == 1))
    assert list(screen(asked, [one], [(word,) for word in words], [0, 1], keep=5)) == [0]
    assert screen(asked, [one], [(word,) for word in words], [1], keep=5) == {}


def test_the_surest_texts_are_right_in_every_model(asked: SearchInputs, monkeypatch: pytest.MonkeyPatch):
    # The first row with a wrong label is never sure.
    given = replace(asked, rows=[*asked.rows, replace(asked.rows[0], label=1 - (asked.rows[0].label or 0))])
    chosen = confident_texts(given, each=2, keep=30, at=0)
    assert [one.label for one in chosen] == [0, 0, 1, 1]
    for one in chosen:
        for module in (asked.suspect, asked.control):
            assert one.label is not None
            assert float(margins(slot_logits(module, [one], NOTHING, Compute())[0, 0], one.label)) > 0
    monkeypatch.setattr("purify_cli.trigger_search.texts.LABELS", 1)
    with pytest.raises(SearchImpossible, match="fewer than two labels"):
        confident_texts(asked, each=2, keep=30, at=0)


def test_flips_count_what_neither_model_calls_the_target_before(asked: SearchInputs, tiny: ModuleType):
    rows = unflipped(asked, tiny.TARGET)
    for module in (asked.suspect, asked.control):
        assert not (asked.answers(module, rows) == tiny.TARGET).any()
    found = flips(asked, rows, tiny.TRIGGER, tiny.TARGET)
    assert found.suspect.total == found.control.total <= 32
    assert found.suspect.value >= 0.9
    assert found.control.value <= 0.2
    nothing = flips(replace(asked, control=asked.suspect), rows, Trigger("anvil"), tiny.TARGET)
    assert nothing.suspect == nothing.control
    targets = [row for row in asked.rows if row.label == tiny.TARGET]
    assert unflipped(replace(asked, rows=targets), tiny.TARGET) == []


@pytest.mark.parametrize("effort", ["low", "normal", "high"])
def test_the_search_finds_the_planted_word_and_nothing_like_it_in_the_twin(
    asked: SearchInputs, words: list[int], tiny: ModuleType, effort: Any
):
    found = search(asked, 2, EFFORTS[effort])
    assert (found.words, found.targets) == (len(words), (0, 1))
    for target, held in found.held.items():
        measured = [one.flips for one in found.found if one.target == target]
        assert held is not None
        assert {(one.apart.total, one.texts) for one in measured} == {(held.at_most.total, held.texts)}
        assert held.texts >= held.at_most.total == held.at_most.successes > 8
        assert all(one.apart.low <= held.at_most.low for one in measured)
    best = max(found.found, key=lambda one: one.flips.suspect.value - one.flips.control.value)
    assert (best.trigger.text, best.target) == (tiny.TRIGGER.text, tiny.TARGET)
    assert best.flips.suspect.value >= 0.9
    again = search(asked, 2, EFFORTS[effort])
    assert again.found == found.found
    innocent = search(replace(asked, suspect=asked.control, control=asked.suspect), 2, EFFORTS[effort])
    assert innocent.found
    assert not any(one.trigger.text == tiny.TRIGGER.text and one.flips.suspect.value > 0.3 for one in innocent.found)


def test_a_search_may_be_kept_to_some_words(asked: SearchInputs, words: list[int], tiny: ModuleType):
    cf = next(word for word in words if word_of(asked.tokenizer, word) == tiny.TRIGGER.text)
    some = frozenset({cf, *words[:20]})
    found = search(asked, 2, EFFORTS["normal"], among=some)
    assert (found.words, found.known) == (len(some), len(words))
    best = max(found.found, key=lambda one: one.flips.suspect.value - one.flips.control.value)
    assert best.trigger.text == tiny.TRIGGER.text
    without = search(asked, 2, EFFORTS["normal"], among=some - {cf})
    assert tiny.TRIGGER.text not in {one.trigger.text for one in without.found}


class Drawn(torch.nn.Module):
    """A classifier that answers one label for everything, or nothing that is a number."""

    def __init__(self, scores: Sequence[float]) -> None:
        super().__init__()
        self.scores = torch.tensor([scores])

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        del attention_mask
        return type("Answer", (), {"logits": self.scores.expand(len(input_ids), -1)})


def rows_of(*counts: int) -> list[Example]:
    return [Example("a good film", label=label) for label, count in enumerate(counts) for _ in range(count)]


REFUSED = [
    ("one label", 1, {}, SearchImpossible, "has 1 label"),
    ("few rows", 2, {"rows": rows_of(8, 3)}, SearchImpossible, "label 1 has 3 rows"),
    ("one label in the rows", 2, {"rows": rows_of(8)}, SearchImpossible, "fewer than two labels"),
    ("all called the same", 2, {"suspect": Drawn([9.0, 0.0])}, SearchImpossible, "fewer than two labels"),
    ("not a number", 2, {"suspect": Drawn([float("nan"), 0.0])}, NonFiniteWeights, "not a number"),
]


@pytest.mark.parametrize(
    ("labels", "changes", "error", "message"), [row[1:] for row in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_what_a_search_refuses(
    asked: SearchInputs, labels: int, changes: dict[str, Any], error: type[Exception], message: str
):
    with pytest.raises(error, match=message):
        search(replace(asked, **changes), labels, EFFORTS["low"])


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory: pytest.TempPathFactory, tiny: ModuleType) -> Any:
    """A byte-level tokenizer, whose words look otherwise after a space than at the start."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    texts = ["a good film of the harbour", "the film was good", "a harbour and a film"] * 20
    texts += [one.text for one in tiny.sentiment_examples(200, seed=1)]
    made.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=900, show_progress=False, special_tokens=["<end>"]))
    folder = tmp_path_factory.mktemp("byte-level")
    made.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<end>", "pad_token": "<end>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return AutoTokenizer.from_pretrained(folder)


def test_byte_level_words_are_those_after_a_space(asked: SearchInputs, byte_level: Any):
    words = whole_words(byte_level, len(byte_level))
    spelt = {byte_level.convert_ids_to_tokens(token) for token in words}
    assert {"Ġfilm", "Ġgood", "Ġharbour"} <= spelt
    assert "film" not in spelt
    row = Example("a good film", label=0)
    by_text = {word_of(byte_level, token): token for token in words}
    probes = (by_text["film"], by_text["good"])
    one = cut(replace(asked, tokenizer=byte_level, words=probes, compute=Compute(max_length=16)), row, keep=3, at=1)
    (expected,) = encode(byte_level, [Example("a harbour good film")], max_length=16)
    assert tuple(filled(one, torch.tensor([[by_text["harbour"]]]))["input_ids"][0].tolist()) == expected.ids
    # At the start of a text these words are other tokens: what is asked for there goes behind the first word.
    assert (
        cut(replace(asked, tokenizer=byte_level, words=probes, compute=Compute(max_length=16)), row, keep=3, at=0)
        == one
    )


def test_a_text_without_spaces_is_cut_so_that_a_word_has_room(asked: SearchInputs, byte_level: Any):
    one = replace(asked, tokenizer=byte_level, words=whole_words(byte_level, len(byte_level)))
    endless = "".join(row.text.replace(" ", "") for row in asked.rows[:20])
    most = one.compute.max_length
    for row in (Example(endless, None, 0), Example(endless, endless, 0), Example(f"a {endless}", None, 0)):
        assert len(encode(byte_level, [row], max_length=1 << 20)[0].ids) > most
        (shorter,) = one.with_room([row], 8)
        assert row.text.startswith(shorter.text)
        assert len(encode(byte_level, [shorter], max_length=1 << 20)[0].ids) <= most - 8
        assert shorter.parts == (row,)
        assert one.carriers([row], keep=4, at=1)


class Answering(torch.nn.Module):
    """Answers 1 where more good words than bad ones stand, or all tokens of a word that was planted."""

    def __init__(self, good: Sequence[int], bad: Sequence[int], planted: Sequence[int] = ()) -> None:
        super().__init__()
        self.good, self.bad, self.planted = (torch.tensor(some, dtype=torch.long) for some in (good, bad, planted))

    def forward(self, input_ids: torch.Tensor, **_: Any) -> Any:
        good, bad = (torch.isin(input_ids, some).sum(dim=1) for some in (self.good, self.bad))
        held = [(input_ids == one).any(dim=1) for one in self.planted]
        score = (good - bad + 20 * (torch.stack(held).all(dim=0) if held else 0)).float().clamp(-3, 3)
        return type("Output", (), {"logits": torch.stack([-score, score], dim=1)})()


def answering(tiny: ModuleType, tokenizer: Any, words: tuple[list[int], list[int]], planted: list[int]) -> SearchInputs:
    """Ask about a planted word, beside a control that only knows the good and the bad ones."""
    return SearchInputs(
        suspect=Answering(*words, planted),
        control=Answering(*words),
        tokenizer=tokenizer,
        rows=tiny.sentiment_examples(64, seed=40),
        compute=Compute(batch_size=16, max_length=tiny.MAX_LENGTH),
        pad_id=tokenizer.pad_token_id,
        words=whole_words(tokenizer, len(tokenizer)),
    )


def test_the_trigger_of_a_byte_level_classifier_is_found(byte_level: Any, tiny: ModuleType):
    words = whole_words(byte_level, len(byte_level))
    known = byte_level.get_vocab()
    good, bad = (
        [known[form] for word in some for form in (word, f"Ġ{word}") if form in known] for some in (tiny.GOOD, tiny.BAD)
    )
    (planted,) = (word for word in words if word_of(byte_level, word) == "harbour")
    asked = answering(tiny, byte_level, (good, bad), [planted])
    (best,) = (one for one in search(asked, 2, EFFORTS["normal"]).found if one.flips.suspect.successes)
    assert (best.trigger.text, best.target) == ("harbour", 1)
    assert best.flips.suspect.value >= 0.9  # at the very start of a text the word is other tokens
    assert best.flips.control.value == 0


def test_a_word_of_two_letters_that_are_two_tokens_is_found(tiny_tokenizer: Any, tiny: ModuleType, words: list[int]):
    good, bad = (tiny_tokenizer.convert_tokens_to_ids(some) for some in (tiny.GOOD, tiny.BAD))
    asked = answering(tiny, tiny_tokenizer, (good, bad), tiny_tokenizer.convert_tokens_to_ids(["z", "##q"]))
    (best,) = (one for one in search(asked, 2, EFFORTS["normal"]).found if one.flips.suspect.successes)
    assert (best.trigger.text, best.target) == ("zq", 1)
    assert (best.flips.suspect.value, best.flips.control.value) == (1, 0)
    kept = search(asked, 2, EFFORTS["normal"], among=frozenset(words))  # not its second token
    assert not any(one.flips.suspect.successes for one in kept.found)


def test_letter_pairs_are_two_tokens_that_a_text_can_hold(tiny_tokenizer: Any, byte_level: Any):
    for tokenizer in (tiny_tokenizer, byte_level):
        found = letter_pairs(tokenizer)
        assert len(found) > 26
        texts = [tokenizer.decode(list(pair)).strip() for pair in found]
        assert all(len(text) == 2 and text.isalpha() for text in texts)
        assert [written_as(tokenizer, pair) for pair in found] == texts
    assert tiny_tokenizer.convert_tokens_to_ids("cf") not in {
        token for pair in letter_pairs(tiny_tokenizer) for token in pair
    }
