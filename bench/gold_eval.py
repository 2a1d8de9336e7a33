"""Scores models on data of gold_data.py: gold_eval.py SHARED DATA MODEL.onnx NAME prints a number.

Accuracy for classifiers; AP50 over COCO boxes for yolox_nano (confidence 0.01, NMS 0.45 per class,
101-point interpolation).
"""

import json
import os
import sys
import tarfile

import numpy as np
import onnxruntime as ort

shared, folder, path, name = sys.argv[1:5]
options = ort.SessionOptions()
options.log_severity_level = 4
session = ort.InferenceSession(path, options, providers=['CPUExecutionProvider'])
arrays = dict(np.load(os.path.join(folder, f'{name}.test.npz')))
labels = arrays.pop('labels', None)
key = session.get_inputs()[0].name
(x,) = arrays.values()
wanted = {'tensor(float16)': np.float16, 'tensor(int32)': np.int32}
x = x.astype(wanted.get(session.get_inputs()[0].type, np.float32))
outputs = np.concatenate([session.run(None, {key: row[None]})[0] for row in x]).astype(np.float32)


def iou(box, others):
    left, top = np.maximum(box[:2], others[:, :2]).T
    right, bottom = np.minimum(box[2:], others[:, 2:]).T
    inter = np.clip(right - left, 0, None) * np.clip(bottom - top, 0, None)
    area = lambda b: (b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1])
    return inter / (area(box) + area(others) - inter + 1e-9)


def detections(raw):
    grids, strides = [], []
    for stride in (8, 16, 32):
        n = 416 // stride
        ys, xs = np.mgrid[:n, :n]
        grids.append(np.stack([xs, ys], -1).reshape(-1, 2))
        strides.append(np.full((n * n, 1), stride))
    grid, stride = np.concatenate(grids), np.concatenate(strides)
    center = (raw[:, :2] + grid) * stride
    size = np.exp(raw[:, 2:4]) * stride
    boxes = np.concatenate([center - size / 2, center + size / 2], 1)
    scores = raw[:, 4:5] * raw[:, 5:]
    for label in range(scores.shape[1]):
        chosen = np.flatnonzero(scores[:, label] > 0.01)
        order = chosen[np.argsort(-scores[chosen, label], kind='stable')]
        while len(order):
            best = order[0]
            yield label, scores[best, label], boxes[best]
            order = order[1:][iou(boxes[best], boxes[order[1:]]) <= 0.45]


def ap50():
    with tarfile.open(os.path.join(shared, 'data', 'coco96_val.tar')) as tar:
        names = tar.getnames()
        document = next(n for n in names if n.endswith('.json'))
        coco = json.load(tar.extractfile(document))
    files = sorted(n for n in names if n.endswith('.jpg'))
    images = {i['file_name'].split('/')[-1]: i for i in coco['images']}
    categories = sorted(c['id'] for c in coco['categories'])
    truth = {}
    for a in coco['annotations']:
        left, top, width, height = a['bbox']
        box = (np.array([left, top, left + width, top + height]), a.get('iscrowd', 0))
        truth.setdefault((a['image_id'], categories.index(a['category_id'])), []).append(box)
    shown = set()
    found = {}
    for index, file in enumerate(files):
        image = images[file.split('/')[-1]]
        shown.add(image['id'])
        scale = min(416 / image['width'], 416 / image['height'])
        for label, score, box in detections(outputs[index]):
            found.setdefault(label, []).append((score, image['id'], box / scale))
    aps = []
    for label in range(len(categories)):
        boxes = {i: t for (i, c), t in truth.items() if c == label and i in shown}
        total = sum(1 for list_ in boxes.values() for _, crowd in list_ if not crowd)
        if total == 0:
            continue
        used = {i: [False] * len(t) for i, t in boxes.items()}
        hits = []
        for score, image_id, box in sorted(found.get(label, []), key=lambda d: -d[0]):
            others = boxes.get(image_id, [])
            overlaps = iou(box, np.array([b for b, _ in others])) if others else np.array([])
            best = int(np.argmax(overlaps)) if len(overlaps) else -1
            if best >= 0 and overlaps[best] >= 0.5:
                if others[best][1]:
                    continue
                hits.append(not used[image_id][best])
                used[image_id][best] = True
            else:
                hits.append(False)
        hits = np.array(hits, bool)
        recall = np.cumsum(hits) / total
        precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
        points = [precision[recall >= t].max() if (recall >= t).any() else 0 for t in np.linspace(0, 1, 101)]
        aps.append(np.mean(points))
    return float(np.mean(aps))


print(ap50() if labels is None else float(np.mean(np.argmax(outputs.reshape(len(labels), -1), 1) == labels)))
