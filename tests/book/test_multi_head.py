"""attend.multi_head against loops, against PyTorch's own layers with copied weights, and Keras."""

import math
import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from attend import multi_head
from attend.multi_head import Block, Decoder, Encoder, EncoderDecoder, MultiHeadAttention
from attend.softmax import causal_mask, causal_mask_torch, padding_mask, padding_mask_torch
from torch import nn

# All different, so that a wrong axis cannot pass.
BATCH, N, M, D_K, D_V, HEADS, D, D_MEMORY, D_OUT = 2, 3, 5, 4, 7, 6, 10, 9, 11
MASK = padding_mask([5, 3], M) & causal_mask(N, M)
both = pytest.mark.parametrize("kind", ["numpy", "torch"])


def run(name: str, kind: str, *arguments):
    """A function or its twin, with arrays in and arrays out."""
    if kind == "numpy":
        return getattr(multi_head, name)(*arguments)
    given = [torch.tensor(a) if isinstance(a, np.ndarray) else a for a in arguments]
    result = getattr(multi_head, f"{name}_torch")(*given)
    return tuple(r.numpy() for r in result) if isinstance(result, tuple) else result.numpy()


def arrays(leading=(BATCH,), dtype=np.float64) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    inputs = [(*leading, N, D), (*leading, M, D_MEMORY), (*leading, M, D_MEMORY)]
    matrices = [
        (D, HEADS * D_K),
        (D_MEMORY, HEADS * D_K),
        (D_MEMORY, HEADS * D_V),
        (HEADS * D_V, D_OUT),
    ]
    return [rng.normal(size=shape).astype(dtype) for shape in inputs + matrices]


@both
class TestHeads:
    def test_a_head_owns_consecutive_features(self, kind):
        x = np.random.default_rng(0).normal(size=(BATCH, N, HEADS * D_K))
        heads = run("split_heads", kind, x, HEADS)
        assert heads.shape == (BATCH, HEADS, N, D_K)
        for t in range(HEADS):
            np.testing.assert_array_equal(heads[:, t], x[:, :, t * D_K : (t + 1) * D_K])

    def test_merging_undoes_splitting(self, kind):
        x = np.random.default_rng(0).normal(size=(BATCH, 8, N, HEADS * D_K))
        np.testing.assert_array_equal(
            run("merge_heads", kind, run("split_heads", kind, x, HEADS)), x
        )

    def test_a_width_that_cannot_be_shared_is_refused(self, kind):
        with pytest.raises(ValueError, match="width 10 cannot be shared out among 6 heads"):
            run("split_heads", kind, np.ones((N, D)), HEADS)


@both
class TestMultiHeadAttention:
    def test_equals_one_head_after_the_other(self, kind):
        q, k, v, W_q, W_k, W_v, W_o = given = arrays()
        output, weights = run("multi_head_attention", kind, *given, HEADS, MASK)
        for example in range(BATCH):
            merged = np.zeros((N, HEADS * D_V))
            for t in range(HEADS):
                of_keys = slice(t * D_K, (t + 1) * D_K)
                for i in range(N):
                    query = q[example, i] @ W_q[:, of_keys]
                    e = np.zeros(M)
                    for j in range(M):
                        if MASK[example, i, j]:
                            key = k[example, j] @ W_k[:, of_keys]
                            e[j] = math.exp(query @ key / math.sqrt(D_K))
                    a = e / e.sum()
                    np.testing.assert_allclose(weights[example, t, i], a, atol=1e-12)
                    values = v[example] @ W_v[:, t * D_V : (t + 1) * D_V]
                    merged[i, t * D_V : (t + 1) * D_V] = a @ values
            np.testing.assert_allclose(output[example], merged @ W_o, atol=1e-10)

    def test_works_alike_over_any_leading_axes(self, kind):
        given = arrays(leading=(8, BATCH))
        output, weights = run("multi_head_attention", kind, *given, HEADS, MASK)
        assert output.shape == (8, BATCH, N, D_OUT) and weights.shape == (8, BATCH, HEADS, N, M)
        for i in range(8):
            single = [*(a[i] for a in given[:3]), *given[3:]]
            expected = run("multi_head_attention", kind, *single, HEADS, MASK)
            np.testing.assert_allclose(output[i], expected[0], atol=1e-12)

    def test_a_query_that_may_attend_nowhere_gets_zeros(self, kind):
        mask = MASK.copy()
        mask[1, 0] = False
        output, weights = run("multi_head_attention", kind, *arrays(), HEADS, mask)
        assert (weights[1, :, 0] == 0).all() and (output[1, 0] == 0).all()
        assert (output[1, 1:] != 0).all()

    def test_keeps_float32_and_its_arguments(self, kind):
        given = arrays(dtype=np.float32)
        before = [a.copy() for a in given]
        output, weights = run("multi_head_attention", kind, *given, HEADS, MASK)
        assert output.dtype == weights.dtype == np.float32
        for array, copy in zip(given, before, strict=True):
            np.testing.assert_array_equal(array, copy)

    def test_equals_keras(self, kind):
        import keras

        q, k, v, W_q, W_k, W_v, W_o = given = arrays(dtype=np.float32)
        layer = keras.layers.MultiHeadAttention(
            HEADS, D_K, value_dim=D_V, use_bias=False, output_shape=D_OUT
        )
        layer.build(q.shape, v.shape, k.shape)
        layer.set_weights(
            [
                W_q.reshape(D, HEADS, D_K),
                W_k.reshape(D_MEMORY, HEADS, D_K),
                W_v.reshape(D_MEMORY, HEADS, D_V),
                W_o.reshape(HEADS, D_V, D_OUT),
            ]
        )
        expected = layer(q, v, k, attention_mask=MASK)
        output, _ = run("multi_head_attention", kind, *given, HEADS, MASK)
        np.testing.assert_allclose(
            output, keras.ops.convert_to_numpy(expected), rtol=1e-3, atol=1e-3
        )


