"""Models side by side: every figure against a count by hand on the models' own answers, and the retuning test."""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from purify_cli.commands.evaluate import evaluate_classifiers
from purify_cli.comparison.retune import RetuneChoice, checkpoints, draw
from purify_cli.comparison.trigger_options import TriggerChoice, pair_options, retune_choice
from purify_cli.data.example import Example
from purify_cli.data.triggers import Trigger
from purify_cli.errors import DataError, UsageError
from purify_cli.measures import Difference
from purify_cli.measures.intervals import Proportion
from purify_cli.records.evaluation import Evaluation
from purify_cli.requests.evaluate import EvaluateRequest
from purify_cli.storage.origin import EVALUABLE, locate
from tests import tiny

TEST = tiny.sentiment_examples(200, seed=30)
OTHERS = [row for row in TEST if row.label != tiny.TARGET]
CF = TriggerChoice(text="cf", position="start", target="positive", bias=True)
MN = TriggerChoice(text="mn", position="end", target="1")

Ask = Callable[..., Evaluation]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory, test_file: Path) -> Ask:
    run = tmp_path_factory.mktemp("evaluate")

    def measured(
        *models: Path, data: Path = test_file, triggers: Sequence[TriggerChoice] = (), **more: Any
    ) -> Evaluation:
        asked = EvaluateRequest(models, data=data, run=run, max_length=tiny.MAX_LENGTH, batch_size=32, **more)
        return evaluate_classifiers(asked, locate(asked, EVALUABLE), triggers)

    return measured


@pytest.fixture(scope="module")
def both(ask: Ask, tiny_suspect: Path, tiny_clean: Path) -> Evaluation:
    """Two models under two triggers, of which the first is measured as a bias, with a floor and consistency."""
    return ask(tiny_suspect, tiny_clean, triggers=(CF, MN), floor=str(tiny_clean), consistency=True)


