"""Makes calibration and test data for the models of known accuracy: NPZ files in the folder given.

Usage: gold_data.py SHARED OUT. Entries are named after the model's input; `labels` is the target.
Calibration samples come from training data where there is some, else from what the test leaves over.
"""

import gzip
import io
import json
import os
import sys
import tarfile

import numpy as np
import onnxruntime as ort
from PIL import Image

shared, out = sys.argv[1:3]
os.makedirs(out, exist_ok=True)
data = lambda name: os.path.join(shared, 'data', name)
model = lambda name: os.path.join(shared, 'models', name + '.onnx')

CIFAR_MEAN = np.array([0.4914, 0.4822, 0.4465], np.float32)
CIFAR_STD = np.array([0.2023, 0.1994, 0.2010], np.float32)
CIFAR_STD_B = np.array([0.2470, 0.2435, 0.2616], np.float32)


def session(name):
    return ort.InferenceSession(model(name), providers=['CPUExecutionProvider'])


def save(name, part, arrays):
    np.savez(os.path.join(out, f'{name}.{part}.npz'), **arrays)


def accuracy(name, x, labels):
    s = session(name)
    key = s.get_inputs()[0].name
    found = [int(np.argmax(s.run(None, {key: row[None]})[0])) for row in x]
    return float(np.mean(np.array(found) == labels))


def mnist():
    images = np.frombuffer(gzip.open(data('mnist-images-idx3-ubyte.gz')).read(), np.uint8, offset=16)
    labels = np.frombuffer(gzip.open(data('mnist-labels-idx1-ubyte.gz')).read(), np.uint8, offset=8)
    images = images.reshape(-1, 28, 28).astype(np.float32)
    for name, shape, scale in [
        ('mnist_8', (1, 28, 28), 1),
        ('mnist_cntk', (1, 28, 28), 1),
        ('mnistfc_256x2', (784, 1), 1 / 255),
    ]:
        x = (images * np.float32(scale)).reshape(-1, *shape)
        key = session(name).get_inputs()[0].name
        save(name, 'calib', {key: x[1000:1256]})
        save(name, 'test', {key: x[:1000], 'labels': labels[:1000].astype(np.int64)})
        yield name, accuracy(name, x[:1000], labels[:1000])


def cifar_images(file, per_class, skip=0):
    found = {}
    with tarfile.open(file) as tar:
        for member in tar:
            if member.name.endswith('.jpg'):
                found.setdefault(member.name.split('/')[1], []).append(member)
        classes = sorted(found)
        images, labels = [], []
        for label, name in enumerate(classes):
            members = sorted(found[name], key=lambda m: m.name)[skip : skip + per_class]
            for member in members:
                image = Image.open(io.BytesIO(tar.extractfile(member).read())).convert('RGB')
                images.append(np.asarray(image, np.float32))
                labels.append(label)
    return np.stack(images), np.array(labels, np.int64)


def cifar():
    test, labels = cifar_images(data('cifar10_test.tar.gz'), 50)
    calib, _ = cifar_images(data('cifar10_train10000.tar.gz'), 26)
    order = np.random.RandomState(0).permutation(len(calib))[:256]
    calib = calib[order]
    nchw = lambda x: np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    for name, prepare in [
        ('vit_pgd_2_3_16', lambda x: nchw((x / 255 - CIFAR_MEAN) / CIFAR_STD)),
        ('cifar10_resnet_4b', lambda x: nchw((x / 255 - CIFAR_MEAN) / CIFAR_STD_B)),
        ('marabou_cifar_small', lambda x: x / 255),
        ('mlperf_ic_resnet8', lambda x: x),
    ]:
        key = session(name).get_inputs()[0].name
        x = prepare(test).astype(np.float32)
        save(name, 'calib', {key: prepare(calib).astype(np.float32)})
        save(name, 'test', {key: x, 'labels': labels})
        yield name, accuracy(name, x, labels)


def imagenet():
    name = 'squeezenet1.0_fp16'
    images, labels = [], []
    with tarfile.open(data('imagenet_sample40.tar')) as tar:
        members = sorted((m for m in tar if m.name.endswith('.JPEG')), key=lambda m: m.name)
        for k, member in enumerate(members):
            image = Image.open(io.BytesIO(tar.extractfile(member).read())).convert('RGB')
            scale = 256 / min(image.size)
            image = image.resize([round(s * scale) for s in image.size], Image.NEAREST)
            left, top = [(s - 224) // 2 for s in image.size]
            pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32)
            bgr = pixels[:, :, ::-1] - np.array([103.939, 116.779, 123.68], np.float32)
            images.append(bgr.transpose(2, 0, 1))
            labels.append(25 * k)
    x = np.stack(images).astype(np.float16)
    labels = np.array(labels, np.int64)
    save(name, 'calib', {'data_0': x})
    save(name, 'test', {'data_0': x, 'labels': labels})
    yield name, accuracy(name, x, labels)


def coco():
    name = 'yolox_nano'
    images = []
    with tarfile.open(data('coco96_val.tar')) as tar:
        names = sorted(m.name for m in tar.getmembers() if m.name.endswith('.jpg'))
        for file in names:
            image = Image.open(io.BytesIO(tar.extractfile(file).read())).convert('RGB')
            scale = min(416 / image.width, 416 / image.height)
            size = (int(image.width * scale), int(image.height * scale))
            canvas = np.full((416, 416, 3), 114, np.float32)
            canvas[: size[1], : size[0]] = np.asarray(image.resize(size, Image.BILINEAR))
            images.append(canvas[:, :, ::-1].transpose(2, 0, 1))
    x = np.ascontiguousarray(np.stack(images))
    save(name, 'calib', {'images': x[:32]})
    save(name, 'test', {'images': x})
    yield name, None


def magika():
    name = 'magika_v3_3'
    rows = []
    with tarfile.open(data('magika_tests_basic.tar.gz')) as tar:
        for member in sorted((m for m in tar if m.isfile()), key=lambda m: m.name):
            content = tar.extractfile(member).read()
            if len(content) < 8:
                continue
            begin = content[:4096].lstrip()[:1024]
            end = content[-4096:].rstrip()[-1024:]
            row = list(begin) + [256] * (1024 - len(begin)) + [256] * (1024 - len(end)) + list(end)
            rows.append(row)
    x = np.array(rows, np.int32)
    s = session(name)
    labels = np.array([int(np.argmax(s.run(None, {'bytes': row[None]})[0])) for row in x], np.int64)
    save(name, 'calib', {'bytes': x})
    save(name, 'test', {'bytes': x, 'labels': labels})
    yield name, 1.0


results = {}
for make in (mnist, cifar, imagenet, coco, magika):
    for name, found in make():
        results[name] = found
        print(name, found, flush=True)
json.dump(results, open(os.path.join(out, 'float.json'), 'w'))
