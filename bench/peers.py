"""Simplifies models with each peer: peers.py OUTFOLDER MODEL... Prints a JSON line per model and peer.

Each run is a forked process: a peer that crashes is a result, too, and imports are paid once.
"""

import json
import multiprocessing
import sys
import time
from pathlib import Path

import onnx
import onnxsim
import onnxslim

TIMEOUT_S = 120


def with_onnxslim(source, path):
    onnxslim.slim(source, str(path))


def with_onnxsim(source, path):
    model, ok = onnxsim.simplify(source)
    if not ok:
        raise RuntimeError("onnxsim's own check failed")
    onnx.save(model, str(path))


PEERS = {"onnxslim": with_onnxslim, "onnxsim": with_onnxsim}


def count_nodes(graph):
    nodes = len(graph.node)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                nodes += count_nodes(attribute.g)
    return nodes


def work(peer, source, path):
    start = time.perf_counter()
    result = {"model": source, "peer": peer}
    try:
        PEERS[peer](source, path)
        seconds = time.perf_counter() - start
        nodes = count_nodes(onnx.load(str(path), load_external_data=False).graph)
        result |= {"path": str(path), "nodes": nodes, "seconds": seconds}
    except BaseException as error:
        result |= {"error": str(error)[:200]}
    print("\n" + json.dumps(result), flush=True)


folder = Path(sys.argv[1])
context = multiprocessing.get_context("fork")
for source in sys.argv[2:]:
    place = folder / Path(source).stem
    place.mkdir(parents=True, exist_ok=True)
    for peer in PEERS:
        process = context.Process(target=work, args=(peer, source, place / f"{peer}.onnx"))
        process.start()
        process.join(TIMEOUT_S)
        if process.is_alive():
            process.kill()
