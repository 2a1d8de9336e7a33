# Losses of PyTorch and their gradients on outputs that a formula describes: the reference values of
# test/train/objectives.test.ts. Prints JSON:
#
#   .peers/bin/python bench/objectives_torch.py > test/train/objectives.json
import torch, json, math
import torch.nn.functional as F
def wave(*shape):
    n=math.prod(shape)
    return torch.tensor([2*math.sin(1.7*i+0.3) for i in range(n)],dtype=torch.float64).reshape(shape)
L=torch.tensor([2,0,1,2]); I=torch.tensor([2,-100,1,2]); B=torch.tensor([1,0,0,1])
M=torch.tensor([[1,0,1],[0,0,1],[1,1,0],[0,1,0]],dtype=torch.float64)
W=torch.tensor([0.5,2,1],dtype=torch.float64); V=torch.tensor([0.5,2],dtype=torch.float64)
def two(x): return torch.cat([torch.zeros_like(x),x],1)
def near(x): return x*0.5+0.2
def pairs(x,t=0.5):
    z=F.normalize(x,dim=1); s=z@z.T/t; n=len(x)
    s=s.masked_fill(torch.eye(n,dtype=torch.bool),float('-inf'))
    return F.cross_entropy(s,torch.tensor([(i+n//2)%n for i in range(n)]))
T=torch.tensor([[3,1,4,-100],[1,-100,0,2]])
ids=torch.tensor([[3,1,4,0],[1,4,0,2]])
cases={
 'classify':((4,3),lambda x:F.cross_entropy(x,L)),
 'classify-smooth':((4,3),lambda x:F.cross_entropy(x,L,label_smoothing=0.1)),
 'classify-weights':((4,3),lambda x:F.cross_entropy(x,L,weight=W)),
 'classify-both':((4,3),lambda x:F.cross_entropy(x,L,weight=W,label_smoothing=0.1)),
 'classify-ignored':((4,3),lambda x:F.cross_entropy(x,I,weight=W)),
 'binary':((4,1),lambda x:F.binary_cross_entropy_with_logits(x[:,0],B.double())),
 'binary-smooth':((4,1),lambda x:F.binary_cross_entropy_with_logits(x[:,0],B*0.8+0.1)),
 'binary-weights':((4,1),lambda x:F.cross_entropy(two(x),B,weight=V)),
 'multilabel':((4,3),lambda x:F.binary_cross_entropy_with_logits(x,M)),
 'multilabel-weights':((4,3),lambda x:F.binary_cross_entropy_with_logits(x,M,weight=W)),
 'mse':((4,3),lambda x:F.mse_loss(x,near(wave(4,3)).flip(0))),
 'mae':((4,3),lambda x:F.l1_loss(x,near(wave(4,3)).flip(0))),
 'huber':((4,3),lambda x:F.huber_loss(x,near(wave(4,3)).flip(0),delta=0.7)),
 'mlm':((2,4,5),lambda x:F.cross_entropy(x.reshape(8,5),T.reshape(8))),
 'clm':((2,4,5),lambda x:F.cross_entropy(x[:,:-1].reshape(6,5),ids[:,1:].reshape(6))),
 'contrastive':((6,3),pairs),
}
out={}
for name,(shape,loss) in cases.items():
    x=wave(*shape).requires_grad_(); y=loss(x); y.backward()
    out[name]={'loss':round(y.item(),7),'gradient':[round(v,7) for v in x.grad.flatten().tolist()]}
print(json.dumps(out,separators=(',',':')))
