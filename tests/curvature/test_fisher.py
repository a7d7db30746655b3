import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from purify_cli.curvature import Curvature, diagonal_fisher, loop, mean_squared_gradients
from purify_cli.data.batches import Batch
from purify_cli.errors import CheckpointError, DataError, UsageError
from tests.curvature.worlds import CONFIGS, PAD, VOCABULARY, assert_close, batch_of, batches_of, model_of
from tests.reference import curvature as oracle

ORACLES = {"empirical": oracle.empirical, "true": oracle.true}
GROUPS = ([9, 7, 8, 9], [5, 5, 3], [6])


@pytest.fixture
def no_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where the fast path is not taken."""

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("fell back to the one-sample loop")

    monkeypatch.setattr("purify_cli.curvature.fisher.add_one_by_one", refuse)


def tensors(result: Curvature) -> dict[str, Tensor]:
    return dict(result.tensors)


@pytest.mark.usefixtures("no_loop")
@pytest.mark.parametrize("kind", ["empirical", "true"])
@pytest.mark.parametrize("architecture", CONFIGS)
def test_hooks_agree_with_the_loop_on_every_architecture(architecture: str, kind: str) -> None:
    model, batches = model_of(architecture), batches_of(*GROUPS)
    expected, effective = ORACLES[kind](model, batches)
    found = diagonal_fisher(model, batches, kind=kind)
    assert_close(tensors(found), expected)
    assert found.samples == 8
    assert found.effective_samples == pytest.approx(effective, rel=1e-4)
    assert found.estimator == kind
    assert found.clamped == 0


@pytest.mark.usefixtures("no_loop")
@pytest.mark.parametrize("kind", ["empirical", "true"])
def test_blocks_smaller_than_a_gradient_change_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batches = model_of("bert"), batches_of(*GROUPS)
    whole = diagonal_fisher(model, batches, kind=kind)
    monkeypatch.setattr("purify_cli.curvature.squares.BLOCK", 96)
    pieces = diagonal_fisher(model, batches, kind=kind)
    assert_close(tensors(pieces), tensors(whole))
    assert pieces.effective_samples == pytest.approx(whole.effective_samples, rel=1e-5)


@pytest.mark.parametrize("kind", ["empirical", "true"])
def test_the_loop_engine_agrees_too(kind: str) -> None:
    model, batches = model_of("bert"), batches_of(*GROUPS)
    expected, effective = ORACLES[kind](model, batches)
    found = diagonal_fisher(model, batches, kind=kind, engine="loop")
    assert_close(tensors(found), expected)
    assert found.effective_samples == pytest.approx(effective, rel=1e-4)


@pytest.mark.usefixtures("no_loop")
@pytest.mark.parametrize("classes", [2, 5])
def test_the_true_fisher_is_exact_for_any_number_of_classes(classes: int) -> None:
    model, batches = model_of("bert", classes=classes), batches_of(*GROUPS, classes=classes)
    assert_close(tensors(diagonal_fisher(model, batches, kind="true")), oracle.true(model, batches)[0])


def test_the_true_fisher_keeps_improbable_classes() -> None:
    model, batches = model_of("bert"), batches_of([6, 6])
    with torch.no_grad():
        model.classifier.bias.copy_(torch.tensor([30.0, 0.0, -5.0]))
    expected, _ = oracle.true(model.double(), batches)
    expected = {name: t.float() for name, t in expected.items()}
    assert_close(tensors(diagonal_fisher(model.float(), batches, kind="true")), expected, tolerance=1e-4)
    assert 0 < float(expected["classifier.weight"].max()) < 1e-6


def test_the_true_fisher_needs_no_labels() -> None:
    model, batches = model_of("bert"), batches_of(*GROUPS)
    bare = [Batch(b.inputs, None, b.index) for b in batches]
    labelled, unlabelled = (diagonal_fisher(model, b, kind="true") for b in (batches, bare))
    assert all(torch.equal(labelled.tensors[n], unlabelled.tensors[n]) for n in labelled.tensors)


def token_likelihood(module: nn.Module, batch: Batch) -> Tensor:
    """Summed log-likelihood of the next tokens, per sequence; padding does not count."""
    ids, mask = batch.inputs["input_ids"], batch.inputs["attention_mask"]
    scores = module(**batch.inputs).logits[:, :-1].log_softmax(-1)
    picked = scores.gather(-1, ids[:, 1:, None])[..., 0]
    return (picked * mask[:, 1:]).sum(1)


@pytest.mark.usefixtures("no_loop")
@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_tied_weights_add_both_uses_before_squaring(architecture: str) -> None:
    model, batches = model_of(architecture, language=True), batches_of(*GROUPS)
    tied = model.get_input_embeddings().weight
    assert tied is model.get_output_embeddings().weight
    expected, _ = oracle.mean_squares(model, batches, token_likelihood)
    found = mean_squared_gradients(model, batches, token_likelihood, estimator="likelihood")
    assert_close(tensors(found), expected)
    assert [name for name, p in model.named_parameters() if p is tied] == [
        n for n in found.tensors if "wte" in n or "embed_tokens" in n
    ]
    assert found.estimator == "likelihood"


@pytest.mark.parametrize("architecture", ["bert", "roberta", "distilbert", "gpt2", "llama"])
def test_padding_contributes_nothing(architecture: str) -> None:
    model, padded = model_of(architecture), batches_of([9, 4, 6])
    bare = [oracle.unpadded(one) for one in oracle.single(padded)]
    found, expected = (diagonal_fisher(model, b, kind="empirical") for b in (padded, bare))
    assert_close(tensors(found), tensors(expected))


def test_neither_batch_size_nor_order_matters() -> None:
    model, together = model_of("bert"), batches_of([7, 7, 7, 7, 7])
    whole = together[0]
    parts = [[3], [1, 4], [0, 2]]
    apart = [Batch({n: t[at] for n, t in whole.inputs.items()}, whole.labels[at], whole.index[at]) for at in parts]
    one, other = (diagonal_fisher(model, b, kind="empirical") for b in (together, apart))
    assert_close(tensors(one), tensors(other))
    assert one.effective_samples == pytest.approx(other.effective_samples, rel=1e-5)


def test_it_is_not_the_square_of_the_batch_gradient() -> None:
    model, batches = model_of("bert"), batches_of([7] * 8)
    found = diagonal_fisher(model, batches, kind="empirical")
    loss = functional.cross_entropy(model(**batches[0].inputs).logits, batches[0].labels)
    name = "bert.encoder.layer.0.output.dense.weight"
    wrong = oracle.gradients(model, loss)[name].square()
    assert float(wrong.sum()) < 0.7 * float(found.tensors[name].sum())


def test_rows_that_no_sample_touches_are_exactly_zero() -> None:
    found = diagonal_fisher(model_of("bert"), batches_of([9, 7]), kind="empirical").tensors
    words, places = (found[f"bert.embeddings.{kind}_embeddings.weight"] for kind in ("word", "position"))
    assert not words[VOCABULARY // 3 :].any()
    assert not words[PAD].any()
    assert not places[9:].any()
    assert places[:9].any(1).all()


def test_equal_samples_count_fully_and_a_dominant_one_counts_alone() -> None:
    model = model_of("bert")
    one = batch_of([6])
    copies = Batch({n: t.repeat(4, 1) for n, t in one.inputs.items()}, one.labels.repeat(4), torch.arange(4))
    assert diagonal_fisher(model, [copies], kind="empirical").effective_samples == pytest.approx(4, rel=1e-4)

    def weighted(module: nn.Module, batch: Batch) -> Tensor:
        return module(**batch.inputs).logits[:, 0] * torch.where(batch.index == 2, 1.0, 1e-3)

    found = mean_squared_gradients(model, [copies], weighted, estimator="weighted")
    assert found.effective_samples == pytest.approx(1, rel=1e-4)


def test_only_wanted_parameters_are_differentiated() -> None:
    model, batches = model_of("bert"), batches_of(*GROUPS)
    expected, _ = oracle.empirical(model, batches)
    chosen = ["bert.encoder.layer.1.output.dense.weight", "bert.embeddings.LayerNorm.bias", "classifier.bias"]
    found = diagonal_fisher(model, batches, kind="empirical", parameters=chosen)
    assert_close(tensors(found), {name: expected[name] for name in chosen})


def test_frozen_parameters_hold_no_gradient_and_get_no_curvature() -> None:
    model, batches = model_of("bert"), batches_of([6, 6])
    model.bert.embeddings.requires_grad_(False)
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    found = diagonal_fisher(model, batches, kind="empirical")
    assert frozen
    assert set(found.tensors) == {name for name, _ in model.named_parameters()} - frozen
    assert {name for name, p in model.named_parameters() if not p.requires_grad} == frozen


@pytest.mark.parametrize("engine", ["hooks", "loop"])
@pytest.mark.parametrize("fails", [False, True])
def test_the_module_is_left_as_it_was(engine: str, fails: bool) -> None:
    model, batches = model_of("bert"), batches_of([6, 6])
    model.classifier.bias.requires_grad_(False)
    model.classifier.weight.grad = torch.ones_like(model.classifier.weight)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    required = {name: p.requires_grad for name, p in model.named_parameters()}
    if fails:
        batches = [*batches, Batch(batches[0].inputs, torch.tensor([0, 7]), batches[0].index)]
        with pytest.raises(DataError, match="label 7 of sample 1 is outside the head, which has 3 labels"):
            diagonal_fisher(model, batches, kind="empirical", engine=engine)
    else:
        diagonal_fisher(model, batches, kind="empirical", engine=engine)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    assert required == {name: p.requires_grad for name, p in model.named_parameters()}
    assert [name for name, p in model.named_parameters() if p.grad is not None] == ["classifier.weight"]
    assert bool((model.classifier.weight.grad == 1).all())
    assert not any(layer._forward_hooks for layer in model.modules())
    assert not model.training


def test_it_works_where_gradients_are_switched_off() -> None:
    model, batches = model_of("bert"), batches_of([6, 6])
    expected = diagonal_fisher(model, batches, kind="empirical")
    with torch.no_grad():
        found = diagonal_fisher(model, batches, kind="empirical")
        assert not torch.is_grad_enabled()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = diagonal_fisher(model, batches, kind="empirical")
    assert_close(tensors(found), tensors(expected), tolerance=1e-6)
    assert_close(tensors(cast), tensors(expected), tolerance=1e-6)


def test_what_cannot_be_right_is_refused() -> None:
    model, batches = model_of("bert"), batches_of([6, 6])
    with pytest.raises(UsageError, match="no samples"):
        diagonal_fisher(model, [], kind="empirical")
    with pytest.raises(UsageError, match="needs a label"):
        diagonal_fisher(model, [Batch(batches[0].inputs, None, batches[0].index)], kind="empirical")
    with pytest.raises(ValueError, match="no parameter 'nonsense'"):
        diagonal_fisher(model, batches, kind="empirical", parameters=["nonsense"])
    with pytest.raises(ValueError, match=r"shape \(6,\) for 2 samples"):
        mean_squared_gradients(model, batches, lambda m, b: m(**b.inputs).logits.reshape(-1), estimator="x")
    with pytest.raises(ValueError, match="float32"):
        diagonal_fisher(model_of("bert").bfloat16(), batches, kind="empirical")
    model.bert.embeddings.dropout.train()
    with pytest.raises(ValueError, match="evaluation mode"):
        diagonal_fisher(model, batches, kind="empirical")
    with pytest.raises(ValueError, match="all are frozen"):
        diagonal_fisher(model.eval().requires_grad_(False), batches, kind="empirical")


def test_a_curvature_that_overflows_is_refused() -> None:
    model = model_of("bert")
    with torch.no_grad():
        model.classifier.weight.mul_(1e30)
    with pytest.raises(CheckpointError, match="is not finite"):
        diagonal_fisher(model, batches_of([6, 6]), kind="empirical")


def test_an_objective_without_gradients_gives_zeros() -> None:
    model = model_of("bert")
    for engine in ("hooks", "loop"):
        found = mean_squared_gradients(
            model, batches_of([6, 6]), lambda _, b: torch.zeros(len(b.index)), estimator="none", engine=engine
        )
        assert found.effective_samples == 0
        assert not any(t.any() for t in found.tensors.values())
    assert loop.columns(torch.zeros(2), 2).shape == (2, 1)
