import pytest
import torch

from purify_cli.evidence import summary
from purify_cli.evidence.summary import by_layer, layer_of, most_suspicious, summarise
from tests.reference.selection import select
from tests.reference.sources import generator, memory


def world():
    g = generator(0)
    old = {
        "bert.embeddings.word_embeddings.weight": torch.randn(50, 8, generator=g),
        "bert.encoder.layer.0.output.dense.weight": torch.randn(30, 30, generator=g),
        "bert.encoder.layer.0.output.dense.bias": torch.zeros(30),
        "bert.encoder.layer.10.output.dense.weight": torch.randn(30, 30, generator=g),
    }
    new = {name: w.clone() for name, w in old.items()}
    new["bert.encoder.layer.10.output.dense.weight"][:3] += 0.5
    new["bert.embeddings.word_embeddings.weight"][7] -= 0.25
    scores = {name: (new[name] - w).square() + 1e-6 * torch.rand(w.shape, generator=g) for name, w in old.items()}
    hold = {name.replace(".", "__"): tensor for name, tensor in new.items()}
    return memory(**hold), memory(**{n.replace(".", "__"): t for n, t in old.items()}), scores


@pytest.mark.parametrize("chunk", [1 << 20, 37])
def test_summaries_equal_dense_sums(monkeypatch, chunk):
    monkeypatch.setattr(summary, "CHUNK", chunk)
    suspect, reference, scores = world()
    found = summarise(suspect, reference, memory(**scores))
    top = select(scores, 0.01)
    assert [one.name for one in found] == list(scores)
    for one in found:
        delta = (suspect.read(one.name) - reference.read(one.name)).double()
        score = scores[one.name].flatten()
        assert one.entries == len(delta)
        assert one.moved == int((delta != 0).sum())
        assert one.drift_norm == pytest.approx(float(delta.norm()))
        assert one.reference_norm == pytest.approx(float(reference.read(one.name).double().norm()))
        assert one.max_drift == pytest.approx(float(delta.abs().max()))
        assert one.mean_score == pytest.approx(float(score.double().mean()))
        assert one.top_count == int(top[one.name].sum())
        if one.reference_norm:
            assert one.relative_drift == pytest.approx(one.drift_norm / one.reference_norm)
    assert found[2].relative_drift is None
    assert sum(one.top_count for one in found) == round(0.01 * 2230)


def test_entries_of_the_class_before_all_others_count_at_the_top_only():
    suspect, reference, scores = world()
    name = "bert.encoder.layer.0.output.dense.bias"
    scores[name][:4] = -7.0
    one = next(s for s in summarise(suspect, reference, memory(**scores)) if s.name == name)
    assert one.top_count == 4
    assert one.mean_score == pytest.approx(float(scores[name][4:].double().mean()))


def test_layers_add_up():
    suspect, reference, scores = world()
    found = summarise(suspect, reference, memory(**scores))
    layers = by_layer(found)
    assert [one.name for one in layers] == ["embeddings", "encoder.layer.0", "encoder.layer.10"]
    sizes = [one.entries for one in found]
    assert [one.entries for one in layers] == [sizes[0], sizes[1] + sizes[2], sizes[3]]
    for field in ("entries", "moved", "top_count"):
        assert sum(getattr(one, field) for one in layers) == sum(getattr(one, field) for one in found)
    first = layers[1]
    assert first.reference_norm**2 == pytest.approx(found[1].reference_norm ** 2 + found[2].reference_norm ** 2)
    assert first.mean_score == pytest.approx((900 * found[1].mean_score + 30 * found[2].mean_score) / 930)


def test_the_tensor_that_holds_the_top_ranks_first_and_still_ones_not_at_all():
    suspect, reference, scores = world()
    ranked = most_suspicious(summarise(suspect, reference, memory(**scores)))
    assert [one.layer for one in ranked] == ["encoder.layer.10", "embeddings"]
    assert len(most_suspicious(summarise(suspect, reference, memory(**scores)), 1)) == 1


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("bert.encoder.layer.3.attention.self.key.weight", "encoder.layer.3"),
        ("transformer.h.11.mlp.c_fc.weight", "h.11"),
        ("model.layers.0.self_attn.q_proj.weight", "layers.0"),
        ("roberta.embeddings.LayerNorm.bias", "embeddings"),
        ("transformer.wte.weight", "embeddings"),
        ("model.embed_tokens.weight", "embeddings"),
        ("bert.pooler.dense.weight", "pooler"),
        ("model.norm.weight", "norm"),
    ],
)
def test_names_of_layers(name, layer):
    assert layer_of(name) == layer
