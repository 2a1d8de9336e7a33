"""The figures of gold.mjs with Pillow, onnxruntime and pycocotools: gold_peer.py FOLDER prints JSON by model."""

import contextlib
import gzip
import io
import json
import os
import sys

import numpy as np
import onnxruntime as ort
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

folder = sys.argv[1]
at = lambda *parts: os.path.join(folder, *parts)
options = ort.SessionOptions()
options.log_severity_level = 4


def outputs(name, x):
    session = ort.InferenceSession(at('models', f'{name}.onnx'), options, providers=['CPUExecutionProvider'])
    key = session.get_inputs()[0].name
    rows = [session.run(None, {key: np.ascontiguousarray(row)[None]})[0] for row in x]
    return np.concatenate(rows).astype(np.float32)


def scores(name, x, labels, ks=()):
    y = outputs(name, x).reshape(len(labels), -1)
    order = np.argsort(-y, axis=1, kind='stable')
    found = {'accuracy': float(np.mean(order[:, 0] == labels))}
    for k in ks:
        found[f'top{k}'] = float(np.mean((order[:, :k] == labels[:, None]).any(1)))
    return found


def mnist():
    images = np.frombuffer(gzip.open(at('mnist-images-idx3-ubyte.gz')).read(), np.uint8, offset=16)
    labels = np.frombuffer(gzip.open(at('mnist-labels-idx1-ubyte.gz')).read(), np.uint8, offset=8)[:1000]
    images = images.reshape(-1, 28, 28)[:1000].astype(np.float32)
    yield 'mnist_8', scores('mnist_8', images[:, None], labels)
    yield 'mnist_cntk', scores('mnist_cntk', images[:, None], labels)
    yield 'mnistfc_256x2', scores('mnistfc_256x2', images.reshape(-1, 784, 1) / np.float32(255), labels)


def cifar():
    root = at('cifar10_test', 'test')
    files = [(k, os.path.join(root, c, f)) for k, c in enumerate(sorted(os.listdir(root)))
             for f in sorted(os.listdir(os.path.join(root, c)))[:50]]
    labels = np.array([k for k, _ in files])
    x = np.stack([np.asarray(Image.open(f).convert('RGB'), np.float32) for _, f in files])
    mean = np.array([0.4914, 0.4822, 0.4465], np.float32)
    first = lambda std: ((x / 255 - mean) / np.array(std, np.float32)).transpose(0, 3, 1, 2)
    yield 'cifar10_resnet_4b', scores('cifar10_resnet_4b', first([0.2470, 0.2435, 0.2616]), labels)
    yield 'vit_pgd_2_3_16', scores('vit_pgd_2_3_16', first([0.2023, 0.1994, 0.2010]), labels)
    yield 'marabou_cifar_small', scores('marabou_cifar_small', x / 255, labels)
    yield 'mlperf_ic_resnet8', scores('mlperf_ic_resnet8', x, labels)


def imagenet():
    files = sorted(os.listdir(at('imagenet_sample40')))
    rows = []
    for file in files:
        image = np.asarray(Image.open(at('imagenet_sample40', file)).convert('RGB'))
        h, w = image.shape[:2]
        nh, nw = (256, int(256 * w / h)) if h <= w else (int(256 * h / w), 256)
        image = image[np.arange(nh) * h // nh][:, np.arange(nw) * w // nw]
        top, left = round((nh - 224) / 2), round((nw - 224) / 2)
        crop = image[top : top + 224, left : left + 224].astype(np.float32)[:, :, ::-1]
        rows.append((crop - np.array([103.939, 116.779, 123.68], np.float32)).transpose(2, 0, 1))
    labels = 25 * np.arange(len(files))
    yield 'squeezenet1.0_fp16', scores('squeezenet1.0_fp16', np.stack(rows).astype(np.float16), labels, [5])


def suppressed(boxes, order, limit):
    while len(order):
        best, order = order[0], order[1:]
        yield best
        left, top = np.maximum(boxes[best, :2], boxes[order, :2]).T
        right, bottom = np.minimum(boxes[best, 2:], boxes[order, 2:]).T
        inter = np.clip(right - left, 0, None) * np.clip(bottom - top, 0, None)
        area = lambda b: (b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1])
        order = order[inter / (area(boxes[best]) + area(boxes[order]) - inter) <= limit]


def yolox():
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(at('coco96_val', 'annotations', 'instances_val2017.json'))
    there = set(os.listdir(at('coco96_val', 'val2017')))
    images = [i for i in truth.dataset['images'] if os.path.basename(i['file_name']) in there]
    categories = sorted(truth.getCatIds())
    cells = [(x, y, s) for s in (8, 16, 32) for y in range(416 // s) for x in range(416 // s)]
    grid = np.array(cells, np.float32)
    found = []
    for info in images:
        image = Image.open(at('coco96_val', 'val2017', os.path.basename(info['file_name']))).convert('RGB')
        ratio = min(416 / image.width, 416 / image.height)
        size = (int(image.width * ratio), int(image.height * ratio))
        canvas = np.full((416, 416, 3), 114, np.float32)
        canvas[: size[1], : size[0]] = np.asarray(image.resize(size, Image.BILINEAR))
        y = outputs('yolox_nano', canvas[None, :, :, ::-1].transpose(0, 3, 1, 2))[0]
        centre, sides = (y[:, :2] + grid[:, :2]) * grid[:, 2:], np.exp(y[:, 2:4]) * grid[:, 2:]
        boxes = np.concatenate([centre - sides / 2, centre + sides / 2], 1) / ratio
        best = y[:, 5:].argmax(1)
        for k, category in enumerate(categories):
            score = y[:, 4] * y[:, 5 + k]
            chosen = np.flatnonzero((score > 0.01) & (best == k))
            for i in suppressed(boxes, chosen[np.argsort(-score[chosen], kind='stable')], 0.45):
                left, top, right, bottom = boxes[i].tolist()
                found.append({'image_id': info['id'], 'category_id': category, 'score': float(score[i]),
                              'bbox': [left, top, right - left, bottom - top]})
    with contextlib.redirect_stdout(io.StringIO()):
        judge = COCOeval(truth, truth.loadRes(found), 'bbox')
        judge.params.imgIds = [i['id'] for i in images]
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    yield 'yolox_nano', {'ap50': float(judge.stats[1])}


def magika():
    names = open(at('classes', 'magika-v3.3.txt')).read().split()
    root = at('magika_tests_basic', 'tests_data', 'basic')
    rows, labels = [], []
    for folder, _, files in sorted(os.walk(root)):
        for file in files:
            content = open(os.path.join(folder, file), 'rb').read()
            if len(content) < 8:
                continue
            begin, end = content[:4096].lstrip()[:1024], content[-4096:].rstrip()[-1024:]
            gap = [256] * (2048 - len(begin) - len(end))
            rows.append(list(begin) + gap + list(end))
            labels.append(names.index(os.path.basename(folder)))
    yield 'magika_v3_3', scores('magika_v3_3', np.array(rows, np.int32), np.array(labels))


makers = (mnist, cifar, imagenet, magika, yolox)
print(json.dumps({name: found for make in makers for name, found in make()}))
