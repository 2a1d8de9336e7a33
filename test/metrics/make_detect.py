"""Reference values of detection metrics by pycocotools: make_detect.py > detect.json."""

import contextlib
import io
import json

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

NAMES = 'ap ap50 ap75 ap_small ap_medium ap_large ar1 ar10 ar100 ar_small ar_medium ar_large'.split()
random = np.random.default_rng(0)


def coco_values(images, categories):
    annotations, results = [], []
    for index, image in enumerate(images):
        for t in image['truths']:
            left, top, right, bottom = t['box']
            annotations.append({
                'id': len(annotations) + 1, 'image_id': index, 'category_id': t['class'], 'area': t['area'],
                'bbox': [left, top, right - left, bottom - top], 'iscrowd': int(t['isCrowd']),
            })
        for left, top, right, bottom, score, label in image['detections']:
            results.append({'image_id': index, 'category_id': label, 'bbox': [left, top, right - left, bottom - top], 'score': score})
    truth = COCO()
    truth.dataset = {'images': [{'id': i} for i in range(len(images))], 'annotations': annotations, 'categories': [{'id': c} for c in categories]}
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        e = COCOeval(truth, truth.loadRes(results), 'bbox')
        e.evaluate()
        e.accumulate()
        e.summarize()
    precision = e.eval['precision'][:, :, :, 0, 2]
    per_class = {int(c): p.mean() for k, c in enumerate(e.params.catIds) if (p := precision[:, :, k]).min() >= 0}
    return {n: v for n, v in zip(NAMES, e.stats) if v >= 0}, per_class


def box(size):
    w, h = random.integers(4, size, 2)
    x, y = random.integers(0, 400, 2)
    return [int(x), int(y), int(x + w), int(y + h)]


def image(labels, most, size, scores, jitter):
    truths = []
    for _ in range(random.integers(0, most)):
        b = box(size)
        area = float((b[2] - b[0]) * (b[3] - b[1]) * random.choice([0.5, 1]))
        truths.append({'box': b, 'class': int(random.choice(labels)), 'area': area, 'isCrowd': bool(random.random() < 0.15)})
    detections = []
    for t in truths:
        for _ in range(random.integers(0, 4)):
            moved = (np.array(t['box']) + random.integers(-jitter, jitter + 1, 4)).tolist()
            moved[2], moved[3] = max(moved[2], moved[0] + 1), max(moved[3], moved[1] + 1)
            label = t['class'] if random.random() < 0.8 else int(random.choice(labels))
            detections.append([*moved, float(random.choice(scores)), label])
    for _ in range(random.integers(0, 3)):
        detections.append([*box(size), float(random.choice(scores)), int(random.choice(labels))])
    order = random.permutation(len(detections))
    return {'truths': truths, 'detections': [detections[i] for i in order]}


cases = []


def case(name, images, categories):
    samples = sorted(random.integers(0, len(images), len(images)).tolist())
    expected, per_class = coco_values(images, categories)
    # Equal scores of images drawn twice are in another order there: only where scores differ.
    scores = [d[4] for i in images for d in i['detections']]
    resampled = coco_values([images[i] for i in samples], categories)[0] if len(set(scores)) == len(scores) else None
    cases.append({'name': name, 'images': images, 'expected': expected, 'perClass': per_class, 'samples': samples, 'resampled': resampled})


ties = np.arange(1, 10) / 10
many = random.permutation(100000) / 100000
case('ties and crowds', [image([1, 3, 7], 8, 60, ties, 3) for _ in range(20)], [1, 3, 7, 9])
case('all sizes', [image([0, 1], 10, 200, many, 6) for _ in range(15)], [0, 1])
case('exact boxes', [image([0], 5, 100, many, 0) for _ in range(10)], [0])
crowded = image([0], 2, 50, many, 2)
crowded['detections'] += [[*box(50), float(s), 0] for s in many[:130]]
crowded['truths'] += [{'box': d[:4], 'class': 0, 'area': 500.0, 'isCrowd': False} for d in crowded['detections'][::2]]
case('more than 100 detections', [crowded, image([0], 5, 50, many, 2)], [0])
case('nothing found', [{'truths': [{'box': [0, 0, 9, 9], 'class': 0, 'area': 81.0, 'isCrowd': False}], 'detections': [[50, 50, 60, 60, 0.5, 0]]}], [0])
print(json.dumps(cases))