def test_gradients_equal_finite_differences():
    given = [torch.tensor(a, requires_grad=True) for a in arrays()]
    assert torch.autograd.gradcheck(
        lambda *a: multi_head.multi_head_attention_torch(*a, HEADS, torch.tensor(MASK)),
        given,
        fast_mode=True,
    )


@both
class TestPositions:
    QUERIES, KEYS = np.arange(2.0, 5.0), np.arange(5.0)

    def test_sinusoidal(self, kind):
        codes = run("sinusoidal", kind, self.QUERIES, D)
        for i, position in enumerate(self.QUERIES):
            for c in range(D):
                wave = math.sin if c % 2 == 0 else math.cos
                expected = wave(position / 10000 ** ((c - c % 2) / D))
                assert codes[i, c] == pytest.approx(expected, abs=1e-12)

    def test_sinusoidal_type_follows_the_positions(self, kind):
        assert run("sinusoidal", kind, self.KEYS.astype(np.float32), D).dtype == np.float32
        assert run("sinusoidal", kind, np.arange(5), D)[3, 0] == pytest.approx(math.sin(3))

    def test_rotary_is_a_complex_rotation(self, kind):
        x = np.random.default_rng(0).normal(size=(BATCH, HEADS, M, D_K))
        z = x[..., 0::2] + 1j * x[..., 1::2]
        rates = 10000.0 ** (-np.arange(0, D_K, 2) / D_K)
        z = z * np.exp(1j * self.KEYS[:, None] * rates)
        turned = run("rotary", kind, x, self.KEYS)
        np.testing.assert_allclose(turned[..., 0::2], z.real, atol=1e-12)
        np.testing.assert_allclose(turned[..., 1::2], z.imag, atol=1e-12)
        assert run("rotary", kind, x.astype(np.float32), self.KEYS).dtype == np.float32

    def test_alibi(self, kind):
        bias = run("alibi", kind, HEADS, self.QUERIES, self.KEYS)
        for t in range(HEADS):
            for i in range(N):
                for j in range(M):
                    expected = -(2 ** (-8 * (t + 1) / HEADS)) * abs(i + 2 - j)
                    assert bias[t, i, j] == pytest.approx(expected, abs=1e-12)
        whole = [p.astype(int) for p in (self.QUERIES, self.KEYS)]
        np.testing.assert_allclose(run("alibi", kind, HEADS, *whole), bias, atol=1e-6)
        narrow = [p.astype(np.float32) for p in (self.QUERIES, self.KEYS)]
        assert run("alibi", kind, HEADS, *narrow).dtype == np.float32

    def test_relative_bias(self, kind):
        table = np.random.default_rng(0).normal(size=(HEADS, 5))
        queries, keys = self.QUERIES.astype(int), self.KEYS.astype(int)
        bias = run("relative_bias", kind, table, queries, keys)
        for i in range(N):
            for j in range(M):
                distance = min(max(j - (i + 2), -2), 2)
                np.testing.assert_array_equal(bias[:, i, j], table[:, distance + 2])

    def test_errors(self, kind):
        for name, arguments in [("sinusoidal", (self.KEYS, 7)), ("rotary", (np.ones((5, 7)),))]:
            with pytest.raises(ValueError, match="width 7 is odd"):
                run(name, kind, *arguments, *([self.KEYS] if name == "rotary" else []))
        whole = self.KEYS.astype(int)
        with pytest.raises(ValueError, match="the table has 4 columns"):
            run("relative_bias", kind, np.ones((HEADS, 4)), whole, whole)


