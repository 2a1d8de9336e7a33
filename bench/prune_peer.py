# ResNet-50 pruned by Torch-Pruning (magnitude, half of the channels of each layer): parameters and
# multiply-adds that are left, and the seconds that pruning took. Prints JSON.
import json
import time

import torch
import torch_pruning as tp
import torchvision

model = torchvision.models.resnet50(weights=None).eval()
x = torch.randn(1, 3, 224, 224)
macs, params = tp.utils.count_ops_and_params(model, x)
started = time.time()
pruner = tp.pruner.MagnitudePruner(
    model,
    x,
    importance=tp.importance.MagnitudeImportance(p=2),
    pruning_ratio=0.5,
    ignored_layers=[model.fc],
)
pruner.step()
seconds = time.time() - started
left_macs, left = tp.utils.count_ops_and_params(model, x)
print(json.dumps({'params': left / params, 'macs': left_macs / macs, 'seconds': seconds}))
