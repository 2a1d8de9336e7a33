"""Reference values of segmentation, language models, rankings and embeddings by scikit-learn, SciPy and
PyTorch: make_others.py > others.json."""

import json

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn import metrics

random = np.random.default_rng(0)
f32 = lambda x: np.asarray(x, np.float32).astype(np.float64)
cases = []


def case(task, name, given, count, reference):
    samples = random.integers(0, count, count)
    picked = {k: v[samples] for k, v in given.items() if v is not None}
    cases.append({
        'task': task, 'name': name, 'samples': samples,
        'given': {k: v.ravel() for k, v in given.items() if v is not None},
        'shapes': {k: v.shape for k, v in given.items() if v is not None},
        'expected': reference(**given), 'resampled': reference(**({k: None for k in given} | picked)),
    })


def segment(scores, labels):
    y, p = labels.ravel(), (scores.argmax(1) if scores.ndim == 4 else scores).ravel()
    y, p = y[y != 255], p[y != 255]
    return {
        'miou': metrics.jaccard_score(y, p, average='macro'),
        'dice': metrics.f1_score(y, p, average='macro'),
        'pixel_accuracy': metrics.accuracy_score(y, p),
    }


labels = random.choice([0, 1, 3, 255], (6, 5, 4))
case('segment', 'an empty class and ties', {'scores': random.integers(0, 4, (6, 5, 5, 4)), 'labels': labels}, 6, segment)
case('segment', 'class indices', {'scores': random.integers(0, 4, (6, 5, 4)), 'labels': labels}, 6, segment)


def lm(logits, targets, bytes):
    t = torch.tensor(targets)
    x = torch.tensor(logits).flatten(0, 1)
    loss = torch.nn.functional.cross_entropy(x, t.flatten(), ignore_index=-100).item()
    used = t.flatten() >= 0
    out = {'loss': loss, 'perplexity': np.exp(loss), 'accuracy': (x.argmax(1) == t.flatten())[used].double().mean().item()}
    if bytes is not None:
        out['bits_per_byte'] = loss * used.sum().item() / np.log(2) / bytes.sum()
    return out


logits = f32(random.normal(size=(5, 6, 11)) * 3)
targets = random.integers(0, 11, (5, 6))
targets[0] = logits[0].argmax(1)
targets[3, 2:] = -100
targets[4] = -100
case('lm', 'masked tokens', {'logits': logits, 'targets': targets, 'bytes': random.integers(5, 30, 5)}, 5, lm)
case('lm', 'without bytes', {'logits': logits + 500, 'targets': targets, 'bytes': None}, 5, lm)


def rank(scores, relevance):
    used = (relevance > 0).any(1)
    s, r = scores[used], relevance[used]
    # Relevant items come last among those of equal score.
    first = [1 + ((s[i] >= s[i][r[i] > 0].max()) & (r[i] <= 0)).sum() for i in range(len(s))]
    out = {'mrr': np.mean(1 / np.array(first))}
    for k in (1, 5, 10):
        out[f'hit_rate_at_{k}'] = np.mean(np.array(first) <= k)
        out[f'ndcg_at_{k}'] = metrics.ndcg_score(r, s, k=k)
    return out


gains = random.integers(0, 4, (12, 20)) * (random.random((12, 20)) < 0.2)
gains[3] = 0
case('rank', 'distinct', {'scores': random.normal(size=(12, 20)), 'relevance': gains}, 12, rank)
case('rank', 'ties', {'scores': random.integers(0, 5, (12, 20)), 'relevance': gains}, 12, rank)


def embed(left, right, grades):
    norm = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)
    return {'spearman': spearmanr((norm(left) * norm(right)).sum(1), grades).statistic}


left = f32(random.normal(size=(20, 8)))
right = f32(left + random.normal(size=(20, 8)) * 2)
right[5], left[5] = right[6], left[6]
case('embed', 'graded, ties', {'left': left, 'right': right, 'grades': random.integers(0, 6, 20)}, 20, embed)

norm = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)
similar = f32(norm(left)) @ f32(norm(right)).T
RANKS = (similar >= similar.diagonal()[:, None] - 1e-12).sum(1)


def recall(left, right, ranks):
    return {f'recall_at_{k}': np.mean(ranks <= k) for k in (1, 5, 10)}


case('embed', 'found among all', {'left': left, 'right': right, 'ranks': RANKS}, 20, recall)
print(json.dumps(cases, default=lambda a: a.tolist()))
