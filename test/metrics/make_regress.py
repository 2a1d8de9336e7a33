"""Reference values of regression metrics by scikit-learn: make_regress.py > regress.json."""

import json

import numpy as np
from sklearn import metrics

random = np.random.default_rng(0)


def reference(found, wanted, naive):
    p, y = found.ravel(), wanted.ravel()
    used = y != 0
    out = {
        'mae': metrics.mean_absolute_error(y, p),
        'rmse': metrics.root_mean_squared_error(y, p),
        'smape': np.mean([0 if a == b else 2 * abs(a - b) / (abs(a) + abs(b)) for a, b in zip(y, p)]),
    }
    if used.any():
        out['mape'] = metrics.mean_absolute_percentage_error(y[used], p[used])
    columns = [c for c in range(wanted.shape[1]) if np.ptp(wanted[:, c]) > 0]
    if columns:
        out['r2'] = metrics.r2_score(wanted[:, columns], found[:, columns])
    if naive:
        out['mase'] = np.mean(np.abs(found - wanted) / np.resize(naive, found.shape[1]))
    return out


cases = []


def case(name, found, wanted, naive=None):
    found, wanted = found.astype(np.float64), wanted.astype(np.float64)
    samples = random.integers(0, len(found), len(found)).tolist()
    cases.append({
        'name': name, 'shape': found.shape, 'predictions': found.ravel().tolist(), 'targets': wanted.ravel().tolist(),
        'naive': naive, 'samples': samples, 'expected': reference(found, wanted, naive),
        'resampled': reference(found[samples], wanted[samples], naive),
    })


y = random.normal(size=(30, 1)) * 3 + 1000
case('one column far from 0', y + random.normal(size=y.shape), y)
y = random.integers(-2, 3, (20, 4))
case('four columns with zeros', y + random.normal(size=y.shape), y)
y[:, 2] = 1
case('a constant column', np.round(y + random.normal(size=y.shape)), y)
case('all zeros', np.zeros((5, 1)), np.zeros((5, 1)))
y = random.normal(size=(10, 6)).astype(np.float32)
case('forecast of 3 steps and 2 variables', y + random.normal(size=y.shape), y, [0.5, 2.0])
print(json.dumps(cases, default=lambda a: a.tolist()))
