"""A BERT encoder as an int8 ONNX graph, for processors without a fast bfloat16.

Measured on two AVX2 cores against the same model in float32 through transformers: see docs/log.md. Weights are
quantised per channel, to 7 bits so that AVX2's 16-bit sums cannot overflow; activations per tensor, as they come.

Boundary: from a model folder to an ONNX file; knows nothing of tokenizing or pooling.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import numpy as np

from toolset.retrieval.errors import EmbedderError

OPSET = 20
VERSION = "int8-1"
"""Changes when the graph or its quantisation does: vectors made by different versions do not mix."""


def is_bert(config: dict) -> bool:
    """Whether `build` knows this model: BERT with absolute positions and the exact GELU."""
    return (
        config.get("model_type") == "bert"
        and config.get("hidden_act") == "gelu"
        and config.get("position_embedding_type", "absolute") == "absolute"
    )


def quantised(folder: Path, target: Path) -> None:
    """Write the int8 graph of the model in `folder` to `target`, whole or not at all. Raises EmbedderError."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".onnx-") as scratch:
            plain, small = Path(scratch, "fp32.onnx"), Path(scratch, "int8.onnx")
            onnx.save(build(folder), plain)
            quantize_dynamic(plain, small, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)
            os.replace(small, target)
    except (KeyError, ValueError, OSError) as error:
        raise EmbedderError(f"cannot convert the embedding model in {folder}: {error}. Fetch it again.") from error


def build(folder: Path):
    """The float32 graph: `input_ids`, `attention_mask` int64 [batch, tokens] -> `hidden` float32 [batch, tokens, d]."""
    from onnx import TensorProto, helper, numpy_helper
    from safetensors.numpy import load_file

    config = json.loads((folder / "config.json").read_text())
    tensors = {name.removeprefix("bert."): value for name, value in load_file(folder / "model.safetensors").items()}
    width, heads = config["hidden_size"], config["num_attention_heads"]
    nodes, weights = [], {}

    def constant(name: str, value: np.ndarray) -> str:
        weights[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def node(op: str, *inputs: str, **attributes) -> str:
        name = f"{op}_{len(nodes)}"
        nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def linear(x: str, *names: str) -> str:  # several of one input are one matrix product
        kernel = np.concatenate([tensors[f"{name}.weight"].T for name in names], axis=1).astype(np.float32)
        bias = np.concatenate([tensors[f"{name}.bias"] for name in names]).astype(np.float32)
        return node("Add", node("MatMul", x, constant(f"{names[0]}.w", kernel)), constant(f"{names[0]}.b", bias))

    def norm(x: str, name: str) -> str:
        scale, bias = (constant(f"{name}.{part}", tensors[f"{name}.{part}"]) for part in ("weight", "bias"))
        return node("LayerNormalization", x, scale, bias, axis=-1, epsilon=config["layer_norm_eps"])

    def split_heads(x: str, order: list[int]) -> str:  # [b, t, d] -> [b, h, t, d/h] (or its transpose)
        return node("Transpose", node("Reshape", x, by_head), perm=order)

    by_head = constant("by_head", np.array([0, 0, heads, width // heads], np.int64))
    by_token = constant("by_token", np.array([0, 0, width], np.int64))
    thirds = constant("thirds", np.array([width] * 3, np.int64))
    kinds = tensors["embeddings.token_type_embeddings.weight"][0]
    places = constant("positions", tensors["embeddings.position_embeddings.weight"] + kinds)
    length = node("Slice", node("Shape", "input_ids"), *(constant(f"i{i}", np.array([i], np.int64)) for i in (1, 2)))
    place = node("Slice", places, constant("i0", np.array([0], np.int64)), length, "i0")
    token = node("Gather", constant("tokens", tensors["embeddings.word_embeddings.weight"]), "input_ids")
    x = norm(node("Add", token, place), "embeddings.LayerNorm")
    seen = node("Cast", "attention_mask", to=TensorProto.FLOAT)
    absent = node("Sub", constant("one", np.array([1], np.float32)), seen)
    mask = node("Mul", absent, constant("minus", np.array([-1e9], np.float32)))
    mask = node("Unsqueeze", mask, constant("axes", np.array([1, 2], np.int64)))
    scale = constant("scale", np.array([(width // heads) ** -0.5], np.float32))
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}"
        joined = linear(x, *(f"{layer}.attention.self.{part}" for part in ("query", "key", "value")))
        parts = [f"{layer}.{part}" for part in "qkv"]
        nodes.append(helper.make_node("Split", [joined, thirds], parts, axis=-1))
        query, value = split_heads(parts[0], [0, 2, 1, 3]), split_heads(parts[2], [0, 2, 1, 3])
        logits = node("MatMul", node("Mul", query, scale), split_heads(parts[1], [0, 2, 3, 1]))
        mixed = node("MatMul", node("Softmax", node("Add", logits, mask), axis=-1), value)
        mixed = node("Reshape", node("Transpose", mixed, perm=[0, 2, 1, 3]), by_token)
        x = norm(
            node("Add", linear(mixed, f"{layer}.attention.output.dense"), x), f"{layer}.attention.output.LayerNorm"
        )
        inner = node("Gelu", linear(x, f"{layer}.intermediate.dense"))
        x = norm(node("Add", linear(inner, f"{layer}.output.dense"), x), f"{layer}.output.LayerNorm")
    nodes.append(helper.make_node("Identity", [x], ["hidden"]))
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    output = helper.make_tensor_value_info("hidden", TensorProto.FLOAT, ["batch", "tokens", width])
    graph = helper.make_graph(nodes, "bert", inputs, [output], list(weights.values()))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
