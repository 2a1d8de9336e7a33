# CIFAR-10 as arrays for two models, each as it wants its images: 10,000 to train on, 2,000 to judge on.
# Usage: python qat_data.py SHARED OUT

import io
import os
import sys
import tarfile

import numpy as np
from PIL import Image

shared, out = sys.argv[1:3]
MEAN = np.array([0.4914, 0.4822, 0.4465], np.float32)
STD = np.array([0.2470, 0.2435, 0.2616], np.float32)


def images(file, per_class):
    found = {}
    with tarfile.open(os.path.join(shared, 'data', file)) as tar:
        for member in tar:
            if member.name.endswith('.jpg'):
                image = Image.open(io.BytesIO(tar.extractfile(member).read())).convert('RGB')
                found.setdefault(member.name.split('/')[1], []).append((member.name, np.asarray(image)))
    chosen = [sorted(found[name], key=lambda one: one[0])[:per_class] for name in sorted(found)]
    x = np.stack([image for group in chosen for _, image in group]).astype(np.float32)
    labels = np.repeat(np.arange(len(chosen)), [len(group) for group in chosen]).astype(np.int64)
    return x, labels


def normalised(x):
    return np.ascontiguousarray(((x / 255 - MEAN) / STD).transpose(0, 3, 1, 2))


for part, file, per_class in [
    ('train', 'cifar10_train10000.tar.gz', 1000),
    ('test', 'cifar10_test.tar.gz', 200),
]:
    x, labels = images(file, per_class)
    for model, name, prepare in [
        ('cifar10_resnet_4b', 'input.1', normalised),
        ('mlperf_ic_resnet8', 'input_1', lambda pixels: pixels),
    ]:
        arrays = {name: prepare(x), 'labels': labels}
        np.savez(os.path.join(out, f'{model}.{part}.npz'), **arrays)
