import json
from collections import Counter

import pytest

from purify_cli.bench.report.view import best_ratio
from purify_cli.data.example import Example
from purify_cli.errors import DataError, UsageError
from purify_cli.measures.intervals import Proportion
from purify_cli.purification.ratio_search import RatioCurve, search_ratio, stratified_folds
from purify_cli.purification.repair_session import RATIOS, RepairSession
from purify_cli.selection.mask import read_mask
from purify_cli.tasks.classification import Classification
from tests.worlds import Ears, open_bench

FAST = {"steps": "3", "learning_rate": "1e-3"}


@pytest.fixture(scope="module")
def rows(tiny):
    return tiny.sentiment_examples(16, seed=40)


@pytest.fixture
def ears():
    return Ears()


@pytest.fixture
def session(tiny_suspect, tiny_reference, tmp_path, ears):
    return open_bench(tiny_suspect, tiny_reference, tmp_path / "run", ears)


@pytest.mark.parametrize("counts", [(8, 8), (2, 2), (5, 9), (3, 20), (4, 4, 7), (1000, 10)])
@pytest.mark.parametrize("folds", [2, 3, 4, 7])
def test_folds_are_disjoint_complete_even_and_hold_every_class(counts, folds):
    rows = [Example(f"text {i} of {label}", label=label) for label, n in enumerate(counts) for i in range(n)]
    parts = stratified_folds(rows, folds, seed=3)
    assert len(parts) == min(folds, *counts)
    assert sorted(place for part in parts for place in part) == list(range(len(rows)))
    assert all(list(part) == sorted(part) for part in parts)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    held = [Counter(rows[place].label for place in part) for part in parts]
    for label, count in enumerate(counts):
        assert {part[label] for part in held} <= {count // len(parts), -(-count // len(parts))}


def test_folds_follow_from_rows_and_seed_alone():
    rows = [Example(f"text {i}", label=i % 2) for i in range(40)]
    assert stratified_folds(rows, 4, seed=3) == stratified_folds(list(rows), 4, seed=3)
    assert stratified_folds(rows, 4, seed=3) != stratified_folds(rows, 4, seed=4)


def test_too_few_rows_or_folds_are_refused():
    rows = [Example("a", label=0), Example("b", label=0), Example("c", label=1)]
    with pytest.raises(DataError, match="class 1 has a single clean row"):
        stratified_folds(rows, 4, seed=0)
    with pytest.raises(UsageError, match="1 folds leave nothing to tune on"):
        stratified_folds(rows, 1, seed=0)


def curve(right, baseline=90, total=100):
    points = {ratio / 10: Proportion.of(count, total) for ratio, count in enumerate(right, start=1)}
    return RatioCurve(Proportion.of(baseline, total), points, (), 4)


@pytest.mark.parametrize(
    ("right", "max_drop", "chosen"),
    [
        ([90, 89, 86, 80], 0.05, 0.3),
        ([90, 89, 86, 80], 0.1, 0.4),
        ([90, 88, 86], 0.02, 0.2),  # a loss of exactly the budget passes
        ([89, 90, 90], 0.0, 0.0),  # the smallest fails: nothing is reset
        ([90, 80, 91, 90], 0.05, 0.1),  # what passes beyond a ratio that fails owes it to luck
        ([95, 99, 100], 0.0, 0.3),  # better than plain fine-tuning is no loss
        ([0, 0, 0], 1.0, 0.3),
        ([], 0.5, 0.0),
    ],
)
def test_the_largest_ratio_that_passes_with_every_smaller_one_is_chosen(right, max_drop, chosen):
    found = curve(right)
    assert found.choose(max_drop).chosen == chosen
    # A report chooses from what a bench stored, and must choose alike.
    counts = {"baseline": {"successes": 90, "total": 100}}
    points = [{"ratio": ratio, "accuracy": {"successes": one.successes}} for ratio, one in found.points.items()]
    assert best_ratio(counts | {"points": points}, max_drop) == chosen


@pytest.mark.parametrize("lost", range(1, 33))
def test_a_loss_of_exactly_the_budget_passes_whatever_the_fractions_round_to(lost):
    found = curve([32 - lost], baseline=32, total=32)
    assert found.choose(lost / 32).chosen == 0.1
    assert found.choose((lost - 0.5) / 32).chosen == 0.0


def test_one_sample_is_the_smallest_difference_there_is():
    assert curve([3], baseline=4, total=32).choose(0.0).resolution == 1 / 32


@pytest.mark.parametrize("method", ["fine-purifying", "fine-pruning"])
def test_no_row_has_a_part_in_the_model_that_answers_it(session, rows, monkeypatch, method):
    tuned, seen, pairs = [], [], []
    tune, curvature, prepare, utility = (
        RepairSession.tune,
        RepairSession.curvature,
        RepairSession.prepare,
        Classification.utility,
    )

    def noting_tune(self, loaded, own, *args, **kwargs):
        tuned[:] = [{rows.index(row) for row in own}]
        return tune(self, loaded, own, *args, **kwargs)

    def noting_curvature(self, data, *args, **kwargs):
        seen.append({rows.index(row) for row in data.rows})
        return curvature(self, data, *args, **kwargs)

    def noting_prepare(self, method, own, **kwargs):
        seen.append({rows.index(row) for row in own})
        return prepare(self, method, own, **kwargs)

    def noting_utility(self, loaded, held):
        pairs.append((tuned[0], {rows.index(row) for row in held}))
        return utility(self, loaded, held)

    for name, noting in (("tune", noting_tune), ("curvature", noting_curvature), ("prepare", noting_prepare)):
        monkeypatch.setattr(RepairSession, name, noting)
    monkeypatch.setattr(Classification, "utility", noting_utility)
    search_ratio(session, method, rows, folds=3, seed=0, ratios=[0.3], settings=FAST)
    parts = [set(part) for part in stratified_folds(rows, 3, seed=0)]
    everything = set(range(len(rows)))
    # Plain fine-tuning and one ratio, three folds each.
    assert [held for _, held in pairs] == parts * 2
    assert all(own == everything - held for own, held in pairs)
    assert all(everything - own in parts for own in seen)


def test_curvature_is_measured_once_per_fold_however_many_ratios_are_tried(session, ears, rows):
    search_ratio(session, "fine-purifying", rows, folds=2, seed=0, ratios=[0.1, 0.2, 0.3], settings=FAST)
    measured = [note for note in ears.notes if note.startswith("measuring curvature")]
    assert len(measured) == 2
    assert all(note.startswith("measuring curvature on 8 texts") for note in measured)
    folder = session.folder
    assert folder.exists()
    session.clear()
    assert not folder.exists()


def test_plain_fine_tuning_is_measured_once_for_all_methods_of_equal_tuning(session, rows, monkeypatch):
    calls = []
    tune = RepairSession.tune
    monkeypatch.setattr(RepairSession, "tune", lambda *args, **kwargs: calls.append(1) or tune(*args, **kwargs))
    first = search_ratio(session, "fine-mixing", rows, folds=2, seed=0, ratios=[0.3], settings=FAST)
    assert len(calls) == 4
    second = search_ratio(session, "fine-pruning", rows, folds=2, seed=0, ratios=[0.3], settings=FAST)
    assert len(calls) == 6
    assert first.baseline == second.baseline
    search_ratio(session, "fine-mixing", rows, folds=2, seed=0, ratios=[0.3], settings=FAST | {"steps": "4"})
    assert len(calls) == 10


def test_a_search_stops_after_the_first_ratio_that_loses_too_much(session, rows):
    grid = [0.05, 0.9, 0.95]
    options = {"folds": 2, "seed": 0, "ratios": grid, "settings": {"steps": "1", "learning_rate": "1e-9"}}
    found = search_ratio(session, "fine-purifying", rows, stop_below=0.2, **options)
    assert list(found.points) == [0.05, 0.9]
    assert found.untried == (0.95,)
    whole = search_ratio(session, "fine-purifying", rows, **options)
    assert list(whole.points) == grid
    assert [*whole.points.items()][:2] == [*found.points.items()]
    assert found.baseline.value >= 0.8
    assert found.choose(0.2).chosen == 0.05
    assert all(utility.total == len(rows) for utility in whole.points.values())


def test_a_search_gives_the_same_curve_again(session, rows, tiny_suspect, tiny_reference, tmp_path):
    options = {"folds": 2, "seed": 5, "ratios": [0.7, 0.3], "settings": FAST}
    first = search_ratio(session, "fine-mixing", rows, **options)
    other = open_bench(tiny_suspect, tiny_reference, tmp_path / "other")
    assert search_ratio(other, "fine-mixing", rows, **options) == first
    assert list(first.points) == [0.3, 0.7]


@pytest.mark.parametrize("method", ["fine-tuning", "weight-average"])
def test_a_method_without_a_ratio_has_nothing_to_search_for(session, rows, method):
    with pytest.raises(UsageError, match=f"{method} takes no ratio"):
        search_ratio(session, method, rows, folds=2, seed=0)


@pytest.fixture
def start(tiny_suspect, tiny_reference, clean_file, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    line = ["purify", tiny_suspect, "--ref", tiny_reference, "--clean-data", clean_file, "--set", "steps=1"]
    return [*line, "--set", "learning_rate=1e-3", "--ratio", "auto"]


def test_ratio_auto_chooses_resets_and_leaves_the_curve(run_cli, start, tmp_path):
    code, out, err = run_cli([*start, "--max-drop", "0.5", "--folds", "2"])
    assert code == 0, err
    record, run = json.loads(out), tmp_path / "purify-run"
    assert json.loads((run / "purification.json").read_text()) == record
    found = record["curve"]
    assert found["max_drop"] == 0.5
    assert found["folds"] == 2
    assert found["resolution"] == 1 / 32
    assert found["baseline"]["total"] == 32
    ratios = [point["ratio"] for point in found["points"]]
    assert (*ratios, *found["untried"]) == RATIOS
    passing = [point["passes"] for point in found["points"]]
    until = passing.index(False) if False in passing else len(passing)
    assert found["chosen"] == ([0.0, *ratios][until]) > 0
    assert record["reset"]["reset"] == round(found["chosen"] * record["reset"]["dimensions"])
    assert read_mask(run / "mask.safetensors").count == record["reset"]["reset"]
    assert (run / "ratio.png").read_bytes().startswith(b"\x89PNG")
    assert not (run / "bench").exists()
    assert f"ratio {found['chosen']:g} chosen" in err
    # The number that was chosen gives the same model.
    given = [word if word != "auto" else found["chosen"] for word in start]
    assert run_cli([*given, "--run", tmp_path / "given"])[0] == 0
    model = "purified/model.safetensors"
    assert (tmp_path / "given" / model).read_bytes() == (run / model).read_bytes()


def test_where_no_ratio_passes_nothing_is_reset_and_the_verdict_says_so(run_cli, start, tmp_path, monkeypatch):
    failing = RatioCurve(Proportion.of(32, 32), {0.05: Proportion.of(20, 32)}, (0.1,), 4)
    monkeypatch.setattr("purify_cli.commands.purify_steps.search_ratio", lambda *args, **kwargs: failing)
    code, out, err = run_cli([*start, "--max-drop", "0.01"])
    assert code == 0, err
    record = json.loads(out)
    assert record["curve"]["chosen"] == 0
    assert record["curve"]["untried"] == [0.1]
    assert record["reset"]["reset"] == 0
    assert record["mask"] is None
    assert record["training"]["steps"] == 1
    assert any("no ratio kept clean accuracy within 0.01" in reason for reason in record["verdict"]["reasons"])
    assert any("one clean sample counts 0.031" in reason for reason in record["verdict"]["reasons"])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--no-finetune"], "cannot go with --no-finetune"),
        (["--method", "fine-tuning"], "fine-tuning takes no ratio"),
        (["--method", "weight-average"], "weight-average takes no ratio"),
    ],
)
def test_ratio_auto_is_refused_where_it_has_no_meaning(run_cli, start, tmp_path, more, said):
    code, out, err = run_cli([*start, *more])
    assert (code, out) == (2, "")
    assert said in err
    assert not (tmp_path / "purify-run").exists()


def test_ratio_auto_needs_two_clean_rows_of_every_class(run_cli, start, tiny, tmp_path):
    few = tiny.write_jsonl(tmp_path / "few.jsonl", tiny.sentiment_examples(3, seed=40))
    code, out, err = run_cli([*start, "--clean-data", few])
    assert (code, out) == (2, "")
    assert "class 1 has a single clean row" in err
    assert not (tmp_path / "purify-run/purified").exists()
