"""The layers of HSTU, Llama, GPT-2 and SASRec as PyTorch modules with random weights: what `peers.py` times in every runtime.

They follow Meta's generative-recommenders, transformers and SASRec.pytorch, in the form that is fastest in these runtimes: one
product for a layer's queries, keys and values, and PyTorch's fused attention where softmax allows it. Input and output are
[batch, length, width]; item look-up and scoring are left out, and so is HSTU's relative bias.
"""

import math

import torch
from torch import nn
from torch.nn import functional


class HSTU(nn.Module):
    """HSTU (Zhai et al., arXiv 2402.17152) without the relative bias."""

    def __init__(self, model, length):
        super().__init__()
        self.width, self.heads = model["width"], model["heads"]
        self.dqk, self.dv = model["attention_dimension"], model["linear_dimension"]
        value, key = self.heads * self.dv, self.heads * self.dqk
        self.splits = [value, value, key, key]
        layers = range(model["layers"])
        self.uvqk = nn.ModuleList(nn.Linear(self.width, sum(self.splits), bias=False) for _ in layers)
        self.output = nn.ModuleList(nn.Linear(value, self.width) for _ in layers)
        scale = 1 / (model["max_sequence_length"] + model["max_output_length"])
        self.register_buffer("mask", torch.tril(torch.ones(length, length)) * scale)

    def forward(self, x):
        for uvqk, output in zip(self.uvqk, self.output):
            parts = functional.silu(uvqk(functional.layer_norm(x, (self.width,), eps=1e-6)))
            u, v, q, k = parts.split(self.splits, dim=-1)
            q, k, v = by_head(q, self.heads), by_head(k, self.heads), by_head(v, self.heads)
            y = joined((functional.silu(q @ k.transpose(2, 3)) * self.mask) @ v)
            x = output(u * functional.layer_norm(y, (self.heads * self.dv,), eps=1e-6)) + x
        return x


class RMSNorm(nn.RMSNorm):
    """PyTorch's, which ONNX has no operator for before opset 23: the exported graph spells it out."""

    def forward(self, x):
        if not torch.onnx.is_in_onnx_export():
            return super().forward(x)
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


class Llama(nn.Module):
    """Touvron et al., arXiv 2302.13971: RMS norms, rotary positions, a feed-forward gated by SiLU."""

    def __init__(self, model, length):
        super().__init__()
        self.heads, self.inner, width = model["heads"], model["feed_forward"], model["width"]
        layers = range(model["layers"])
        self.norms = nn.ModuleList(RMSNorm(width, eps=1e-6) for _ in range(2 * len(layers)))
        self.qkv = nn.ModuleList(nn.Linear(width, 3 * width, bias=False) for _ in layers)
        self.output = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in layers)
        self.gate_up = nn.ModuleList(nn.Linear(width, 2 * self.inner, bias=False) for _ in layers)
        self.down = nn.ModuleList(nn.Linear(self.inner, width, bias=False) for _ in layers)
        dimension = width // self.heads
        frequencies = 1 / model["rope_theta"] ** (torch.arange(0, dimension, 2) / dimension)
        angles = torch.outer(torch.arange(length), frequencies).repeat(1, 2)
        self.register_buffer("cosine", angles.cos())
        self.register_buffer("sine", angles.sin())

    def turned(self, x):
        first, second = x.chunk(2, dim=-1)
        return x * self.cosine + torch.cat([-second, first], dim=-1) * self.sine

    def forward(self, x):
        for layer, qkv in enumerate(self.qkv):
            q, k, v = (by_head(part, self.heads) for part in qkv(self.norms[2 * layer](x)).chunk(3, dim=-1))
            x = x + self.output[layer](joined(attention(self.turned(q), self.turned(k), v)))
            gate, up = self.gate_up[layer](self.norms[2 * layer + 1](x)).chunk(2, dim=-1)
            x = x + self.down[layer](functional.silu(gate) * up)
        return x


class GPT2(nn.Module):
    """GPT-2 (Radford et al., 2019) as transformers' GPT2Model."""

    def __init__(self, model, length):
        super().__init__()
        self.heads, width = model["heads"], model["width"]
        layers = range(model["layers"])
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * len(layers)))
        self.qkv = nn.ModuleList(nn.Linear(width, 3 * width) for _ in layers)
        self.output = nn.ModuleList(nn.Linear(width, width) for _ in layers)
        self.hidden = nn.ModuleList(nn.Linear(width, model["feed_forward"]) for _ in layers)
        self.narrow = nn.ModuleList(nn.Linear(model["feed_forward"], width) for _ in layers)

    def forward(self, x):
        for layer, qkv in enumerate(self.qkv):
            q, k, v = (by_head(part, self.heads) for part in qkv(self.norms[2 * layer](x)).chunk(3, dim=-1))
            x = x + self.output[layer](joined(attention(q, k, v)))
            hidden = functional.gelu(self.hidden[layer](self.norms[2 * layer + 1](x)), approximate="tanh")
            x = x + self.narrow[layer](hidden)
        return x


class SASRec(nn.Module):
    """Kang and McAuley, arXiv 1808.09781, in SASRec.pytorch's original order: queries normalised, keys and values not."""

    def __init__(self, model, length):
        super().__init__()
        self.heads, width = model["heads"], model["width"]
        layers = range(model["layers"])
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=1e-8) for _ in range(2 * len(layers)))
        self.query = nn.ModuleList(nn.Linear(width, width) for _ in layers)
        self.key_value = nn.ModuleList(nn.Linear(width, 2 * width) for _ in layers)
        self.output = nn.ModuleList(nn.Linear(width, width) for _ in layers)
        self.hidden = nn.ModuleList(nn.Linear(width, model["feed_forward"]) for _ in layers)
        self.narrow = nn.ModuleList(nn.Linear(model["feed_forward"], width) for _ in layers)

    def forward(self, x):
        for layer, query in enumerate(self.query):
            normal = self.norms[2 * layer](x)
            k, v = (by_head(part, self.heads) for part in self.key_value[layer](x).chunk(2, dim=-1))
            x = normal + self.output[layer](joined(attention(by_head(query(normal), self.heads), k, v)))
            x = self.norms[2 * layer + 1](x)
            x = x + self.narrow[layer](functional.relu(self.hidden[layer](x)))
        return x


def by_head(x, heads):
    """[batch, length, heads · d] as [batch, heads, length, d]."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def joined(x):
    """The inverse of `by_head`."""
    return x.transpose(1, 2).flatten(2)


def attention(q, k, v):
    return functional.scaled_dot_product_attention(q, k, v, is_causal=True)


STACKS = {"hstu": HSTU, "llama": Llama, "gpt": GPT2, "sasrec": SASRec}


def make_stack(architecture, model, batch, length):
    """The module, and an input of ordinary magnitude."""
    torch.manual_seed(1)
    stack = STACKS[architecture](model, length).eval().requires_grad_(False)
    width = model["width"]
    return stack, (torch.rand(batch, length, width) * 2 - 1) / math.sqrt(width)
