"""Reference values of classification metrics by scikit-learn: make_classify.py > classify.json."""

import json
import warnings

import numpy as np
from scipy.special import expit, log_softmax, softmax
from sklearn import metrics

warnings.simplefilter('ignore')
random = np.random.default_rng(0)


def f32(x):
    return np.asarray(x, np.float32).astype(np.float64)


def means(y, predicted):
    found = {}
    for mean in ('micro', 'macro', 'weighted'):
        p, r, f, _ = metrics.precision_recall_fscore_support(y, predicted, average=mean, zero_division=0)
        found |= {f'precision_{mean}': p, f'recall_{mean}': r, f'f1_{mean}': f}
    return found


def ece(confidence, correct):
    edges = np.linspace(0, 1, 16)
    total = 0
    for low, high in zip(edges[:-1], edges[1:]):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            total += inside.mean() * abs(confidence[inside].mean() - correct[inside].mean())
    return total


def choice(probability, y, top=5):
    """One class of several; ties go to the first."""
    classes = probability.shape[1]
    predicted = probability.argmax(1)
    order = np.argsort(-probability, axis=1, kind='stable')
    found = {'accuracy': metrics.accuracy_score(y, predicted), **means(y, predicted)}
    if classes > top:
        found[f'top{top}'] = (order[:, :top] == y[:, None]).any(1).mean()
    areas = [
        # In single precision, so that rounding does not tell equal probabilities apart.
        metrics.roc_auc_score(y == c, probability[:, c].astype(np.float32))
        for c in ([1] if classes == 2 else range(classes))
        if 0 < (y == c).sum() < len(y)
    ]
    if areas:
        found['auroc'] = np.mean(areas)
    if classes == 2:
        p, r, f, _ = metrics.precision_recall_fscore_support(y, predicted, average='binary', zero_division=0)
        found |= {'precision': p, 'recall': r, 'f1': f}
    found['loss'] = metrics.log_loss(y, probability, labels=range(classes))
    found['ece'] = ece(probability.max(1), predicted == y)
    return found


def several(probability, y):
    predicted = (probability > 0.5).astype(int)
    areas = [metrics.roc_auc_score(y[:, c], probability[:, c]) for c in range(y.shape[1]) if 0 < y[:, c].sum() < len(y)]
    p = np.clip(probability, 2.220446049250313e-16, 1)
    q = np.clip(1 - probability, 2.220446049250313e-16, 1)
    return {
        'accuracy': metrics.accuracy_score(y, predicted),
        **means(y, predicted),
        'auroc': np.mean(areas),
        'loss': -(y * np.log(p) + (1 - y) * np.log(q)).mean(),
    }


cases = []


def case(name, scores, labels, reference):
    samples = [int(i) for i in random.integers(0, len(labels), len(labels))]
    row = {'name': name, 'shape': scores.shape, 'scores': scores.ravel().tolist(), 'labels': labels.ravel().tolist()}
    expected, resampled = reference(scores, labels), reference(scores[samples], labels[samples])
    cases.append(row | {'samples': samples, 'expected': expected, 'resampled': resampled})


def add_choice(name, logits, y):
    logits = f32(logits)
    case(f'{name}, logits', logits, y, lambda x, y: choice(softmax(x, 1), y))
    case(f'{name}, probabilities', f32(softmax(logits, 1)), y, choice)


def tied(rows, classes):
    return random.integers(-2, 3, (rows, classes))


y = random.integers(0, 7, 40)
add_choice('7 classes', random.normal(size=(40, 7)) + 2 * np.eye(7)[y], y)
y = random.integers(0, 4, 30)
add_choice('ties', tied(30, 4), y)
y = random.integers(0, 3, 20)
add_choice('two empty classes', random.normal(size=(20, 5)) + 2 * np.eye(5)[y], y)
add_choice('one class only', random.normal(size=(10, 3)), np.full(10, 2))
y = random.integers(0, 2, 30)
add_choice('2 classes', tied(30, 2), y)
add_choice('one row', random.normal(size=(1, 6)), np.array([3]))
case('log-probabilities', f32(log_softmax(random.normal(size=(12, 3)), 1)), random.integers(0, 3, 12), lambda x, y: choice(softmax(x, 1), y))


def pair(p):
    return np.stack([1 - p[:, 0], p[:, 0]], 1)


x, y = f32(tied(25, 1) * 0.7), random.integers(0, 2, 25)
case('one output, logits', x, y, lambda x, y: choice(pair(expit(x)), y))
case('one output, probabilities', f32(expit(x)), y, lambda x, y: choice(pair(x), y))
case('one output, all negative', -np.abs(x) - 1, np.zeros(25, int), lambda x, y: choice(pair(expit(x)), y))

y = (random.random((30, 4)) < [0.5, 0.2, 0.7, 0.4]).astype(int)
x = f32(random.normal(size=(30, 4)) + y)
case('several labels, logits', x, y, lambda x, y: several(expit(x), y))
case('several labels, probabilities', f32(expit(x)), y, several)
y[:, 1] = 0
case('several labels, one never given', f32(np.round(x)), y, lambda x, y: several(expit(x), y))

print(json.dumps(cases, default=lambda a: a.tolist()))
