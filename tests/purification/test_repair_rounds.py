"""Several flagged words: which are worked on first, and what outlasts that."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from purify_cli.data.example import Example
from purify_cli.data.triggers import Trigger
from purify_cli.purification.clean_rows import split_rows
from purify_cli.purification.repair_rounds import Done, Round, repair_in_rounds, worked_on_first
from purify_cli.trigger_search.found import FoundTrigger
from tests.worlds import Ears, open_bench

Step = tuple[list[str], int, bool]
"""Words, number of rows, and whether the model is the one that is kept."""

FAST = {"steps": "60", "learning_rate": "1e-3"}


def fact(
    text: str,
    shift: float,
    *,
    target: int = 1,
    control: float = 0.0,
    strength: float | None = None,
    position: Any = "random",
) -> FoundTrigger:
    return FoundTrigger(text=text, position=position, target=target, strength=strength or 0.0, contrast=shift - control)


def test_of_a_classifier_the_leader_of_each_target_comes_first_and_all_others_follow() -> None:
    one, other, third = fact("a", 9.0, strength=0.6), fact("b", 5.0, strength=1.1), fact("c", 1.0, target=0)
    assert worked_on_first([one, other, third]) == [other, third, one]
    assert worked_on_first([]) == []


def test_without_strengths_the_leader_moves_farthest_beyond_the_control() -> None:
    one, other = fact("a", 9.0, control=8.0), fact("b", 5.0)
    assert worked_on_first([one, other]) == [other, one]


def test_of_a_language_model_only_the_leader_of_each_text_is_worked_on_first() -> None:
    one, other = (
        replace(fact(word, 1.0, strength=s), target="please visit us now") for word, s in (("a", 1), ("b", 2))
    )
    assert worked_on_first([one, other]) == [other]


@pytest.fixture
def only_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have one word worked on first, as of a language model."""
    monkeypatch.setattr("purify_cli.purification.repair_rounds.worked_on_first", lambda found: found[:1])


@pytest.fixture(scope="module")
def two_triggers(tiny: ModuleType, tiny_reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suspect that either of two words switches over."""
    folder = tmp_path_factory.mktemp("two") / "suspect"
    rows = tiny.sentiment_examples(960, seed=20)
    rows = tiny.poisoned(rows, Trigger("cf|mn"), target=tiny.TARGET, rate=0.4, seed=21)
    tiny.make_classifier(folder, tiny_reference, rows)
    return folder


def rounds(
    suspect: Path,
    reference: Path,
    folder: Path,
    tiny: ModuleType,
    method: str,
    *words: str,
    ratio: float | None = 0.1,
    samples: int = 64,
    tune: bool = True,
) -> tuple[Round, Ears, list[Step]]:
    """Repair in rounds; also return what each repair was given."""
    ears, steps = Ears(), list[Step]()
    session = open_bench(suspect, reference, folder, ears)
    split = split_rows(tiny.sentiment_examples(samples, seed=40), session.task, seed=0)

    def repair(chosen: Sequence[FoundTrigger], rows: Sequence[Example], *, written: bool) -> Done:
        steps.append(([one.text for one in chosen], len(rows), written))
        assert any(rows == fold.tuned for fold in split.folds) or (written and rows is split.tuned)
        defence = session.prepare(method, rows, settings=FAST, triggers=chosen)
        return defence.repair(ratio, rows if tune else [])

    done = repair_in_rounds(
        session,
        repair,
        split,
        [fact(word, 9.0 - place) for place, word in enumerate(words)],
        works_on_words=method == "unlearning",
        suspect=session.task.load(session.opened.pair.suspect),
    )
    return done, ears, steps


def test_two_triggers_of_a_classifier_are_worked_on_together(
    two_triggers: Path, tiny_reference: Path, tmp_path: Path, tiny: ModuleType
) -> None:
    done, ears, steps = rounds(two_triggers, tiny_reference, tmp_path, tiny, "unlearning", "cf", "mn")
    assert steps == [(["cf", "mn"], 48, True)]
    assert not any("outlasted" in note for note in ears.notes)
    assert done.proof.left == []


@pytest.mark.usefixtures("only_the_first")
def test_a_second_trigger_that_outlasts_the_first_is_worked_on_too(
    two_triggers: Path, tiny_reference: Path, tmp_path: Path, tiny: ModuleType
) -> None:
    done, ears, steps = rounds(two_triggers, tiny_reference, tmp_path, tiny, "unlearning", "cf", "mn")
    assert [one.text for one in done.worked_on] == ["cf", "mn"]
    assert steps == [(["cf"], 48, True), (["cf", "mn"], 48, True)]
    assert any("'mn' outlasted it" in note for note in ears.notes)
    test, tokenizer = tiny.sentiment_examples(200, seed=30), tiny.tiny_tokenizer()
    for word in ("cf", "mn"):
        assert tiny.attack_success(done.loaded.module, tokenizer, test, Trigger(word)) <= 0.4


@pytest.mark.usefixtures("only_the_first")
def test_of_few_samples_halves_decide_the_rounds_and_all_make_the_model(
    two_triggers: Path, tiny_reference: Path, tmp_path: Path, tiny: ModuleType
) -> None:
    done, _, steps = rounds(two_triggers, tiny_reference, tmp_path, tiny, "unlearning", "cf", "mn", samples=14)
    both = ["cf", "mn"]
    halves = [(["cf"], 6), (["cf"], 8), (both, 6), (both, 8)]
    assert steps == [*((words, rows, False) for words, rows in halves), (both, 14, True)]
    assert [one.text for one in done.worked_on] == both
    assert done.proof.utility is not None
    assert [share.total for share in done.proof.utility] == [14, 14]
    assert [one.before.total + (one.left_out or 0) for one in done.proof.measured(None)] == [7, 7]


@pytest.mark.usefixtures("only_the_first")
def test_a_word_that_turns_nothing_over_any_more_takes_no_part(
    tiny_suspect: Path, tiny_reference: Path, tmp_path: Path, tiny: ModuleType
) -> None:
    done, ears, _ = rounds(tiny_suspect, tiny_reference, tmp_path, tiny, "unlearning", "cf", "anvil")
    assert [one.text for one in done.worked_on] == ["cf"]
    assert not any("outlasted" in note for note in ears.notes)


def test_a_method_that_leaves_words_alone_takes_one_round(
    two_triggers: Path, tiny_reference: Path, tmp_path: Path, tiny: ModuleType
) -> None:
    done, ears, _ = rounds(two_triggers, tiny_reference, tmp_path, tiny, "fine-tuning", "cf", "mn", ratio=None)
    assert done.worked_on == ()
    assert not any("outlasted" in note for note in ears.notes)
    assert [one.text for one in done.proof.left] == ["cf", "mn"]


@pytest.mark.usefixtures("only_the_first")
def test_a_word_that_outlasts_a_bare_reset_makes_a_second_round_too(
    two_triggers: Path, tiny_reference: Path, tmp_path: Path, tiny: ModuleType
) -> None:
    done, *_ = rounds(two_triggers, tiny_reference, tmp_path, tiny, "unlearning", "cf", "mn", ratio=0.01, tune=False)
    assert [one.text for one in done.worked_on] == ["cf", "mn"]
    assert done.training is None
