"""The trainer: what it learns, that splits of the work change nothing, and that nothing is lost when it stops."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from dialog.dialect import Pair
from dialog.errors import FinetuneError
from dialog.finetune.config import LoraSettings
from dialog.finetune.examples import Example, LabelTarget
from dialog.finetune.lora import add_adapter, check_split, lower_states, trained, upper_only
from dialog.finetune.losses import JointLoss, collate
from dialog.finetune.mixing import micro_batches, plan_hash, plan_steps
from dialog.finetune.run_log import PANELS, read_metrics
from dialog.finetune.shared_prefix import shared_prefix
from dialog.finetune.trainer import LowerCache
from tests.dialog.finetune.training import examples, trainer, weights

TOKENS = Example(ids=(5, 6, 7, 8, 9), taught=(False, False, True, True, False))
JUDGED = Example(ids=(11, 12, 13), labels=(LabelTarget(2, Pair(20, 21), 0.75), LabelTarget(2, Pair(22, 23), 0.0)))
PREFERRED = Example(
    ids=(30, 31, 32, 33),
    labels=(LabelTarget(3, Pair(20, 21), 1.0),),
    rival=Example(ids=(30, 31), labels=(LabelTarget(1, Pair(20, 21), 0.0),)),
)


def test_the_joint_loss_equals_one_written_out_by_hand(tiny):
    model = tiny()
    sums = JointLoss(model)(collate([TOKENS, JUDGED, PREFERRED], pad=0))

    def logits(ids: tuple[int, ...]) -> torch.Tensor:
        return model(torch.tensor([ids])).logits[0]

    token_rows = logits(TOKENS.ids).log_softmax(-1)
    tokens = -(token_rows[1, 7] + token_rows[2, 8]) / 2
    at = logits(JUDGED.ids)[2]
    first, second = at[[20, 21]].log_softmax(-1), at[[22, 23]].log_softmax(-1)
    labels = (-(0.75 * first[0] + 0.25 * first[1]) - second[1]) / 2
    chosen, rejected = logits((30, 31, 32, 33))[3], logits((30, 31))[1]
    preference = -F.logsigmoid((chosen[20] - chosen[21]) - (rejected[20] - rejected[21]))
    torch.testing.assert_close(sums.tokens, tokens, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(sums.labels, labels, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(sums.preferences, preference, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(sums.total, tokens + labels + preference, rtol=1e-5, atol=1e-6)


def test_padding_does_not_change_a_loss(tiny):
    loss = JointLoss(tiny())
    alone = loss(collate([JUDGED], pad=0)).total
    beside = loss(collate([JUDGED, Example(ids=tuple(range(1, 40)))], pad=0)).total
    torch.testing.assert_close(alone, beside, rtol=1e-5, atol=1e-6)


def test_upper_layers_on_cached_states_are_the_whole_model(tiny):
    model = tiny()
    batch = collate([TOKENS, JUDGED], pad=0)
    whole = JointLoss(model)(batch).total
    states = lower_states(model, batch.ids, batch.mask, 3)
    with upper_only(model, 3):
        upper = JointLoss(model)(batch, states).total
    torch.testing.assert_close(whole, upper, rtol=1e-6, atol=1e-6)
    assert len(model.model.layers) == 4


def gemma(**changes):
    """A random Gemma 3: local and global layers in turn, which turn positions at different rates."""
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    torch.manual_seed(0)
    config = Gemma3TextConfig(
        vocab_size=101, hidden_size=32, intermediate_size=48, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, max_position_embeddings=128, sliding_window=16, pad_token_id=0, **changes,
    )  # fmt: skip
    return Gemma3ForCausalLM(config).eval()


def granite():
    from transformers import GraniteConfig, GraniteForCausalLM

    torch.manual_seed(0)
    config = GraniteConfig(
        vocab_size=101, hidden_size=32, intermediate_size=48, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, embedding_multiplier=12.0, pad_token_id=0,
    )  # fmt: skip
    return GraniteForCausalLM(config).eval()


KINDS = ["sliding_attention", "full_attention"]


@pytest.mark.parametrize("make", [lambda: gemma(layer_types=["sliding_attention"] * 3 + ["full_attention"]), granite])
def test_a_model_whose_upper_layers_alone_say_something_else_is_not_split(make, tmp_path: Path):
    with pytest.raises(FinetuneError, match=r"cannot be split at lora\.from_layer=2.*Set lora\.from_layer to 0"):
        trainer(make(), tmp_path, from_layer=2)
    trainer(make(), tmp_path, from_layer=0)  # nothing is split


def test_a_model_of_alike_layers_may_be_split(tiny):
    model = tiny().train()
    check_split(model, range(1, 60), 2)
    check_split(model, range(1, 60), 2, shared=20)
    assert model.training
    assert len(model.model.layers) == 4
    check_split(gemma(layer_types=KINDS * 2), range(1, 60), 2)  # the pattern begins anew at layer 2
    with pytest.raises(FinetuneError, match="cannot be split"):
        check_split(gemma(layer_types=KINDS * 2), range(1, 60), 1)


@pytest.mark.parametrize("from_layer", [0, 2])
def test_a_shared_prefix_computed_once_changes_neither_loss_nor_gradients(tiny, from_layer: int):
    start = tuple(range(40, 60))
    longer = [replace(one, ids=start + one.ids, taught=(False,) * 20 + one.taught) for one in (TOKENS,)]
    longer += [
        Example(ids=(*start, *ids), labels=(LabelTarget(19 + len(ids), Pair(20, 21), 1.0),))
        for ids in ((7, 8), (9, 10, 11), (12,))
    ]
    model = add_adapter(tiny(), LoraSettings(rank=4, from_layer=from_layer), base="tiny", revision="r")
    for name, parameter in trained(model).items():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    shared = shared_prefix(longer, model.config)
    assert shared == len(start)
    batch, gradients = collate(longer, pad=0), []
    for prefix in (0, shared):
        states = lower_states(model, batch.ids, batch.mask, from_layer, prefix) if from_layer else None
        with upper_only(model, from_layer):
            JointLoss(model)(batch, states, prefix).total.backward()
        gradients.append({name: parameter.grad for name, parameter in trained(model).items()})
        model.zero_grad()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-4, atol=1e-6)


def test_a_prefix_ends_before_what_is_taught_and_is_not_shared_by_windows(tiny):
    same = tuple(range(30, 50))
    judged = Example(ids=same, labels=(LabelTarget(12, Pair(20, 21), 1.0),))
    assert shared_prefix([judged, judged], tiny().config) == 12
    assert shared_prefix([judged, Example(ids=(1, *same))], tiny().config) == 0  # they begin differently
    config = SimpleNamespace(layer_types=["sliding_attention", "full_attention"])
    assert shared_prefix([judged, judged], config) == 0


def test_an_examples_states_come_from_its_first_group_whoever_asks(tiny):
    one, two, long = examples()[:3]
    model, cpu = tiny(), torch.device("cpu")
    first, second = LowerCache(2), LowerCache(2)
    for cache in (first, second):
        cache.enter([one, long])
        cache.enter([one, two])
    first.get(model, [one, long], len(long.ids), 0, cpu)
    ahead = first.get(model, [one, two], 12, 0, cpu)
    assert torch.equal(ahead, second.get(model, [one, two], 12, 0, cpu))  # as in a run resumed at the second group


def test_states_are_kept_until_their_last_use_and_no_longer(tiny, tmp_path: Path):
    one, two, long = examples()[:3]
    model, cpu = tiny(), torch.device("cpu")
    cache = LowerCache(2)
    cache.enter([one, long], read=False)  # a step that a resumed run does not take again
    cache.enter([one, two])
    cache.enter([one])
    cache.get(model, [one, two], 12, 0, cpu)
    assert set(cache.states) == {id(one)}
    cache.get(model, [one], 12, 0, cpu)
    assert not cache.states
    trained_whole = trainer(tiny(), tmp_path, from_layer=2)
    trained_whole.train()
    assert trained_whole.cache is not None
    assert not trained_whole.cache.states


def test_training_lowers_the_loss_and_leaves_the_base_alone(tiny, tmp_path: Path):
    model = tiny()
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(20)  # a fresh model's small output rows cap how sure it can get
    one = trainer(model, tmp_path, steps=30, batch_size=24)
    everything = collate(examples(), pad=0)
    before = float(one.loss(everything).total.detach())
    base = {name: p.clone() for name, p in one.model.named_parameters() if not p.requires_grad}
    one.train()
    assert float(one.loss(everything).total.detach()) < 0.5 * before
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 30
    logged = {key for row in read_metrics(tmp_path / "metrics.jsonl") for key in row}
    assert {*PANELS["loss"]} - {"held_out_loss"} <= logged, "what is plotted is logged; held-out loss is `run`'s to add"
    assert all(torch.equal(p, base[name]) for name, p in one.model.named_parameters() if not p.requires_grad)
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_micro_batches_do_not_change_the_step(tiny, tmp_path: Path):
    whole, parts = trainer(tiny(), tmp_path / "a", micro_tokens=4096), trainer(tiny(), tmp_path / "b", micro_tokens=30)
    whole.train()
    parts.train()
    for name, value in weights(whole).items():
        torch.testing.assert_close(value, weights(parts)[name], rtol=1e-3, atol=1e-5)


def test_checkpointed_activations_do_not_change_the_step(tiny, tmp_path: Path):
    plain = trainer(tiny(), tmp_path / "a", steps=2)
    saving = trainer(tiny(), tmp_path / "b", steps=2, gradient_checkpointing=True)
    plain.train()
    saving.train()
    for name, value in weights(plain).items():
        torch.testing.assert_close(value, weights(saving)[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("from_layer", [0, 2])
def test_a_resumed_run_ends_with_the_same_bits(tiny, tmp_path: Path, from_layer: int):
    unbroken = trainer(tiny(), tmp_path / "a", from_layer=from_layer)
    unbroken.train()

    class Stop(Exception):
        pass

    def stop(progress) -> None:
        if progress.step == 5:
            raise Stop

    broken = trainer(tiny(), tmp_path / "b", from_layer=from_layer)
    broken.on_progress = stop
    with pytest.raises(Stop):
        broken.train()
    resumed = trainer(tiny(), tmp_path / "b", from_layer=from_layer)
    assert resumed.train() == 4
    for name, value in weights(unbroken).items():
        assert torch.equal(value, weights(resumed)[name]), name
    steps = [row["step"] for row in read_metrics(tmp_path / "b" / "metrics.jsonl") if "loss" in row]
    assert steps == [1, 2, 3, 4, 5, 6]


SCRIPT = """
import sys
from pathlib import Path
from types import SimpleNamespace
sys.path[:0] = {paths!r}
import torch
torch.set_num_threads(1)
from tests.dialog.finetune.training import trainer, weights
from conftest_tiny import make
from safetensors.torch import save_file
one = trainer(make(), Path({folder!r}), steps={steps}, save_every=1)
one.train()
if one.accelerator.is_main_process:
    save_file(weights(one), {out!r})
