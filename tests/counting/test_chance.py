"""Request ids and weighted draws of workers that a server forks from one process."""

import json
import subprocess
import sys

# Run by a process of its own, because a fork of one with threads is a warning and may hang.
FORKING = """
import json, os
from count_tokens_mw import Config
from count_tokens_mw.counting.record import RequestRecord
from count_tokens_mw.counting.snapshot import ConfigSnapshot

params = {"model": "anthropic/claude-sonnet-4-5", "api_key": "sk-ant", "weight": 1}
entries = [
    {"model_name": "claude", "litellm_params": params, "model_info": {"id": id_}} for id_ in "ab"
]
router = ConfigSnapshot(Config.from_mapping({"model_list": entries}, {})).router


def draw():
    ids = [RequestRecord("count").request_id for _ in range(3)]
    return ids, "".join(router.find("claude")[0].id for _ in range(128))


draw()  # the parent has served requests before it forks
outputs = []
for _ in range(2):
    read, write = os.pipe()
    if not os.fork():
        os.write(write, json.dumps(draw()).encode())
        os._exit(0)
    os.close(write)
    with open(read) as pipe:
        outputs.append(json.load(pipe))
    os.wait()
print(json.dumps([*outputs, draw()]))
"""


def test_a_forked_worker_repeats_no_request_id_and_no_weighted_draw() -> None:
    run = subprocess.run(
        [sys.executable, "-c", FORKING], capture_output=True, text=True, check=True, timeout=60
    )
    processes = json.loads(run.stdout)
    ids = [id_ for own, _ in processes for id_ in own]
    assert len(set(ids)) == 9
    # By chance, two sequences of 128 draws are equal once in 2 ** 128.
    draws = [draws for _, draws in processes]
    assert len(set(draws)) == 3
    assert all(set(sequence) == {"a", "b"} for sequence in draws)