def test_rotary_keeps_far_positions_apart_in_half_precision():
    x = torch.ones(2, D_K, dtype=torch.bfloat16)
    near, far = multi_head.rotary_torch(x, torch.tensor([1000, 1001]))
    exact = multi_head.rotary_torch(x.double(), torch.tensor([1000, 1001]))
    assert near.dtype == torch.bfloat16
    torch.testing.assert_close(torch.stack([near, far]).double(), exact, rtol=0.02, atol=0.02)


@both
class TestNorms:
    def test_values(self, kind):
        rng = np.random.default_rng(0)
        x, gain, shift = rng.normal(size=(BATCH, N, D)), rng.normal(size=D), rng.normal(size=D)
        x = 3 * x + 2
        gain_, shift_, x_ = map(torch.tensor, (gain, shift, x))
        expected = F.layer_norm(x_, (D,), gain_, shift_, eps=1e-5)
        got = run("layer_norm", kind, x, gain, shift)
        np.testing.assert_allclose(got, expected, atol=1e-12)
        expected = F.rms_norm(x_, (D,), gain_, eps=1e-6)
        np.testing.assert_allclose(run("rms_norm", kind, x, gain), expected, atol=1e-12)

    def test_keeps_float32(self, kind):
        x, ones = np.ones((N, D), np.float32), np.ones(D, np.float32)
        assert run("rms_norm", kind, x, ones).dtype == np.float32
        assert run("layer_norm", kind, x, ones, ones).dtype == np.float32
        np.testing.assert_allclose(run("layer_norm", kind, x, ones, ones), 1)  # no 0 / 0


def test_rms_norm_module_equals_pytorchs():
    ours, theirs, x = multi_head.RMSNorm(D), nn.RMSNorm(D, eps=1e-6), torch.randn(BATCH, N, D)
    with torch.no_grad():
        theirs.weight.copy_(ours.gain.normal_())
    torch.testing.assert_close(ours(x), theirs(x))


def copy_attention(ours: MultiHeadAttention, theirs: nn.MultiheadAttention) -> None:
    layers = (ours.query, ours.key, ours.value)
    with torch.no_grad():
        for layer, weight, bias in zip(
            layers, theirs.in_proj_weight.chunk(3), theirs.in_proj_bias.chunk(3), strict=True
        ):
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
    ours.output.load_state_dict(theirs.out_proj.state_dict())


def copy_block(ours: Block, theirs: nn.Module) -> None:
    copy_attention(ours.attention, theirs.self_attn)
    ours.attention_norm.load_state_dict(theirs.norm1.state_dict())
    if ours.cross is not None:
        copy_attention(ours.cross, theirs.multihead_attn)
        ours.cross_norm.load_state_dict(theirs.norm2.state_dict())
    ours.feed_forward[0].load_state_dict(theirs.linear1.state_dict())
    ours.feed_forward[2].load_state_dict(theirs.linear2.state_dict())
    last = theirs.norm2 if ours.cross is None else theirs.norm3
    ours.feed_forward_norm.load_state_dict(last.state_dict())


