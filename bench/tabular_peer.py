# Ordinary least squares by scikit-learn, as one JSON list of mean squared errors.
#   tabular_peer.py tables TRAIN TEST [TRAIN TEST ...]   the last column from the others
#   tabular_peer.py series FILE WINDOW HORIZON SHARE     the last column of the next rows from all columns
#     of a window: first as they are, then as differences to the last row
import csv, gzip, json, sys
import numpy as np
from sklearn.linear_model import LinearRegression


def error(x, y, test_x, test_y):
    found = LinearRegression().fit(x, y).predict(test_x)
    return float(np.mean((found - test_y) ** 2))


def table(path):
    rows = np.loadtxt(path, delimiter=',')
    return rows[:, :-1], rows[:, -1]


def tables(paths):
    return [error(*table(a), *table(b)) for a, b in zip(paths[::2], paths[1::2])]


def series(path, window, horizon, share):
    with gzip.open(path, 'rt') as file:
        rows = np.array([row[1:] for row in list(csv.reader(file))[1:]], dtype=float)
    cut = round(len(rows) * share)

    def windows(part, relative):
        i = np.arange(len(part) - window - horizon + 1)
        x, y = part[i[:, None] + np.arange(window)], part[i[:, None] + window + np.arange(horizon), -1]
        last = x[:, -1:] * relative
        return (x - last).reshape(len(i), -1), y - last[:, :, -1]

    return [error(*windows(rows[:cut], r), *windows(rows[cut:], r)) for r in (0, 1)]


kind, *rest = sys.argv[1:]
print(json.dumps(tables(rest) if kind == 'tables' else series(rest[0], int(rest[1]), int(rest[2]), float(rest[3]))))
