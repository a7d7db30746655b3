from itertools import combinations

import pytest

from purify_cli.bench.grid import DETECTORS, ResultSpec, expected_marks, is_wanted, methods_of, parse_only, suspects_of
from purify_cli.bench.plan_file import parse_plan
from purify_cli.errors import UsageError

PLAN = """\
[bench]
name = "trial"
seeds = [0, 1]
clean_per_class = [16, 4]
steps = 40

[[task]]
name = "sst2"
epochs = 3

[[task]]
name = "qnli"
seeds = [0]

[[attack]]
name = "badword"
rate = 0.3

[[attack]]
name = "bias-word"
tasks = ["sst2"]

[[method]]
name = "fine-tuning"

[[method]]
name = "fine-mixing"
ratios = [0.1, 0.3]
clean_per_class = [16]

[[method]]
name = "fine-purifying"
attacks = ["badword"]
"""

CURVE = {
    "baseline": {"successes": 30, "total": 32},
    "points": [{"ratio": ratio, "accuracy": {"successes": 30, "total": 32}} for ratio in (0.1, 0.3)],
    "stop_below": 0.05,
}


def marks(text=PLAN):
    """All marks of a plan, as if every curve had been measured."""
    plan = parse_plan(text, "plan")
    curves = {
        key: {"result": CURVE if "fine-tuning" not in key else CURVE | {"points": None}}
        for key in expected_marks(plan, {})
        if key.startswith("curve/")
    }
    return expected_marks(plan, curves)


def changed(old, new):
    """Keys of rows that a change of the plan makes stale."""
    assert PLAN.count(old) == 1
    before, after = marks(), marks(PLAN.replace(old, new))
    return {key for key in before.keys() & after.keys() if before[key] != after[key]}


def having(*parts):
    return {key for key in marks() if all(part in key.split("/") for part in parts)}


def test_the_first_seed_of_everything_comes_first_and_every_suspect_once():
    names = [suspect.name for suspect in suspects_of(parse_plan(PLAN, "plan"), {})]
    first = ["sst2-badword-s0", "sst2-bias-word-s0", "qnli-badword-s0"]
    assert names == [*first, "sst2-badword-s1", "sst2-bias-word-s1"]


def test_a_method_is_tried_where_its_selections_let_it():
    plan = parse_plan(PLAN, "plan")
    found = {
        (suspect.attack.title, size): [method.title for method in methods_of(suspect, size, {})]
        for suspect in suspects_of(plan, {})
        for size in (16, 4)
    }
    assert found == {
        ("badword", 16): ["fine-tuning", "fine-mixing", "fine-purifying"],
        ("badword", 4): ["fine-tuning", "fine-purifying"],
        ("bias-word", 16): ["fine-tuning", "fine-mixing"],
        ("bias-word", 4): ["fine-tuning"],
    }


def test_keys_are_unique_and_say_what_a_row_is():
    keys = list(marks())
    assert len(keys) == len(set(keys))
    assert "cell/sst2/badword/s0/n16/fine-mixing/0.1" in keys
    assert "cell/sst2/badword/s1/n4/fine-tuning/-" in keys
    assert {key for key in keys if key.startswith("detection/sst2/badword/s0/n4")} == {
        f"detection/sst2/badword/s0/n4/{name}" for name in DETECTORS
    }


def test_cells_of_a_ratio_are_expected_once_the_curve_tried_it():
    without = expected_marks(parse_plan(PLAN, "plan"), {})
    assert {key for key in without if key.startswith("cell/") and not key.endswith("/-")} == set()
    ratios = {key.rpartition("/")[2] for key in having("cell", "fine-mixing")}
    assert ratios == {"-", "0.0", "0.1", "0.3"}


def test_a_plan_without_a_budget_asks_for_every_ratio_of_its_grids_and_for_no_curve():
    free = expected_marks(parse_plan(PLAN.replace("steps = 40", "steps = 40\nmax_drops = []"), "plan"), {})
    assert not any(key.startswith("curve/") for key in free)
    assert {key.rpartition("/")[2] for key in free if "fine-mixing" in key} == {"-", "0.1", "0.3"}
    assert all(free[key] == mark for key, mark in marks().items() if key in free)


