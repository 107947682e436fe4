"""The penalty and the Fisher information against plain loops that were written from the equations."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from dialog.errors import FinetuneError
from dialog.finetune.config import LoraSettings
from dialog.finetune.ewc import EwcPenalty, adapted_layers, quadratic
from dialog.finetune.fisher import Fisher, FisherCard, fisher_information
from dialog.finetune.lora import add_adapter, target_names

SAMPLES = [[5, 9, 2, 77, 31], [8, 1], [4, 4, 90, 12, 63, 7, 18, 2], [3, 50, 6]]


def one_by_one(model, names, samples):
    """The definition: one sample, one backward pass, the square of its whole gradient."""
    weights = {name: model.get_submodule(name).weight for name in names}
    model.requires_grad_(False)
    for weight in weights.values():
        weight.requires_grad_(True)
    totals = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for sample in samples:
        model.zero_grad()
        ids = torch.tensor([sample])
        F.cross_entropy(model(ids).logits[0, :-1], ids[0, 1:]).backward()
        for name, weight in weights.items():
            totals[name] += weight.grad**2
    model.requires_grad_(False)
    return {name: total / len(samples) for name, total in totals.items()}


def random_adapter(model):
    """A peft model whose B is not zero, as after some training."""
    adapted = add_adapter(model, LoraSettings(rank=3, alpha=5), base="tiny", revision="r")
    torch.manual_seed(7)
    for layer in adapted_layers(adapted):
        torch.nn.init.normal_(layer.up, std=0.1)
    return adapted


def test_the_penalty_equals_a_double_loop_over_the_weights():
    torch.manual_seed(0)
    fisher, down, up = torch.rand(7, 5), torch.randn(2, 5), torch.randn(7, 2)
    scale, expected = 1.5, 0.0
    for i in range(7):
        for j in range(5):
            delta = scale * sum(float(up[i, k]) * float(down[k, j]) for k in range(2))
            expected += float(fisher[i, j]) * delta**2
    assert float(quadratic(fisher, down, up, scale)[0]) == pytest.approx(expected, rel=1e-5)


def test_the_closed_form_gradient_equals_autograd_through_the_dense_update(tiny):
    adapted = random_adapter(tiny())
    layers = list(adapted_layers(adapted))
    torch.manual_seed(1)
    fisher = {one.name: torch.rand(one.up.shape[0], one.down.shape[1]) for one in layers}
    dense = sum((fisher[one.name] * (one.scale * one.up @ one.down) ** 2).sum() for one in layers)
    expected = torch.autograd.grad(3.0 * dense, [p for one in layers for p in (one.down, one.up)])
    penalty = EwcPenalty(adapted, fisher, 3.0)
    found = torch.autograd.grad(penalty.loss(), [p for one in layers for p in (one.down, one.up)])
    added = penalty.add_gradients()
    assert float(added) == pytest.approx(float(3.0 * dense.detach()), rel=1e-5)
    for want, autograd_function, layer_gradient in zip(
        expected, found, [p.grad for one in layers for p in (one.down, one.up)], strict=True
    ):
        torch.testing.assert_close(autograd_function, want, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(layer_gradient, want, rtol=1e-4, atol=1e-6)


def test_rows_in_blocks_give_the_same_as_all_at_once(monkeypatch):
    torch.manual_seed(0)
    fisher, down, up = torch.rand(50, 20), torch.randn(4, 20), torch.randn(50, 4)
    whole = quadratic(fisher, down, up, 2.0)
    monkeypatch.setattr("dialog.finetune.ewc.BLOCK", {"cpu": 60})  # three rows at a time
    for a, b in zip(whole, quadratic(fisher, down, up, 2.0), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_a_fresh_adapter_has_no_penalty(tiny):
    adapted = add_adapter(tiny(), LoraSettings(rank=2), base="tiny", revision="r")
    fisher = {one.name: torch.ones(one.up.shape[0], one.down.shape[1]) for one in adapted_layers(adapted)}
    assert float(EwcPenalty(adapted, fisher, 10.0).add_gradients()) == 0.0


@pytest.mark.parametrize("batch_tokens", [4, 16, 1000])
def test_batched_fisher_equals_one_by_one(tiny, batch_tokens: int):
    model = tiny()
    names = target_names(model, LoraSettings())
    expected = one_by_one(tiny(), names, SAMPLES)
    found = fisher_information(model, SAMPLES, names, batch_tokens=batch_tokens)
    assert set(found) == set(expected)
    for name in names:
        # Relative to the layer's largest entry: single entries near zero have no meaningful relative error.
        assert float((found[name] - expected[name]).abs().max() / expected[name].max()) < 1e-5


def test_fisher_of_upper_layers_is_the_same_and_walks_no_lower_ones(tiny):
    model = tiny()
    upper = [name for name in target_names(model, LoraSettings()) if ".layers.1." in name]
    walked: list[bool] = []
    model.get_submodule("model.layers.0").register_forward_hook(
        lambda module, inputs, output: walked.append((output[0] if isinstance(output, tuple) else output).requires_grad)
    )
    found = fisher_information(model, SAMPLES, upper)
    expected = one_by_one(tiny(), upper, SAMPLES)
    for name in upper:
        assert float((found[name] - expected[name]).abs().max() / expected[name].max()) < 1e-5
    assert walked
    assert not any(walked), "a backward pass below the lowest layer is wasted"


def test_it_squares_each_samples_gradient_and_not_the_batchs(tiny):
    name = "model.layers.0.self_attn.q_proj"
    found = fisher_information(tiny(), SAMPLES, [name])[name]
    assert not torch.allclose(found, fisher_information(tiny(), [SAMPLES[0]], [name])[name], rtol=0.1)
    twice = fisher_information(tiny(), [*SAMPLES, *SAMPLES], [name])[name]
    torch.testing.assert_close(found, twice, rtol=1e-4, atol=1e-9)  # a mean does not grow with its samples


def test_sampled_labels_are_seeded_and_differ_from_the_datas(tiny):
    name = "model.layers.1.mlp.up_proj"
    one, same = (fisher_information(tiny(), SAMPLES, [name], labels="sampled", seed=4)[name] for _ in range(2))
    assert torch.equal(one, same)
    assert not torch.allclose(one, fisher_information(tiny(), SAMPLES, [name])[name], rtol=0.05)


def test_the_model_is_left_as_it_was(tiny):
    model = tiny().train()
    model.get_input_embeddings().weight.requires_grad_(False)
    before = [(p.requires_grad, p.clone()) for p in model.parameters()]
    fisher_information(model, SAMPLES, target_names(model, LoraSettings()))
    assert model.training
    for parameter, (needed, value) in zip(model.parameters(), before, strict=True):
        assert parameter.requires_grad == needed
        assert parameter.grad is None
        assert torch.equal(parameter, value)


def card(revision: str) -> FisherCard:
    return FisherCard(model="tiny", revision=revision, data="d", samples=4, tokens=18, labels="data", modules=("a",))


def test_a_fisher_file_carries_its_card_and_refuses_another_model(tmp_path: Path):
    path = tmp_path / "f.safetensors"
    Fisher(card=card("aaa"), values={"a": torch.ones(2, 3)}).save(path)
    loaded = Fisher.load(path, revision="aaa")
    assert loaded.card == card("aaa")
    assert torch.equal(loaded.values["a"], torch.ones(2, 3))
    with pytest.raises(FinetuneError, match=r"base model is bbb\. Correct ewc\.fisher, or leave it out"):
        Fisher.load(path, revision="bbb")
    with pytest.raises(FinetuneError, match=r"base model is bbb\. Delete it to compute it anew"):
        Fisher.load(path, revision="bbb", named=False)  # the one that a run keeps for itself
    with pytest.raises(FinetuneError, match=r"none\.safetensors does not exist"):
        Fisher.load(tmp_path / "none.safetensors", revision="aaa")


def test_running_out_of_memory_says_what_to_lower(tiny, monkeypatch):
    def exhausted(*args, **options):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.")

    monkeypatch.setattr("dialog.finetune.fisher.add_squares", exhausted)
    with pytest.raises(FinetuneError, match=r"Fisher information\. Lower ewc\.sample_tokens"):
        fisher_information(tiny(), SAMPLES, ["model.layers.0.mlp.up_proj"])


def test_a_broken_fisher_file_is_one_clear_line(tmp_path: Path):
    path = tmp_path / "f.safetensors"
    path.write_bytes(b"not safetensors")
    with pytest.raises(FinetuneError, match="not a readable Fisher file"):
        Fisher.load(path, revision="aaa")


def test_fisher_of_other_layers_is_refused(tiny):
    adapted = random_adapter(tiny())
    with pytest.raises(FinetuneError, match=r"none for model\.layers\.0"):
        EwcPenalty(adapted, {}, 1.0)
    with pytest.raises(FinetuneError, match=r"no LoRA layers"):
        EwcPenalty(tiny(), {}, 1.0)
    with pytest.raises(FinetuneError, match=r"'nowhere' is missing"):
        fisher_information(tiny(), SAMPLES, ["nowhere"])
    with pytest.raises(FinetuneError, match="at least two tokens"):
        fisher_information(tiny(), [[1]], ["model.layers.0.mlp.up_proj"])