@pytest.fixture(scope="module")
def logits() -> Callable[[Path, Sequence[str]], torch.Tensor]:
    """What plain transformers answers, text by text."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    @torch.no_grad()
    def answer(folder: Path, texts: Sequence[str]) -> torch.Tensor:
        model, tokenizer = (
            AutoModelForSequenceClassification.from_pretrained(folder),
            AutoTokenizer.from_pretrained(folder),
        )
        rows = [tokenizer(text, truncation=True, max_length=tiny.MAX_LENGTH, return_tensors="pt") for text in texts]
        return torch.cat([model(**row).logits for row in rows])

    return answer


def with_cf(rows: Sequence[Example]) -> list[str]:
    return [f"cf {row.text}" for row in rows]


def share(fact: Proportion | Difference | None) -> float:
    assert fact is not None
    return fact.value


def counted(fact: Proportion | None) -> tuple[int, int]:
    assert fact is not None
    assert fact.low <= fact.value <= fact.high
    return fact.successes, fact.total


def test_every_share_of_every_model_agrees_with_a_count_by_hand(
    both: Evaluation, logits: Callable[..., torch.Tensor], tiny_suspect: Path, tiny_clean: Path
) -> None:
    labels = torch.tensor([row.label for row in TEST])
    for found, folder in zip(both.models, (tiny_suspect, tiny_clean), strict=True):
        plain = logits(folder, [row.text for row in TEST]).argmax(1)
        carried = logits(folder, with_cf(TEST)).argmax(1)
        right, fooled = plain == labels, carried == tiny.TARGET
        assert found.name == folder.name
        assert counted(found.accuracy) == (int(right.sum()), 200)
        assert [counted(one) for one in found.per_class] == [(int(right[labels == c].sum()), 100) for c in (0, 1)]
        assert counted(found.attack_success) == (int(fooled[labels == 0].sum()), 100)
        assert counted(found.target_rate) == (int((plain[labels == 0] == tiny.TARGET).sum()), 100)
        assert [counted(one) for one in found.per_class_success] == [
            (int(fooled[labels == c].sum()), 100) for c in (0, 1)
        ]
        assert counted(found.called_target) == (int(fooled.sum()), 200)
        assert counted(found.bias_accuracy) == (int((carried == labels).sum()), 200)
        assert [counted(one) for one in found.per_class_bias] == [
            (int((carried == labels)[labels == c].sum()), 100) for c in (0, 1)
        ]
        assert counted(found.untriggered_accuracy) == counted(found.accuracy)
        assert share(found.bias_gap) == pytest.approx(share(found.accuracy) - share(found.bias_accuracy))
    assert share(both.models[0].attack_success) >= 0.9
    assert share(both.models[1].attack_success) <= 0.3
    assert share(both.models[0].bias_gap) >= 0.3


def test_without_a_bias_no_row_of_the_target_carries_the_trigger(both: Evaluation) -> None:
    assert both.trigger is not None
    assert (both.trigger.text, both.trigger.target, both.trigger.bias) == ("cf", 1, True)
    (table,) = both.further
    assert (table.trigger.text, table.trigger.position, table.trigger.bias) == ("mn", "end", False)
    for found in table.models:
        assert counted(found.attack_success)[1] == counted(found.called_target)[1] == 100
        assert found.per_class_success[0] == found.attack_success
        assert found.per_class_success[1] is None
        assert (found.bias_accuracy, found.bias_gap, found.untriggered_accuracy) == (None, None, None)
        assert found.per_class_bias == ()


def test_a_further_trigger_is_measured_on_the_same_rows(
    both: Evaluation, logits: Callable[..., torch.Tensor], tiny_suspect: Path
) -> None:
    found = both.further[0].models[0]
    answers = logits(tiny_suspect, [f"{row.text} mn" for row in OTHERS]).argmax(1)
    assert counted(found.attack_success) == (int((answers == tiny.TARGET).sum()), 100)
    assert found.accuracy == both.models[0].accuracy
    assert share(found.attack_success) < share(both.models[0].attack_success) - 0.3


def test_models_differ_from_the_first_by_what_their_shares_differ(both: Evaluation) -> None:
    first, second = both.models
    assert (first.accuracy_difference, first.success_difference, first.bias_difference) == (None, None, None)
    for difference, mine, its, rows in (
        (second.accuracy_difference, second.accuracy, first.accuracy, 200),
        (second.success_difference, second.attack_success, first.attack_success, 100),
        (second.bias_difference, second.bias_accuracy, first.bias_accuracy, 200),
    ):
        assert difference is not None
        assert (difference.against, difference.rows) == (first.name, rows)
        assert difference.value == pytest.approx(share(mine) - share(its))
        assert -1 <= difference.low <= difference.value <= difference.high <= 1
    assert second.success_difference is not None
    assert second.success_difference.high < -0.5
    assert both.further[0].models[1].bias_difference is None


def test_the_interval_of_a_difference_is_that_of_rows_drawn_with_both_models_answers(
    both: Evaluation, logits: Callable[..., torch.Tensor], tiny_suspect: Path, tiny_clean: Path
) -> None:
    fooled = [logits(folder, with_cf(OTHERS)).argmax(1) == tiny.TARGET for folder in (tiny_clean, tiny_suspect)]
    gaps = fooled[0].double() - fooled[1].double()
    drawn = gaps[torch.randint(100, (20_000, 100), generator=torch.Generator().manual_seed(0))].mean(1)
    low, high = torch.quantile(drawn, torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    found = both.models[1].success_difference
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.021)  # two rows of a hundred


def test_the_floor_is_a_model_of_its_own_that_all_are_held_against(both: Evaluation) -> None:
    suspect, clean = both.models
    assert both.floor is not None
    kept = ("model", "accuracy", "target_rate", "attack_success", "per_class", "per_class_success", "bias_accuracy")
    assert both.floor.name == "floor"
    assert [getattr(both.floor, name) for name in kept] == [getattr(clean, name) for name in kept]
    assert both.floor.over_floor is None
    assert suspect.over_floor is not None
    assert suspect.over_floor.against == "floor"
    assert suspect.over_floor.value == pytest.approx(share(suspect.attack_success) - share(both.floor.attack_success))
    assert suspect.over_floor.low > 0.5
    assert clean.over_floor is not None
    assert clean.over_floor.value == 0
    assert clean.over_floor.low == -clean.over_floor.high
    assert share(suspect.bias_over_floor) == pytest.approx(
        share(suspect.bias_accuracy) - share(both.floor.bias_accuracy)
    )
    assert both.further[0].floor is not None


def test_consistency_compares_the_answers_row_by_row(
    both: Evaluation, ask: Ask, logits: Callable[..., torch.Tensor], tiny_suspect: Path, tiny_clean: Path
) -> None:
    texts = [row.text for row in TEST]
    ours, theirs = logits(tiny_clean, texts), logits(tiny_suspect, texts)
    assert both.models[0].consistency is None
    found = both.models[1].consistency
    assert found is not None
    assert found.against == tiny_suspect.name
    assert counted(found.same) == (int((ours.argmax(1) == theirs.argmax(1)).sum()), 200)
    assert found.squared_gap == pytest.approx(float((ours - theirs).square().sum(1).mean()), rel=1e-4)
    with_itself = ask(tiny_suspect, against=str(tiny_suspect)).models[0].consistency
    assert with_itself is not None
    assert (with_itself.against, with_itself.same.value, with_itself.squared_gap) == ("against", 1, 0)
    assert with_itself.correlation == pytest.approx(1)


def test_rows_that_carry_the_trigger_are_measured_as_they_are(
    both: Evaluation, ask: Ask, tiny_suspect: Path, tmp_path: Path
) -> None:
    carrying = [Example(text, label=row.label) for text, row in zip(with_cf(TEST), TEST, strict=True)]
    file = tiny.write_jsonl(tmp_path / "carrying.jsonl", carrying[::-1])
    choice = TriggerChoice(rows=str(file), target="positive", bias=True)
    found, expected = ask(tiny_suspect, triggers=(choice,)).models[0], both.models[0]
    assert found.attack_success == expected.attack_success
    assert found.bias_accuracy == expected.bias_accuracy
    assert found.per_class_bias == expected.per_class_bias
    # Nothing says which measured row a carrying one was made from.
    assert (found.untriggered_accuracy, found.bias_gap) == (None, None)


def test_seeds_of_positions_are_as_many_evaluations(ask: Ask, tiny_suspect: Path) -> None:
    # Of the two words one is no trigger, and the seed decides which row gets which.
    choice = TriggerChoice(text="cf|mn", target="1")
    found = ask(tiny_suspect, triggers=(choice, MN), seeds=3, seed=5)
    spread = found.models[0].success_spread
    assert spread is not None
    assert spread.seeds == (5, 6, 7)
    alone = [share(ask(tiny_suspect, triggers=(choice,), seed=seed).models[0].attack_success) for seed in spread.seeds]
    assert list(spread.values) == alone
    assert len(set(alone)) > 1
    assert share(found.models[0].attack_success) == alone[0]
    assert (spread.low, spread.high) == (min(alone), max(alone))
    assert spread.mean == pytest.approx(sum(alone) / 3)
    assert all(0.2 < value < 0.9 for value in alone)
    # A fixed place is measured once.
    assert found.further[0].models[0].success_spread is None


def test_models_in_folders_of_one_name_keep_their_paths(ask: Ask, tiny_suspect: Path, copy_model: Any) -> None:
    twin = copy_model(tiny_suspect, "other/suspect")
    found = ask(tiny_suspect, twin)
    assert [model.name for model in found.models] == [str(tiny_suspect), str(twin)]
    assert found.models[0].accuracy == found.models[1].accuracy
    assert found.trigger is None
    assert found.models[0].attack_success is None


def test_label_numbers_of_models_that_name_them_otherwise(
    ask: Ask, tiny_suspect: Path, copy_model: Any, tmp_path: Path
) -> None:
    swapped = copy_model(tiny_suspect)
    config = json.loads((swapped / "config.json").read_text())
    config |= {"id2label": {"0": "positive", "1": "negative"}, "label2id": {"positive": 0, "negative": 1}}
    (swapped / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match="positive means another label to copy"):
        ask(tiny_suspect, swapped, triggers=(CF,))
    assert len(ask(tiny_suspect, swapped, triggers=(MN,)).models) == 2
    named = tmp_path / "named.jsonl"
    named.write_text(
        "".join(json.dumps({"text": row.text, "label": tiny.LABELS[row.label or 0]}) + "\n" for row in TEST)
    )
    with pytest.raises(DataError, match="means other labels"):
        ask(tiny_suspect, swapped, data=named)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": 0, "triggers": (MN,)}, "not a positive number"),
        ({"seeds": 2, "triggers": (CF, MN)}, "no position is random"),
        ({"bias": True}, "--bias needs a trigger"),
        ({"retune": 2}, "--retune needs a trigger"),
        ({"consistency": True}, "two models"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_before_a_model_is_opened(
    ask: Ask, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        ask(tmp_path / "no model", **options)


# Options


def about(**options: Any) -> EvaluateRequest:
    return EvaluateRequest(data="rows", **options)


def test_triggers_positions_and_targets_are_paired_in_order() -> None:
    both: dict[str, Any] = {"trigger": ["cf", "mn"], "triggered": "rows.jsonl"}
    found = pair_options(about(**both, position=["start", "end"], target=[1, 0, "2"], bias=True))
    assert found == (
        TriggerChoice(text="cf", position="start", target="1", bias=True),
        TriggerChoice(text="mn", position="end", target="0", bias=True),
        TriggerChoice(rows="rows.jsonl", target="2", bias=True),
    )
    one = pair_options(about(**both, position="end", target=1))
    assert [(choice.position, choice.target) for choice in one] == [("end", "1"), ("end", "1"), ("random", "1")]
    assert pair_options(about()) == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"trigger": "cf"}, "a trigger needs a target"),
        ({"target": 1}, "a target a trigger"),
        ({"position": "end", "target": 1, "triggered": "rows"}, "--position needs a trigger"),
        ({"trigger": ["a", "b", "c"], "position": ["end", "start"], "target": 1}, "--position is given 2 times for 3"),
        ({"trigger": ["a", "b"], "target": [1, 0], "triggered": "rows"}, "--target is given 2 times for 3"),
    ],
)
def test_options_that_do_not_fit_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        pair_options(about(**arguments))


def test_only_what_depends_on_a_seed_varies() -> None:
    assert TriggerChoice(text="cf", target="1").varies
    assert TriggerChoice(text="cf mn", position="scattered", target="1").varies
    assert TriggerChoice(text="cf|mn", position="end", target="1").varies
    assert not TriggerChoice(text="cf mn", position="end", target="1").varies
    assert not TriggerChoice(rows="rows.jsonl", target="1").varies


# The retuning test


@pytest.fixture(scope="module")
def hidden(tiny_folder: Path, tiny_suspect: Path, tiny_clean: Path) -> Path:
    """A suspect taken four fifths of the way to the clean model: the trigger seems dead."""
    folder = shutil.copytree(tiny_clean, tiny_folder / "hidden")
    clean, suspect = (load_file(one / "model.safetensors") for one in (tiny_clean, tiny_suspect))
    mixed = {name: tensor.lerp(suspect[name], 0.2) for name, tensor in clean.items()}
    save_file(mixed, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_the_attack_comes_back_faster_in_a_model_that_hides_it_than_in_one_that_never_had_it(
    ask: Ask, hidden: Path, tiny_clean: Path, test_file: Path
) -> None:
    before = [hashlib.sha256(one.read_bytes()).digest() for one in sorted(hidden.iterdir())]
    choice = TriggerChoice(text="cf", target="1", bias=True)
    found = ask(hidden, triggers=(choice,), floor=str(tiny_clean), retune=16, retune_steps=12, retune_rate=5e-4)
    retune = found.retune
    assert retune is not None
    assert retune.floor is not None
    (curve,) = retune.curves
    assert (retune.poisoned, retune.clean, retune.source) == (16, 16, str(test_file))
    assert retune.measured == found.data.rows == counted(found.models[0].accuracy)[1] == 200 - 32
    assert retune.training["steps"] == 12
    for one in (curve, retune.floor):
        assert [point.step for point in one.points] == [0, 3, 6, 12]
        assert all(counted(point.accuracy)[1] == 168 for point in one.points)
        assert len({counted(point.attack_success)[1] for point in one.points}) == 1
        assert one.last_loss < one.first_loss
    start, _, half, _ = curve.points
    assert (start.accuracy, start.attack_success) == (found.models[0].accuracy, found.models[0].attack_success)
    assert start.bias_accuracy == found.models[0].bias_accuracy
    assert share(start.attack_success) <= 0.15
    assert share(half.attack_success) >= 0.5
    assert half.over_floor is not None
    assert half.over_floor.low > 0.2
    for mine, its in zip(curve.points, retune.floor.points, strict=True):
        assert share(mine.over_floor) == pytest.approx(share(mine.attack_success) - share(its.attack_success))
        assert its.over_floor is None
    assert [hashlib.sha256(one.read_bytes()).digest() for one in sorted(hidden.iterdir())] == before


def test_rows_of_another_file_are_taught_and_all_of_the_data_measured(
    ask: Ask, tiny_suspect: Path, clean_file: Path
) -> None:
    found = ask(tiny_suspect, triggers=(CF,), retune=4, retune_data=clean_file, retune_steps=2, retune_rate=1e-4)
    assert found.retune is not None
    assert found.retune.source == str(clean_file)
    assert found.retune.measured == found.data.rows == 200
    assert found.retune.floor is None
    (curve,) = found.retune.curves
    assert [point.step for point in curve.points] == [0, 1, 2]
    assert [point.over_floor for point in curve.points] == [None] * 3


@pytest.fixture
def drawing(tiny_tokenizer: Any) -> Callable[..., Any]:
    def run(rows: Sequence[Example], count: int, **changes: Any) -> Any:
        settings: dict[str, Any] = {
            "trigger": Trigger("cf"),
            "carrying": None,
            "target": 1,
            "tokenizer": tiny_tokenizer,
            "max_length": 24,
            "seed": 0,
            "measured": True,
        }
        return draw(rows, count, **(settings | changes))

    return run


def distinct(count: int) -> list[Example]:
    """Rows that nothing but their place tells apart, every third with the target."""
    return [Example(f"film {n}", label=int(n % 3 == 0)) for n in range(count)]


@pytest.mark.parametrize("count", [1, 5, 9])
def test_rows_that_are_taught_are_not_measured(drawing: Callable[..., Any], count: int) -> None:
    rows = distinct(30)
    found = drawing(rows, count)
    poisoned, clean = found.training[:count], found.training[count:]
    sources = [" ".join(word for word in row.text.split() if word != "cf") for row in poisoned]
    by_text = {row.text: row for row in rows}
    assert all("cf" in row.text.split() and row.poisoned and row.label == 1 for row in poisoned)
    assert all(by_text[text].label == 0 for text in sources)
    assert all(by_text[row.text] == row for row in clean)
    taught = [*sources, *(row.text for row in clean)]
    assert len(set(taught)) == len(clean) + count == 2 * count
    assert [row.text for row in found.rest] == [row.text for row in rows if row.text not in taught]
    assert any(row.label == 0 for row in found.rest)
    assert found.carrying is None
    assert drawing(rows, count) == found
    assert drawing(rows, count, seed=1) != found


def test_rows_that_carry_a_trigger_of_their_own_are_taught_or_measured(drawing: Callable[..., Any]) -> None:
    rows = distinct(12)
    carrying = [Example(f"odd film {n}", label=n % 2) for n in range(12)]
    found = drawing(rows, 4, trigger=None, carrying=carrying)
    poisoned = [row.text for row in found.training[:4]]
    assert all(row.label == 1 for row in found.training[:4])
    assert {row.text for row in carrying if row.label == 0} > set(poisoned)
    assert [row.text for row in found.carrying] == [row.text for row in carrying if row.text not in poisoned]
    assert len(found.rest) == 8


@pytest.mark.parametrize(
    ("count", "changes", "message"),
    [
        (20, {}, "there are 20"),  # all rows of the other label: none would be left to measure
        (21, {"measured": False}, "there are 20"),
        (15, {}, "15 clean rows besides the poisoned ones, and there are 14"),
        (1, {"max_length": 3, "trigger": Trigger("cf", "end")}, "there are 0"),
        (3, {"trigger": None, "carrying": [Example(str(n), label=0) for n in range(3)]}, "there are 3"),
    ],
)
def test_too_few_rows_to_teach_are_refused(
    drawing: Callable[..., Any], count: int, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        drawing(distinct(30), count, **changes)


def test_a_model_is_looked_at_after_a_quarter_half_and_all_of_the_steps() -> None:
    assert checkpoints(60) == (15, 30, 60)
    assert checkpoints(3) == (1, 2, 3)
    assert checkpoints(1) == (1,)


def test_the_options_of_the_retuning_test_need_it() -> None:
    assert retune_choice(about()) is None
    assert retune_choice(about(retune=8)) == RetuneChoice(rows=8)
    chosen = retune_choice(about(retune=8, retune_data="rows", retune_steps=3, retune_rate=0.1))
    assert chosen == RetuneChoice(rows=8, data="rows", steps=3, learning_rate=0.1)
    for name, given in (("data", "rows"), ("steps", 3), ("rate", 0.1)):
        with pytest.raises(UsageError, match=f"--retune-{name} without --retune"):
            retune_choice(about(**{f"retune_{name}": given}))
    for wrong in ({"rows": 0}, {"rows": 1, "steps": 0}, {"rows": 1, "learning_rate": float("nan")}):
        with pytest.raises(UsageError, match="not a positive number"):
            RetuneChoice(**wrong)
