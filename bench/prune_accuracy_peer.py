# A model of ONNX pruned by Torch-Pruning (by magnitude, the same share of the channels of each group, no
# training), through onnx2torch: prune_accuracy_peer.py MODEL.onnx TEST.npz SAMPLES RATIO... prints JSON,
# for each ratio the accuracy, the shares of parameters and multiply-adds left, and the seconds it took.
import json
import sys
import time

import numpy as np
import torch
import torch_pruning as tp
from onnx2torch import convert

path, test, samples, *ratios = sys.argv[1:]
arrays = dict(np.load(test))
labels = torch.from_numpy(arrays.pop('labels'))[: int(samples)]
(x,) = arrays.values()
x = torch.from_numpy(x.astype(np.float32))[: int(samples)]


def accuracy(model):
    # The graph may hold a batch of one.
    with torch.no_grad():
        said = torch.cat([model(one[None]) for one in x]).argmax(1)
    return (said == labels).float().mean().item()


found = []
for ratio in map(float, ratios):
    model = convert(path).eval()
    one = x[:1]
    macs, params = tp.utils.count_ops_and_params(model, one)
    before = accuracy(model)
    layers = [m for m in model.modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear))]
    started = time.time()
    tp.pruner.MagnitudePruner(
        model,
        one,
        importance=tp.importance.MagnitudeImportance(p=2),
        pruning_ratio=ratio,
        ignored_layers=[layers[-1]],
    ).step()
    seconds = time.time() - started
    left_macs, left = tp.utils.count_ops_and_params(model, one)
    found.append(
        {
            'ratio': ratio,
            'before': before,
            'accuracy': accuracy(model),
            'params': left / params,
            'macs': left_macs / macs,
            'seconds': seconds,
        }
    )
print(json.dumps(found))