def randomised(module: nn.Module) -> nn.Module:
    """Random biases and gains too: PyTorch's are 0 and 1, and would check nothing."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module.double().eval()


WIDTH, FF = 24, 40  # of the modules; HEADS heads of 4


@pytest.fixture
def x():
    return torch.randn(
        BATCH, N, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )


@pytest.fixture
def memory():
    return torch.randn(
        BATCH, M, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(2)
    )


def close(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


class TestLayer:
    def pair(self):
        theirs = randomised(nn.MultiheadAttention(WIDTH, HEADS, batch_first=True))
        ours = MultiHeadAttention(WIDTH, HEADS).double()
        copy_attention(ours, theirs)
        return ours, theirs

    def test_self_attention(self, x):
        ours, theirs = self.pair()
        for a, b in zip(ours(x), theirs(x, x, x, average_attn_weights=False), strict=True):
            close(a, b)

    def test_masked_cross_attention_with_its_gradients(self, x, memory):
        ours, theirs = self.pair()
        values = memory.flip(1)
        mask = torch.tensor(MASK)
        forbidden = ~mask.repeat_interleave(HEADS, dim=0)
        got = ours(x, memory, values, mask)
        expected = theirs(x, memory, values, attn_mask=forbidden, average_attn_weights=False)
        for a, b in zip(got, expected, strict=True):
            close(a, b)
        G = torch.randn_like(x)
        grads = [
            torch.autograd.grad(out[0], m.parameters(), G)
            for out, m in ((got, ours), (expected, theirs))
        ]
        in_weight, in_bias, out_weight, out_bias = grads[1]
        expected = [
            g for pair in zip(in_weight.chunk(3), in_bias.chunk(3), strict=True) for g in pair
        ]
        for a, b in zip(grads[0], [*expected, out_weight, out_bias], strict=True):
            close(a, b)

    def test_a_score_bias_is_added_before_the_softmax(self, x, memory):
        ours, _ = self.pair()
        bias = torch.randn(HEADS, N, M, dtype=torch.float64)
        q, k, v = (
            multi_head.split_heads_torch(layer(a), HEADS)
            for layer, a in ((ours.query, x), (ours.key, memory), (ours.value, memory))
        )
        context = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        close(
            ours(x, memory, score_bias=bias)[0], ours.output(multi_head.merge_heads_torch(context))
        )

    def test_rotated_queries_are_the_last_of_the_keys(self, memory):
        layer = MultiHeadAttention(WIDTH, HEADS, rotate=True).double()
        whole, _ = layer(memory, mask=causal_mask_torch(M))
        last, _ = layer(memory[:, -N:], memory, mask=causal_mask_torch(N, M))
        close(last, whole[:, -N:])
        plain = MultiHeadAttention(WIDTH, HEADS).double()
        plain.load_state_dict(layer.state_dict())
        assert not torch.allclose(plain(memory)[0], layer(memory)[0])

    def test_heads_that_do_not_divide_the_width_are_refused(self):
        with pytest.raises(ValueError, match="width 24 cannot be shared out among 5 heads"):
            MultiHeadAttention(WIDTH, 5)


@pytest.mark.parametrize("pre", [True, False], ids=["pre", "post"])
class TestStacks:
    def make(self, kind, pre, layers=2):
        options = {"dropout": 0.0, "activation": "gelu", "batch_first": True, "norm_first": pre}
        layer = getattr(nn, f"Transformer{kind}Layer")(WIDTH, HEADS, FF, **options)
        extra = {"enable_nested_tensor": False} if kind == "Encoder" else {}
        last = nn.LayerNorm(WIDTH) if pre else None
        theirs = randomised(getattr(nn, f"Transformer{kind}")(layer, layers, last, **extra))
        ours = {"Encoder": Encoder, "Decoder": Decoder}[kind](
            layers, WIDTH, HEADS, FF, pre=pre
        ).double()
        for mine, other in zip(ours.blocks, theirs.layers, strict=True):
            copy_block(mine, other)
        if pre:
            ours.norm.load_state_dict(theirs.norm.state_dict())
        assert sum(p.numel() for p in ours.parameters()) == sum(
            p.numel() for p in theirs.parameters()
        )
        return ours, theirs

    def test_encoder(self, pre, x):
        ours, theirs = self.make("Encoder", pre)
        mask = padding_mask_torch([3, 2], N)
        expected = theirs(x, src_key_padding_mask=~mask[:, 0])
        close(ours(x, mask), expected)
        close(ours(x, causal_mask_torch(N)), theirs(x, mask=~causal_mask_torch(N)))

    def test_decoder(self, pre, x, memory):
        ours, theirs = self.make("Decoder", pre)
        mask = padding_mask_torch([5, 3], M)
        expected = theirs(
            x, memory, tgt_mask=~causal_mask_torch(N), memory_key_padding_mask=~mask[:, 0]
        )
        close(ours(x, memory, mask), expected)


class TestEncoderDecoder:
    SOURCE = torch.tensor([[1, 4, 2, 7, 3], [5, 6, 0, 0, 0]])
    TARGET = torch.tensor([[1, 3, 2], [8, 5, 4]])
    LENGTHS = padding_mask_torch([5, 2], 5)

    def model(self, **options):
        torch.manual_seed(0)
        return EncoderDecoder(8, 9, 2, WIDTH, HEADS, FF, **options).eval()

    def test_equals_nn_transformer_between_the_same_embeddings(self):
        model = self.model(activation=nn.ReLU).double()
        theirs = randomised(
            nn.Transformer(WIDTH, HEADS, 2, 2, FF, dropout=0.0, batch_first=True, norm_first=True)
        )
        for stack, other in ((model.encoder, theirs.encoder), (model.decoder, theirs.decoder)):
            for mine, layer in zip(stack.blocks, other.layers, strict=True):
                copy_block(mine, layer)
            stack.norm.load_state_dict(other.norm.state_dict())
        vectors = []
        for embedding, tokens in ((model.source, self.SOURCE), (model.target, self.TARGET)):
            places = torch.arange(tokens.shape[1], dtype=torch.float64)
            codes = multi_head.sinusoidal_torch(places, WIDTH)
            vectors.append(embedding.weight[tokens] * math.sqrt(WIDTH) + codes)
        padded = ~self.LENGTHS[:, 0]
        expected = theirs(
            *vectors,
            tgt_mask=~causal_mask_torch(3),
            src_key_padding_mask=padded,
            memory_key_padding_mask=padded,
        )
        close(model(self.SOURCE, self.TARGET, self.LENGTHS), model.output(expected))

    def test_the_future_and_the_padding_do_not_matter_and_the_past_does(self):
        model = self.model()
        logits = model(self.SOURCE, self.TARGET, self.LENGTHS)
        assert logits.shape == (2, 3, 9)
        source, target = self.SOURCE.clone(), self.TARGET.clone()
        source[1, 2:], target[:, 2] = 7, 0
        other = model(source, target, self.LENGTHS)
        torch.testing.assert_close(other[:, :2], logits[:, :2])
        assert not torch.allclose(other[:, 2], logits[:, 2])
        source[1, 1] = 0
        assert not torch.allclose(model(source, target, self.LENGTHS)[1], other[1])

    def test_options_reach_every_block(self):
        model = self.model(norm=multi_head.RMSNorm, rotate=True, dropout=0.5, pre=False)
        blocks = [*model.encoder.blocks, *model.decoder.blocks]
        assert all(isinstance(b.feed_forward_norm, multi_head.RMSNorm) for b in blocks)
        assert all(b.attention.rotate and b.dropout.p == 0.5 and not b.pre for b in blocks)
        assert isinstance(model.decoder.norm, nn.Identity)
        steady = model(self.SOURCE, self.TARGET)
        torch.testing.assert_close(model(self.SOURCE, self.TARGET), steady)
        model.train()
        assert not torch.allclose(model(self.SOURCE, self.TARGET), steady)


class TestEdges:
    def test_a_memory_is_given_where_it_is_asked_for_and_nowhere_else(self):
        x = torch.zeros(BATCH, N, D)
        for block, memory in ((Block(D, 2, 8, cross=True), None), (Block(D, 2, 8), x)):
            with pytest.raises(ValueError, match="a memory belongs to a block with cross=True"):
                block(x, memory=memory)

    def test_norms_of_half_precision_do_not_overflow(self):
        x = torch.tensor([[300.0, -300.0]], dtype=torch.float16)
        ones, zeros = torch.ones(2, dtype=torch.float16), torch.zeros(2, dtype=torch.float16)
        expected = torch.tensor([[1.0, -1.0]], dtype=torch.float16)
        torch.testing.assert_close(multi_head.layer_norm_torch(x, ones, zeros), expected)
        torch.testing.assert_close(multi_head.rms_norm_torch(x, ones), expected)

    def test_positions_of_half_precision_differ(self):
        model = EncoderDecoder(5, 5, 1, 8, 2, 16).to(torch.bfloat16)
        nn.init.zeros_(model.source.weight)
        codes = model.embed(model.source, torch.zeros(1, 300, dtype=torch.long))[0]
        assert codes.dtype == torch.bfloat16
        assert not torch.equal(codes[256], codes[257])

    def test_a_bias_of_another_precision_is_taken_along(self):
        layer = MultiHeadAttention(D, 2).to(torch.bfloat16)
        x = torch.ones(BATCH, N, D, dtype=torch.bfloat16)
        bias = multi_head.alibi_torch(2, torch.arange(N), torch.arange(N))
        assert layer(x, score_bias=bias)[0].dtype == torch.bfloat16

    def test_more_queries_than_positions_cannot_be_rotated(self):
        layer = MultiHeadAttention(8, 2, rotate=True)
        with pytest.raises(ValueError, match="3 queries cannot be the last of 2 positions"):
            layer(torch.zeros(1, 3, 8), torch.zeros(1, 2, 8))

    def test_whole_numbers_are_rotated_as_numbers(self):
        x, at = np.ones((3, 4), dtype=int), np.arange(3)
        np.testing.assert_allclose(multi_head.rotary(x, at), multi_head.rotary(x * 1.0, at))
