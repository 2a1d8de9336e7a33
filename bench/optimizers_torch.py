# Weights after 100 steps of PyTorch's optimisers on a small problem that formulas describe: the
# reference values of test/train/optimizers.test.ts. Prints JSON:
#
#   .peers/bin/python bench/optimizers_torch.py > test/train/optimizers.json
#
# Lion is not part of PyTorch: Algorithm 2 of Chen et al. 2023, written out.
import torch, json, math
torch.set_num_threads(1)
def data(i,n,m,phase): return [[math.sin(1.3*(i*n*m+r*m+c)+phase) for c in range(m)] for r in range(n)]
X=[torch.tensor(data(i,8,4,0.0)) for i in range(5)]
Y=[torch.tensor(data(i,8,3,1.0)) for i in range(5)]
cases={
 'adamw':lambda p:torch.optim.AdamW(p,lr=0.01,weight_decay=0.1),
 'adam':lambda p:torch.optim.Adam(p,lr=0.01,weight_decay=0.1),
 'sgd':lambda p:torch.optim.SGD(p,lr=0.05,momentum=0.9,weight_decay=0.1),
 'nesterov':lambda p:torch.optim.SGD(p,lr=0.05,momentum=0.9,weight_decay=0.1,nesterov=True),
 'rmsprop':lambda p:torch.optim.RMSprop(p,lr=0.01,weight_decay=0.1),
 'adagrad':lambda p:torch.optim.Adagrad(p,lr=0.05,weight_decay=0.1),
}
class Lion:
    def __init__(self,groups): self.groups=groups; self.m={}
    def zero_grad(self):
        for g in self.groups:
            for p in g['params']: p.grad=None
    @torch.no_grad()
    def step(self):
        for g in self.groups:
            for p in g['params']:
                m=self.m.setdefault(p,torch.zeros_like(p))
                u=(0.9*m+0.1*p.grad).sign()
                p.mul_(1-0.01*g['weight_decay']).sub_(0.01*u)
                m.mul_(0.99).add_(0.01*p.grad)
cases['lion']=Lion
out={}
for name,make in cases.items():
    W=torch.tensor(data(0,4,3,2.0),requires_grad=True); b=torch.tensor([0.1,-0.2,0.3],requires_grad=True)
    opt=make([{'params':[W],'weight_decay':0.1},{'params':[b],'weight_decay':0.0}])
    for s in range(100):
        x,y=X[s%5],Y[s%5]
        loss=((torch.tanh(x@W+b)-y)**2).mean()
        opt.zero_grad(); loss.backward(); 
        if name=='adam': torch.nn.utils.clip_grad_norm_([W,b],0.1)
        opt.step()
    out[name]={'W':[round(v,7) for v in W.detach().flatten().tolist()],'b':[round(v,7) for v in b.detach().tolist()],'loss':loss.item()}
print(json.dumps(out,separators=(',',':')))
