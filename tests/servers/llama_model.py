"""The script that writes a model of random weights; the interpreter has the package `gguf`.

The model is as small as llama.cpp loads: one layer, and a token for each byte and each letter. Its
chat template renders system, messages, tools, calls and results, so that each is counted.
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import importlib
import string
import sys
from typing import Any, Final

__all__ = ["CHAT_TEMPLATE"]

CHAT_TEMPLATE: Final = """\
{%- if tools -%}
<|system|>
{%- for tool in tools %}
{{ tool | tojson }}
{%- endfor %}
{% endif -%}
{%- for message in messages -%}
<|{{ message.role }}|>
{%- if message.content is string %}
{{ message.content }}
{%- elif message.content %}
{%- for part in message.content %}
{{ part.text }}
{%- endfor %}
{%- endif %}
{%- for call in message.tool_calls or [] %}
{{ call.function.name }} {{ call.function.arguments | tojson }}
{%- endfor %}
{% endfor -%}
{%- if add_generation_prompt -%}
<|assistant|>
{% endif -%}
"""
_WIDTH: Final = 32
_HEADS: Final = 2
_INNER: Final = 64
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6  # llama.cpp's types of tokens


def _vocabulary() -> tuple[list[str], list[float], list[int]]:
    """Return the tokens, their scores and their types."""
    special = [("<unk>", _UNKNOWN), ("<s>", _CONTROL), ("</s>", _CONTROL)]
    in_bytes = [(f"<0x{byte:02X}>", _BYTE) for byte in range(256)]
    letters = [(letter, _NORMAL) for letter in ("\u2581", *string.ascii_letters)]
    tokens = [*special, *in_bytes, *letters]
    scores = [0.0] * (len(special) + len(in_bytes)) + [-float(rank) for rank in range(len(letters))]
    return [text for text, _ in tokens], scores, [kind for _, kind in tokens]


def _shapes(size: int) -> dict[str, tuple[int, ...]]:
    square = (_WIDTH, _WIDTH)
    return {
        "token_embd.weight": (size, _WIDTH),
        "output_norm.weight": (_WIDTH,),
        "output.weight": (size, _WIDTH),
        "blk.0.attn_norm.weight": (_WIDTH,),
        **{f"blk.0.attn_{name}.weight": square for name in ("q", "k", "v", "output")},
        "blk.0.ffn_norm.weight": (_WIDTH,),
        "blk.0.ffn_gate.weight": (_INNER, _WIDTH),
        "blk.0.ffn_up.weight": (_INNER, _WIDTH),
        "blk.0.ffn_down.weight": (_WIDTH, _INNER),
    }


def write_model(path: str) -> None:
    """Write the model into a file."""
    gguf: Any = importlib.import_module("gguf")
    numpy: Any = importlib.import_module("numpy")
    tokens, scores, kinds = _vocabulary()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("random weights")
    writer.add_context_length(8192)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(_INNER)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_HEADS)
    writer.add_rope_dimension_count(_WIDTH // _HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(kinds)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(CHAT_TEMPLATE)
    weights = numpy.random.default_rng(1)
    for name, shape in _shapes(len(tokens)).items():
        writer.add_tensor(name, weights.normal(0, 0.02, shape).astype(numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    write_model(sys.argv[1])