"""


def script(tmp_path: Path, folder: Path, out: Path, steps: int) -> Path:
    here = Path(__file__).parent
    text = (here / "conftest.py").read_text()
    inner = text[text.index("    def make") : text.index("    return make")]
    lines = [line[4:] for line in inner.splitlines()]
    (tmp_path / "conftest_tiny.py").write_text(
        "import torch\nfrom typing import Any\nVOCABULARY = 101\n" + "\n".join(lines) + "\n"
    )
    paths = [str(tmp_path), str(here), str(here.parents[2])]
    path = tmp_path / f"{folder.name}.py"
    path.write_text(SCRIPT.format(paths=paths, folder=str(folder), out=str(out), steps=steps))
    return path


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_weights_as_an_unbroken_one(tmp_path: Path):
    def start(name: str) -> subprocess.Popen:
        file = script(tmp_path, tmp_path / name, tmp_path / f"{name}.safetensors", 40)
        return subprocess.Popen([sys.executable, str(file)], env={**os.environ, "OMP_NUM_THREADS": "1"})

    assert start("unbroken").wait(timeout=300) == 0
    victim = start("killed")
    deadline = time.monotonic() + 300
    while not list((tmp_path / "killed" / "checkpoints").glob("step-0000002")) and time.monotonic() < deadline:
        time.sleep(0.01)
    victim.send_signal(signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed.safetensors").exists()
    assert start("killed").wait(timeout=300) == 0
    expected, found = (load_file(tmp_path / f"{name}.safetensors") for name in ("unbroken", "killed"))
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


@pytest.mark.slow
def test_two_processes_over_gloo_train_what_one_does(tmp_path: Path):
    single = script(tmp_path, tmp_path / "one", tmp_path / "one.safetensors", 4)
    double = script(tmp_path, tmp_path / "two", tmp_path / "two.safetensors", 4)
    env = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    subprocess.run([sys.executable, str(single)], check=True, timeout=300, env=env)
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    subprocess.run([*launch, str(double)], check=True, timeout=300, env=env)
    expected, found = (load_file(tmp_path / f"{name}.safetensors") for name in ("one", "two"))
    for name, value in expected.items():
        torch.testing.assert_close(value, found[name], rtol=1e-3, atol=1e-5)


def test_a_plan_mixes_tasks_by_weight_and_follows_from_the_seed():
    made = examples()
    tasks = {"many": made[:20], "few": made[20:]}
    plan = plan_steps(tasks, {"many": 3, "few": 1}, steps=10, batch_size=8, seed=5)
    drawn = [id(one) for batch in plan for one in batch]
    assert len(drawn) == 80
    assert sum(one in {id(e) for e in tasks["few"]} for one in drawn) == 20
    assert plan_hash(plan) == plan_hash(plan_steps(tasks, {"many": 3, "few": 1}, steps=10, batch_size=8, seed=5))
    assert plan_hash(plan) != plan_hash(plan_steps(tasks, {"many": 3, "few": 1}, steps=10, batch_size=8, seed=6))
    with pytest.raises(FinetuneError, match="'none'"):
        plan_steps({"none": []}, {"none": 1}, steps=1, batch_size=1, seed=0)


def test_groups_keep_to_the_token_budget_and_hold_everything():
    made = [*examples(), PREFERRED]
    groups = micro_batches(made, 40)
    assert sorted(id(e) for group in groups for e in group) == sorted(map(id, made))
    for group in groups:
        rows = [row for e in group for row in (e, e.rival) if row]
        assert len(group) == 1 or len(rows) * max(len(row.ids) for row in rows) <= 40


def test_a_pair_does_not_outgrow_the_group_of_a_shorter_single():
    def row(length: int, rival: Example | None = None) -> Example:
        return Example(ids=(1,) * length, labels=(LabelTarget(length - 1, Pair(2, 3), 1.0),), rival=rival)

    pair, single = row(150, rival=row(150)), row(290)
    assert micro_batches([pair, single], 512) == [[single], [pair]]  # together three rows of 290
    assert micro_batches([pair, single], 870) == [[single, pair]]


def test_unknown_targets_and_layers_are_named(tiny):
    with pytest.raises(FinetuneError, match=r"'w_q' is not in the model.*q_proj"):
        add_adapter(tiny(), LoraSettings(target_modules=("w_q",)), base="tiny", revision="r")
    with pytest.raises(FinetuneError, match="layers 0 to 3"):
        add_adapter(tiny(), LoraSettings(from_layer=4), base="tiny", revision="r")


def test_only_upper_layers_are_adapted_when_asked(tiny):
    adapted = add_adapter(tiny(), LoraSettings(from_layer=2, target_modules=("q_proj",)), base="tiny", revision="r")
    assert {name.split("layers.")[1][0] for name in trained(adapted)} == {"2", "3"}
    config = json.loads(json.dumps(adapted.peft_config["default"].to_dict(), default=str))
    assert (config["base_model_name_or_path"], config["revision"]) == ("tiny", "r")
