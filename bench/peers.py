"""Simplifies one model with each peer: peers.py MODEL OUTFOLDER. Prints a JSON line per peer."""

import json
import sys
import time
from pathlib import Path

import onnx

source, folder = sys.argv[1], Path(sys.argv[2])


def with_onnxslim(path):
    import onnxslim

    onnxslim.slim(source, str(path))


def with_onnxsim(path):
    import onnxsim

    model, ok = onnxsim.simplify(source)
    if not ok:
        raise RuntimeError("onnxsim's own check failed")
    onnx.save(model, str(path))


def count_nodes(graph):
    nodes = 0
    for node in graph.node:
        nodes += 1
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                nodes += count_nodes(attribute.g)
    return nodes


for name, run in (("onnxslim", with_onnxslim), ("onnxsim", with_onnxsim)):
    path = folder / f"{name}.onnx"
    start = time.perf_counter()
    try:
        run(path)
        nodes = count_nodes(onnx.load(str(path), load_external_data=False).graph)
        print(json.dumps({"peer": name, "path": str(path), "nodes": nodes, "seconds": time.perf_counter() - start}), flush=True)
    except BaseException as error:  # a peer that crashes is a result, too
        print(json.dumps({"peer": name, "error": str(error)[:200]}), flush=True)