@pytest.mark.parametrize(
    ("old", "new", "stale"),
    [
        # What trains the suspect makes all of it stale, what trains another leaves it.
        ("rate = 0.3", "rate = 0.2", having("badword")),
        ("epochs = 3", "epochs = 4", having("sst2")),
        ("epochs = 3", "train_rows = 500", having("sst2")),
        ("steps = 40", "steps = 40\nmax_length = 32", set(marks())),
        # What tunes touches the repairs and the searches, not the suspects and not detection.
        ("steps = 40", "steps = 50", having("cell") | having("curve")),
        ("steps = 40", "steps = 40\nlearning_rate = 1e-4", having("cell") | having("curve")),
        # So does the precision, also that of the search for words; models as they were are measured in it too.
        (
            "steps = 40",
            'steps = 40\nrepair_dtype = "bfloat16"',
            having("cell") | having("curve") | having("search") | having("suspect"),
        ),
        # The test rows touch what is measured on them alone.
        ("epochs = 3", "test_rows = 50", (having("cell") | having("suspect")) & having("sst2")),
        # How the ratio is searched for touches the searches alone.
        ("steps = 40", "steps = 40\nfolds = 3", having("curve")),
        ("steps = 40", "steps = 40\nmax_drops = [0.02, 0.2]", having("curve")),
        ("[0.1, 0.3]", "[0.1, 0.2, 0.3]", having("curve", "fine-mixing")),
        # One method's own settings touch its own rows.
        ("[0.1, 0.3]", "[0.1, 0.3]\nlearning_rate = 1e-4", having("fine-mixing")),
        ("[0.1, 0.3]", "[0.1, 0.3]\nsettings = { weight_decay = 0.1 }", having("fine-mixing")),
        # A tighter budget, a smaller clean set, another selection or detection switched off: no figure changes.
        ("steps = 40", "steps = 40\nmax_drops = [0.01, 0.05]", set()),
        ("[16, 4]", "[16, 4, 2]", set()),
        ("seeds = [0, 1]", "seeds = [0, 1, 2]", set()),
        ("steps = 40", "steps = 40\ndetection = false", set()),
        ('attacks = ["badword"]', "seeds = [0]", set()),
        ('tasks = ["sst2"]', 'tasks = ["sst2", "qnli"]', set()),
        # A larger one takes rows from the attacker.
        ("[16, 4]", "[16, 4, 32]", set(marks())),
    ],
)
def test_a_setting_makes_those_rows_stale_that_it_decides_and_no_other(old, new, stale):
    assert changed(old, new) == stale


def test_a_row_of_another_kind_or_place_has_another_mark():
    plan = parse_plan(PLAN, "plan")
    suspect = next(suspects_of(plan, {}))
    method = plan.method[1]
    asked = [
        ResultSpec("suspect", suspect),
        *(ResultSpec("detection", suspect, size, detector="drift") for size in (16, 4)),
        ResultSpec("detection", suspect, 16, detector="uniform"),
        ResultSpec("curve", suspect, 16, method),
        *(ResultSpec("cell", suspect, 16, method, ratio) for ratio in (None, 0.0, 0.1)),
    ]
    assert all(one.mark != other.mark and one.key != other.key for one, other in combinations(asked, 2))


@pytest.mark.parametrize("parts", [1, 2, 3, 4, 7])
def test_shards_are_disjoint_and_together_everything(parts):
    names = [suspect.name for suspect in suspects_of(parse_plan(PLAN, "plan"), {})]
    shards = [names[number - 1 :: parts] for number in range(1, parts + 1)]
    assert sorted(name for shard in shards for name in shard) == sorted(names)


@pytest.mark.parametrize(("kind", "names"), [("task", ["sst2", "qnli"]), ("attack", ["badword", "bias-word"])])
def test_only_parts_the_suspects_without_overlap_and_without_rest(kind, names):
    plan = parse_plan(PLAN, "plan")
    parts = [{one.name for one in suspects_of(plan, parse_only(f"{kind}={name}", plan))} for name in names]
    assert parts[0].isdisjoint(parts[1])
    assert parts[0] | parts[1] == {one.name for one in suspects_of(plan, {})}


def test_only_takes_several_names_of_a_kind_and_all_kinds_at_once():
    plan = parse_plan(PLAN, "plan")
    only = parse_only("task=sst2,seed=1,attack=badword,attack=bias-word,method=fine-tuning,size=4", plan)
    assert [one.name for one in suspects_of(plan, only)] == ["sst2-badword-s1", "sst2-bias-word-s1"]
    suspect = next(suspects_of(plan, only))
    assert [one.title for one in methods_of(suspect, 16, only)] == ["fine-tuning"]
    assert is_wanted(only, "size", 4)
    assert not is_wanted(only, "size", 16)
    assert parse_only(None, plan) == {}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("badword", "--only 'badword' is not KIND=NAME"),
        ("colour=red", "--only 'colour=red' is not KIND=NAME"),
        ("seed=2", "the plan has no seed '2'"),
        ("size=8", "the plan has no size '8'"),
        ("method=fine-pruning", "the plan has no method 'fine-pruning'"),
    ],
)
def test_only_refuses_what_the_plan_does_not_hold(given, said):
    with pytest.raises(UsageError, match=said):
        parse_only(given, parse_plan(PLAN, "plan"))
