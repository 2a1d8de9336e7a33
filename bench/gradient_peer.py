# Gradients by PyTorch in double precision, of a model that bench/gradient-coverage.ts has left in a
# folder: the graph is walked node by node with PyTorch's own functions and their own backward passes.
# Prints one JSON object: gradient_peer.py FOLDER
import json, sys
from urllib.parse import unquote
import numpy as np, onnx, torch
import torch.nn.functional as F
from onnx import numpy_helper

torch.set_num_threads(2)
folder = sys.argv[1]
D = torch.float64
# A gradient that is shorter than this share of the weights of the outputs is none.
ROUNDING = 1e-12


def load(name):
    return {unquote(key): value for key, value in np.load(f'{folder}/{name}.npz').items()}


def real(array):
    tensor = torch.from_numpy(np.array(array))
    return tensor.to(D) if tensor.is_floating_point() else tensor


def ints(tensor):
    return [int(v) for v in tensor.reshape(-1)]


def pads_of(a, x, kernel, strides, dilations):
    n = len(kernel)
    auto = a.get('auto_pad', b'NOTSET').decode()
    if auto.startswith('SAME'):
        total = []
        for i in range(n):
            out = -(-x.shape[2 + i] // strides[i])
            total.append(max(0, (out - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - x.shape[2 + i]))
        low = [t // 2 if auto == 'SAME_UPPER' else t - t // 2 for t in total]
        return low, [t - l for t, l in zip(total, low)]
    pads = a.get('pads') or [0] * (2 * n)
    return pads[:n], pads[n:]


def padded(x, low, high, value=0.0):
    flat = [p for pair in reversed(list(zip(low, high))) for p in pair]
    return F.pad(x, flat, value=value) if any(flat) else x


def conv(a, x, w, b=None):
    k = list(w.shape[2:])
    s, d = a.get('strides') or [1] * len(k), a.get('dilations') or [1] * len(k)
    low, high = pads_of(a, x, k, s, d)
    f = [F.conv1d, F.conv2d, F.conv3d][len(k) - 1]
    return f(padded(x, low, high), w, b, s, 0, d, a.get('group', 1))


def conv_transpose(a, x, w, b=None):
    k = list(w.shape[2:])
    s, d = a.get('strides') or [1] * len(k), a.get('dilations') or [1] * len(k)
    f = [F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d][len(k) - 1]
    y = f(x, w, b, s, 0, 0, a.get('group', 1), d)
    extra = a.get('output_padding') or [0] * len(k)
    y = padded(y, [0] * len(k), extra)
    if b is not None and any(extra):
        raise NotImplementedError('output_padding with a bias')
    low, high = transposed_pads(a, y, k, x, s)
    for i in range(len(k)):
        y = y.narrow(2 + i, low[i], y.shape[2 + i] - low[i] - high[i])
    return y


# What is cut off each axis of the whole result: as it says, or as the size of the output asks for.
def transposed_pads(a, y, k, x, s):
    n, auto = len(k), a.get('auto_pad', b'NOTSET')
    same = [d * t for d, t in zip(x.shape[2:], s)] if auto.startswith(b'SAME') else None
    target = a.get('output_shape') or same
    if target is None:
        pads = a.get('pads') or [0] * (2 * n)
        return pads[:n], pads[n:]
    total = [d - t for d, t in zip(y.shape[2:], target)]
    less = [t // 2 for t in total]
    more = [t - l for t, l in zip(total, less)]
    return (less, more) if auto == b'SAME_UPPER' else (more, less)


def pool(a, x, largest):
    k = a['kernel_shape']
    s, d = a.get('strides') or [1] * len(k), a.get('dilations') or [1] * len(k)
    low, high = pads_of(a, x, k, s, d)
    if a.get('ceil_mode', 0):
        for i in range(len(k)):
            rest = (x.shape[2 + i] + low[i] + high[i] - (k[i] - 1) * d[i] - 1) % s[i]
            high = [h + (s[i] - rest if rest and j == i else 0) for j, h in enumerate(high)]
    if largest:
        f = [F.max_pool1d, F.max_pool2d, F.max_pool3d][len(k) - 1]
        return f(padded(x, low, high, -1e300), k, s, 0, d)
    if a.get('count_include_pad', 0) and a.get('ceil_mode', 0):
        raise NotImplementedError('AveragePool that counts pads and rounds up')
    f = [F.avg_pool1d, F.avg_pool2d, F.avg_pool3d][len(k) - 1]
    size = float(np.prod(k))
    total = f(padded(x, low, high), k, s) * size
    if a.get('count_include_pad', 0):
        return total / size
    return total / (f(padded(torch.ones_like(x), low, high), k, s) * size)


def batch_norm(a, x, s, b, m, v):
    if a.get('training_mode', 0):
        raise NotImplementedError('BatchNormalization in training')
    return F.batch_norm(x, m, v, s, b, False, 0.0, a.get('epsilon', 1e-5))


def layer_norm(a, x, s, b=None):
    axis = a.get('axis', -1) % x.dim()
    return F.layer_norm(x, x.shape[axis:], s.expand(x.shape[axis:]), None if b is None else b.expand(x.shape[axis:]), a.get('epsilon', 1e-5))


def gemm(a, x, w, c=None):
    y = a.get('alpha', 1.0) * ((x.T if a.get('transA') else x) @ (w.T if a.get('transB') else w))
    return y if c is None else y + a.get('beta', 1.0) * c


def reshape(a, x, shape):
    target = ints(shape)
    if not a.get('allowzero', 0):
        target = [x.shape[i] if t == 0 else t for i, t in enumerate(target)]
    return x.reshape(target)


def slicing(a, x, starts, ends, axes=None, steps=None):
    starts, ends = ints(starts), ints(ends)
    axes = ints(axes) if axes is not None else range(len(starts))
    steps = ints(steps) if steps is not None else [1] * len(starts)
    for axis, start, end, step in zip(axes, starts, ends, steps):
        index = list(range(x.shape[axis]))[slice(start, None if end < -(2**31) + 2 else end, step)]
        x = x.index_select(axis, torch.tensor(index, dtype=torch.long))
    return x


def gather(a, x, i):
    axis = a.get('axis', 0) % x.dim()
    i = torch.where(i < 0, i + x.shape[axis], i).long()
    y = x.index_select(axis, i.reshape(-1))
    return y.reshape([*x.shape[:axis], *i.shape, *x.shape[axis + 1 :]])


def reduce(f):
    def run(a, x, axes=None):
        dims = ints(axes) if axes is not None else a.get('axes')
        if dims is None:
            if a.get('noop_with_empty_axes', 0):
                return x
            dims = list(range(x.dim()))
        return f(x, [d % x.dim() for d in dims], bool(a.get('keepdims', 1)))

    return run


def pad(a, x, pads, value=None, axes=None):
    mode = a.get('mode', b'constant').decode()
    p = ints(pads)
    dims = [d % x.dim() for d in ints(axes)] if axes is not None else list(range(x.dim()))
    low, high = [0] * x.dim(), [0] * x.dim()
    for i, d in enumerate(dims):
        low[d], high[d] = p[i], p[i + len(dims)]
    if mode == 'constant':
        return padded(x, low, high, float(value) if value is not None else 0.0)
    for d in range(x.dim()):
        places = torch.arange(-low[d], x.shape[d] + high[d])
        if mode == 'edge':
            places = places.clamp(0, x.shape[d] - 1)
        elif mode == 'reflect':
            period = max(1, 2 * (x.shape[d] - 1))
            places = places % period
            places = torch.where(places < x.shape[d], places, period - places)
        else:
            places = places % x.shape[d]
        x = x.index_select(d, places)
    return x


def split(a, x, sizes=None):
    axis = a.get('axis', 0)
    if sizes is not None:
        return x.split(ints(sizes), axis)
    count = a.get('num_outputs') or a['outputs']
    return x.split(-(-x.shape[axis] // count), axis)


def resize(a, x, roi=None, scales=None, sizes=None):
    mode, way = a.get('mode', b'nearest').decode(), a.get('coordinate_transformation_mode', b'half_pixel').decode()
    target = ints(sizes) if sizes is not None else [int(n * float(s)) for n, s in zip(x.shape, scales)]
    if mode == 'nearest' and all(t % n == 0 for n, t in zip(x.shape, target)) and way in ('asymmetric', 'half_pixel'):
        for d, (n, t) in enumerate(zip(x.shape, target)):
            x = x.repeat_interleave(t // n, d)
        return x
    if mode == 'linear' and x.dim() == 4 and way in ('half_pixel', 'pytorch_half_pixel', 'align_corners'):
        return F.interpolate(x, target[2:], mode='bilinear', align_corners=way == 'align_corners')
    if mode == 'linear' and way == 'asymmetric':
        for d, (n, t) in enumerate(zip(x.shape, target)):
            at = torch.arange(t, dtype=D) * (n / t)
            low = at.floor().long().clamp(0, n - 1)
            share = (at - low).reshape([-1 if i == d else 1 for i in range(x.dim())])
            x = x.index_select(d, low) * (1 - share) + x.index_select(d, (low + 1).clamp(max=n - 1)) * share
        return x
    raise NotImplementedError(f'Resize {mode} {way}')


def recurrent(kind):
    def run(a, x, w, r, b=None, lengths=None, h=None, c=None, p=None):
        if lengths is not None or p is not None or a.get('layout', 0) or a.get('clip'):
            raise NotImplementedError(kind)
        if kind == 'GRU' and not a.get('linear_before_reset', 0):
            raise NotImplementedError('GRU that resets first')
        way = a.get('direction', b'forward').decode()
        size, ys, hs, cs = a['hidden_size'], [], [], []
        for d in range(w.shape[0]):
            gates = w.shape[1] // size
            order = {'LSTM': [0, 2, 3, 1], 'GRU': [1, 0, 2], 'RNN': [0]}[kind]
            cut = lambda m: torch.cat([m[k * size : (k + 1) * size] for k in order])
            wb, rb = (b[d][: gates * size], b[d][gates * size :]) if b is not None else (None, None)
            weights = [cut(w[d]), cut(r[d])] + ([cut(wb), cut(rb)] if b is not None else [])
            flip = way == 'reverse' or d == 1
            own = x.flip(0) if flip else x
            start = h[d : d + 1] if h is not None else torch.zeros(1, x.shape[1], size, dtype=D)
            if kind == 'LSTM':
                cell = c[d : d + 1] if c is not None else torch.zeros(1, x.shape[1], size, dtype=D)
                y, hn, cn = torch.lstm(own, (start, cell), weights, b is not None, 1, 0.0, False, False, False)
                cs.append(cn)
            else:
                f = torch.gru if kind == 'GRU' else torch.rnn_tanh
                y, hn = f(own, start, weights, b is not None, 1, 0.0, False, False, False)
            ys.append(y.flip(0) if flip else y)
            hs.append(hn)
        out = (torch.stack(ys, 1), torch.cat(hs))
        return out + ((torch.cat(cs),) if cs else ())

    return run


def gelu(a, x):
    return F.gelu(x, approximate=a.get('approximate', b'none').decode())


def instance_norm(a, x, s, b):
    return F.instance_norm(x, weight=s, bias=b, eps=a.get('epsilon', 1e-5))


def clip(a, x, low=None, high=None):
    return x.clamp(None if low is None else float(low), None if high is None else float(high))


def depth_to_space(a, x):
    n, c, h, w = x.shape
    k = a['blocksize']
    if a.get('mode', b'DCR') == b'DCR':
        return x.reshape(n, k, k, c // k**2, h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // k**2, h * k, w * k)
    return F.pixel_shuffle(x, k)


def total(f):
    def run(a, *xs):
        y = xs[0]
        for x in xs[1:]:
            y = f(y, x)
        return y

    return run


def divide(a, x, y):
    return x / y if x.is_floating_point() else torch.div(x, y, rounding_mode='trunc')


def cast(a, x):
    name = onnx.helper.tensor_dtype_to_np_dtype(a['to'])
    return x.to(D) if np.issubdtype(name, np.floating) else x.to(torch.from_numpy(np.zeros(1, name)).dtype)


def scatter_nd(a, x, i, updates):
    if a.get('reduction', b'none') != b'none':
        raise NotImplementedError('ScatterND that combines')
    return x.index_put(tuple(i.long().unbind(-1)), updates)


def axis_list(a, axes):
    return ints(axes) if axes is not None else a.get('axes')


def squeeze(a, x, axes=None):
    dims = axis_list(a, axes)
    return x.squeeze() if dims is None else x.squeeze([d % x.dim() for d in dims])


def unsqueeze(a, x, axes=None):
    dims = axis_list(a, axes)
    for d in sorted(d % (x.dim() + len(dims)) for d in dims):
        x = x.unsqueeze(d)
    return x


def constant(a):
    return real(numpy_helper.to_array(a['value'])) if 'value' in a else real(np.array(a.get('value_float', a.get('value_ints', a.get('value_int', a.get('value_floats'))))))


def hard_sigmoid(a, x):
    return (a.get('alpha', 0.2) * x + a.get('beta', 0.5)).clamp(0, 1)


one = lambda f: lambda a, x: f(x)
two = lambda f: lambda a, x, y: f(x, y)
OPS = {
    'Conv': conv, 'ConvTranspose': conv_transpose, 'BatchNormalization': batch_norm, 'Gemm': gemm,
    'LayerNormalization': layer_norm, 'InstanceNormalization': instance_norm, 'Reshape': reshape,
    'Slice': slicing, 'Gather': gather, 'Pad': pad, 'Split': split, 'Resize': resize, 'Clip': clip,
    'MaxPool': lambda a, x: pool(a, x, True), 'AveragePool': lambda a, x: pool(a, x, False),
    'GlobalAveragePool': one(lambda x: x.mean(list(range(2, x.dim())), True)),
    'GlobalMaxPool': one(lambda x: x.amax(list(range(2, x.dim())), True)),
    'LSTM': recurrent('LSTM'), 'GRU': recurrent('GRU'), 'RNN': recurrent('RNN'),
    'MatMul': two(torch.matmul), 'Add': two(torch.add), 'Sub': two(torch.sub), 'Mul': two(torch.mul),
    'Div': divide, 'Pow': two(torch.pow), 'Sum': total(torch.add), 'Max': total(torch.maximum),
    'Min': total(torch.minimum), 'Relu': one(torch.relu), 'Sigmoid': one(torch.sigmoid),
    'Tanh': one(torch.tanh), 'Exp': one(torch.exp), 'Log': one(torch.log), 'Sqrt': one(torch.sqrt),
    'Neg': one(torch.neg), 'Abs': one(torch.abs), 'Erf': one(torch.erf), 'Sin': one(torch.sin),
    'Cos': one(torch.cos), 'Reciprocal': one(torch.reciprocal), 'Softplus': one(F.softplus),
    'Identity': one(lambda x: x), 'Gelu': gelu, 'HardSwish': one(F.hardswish), 'HardSigmoid': hard_sigmoid,
    'LeakyRelu': lambda a, x: F.leaky_relu(x, a.get('alpha', 0.01)),
    'Elu': lambda a, x: F.elu(x, a.get('alpha', 1.0)),
    'PRelu': lambda a, x, s: torch.where(x > 0, x, x * s),
    'Softmax': lambda a, x: torch.softmax(x, a.get('axis', -1)),
    'LogSoftmax': lambda a, x: torch.log_softmax(x, a.get('axis', -1)),
    'Flatten': lambda a, x: x.reshape(int(np.prod(x.shape[: a.get('axis', 1)])), -1),
    'Transpose': lambda a, x: x.permute(a.get('perm') or list(range(x.dim()))[::-1]),
    'Concat': lambda a, *xs: torch.cat(xs, a['axis']),
    'Squeeze': squeeze, 'Unsqueeze': unsqueeze, 'Cast': cast, 'Constant': constant,
    'Shape': lambda a, x: torch.tensor(list(x.shape)[slice(a.get('start', 0), a.get('end'))], dtype=torch.long),
    'Expand': lambda a, x, s: x.expand(torch.broadcast_shapes(x.shape, ints(s))),
    'Tile': lambda a, x, r: x.repeat(ints(r)),
    'Where': lambda a, c, x, y: torch.where(c.bool(), x, y),
    'Range': lambda a, x, y, s: torch.arange(x.item(), y.item(), s.item(), dtype=x.dtype),
    'ConstantOfShape': lambda a, s: real(numpy_helper.to_array(a['value']) if 'value' in a else np.zeros(1, np.float32)).expand(ints(s)).clone(),
    'Equal': two(torch.eq), 'Less': two(torch.lt), 'Greater': two(torch.gt), 'And': two(torch.logical_and),
    'LessOrEqual': two(torch.le), 'GreaterOrEqual': two(torch.ge), 'Not': one(torch.logical_not),
    'ReduceMean': reduce(lambda x, d, k: x.mean(d, k)), 'ReduceSum': reduce(lambda x, d, k: x.sum(d, k)),
    'ReduceMax': reduce(lambda x, d, k: x.amax(d, k)), 'ReduceMin': reduce(lambda x, d, k: x.amin(d, k)),
    'ReduceL2': reduce(lambda x, d, k: (x * x).sum(d, k).sqrt()),
    'ReduceSumSquare': reduce(lambda x, d, k: (x * x).sum(d, k)),
    'DepthToSpace': depth_to_space, 'ScatterND': scatter_nd, 'Dropout': lambda a, x, *rest: x,
    'Trilu': lambda a, x, k=None: (torch.triu if a.get('upper', 1) else torch.tril)(x, 0 if k is None else int(k)),
}


def attributes(node):
    found = {p.name: onnx.helper.get_attribute_value(p) for p in node.attribute}
    return {**found, 'outputs': len(node.output)}


# Length of the difference of pairs of arrays, by that of the first ones.
def distance(pairs):
    pairs = list(pairs)
    difference, norm = sum(np.sum((a - b) ** 2) for a, b in pairs), sum(np.sum(a**2) for a, _ in pairs)
    return float((difference / max(norm, 1e-30)) ** 0.5)


def main():
    model = onnx.load(f'{folder}/model.onnx')
    feeds, weights, expected = load('feeds'), load('weights'), load('gradients')
    values = {t.name: real(numpy_helper.to_array(t)) for t in model.graph.initializer}
    for name in expected:
        values[name].requires_grad_(True)
    values.update({name: real(array) for name, array in feeds.items()})
    unknown = sorted({n.op_type for n in model.graph.node if n.op_type not in OPS or n.domain})
    if unknown:
        return {'skipped': f'not written here: {", ".join(unknown)}'}
    for node in model.graph.node:
        made = OPS[node.op_type](attributes(node), *[values[n] if n else None for n in node.input])
        made = made if isinstance(made, tuple) else (made,)
        values.update({name: value for name, value in zip(node.output, made) if name})
    forward = distance((values[name].detach().numpy(), own) for name, own in load('outputs').items())
    sum((values[name] * real(w)).sum() for name, w in weights.items()).backward()
    squares = {}
    for name, own in expected.items():
        grad = values[name].grad
        theirs = (torch.zeros_like(values[name]) if grad is None else grad).numpy()
        squares[name] = (float(np.sum((own - theirs) ** 2)), float(np.sum(theirs**2)))
    difference, norm = (sum(pair[i] for pair in squares.values()) for i in (0, 1))
    if norm < ROUNDING * sum(float(np.sum(real(w).numpy() ** 2)) for w in weights.values()):
        return {'skipped': 'the gradient is 0 but for rounding'}
    # Tensors whose gradient is 0 but for rounding are measured by what is usual in the model.
    usual = 1e-3 * norm / len(squares)
    errors = {name: (d / max(n, usual, 1e-30)) ** 0.5 for name, (d, n) in squares.items()}
    worst = max(errors, key=errors.get)
    return {'forward': forward, 'error': (difference / max(norm, 1e-30)) ** 0.5, 'worst': errors[worst], 'at': worst}


try:
    print(json.dumps(main()))
except NotImplementedError as error:
    print(json.dumps({'skipped': str(error)}))
