"""Every method through the engine, and what a session promises about ratios, stages and frozen entries."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from purify_cli.bench.rows import write_rows
from purify_cli.commands import purify
from purify_cli.defences import METHODS
from purify_cli.errors import PairError, UsageError
from purify_cli.protocols import ResetDefence
from purify_cli.selection.mask import read_mask
from purify_cli.tensors import read_tensor

WORDS = "bert.embeddings.word_embeddings.weight"
FAST = {"steps": "4", "learning_rate": "1e-3"}


@pytest.fixture(scope="module")
def rows(tiny):
    return tiny.sentiment_examples(32, seed=40)


@pytest.fixture(scope="module")
def counts(tiny, tmp_path_factory):
    """Word counts for e-pur, so that no corpus is read."""
    path = tmp_path_factory.mktemp("counts") / "counts.tsv"
    lines = [*(f"{word}\t1000000" for word in tiny.GLUE), *(f"{word}\t500" for word in (*tiny.GOOD, *tiny.BAD))]
    path.write_text("\n".join(["word\tcount", *lines, ""]))
    return path


def equal(one, other):
    """Whether two sources hold the same names and bits."""
    assert one.specs.keys() == other.specs.keys()
    return all(torch.equal(one.read(name), other.read(name)) for name in one.specs)


def bits(mask):
    return torch.cat([mask.read(name) for name in sorted(mask.specs)])


@pytest.fixture
def start(tiny_suspect, tiny_reference, clean_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return ["purify", tiny_suspect, "--ref", tiny_reference, "--clean-data", clean_file]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_gives_a_sound_record_and_a_model_that_works(run_cli, start, tiny, tiny_suspect, counts, name):
    own = ["--set", f"frequencies={counts}", "--set", "rows=12"] if name == "e-pur" else []
    steps = 20
    if name in {"relearn", "graft"}:  # they learn the task anew
        texts = [replace(row, label=None) for row in tiny.sentiment_examples(300, seed=70)]
        steps, own = 200, ["--unlabelled", write_rows(Path("texts.jsonl"), texts)]
    tuning = ["--set", f"steps={steps}", "--set", "learning_rate=1e-3"]
    if name == "unlearning":  # it works on what detect found
        many = tiny.write_jsonl(Path("many.jsonl"), tiny.sentiment_examples(96, seed=40))
        assert run_cli(["detect", *start[1:-1], many, "--run", "run"])[0] == 0
        start = ["purify"]
    code, out, err = run_cli([*start, "--method", name, *own, *tuning, "--run", "run", "--output", "out"])
    assert code == 0, err
    record, method = json.loads(out), METHODS[name]
    reset, (stage,) = record["reset"], record["stages"]
    assert record["method"] == stage["method"] == name
    assert record["training"]["steps"] == steps
    assert stage["ratio"] == reset["ratio"] or (stage["ratio"] is None and reset["ratio"] == 0)
    assert stage["changed"] <= stage["entries"]
    scored = isinstance(method, ResetDefence) and method.indicator is not None
    assert (record["mask"] is not None) == (record["indicator"] is not None) == scored
    if scored:
        mask = read_mask(Path("run/mask.safetensors"))
        assert reset["reset"] == round(method.ratio * reset["dimensions"]) == mask.count == stage["entries"]
        assert {n: count for n, count in mask.per_tensor.items() if count} == {
            n: count for n, count in reset["per_tensor"].items() if count
        }
    if method.ratio is None:
        # Without a ratio nothing is selected by one; what was set is told as such.
        assert (reset["reset"], reset["beyond_ratio"]) == (0, stage["entries"])
    else:
        assert (reset["reset"], reset["beyond_ratio"]) == (stage["entries"], 0)
    assert (stage["entries"] == 0) == (name in {"fine-tuning", "nad"})
    before, after = load_file(tiny_suspect / "model.safetensors"), load_file("out/model.safetensors")
    assert {n: t.shape for n, t in after.items()} == {n: t.shape for n, t in before.items()}
    assert all(bool(torch.isfinite(tensor).all()) for tensor in after.values())
    model = AutoModelForSequenceClassification.from_pretrained("out")
    assert tiny.accuracy(model, AutoTokenizer.from_pretrained("out"), tiny.sentiment_examples(200, seed=30)) >= 0.8


@pytest.mark.parametrize("method", ["fine-purifying", "fine-mixing"])
def test_masks_are_nested_in_the_ratio_and_those_of_a_single_purification(session, rows, run_cli, start, method):
    defence = session.prepare(method, rows)
    made = {ratio: defence.reset(ratio) for ratio in (0.5, 0.03, 0.2)}
    for ratio, repaired in made.items():
        assert repaired.counts.reset == repaired.mask.count == round(ratio * repaired.counts.dimensions)
        assert repaired.counts.per_tensor == repaired.mask.per_tensor
    for smaller, larger in pairwise(sorted(made)):
        assert not bool((bits(made[smaller].mask) & ~bits(made[larger].mask)).any())
    line = [*start, "--method", method, "--ratio", "0.2", "--no-finetune", "--run", "run", "--output", "out"]
    assert run_cli(line)[0] == 0
    assert torch.equal(bits(read_mask(Path("run/mask.safetensors"))), bits(made[0.2].mask))
    written = load_file("out/model.safetensors")
    assert all(torch.equal(tensor, read_tensor(made[0.2].weights, name)) for name, tensor in written.items())


def test_what_a_mask_selects_holds_the_reference_and_the_rest_the_suspect(session, rows):
    repaired, pair = session.prepare("fine-purifying", rows).reset(0.3), session.opened.pair
    moved = 0
    for name in pair.suspect.specs:
        new, suspect = repaired.weights.read(name), pair.suspect.read(name)
        if name in pair.comparables:
            chosen, reference = repaired.mask.read(name), pair.reference_part.read(name)
            moved += int((chosen & suspect.ne(reference)).sum())
            suspect = torch.where(chosen, reference, suspect)
        assert torch.equal(new, suspect), name
    assert repaired.counts.changed == moved > 0


@pytest.mark.parametrize("method", ["fine-purifying", "fine-mixing", "fine-pruning"])
def test_ratio_0_is_plain_fine_tuning(session, rows, method):
    plain, _, facts = session.prepare("fine-tuning", rows, settings=FAST).repair(None, rows)
    loaded, repaired, own = session.prepare(method, rows, settings=FAST).repair(0.0, rows)
    assert repaired.counts.reset == repaired.counts.changed == repaired.counts.beyond_ratio == 0
    assert own == facts
    assert equal(loaded.weights, plain.weights)


@pytest.mark.parametrize("method", ["fine-purifying", "fine-mixing"])
def test_ratio_1_is_the_reference_under_the_suspects_head(session, rows, method):
    repaired, pair = session.prepare(method, rows).reset(1.0), session.opened.pair
    for name in pair.suspect.specs:
        expected = pair.reference_part if name in pair.comparables else pair.suspect
        assert torch.equal(repaired.weights.read(name), expected.read(name)), name
    assert repaired.counts.reset == pair.dimensions
    assert set(pair.suspect.specs) - set(pair.comparables) == {"classifier.weight", "classifier.bias"}


def test_no_ratio_is_the_methods_own(session, rows):
    for name in ("fine-mixing", "fine-pruning"):
        defence = session.prepare(name, rows)
        assert defence.reset(None).counts.ratio == defence.default_ratio == METHODS[name].ratio


def test_patience_chooses_the_steps_on_a_quarter_and_then_tunes_on_all_rows(session, rows):
    """A large rate: sixteen steps of it are worse for samples that were left out than a few."""
    asked = {"steps": "16", "learning_rate": "2e-2"}
    chosen, _, result = session.prepare("fine-tuning", rows, settings=asked | {"patience": "1"}).repair(None, rows)
    assert result.steps == result.settings.stop < 16
    defence = session.prepare("fine-tuning", rows, settings=asked)
    by_hand, _, _ = defence.repair(None, rows, training=replace(defence.training, stop=result.steps))
    assert equal(chosen.weights, by_hand.weights)
    # Without patience all steps are taken; so they are where too few rows could choose.
    assert session.prepare("fine-tuning", rows, settings=asked | {"patience": "none"}).training.patience is None
    few = [rows[0], next(row for row in rows if row.label != rows[0].label)]
    assert session.prepare("fine-tuning", few, settings=asked | {"patience": "1"}).repair(None, few)[2].steps == 16


def test_repairs_of_one_prepared_defence_do_not_touch_each_other(session, rows):
    defence = session.prepare("fine-mixing", rows, settings=FAST)
    first, _, _ = defence.repair(0.3, rows)
    before = {name: tensor.clone() for name, tensor in first.weights.tensors.items()}
    defence.repair(0.7, rows)
    again, _, _ = defence.repair(0.3, rows)
    for name, tensor in before.items():
        assert torch.equal(first.weights.tensors[name], tensor)
        assert torch.equal(again.weights.tensors[name], tensor)


@pytest.fixture
def composed(session, rows, counts):
    settings = {"frequencies": str(counts), "rows": "12"}
    return session.prepare("e-pur,fine-mixing", rows, settings=settings)


def test_a_composition_works_stage_after_stage_and_counts_them_apart(session, rows, counts, composed):
    alone = session.prepare("e-pur", rows, settings={"frequencies": str(counts), "rows": "12"}).reset(None)
    rows_reset = [one["row"] for one in alone.stages[0].facts["first"]]
    assert len(rows_reset) == 12
    assert equal(composed.reset(0.0).weights, alone.weights)
    repaired, pair = composed.reset(0.2), session.opened.pair
    assert [stage.method for stage in repaired.stages] == ["e-pur", "fine-mixing"]
    assert [stage.ratio for stage in repaired.stages] == [None, 0.2]
    assert repaired.counts.reset == round(0.2 * pair.dimensions)
    assert repaired.counts.beyond_ratio == repaired.stages[0].entries == 12 * 64
    words = repaired.weights.read(WORDS).view(-1, 64)[rows_reset]
    assert torch.equal(words, pair.reference_part.read(WORDS).view(-1, 64)[rows_reset])
    # Outside of those rows it is mixing alone: the draw knows nothing of the stage before.
    mixing = session.prepare("fine-mixing", rows).reset(0.2)
    assert torch.equal(bits(mixing.mask), bits(repaired.mask))
    for name in pair.suspect.specs:
        new, expected = repaired.weights.read(name), mixing.weights.read(name)
        if name == WORDS:
            kept = torch.ones(len(new) // 64, dtype=torch.bool)
            kept[rows_reset] = False
            new, expected = new.view(-1, 64)[kept], expected.view(-1, 64)[kept]
        assert torch.equal(new, expected), name


def test_what_an_earlier_stage_put_back_has_no_drift_left_for_the_next(session, rows, counts):
    settings = {"frequencies": str(counts), "rows": "12"}
    defence = session.prepare("e-pur,fine-mixing", rows, indicator="drift", settings=settings)
    chosen = [one["row"] for one in defence.reset(0.0).stages[0].facts["first"]]
    assert not bool(read_tensor(defence.scores, WORDS)[chosen].any())
    assert bool(read_tensor(session.prepare("fine-mixing", rows, indicator="drift").scores, WORDS)[chosen].any())


def test_a_composition_through_the_program(run_cli, start, counts):
    line = [*start, "--method", "e-pur, fine-mixing", "--set", f"frequencies={counts}", "--set", "e-pur.rows=12"]
    code, out, err = run_cli([*line, "--ratio", "0.1", "--set", "steps=2"])
    assert code == 0, err
    record = json.loads(out)
    assert [stage["method"] for stage in record["stages"]] == ["e-pur", "fine-mixing"]
    assert record["indicator"] == "uniform"
    assert record["reset"]["reset"] == round(0.1 * record["reset"]["dimensions"])
    assert record["reset"]["beyond_ratio"] == 12 * 64
    assert record["settings"]["e-pur.rows"] == 12


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--method", "fine-mixing,fine-purifying"], "fine-mixing and fine-purifying both take the ratio"),
        (["--method", "fine-mixing,fine-pruning"], "fine-mixing and fine-pruning both take the ratio"),
        (["--method", "fine-mixing,fine-mixing"], "names a method twice"),
        (["--method", "fine-mixing,e-purr"], "there is no method named 'e-purr'"),
        (["--method", "e-pur", "--ratio", "0.3"], "e-pur takes no ratio"),
        (["--method", "e-pur", "--indicator", "drift"], "e-pur scores nothing"),
        (["--method", "fine-mixing", "--with", "other"], "fine-mixing takes no further models"),
        (["--method", "fine-pruning", "--set", "colour=red"], "fine-pruning has no setting 'colour'"),
        (["--method", "fine-pruning", "--set", "frozen=perhaps"], "frozen=perhaps is not a bool"),
        (["--method", "fine-pruning", "--no-finetune", "--with", "other"], "takes no further models"),
    ],
)
def test_combinations_that_mean_nothing_are_refused_before_anything_is_written(run_cli, start, tmp_path, more, said):
    code, out, err = run_cli([*start, *more])
    assert (code, out) == (2, "")
    assert said in err
    assert list(tmp_path.iterdir()) == []


def test_with_averages_all_models_and_the_record_names_them(run_cli, start, tiny_suspect, tiny_clean):
    line = [*start, "--method", "weight-average", "--with", tiny_clean, "--no-finetune", "--output", "out"]
    code, out, err = run_cli(line)
    assert code == 0, err
    record = json.loads(out)
    assert [one["path"] for one in record["others"]] == [str(tiny_clean)]
    assert record["stages"][0]["facts"] == {"models": 2, "with": "other models", "labels named by all": True}
    one, two = (load_file(folder / "model.safetensors") for folder in (tiny_suspect, tiny_clean))
    for name, tensor in load_file("out/model.safetensors").items():
        assert torch.equal(tensor, ((one[name].double() + two[name].double()) / 2).float()), name


def test_a_further_model_that_is_swapped_after_it_was_read_is_noticed(
    run_cli, start, tiny_suspect, tiny_clean, copy_model, monkeypatch
):
    other, kept = copy_model(tiny_clean), purify.save_model

    def swapping(*args, **options):
        sha = kept(*args, **options)
        swapped = other / "swapped"
        swapped.write_bytes((tiny_suspect / "model.safetensors").read_bytes())
        swapped.replace(other / "model.safetensors")
        return sha

    monkeypatch.setattr(purify, "save_model", swapping)
    line = [*start, "--method", "weight-average", "--with", other, "--no-finetune", "--output", "out"]
    code, out, err = run_cli(line)
    assert (code, out) == (2, "")
    assert "was changed while it was read" in err
    assert not Path("out").exists()


def test_further_models_are_opened_once_however_many_defences_ask(session, rows, tiny_clean):
    first, second = (session.others([str(tiny_clean)]) for _ in range(2))
    assert first[0] is second[0]


def test_with_refuses_a_model_of_another_shape(run_cli, start, tiny_reference):
    code, out, err = run_cli([*start, "--method", "weight-average", "--with", tiny_reference])
    assert (code, out) == (2, "")
    assert "does not hold classifier" in err


def test_pruned_units_stay_zero_through_the_tuning_and_the_rest_moves(session, rows):
    defence = session.prepare("fine-pruning", rows, settings=FAST | {"weight_decay": "0.1"})
    loaded, repaired, _ = defence.repair(0.5, rows)
    after = session.tuned_weights(repaired.weights, loaded)
    held = moved = 0
    for name, spec in after.specs.items():
        new, old = after.read(name), repaired.weights.read(name)
        frozen = repaired.frozen.get(name, torch.zeros(spec.shape, dtype=torch.bool)).flatten()
        assert not bool(new[frozen].any())
        held, moved = held + int(frozen.sum()), moved + int(new[~frozen].ne(old[~frozen]).sum())
    assert held == repaired.counts.reset > 0
    assert moved > 10_000


@pytest.mark.parametrize("decay", ["0.0", "0.1"])
def test_frozen_entries_keep_their_bits_where_all_others_would_move(session, rows, decay):
    """A quarter of a matrix, of a bias, and of the word embedding, of which a gradient reaches a few rows only."""
    defence = session.prepare("fine-tuning", rows, settings=FAST | {"weight_decay": decay})
    repaired = defence.reset(None)
    names = ("bert.encoder.layer.1.output.dense.weight", "bert.encoder.layer.0.output.dense.bias", WORDS)
    shapes = {name: repaired.weights.specs[name].shape for name in names}
    frozen = {name: (torch.arange(torch.Size(shape).numel()) % 4 == 0).view(shape) for name, shape in shapes.items()}
    loaded = session.task.load(repaired.weights)
    session.tune(loaded, rows, defence.training, replace(repaired, frozen=frozen))
    after = session.tuned_weights(repaired.weights, loaded)
    least = {name: 0.2 if name == WORDS and decay == "0.0" else 0.9 for name in names}
    for name in names:
        new, old, held = after.read(name), repaired.weights.read(name), frozen[name].flatten()
        assert torch.equal(new[held], old[held])
        assert float(new[~held].ne(old[~held]).float().mean()) > least[name]
    unfrozen = session.task.load(repaired.weights)
    session.tune(unfrozen, rows, defence.training, repaired)
    free = session.tuned_weights(repaired.weights, unfrozen)
    for name in names:
        held = frozen[name].flatten()
        assert float(free.read(name)[held].ne(repaired.weights.read(name)[held]).float().mean()) > least[name]


def test_a_session_refuses_what_the_program_would(session, rows, tiny_reference):
    with pytest.raises(UsageError, match="e-pur takes no ratio"):
        session.prepare("e-pur", rows, settings={"rows": "3"}).reset(0.3)
    with pytest.raises(PairError, match="does not hold classifier"):
        session.prepare("weight-average", rows, others=[str(tiny_reference)])
