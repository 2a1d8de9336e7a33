# Steps per second of PyTorch (CPU, eager) on the models of bench/train-speed.mjs: the same layers, the
# same batch, AdamW; batches are drawn from as many samples in memory, in another order each epoch. Prints
# of each half second, as JSON, samples per second and milliseconds of CPU time per step:
# train_peer.py NAME THREADS SECONDS
import json, sys, time, torch
from torch import nn
import torch.nn.functional as F

name, threads, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
torch.set_num_threads(threads)
torch.manual_seed(0)


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.width = heads, width
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        n, s, w = x.shape
        q, k, v = (t.view(n, s, self.heads, w // self.heads).transpose(1, 2) for t in self.qkv(self.ln1(x)).chunk(3, -1))
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(a.transpose(1, 2).reshape(n, s, w))
        return x + self.down(F.gelu(self.up(self.ln2(x)), approximate='tanh'))


class GPT(nn.Module):
    def __init__(self, vocab=65, width=128, layers=4, heads=4, length=128):
        super().__init__()
        self.tok, self.pos = nn.Embedding(vocab, width), nn.Embedding(length, width)
        self.blocks = nn.Sequential(*[Block(width, heads) for _ in range(layers)])
        self.ln = nn.LayerNorm(width)

    def forward(self, ids):
        x = self.tok(ids) + self.pos.weight[: ids.shape[1]]
        return F.linear(self.ln(self.blocks(x)), self.tok.weight)


class LSTM(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.LSTM(16, 128, 2, batch_first=True), nn.Linear(128, 10)

    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1])


def cnn():
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * 49, 128), nn.ReLU(), nn.Linear(128, 10))


def resnet():
    from torchvision.models.resnet import BasicBlock, ResNet
    return ResNet(BasicBlock, [2, 2, 2, 2], num_classes=10)


B, N = {'perceptron': (128, 12800), 'transformer': (16, 256), 'lstm': (32, 256), 'cnn': (64, 512), 'resnet18': (16, 128)}[name]
if name == 'perceptron':
    model, x = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10)), torch.randn(N, 784)
elif name == 'cnn':
    model, x = cnn(), torch.randn(N, 1, 28, 28)
elif name == 'resnet18':
    model, x = resnet(), torch.randn(N, 3, 64, 64)
elif name == 'lstm':
    model, x = LSTM(), torch.randn(N, 64, 16)
else:
    model, x = GPT(), torch.randint(0, 65, (N, 128))
y = torch.randint(0, 10, (N,))
opt = torch.optim.AdamW(model.parameters(), lr=1e-3)


def batches():
    while True:
        yield from torch.randperm(N).split(B)


chosen = batches()


def step():
    rows = next(chosen)
    data = x[rows]
    out = model(data)
    if name == 'transformer':
        loss = F.cross_entropy(out[:, :-1].reshape(-1, 65), data[:, 1:].reshape(-1))
    else:
        loss = F.cross_entropy(out, y[rows])
    opt.zero_grad()
    loss.backward()
    opt.step()


for _ in range(5):
    step()
speeds, cpu, began = [], [], time.time()
while time.time() - began < seconds:
    t, c, k = time.time(), time.process_time(), 0
    while time.time() - t < 0.5:
        step()
        k += 1
    speeds.append(k * B / (time.time() - t))
    cpu.append(1000 * (time.process_time() - c) / k)
print(json.dumps({'speeds': speeds, 'cpu': cpu}))
