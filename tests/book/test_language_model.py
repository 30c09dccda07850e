"""The language model: what it sees, what is shared, where it starts, and how it draws."""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F
from attend.language_model import (
    Configuration,
    LanguageModel,
    generate,
    next_token_probabilities,
    rotate,
    rotation,
)
from attend.multi_head import rms_norm_torch, rotary_torch
from attend.recipes import CHANGES, PRESETS, RECIPES, recipe
from torch.utils.flop_counter import FlopCounterMode

SIZE = {"layers": 2, "heads": 2, "width": 12, "context": 7}  # all different, so is the vocabulary
VOCABULARY = 11


def model_of(name: str, seed: int = 0, **changes) -> LanguageModel:
    torch.manual_seed(seed)
    return LanguageModel(recipe(name, VOCABULARY, **{**SIZE, **changes})[0])


def stirred(model: LanguageModel) -> LanguageModel:
    """With weights far from the initial ones: zero-initialised parts would hide their faults."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


@pytest.mark.parametrize("name", RECIPES)
class TestModel:
    def test_future_tokens_never_change_earlier_logits(self, name):
        model = stirred(model_of(name))
        tokens = torch.randint(VOCABULARY, (3, 7))
        logits = model(tokens)
        assert logits.shape == (3, 7, VOCABULARY)
        for place in range(1, 7):
            other = tokens.clone()
            other[:, place:] = (other[:, place:] + 1 + torch.arange(3)[:, None]) % VOCABULARY
            changed = model(other)
            torch.testing.assert_close(changed[:, :place], logits[:, :place], atol=1e-5, rtol=0)
            assert not torch.allclose(changed[:, place], logits[:, place], atol=1e-3)

    def test_the_past_and_its_order_matter(self, name):
        model = stirred(model_of(name))
        tokens = torch.tensor([[1, 2, 3, 4], [2, 1, 3, 4]])
        first, second = model(tokens)[:, -1]
        assert not torch.allclose(first, second, atol=1e-3)

    def test_the_initial_loss_is_that_of_guessing(self, name):
        model = model_of(name, layers=4, heads=4, width=64)
        tokens = torch.randint(VOCABULARY, (50, 7))
        loss = F.cross_entropy(model(tokens)[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
        assert abs(loss.item() - math.log(VOCABULARY)) < 0.1

    def test_every_parameter_gets_a_gradient(self, name):
        model = stirred(model_of(name))
        model(torch.randint(VOCABULARY, (2, 7))).square().mean().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())

    def test_more_tokens_than_the_context_are_refused(self, name):
        with pytest.raises(ValueError, match="8 tokens are more than the context of 7"):
            model_of(name)(torch.zeros(1, 8, dtype=torch.long))

    def test_operations_equal_the_formula(self, name):
        model = model_of(name)
        with FlopCounterMode(display=False) as counter:
            model(torch.zeros(1, 7, dtype=torch.long)).sum().backward()
        # Counted are products of matrices; PyTorch's fused attention on a CPU is not among them.
        attention = 12 * 2 * 12 * 7
        assert counter.get_total_flops() == pytest.approx(
            7 * (model.flops_per_token() - attention), rel=0.1
        )


def test_parameters_are_counted_as_by_hand():
    d, n = 12, 7
    block = 12 * d * d + 13 * d  # chapter 5: four projections, two matrices, two norms, with biases
    assert model_of("gpt2").parameter_count() == 2 * block + VOCABULARY * d + n * d + 2 * d
    shifts = 2 * 2 * d  # in each block of values and of the feed-forward network
    assert model_of("modern").parameter_count() == 2 * 12 * d * d + shifts + VOCABULARY * d


def test_gpt2_has_124_million_parameters_at_its_size():
    with torch.device("meta"):
        model = LanguageModel(Configuration(50257, layers=12, heads=12, width=768, context=1024))
    assert model.parameter_count() == 124_439_808


def test_tied_weights_are_one_matrix():
    model = model_of("gpt2")
    assert model.output is None and "output.weight" not in model.state_dict()
    tokens = torch.tensor([[1, 2, 3]])
    before = model(tokens)
    with torch.no_grad():
        model.embedding.weight[5] *= 3  # 5 is not read: only its logit can change
    changed = (model(tokens) - before).abs().amax(dim=(0, 1)) > 1e-6
    assert changed.nonzero().flatten().tolist() == [5]
    untied = model_of("gpt2", tied=False)
    assert untied.output.weight.data_ptr() != untied.embedding.weight.data_ptr()


def test_initial_weights_are_those_of_gpt2():
    model = model_of("gpt2", layers=8, heads=4, width=64)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any()
        elif parameter.ndim == 2:
            expected = (
                0.02 / 4 if name.endswith("output.weight") else 0.02
            )  # 4 = sqrt(2 * 8 layers)
            assert parameter.std().item() == pytest.approx(expected, rel=0.1), name


def test_zero_initialised_blocks_start_as_the_identity():
    model = model_of("modern").eval()
    x = torch.randn(2, 5, 12)
    for block in model.blocks:
        torch.testing.assert_close(block(x, model.cos_sin[:, :5]), x, atol=0, rtol=0)


def test_logits_stay_below_the_cap():
    model = stirred(model_of("modern"))
    with torch.no_grad():
        model.embedding.weight *= 100
    logits = model(torch.randint(VOCABULARY, (2, 7)))
    assert 10 < logits.abs().max() <= 15


def test_rotation_is_the_chapters_with_features_in_another_order():
    x = torch.randn(2, 3, 5, 8)
    order = torch.tensor([0, 4, 1, 5, 2, 6, 3, 7])  # pairs (t, t + 4) side by side
    expected = rotary_torch(x[..., order], torch.arange(5))
    torch.testing.assert_close(rotate(x, rotation(5, 8))[..., order], expected)


def test_the_norm_is_the_chapters():
    model = model_of("modern")
    x = torch.randn(2, 3, 12)
    torch.testing.assert_close(model.norm(x), rms_norm_torch(x, torch.ones(12)))


def test_heads_must_share_the_width():
    with pytest.raises(ValueError, match="width 128 cannot be shared out among 3 heads"):
        Configuration(65, heads=3)


def test_an_unknown_switch_is_named():
    with pytest.raises(ValueError, match="norm is 'batch', not one of"):
        Configuration(65, norm="batch")


class TestRecipes:
    def test_modern_is_the_baseline_and_all_changes(self):
        values = {}
        for _, change in CHANGES:
            values |= change
            recipe("gpt2", VOCABULARY, **values)  # each row can be trained
        assert recipe("gpt2", VOCABULARY, **values) == recipe("modern", VOCABULARY)

    def test_each_change_changes_something(self):
        base = {}
        for part in recipe("gpt2", VOCABULARY):
            base |= dataclasses.asdict(part)
        for name, change in CHANGES:
            assert change.items() - base.items(), name

    @pytest.mark.parametrize("preset", PRESETS)
    def test_presets_can_be_built(self, preset):
        for name in RECIPES:
            configuration, settings = recipe(name, VOCABULARY, preset)
            assert settings.batch % min(settings.micro_batch, settings.batch) == 0
            with torch.device("meta"):
                LanguageModel(configuration)

    def test_an_unknown_setting_is_named(self):
        with pytest.raises(TypeError, match="learning_rat"):
            recipe("gpt2", VOCABULARY, learning_rat=1)


LOGITS = torch.tensor([2.0, 1.0, 0.0, -1.0, 1.5])


def drawn_shares(count: int = 20_000, **options) -> torch.Tensor:
    """Shares of tokens that `generate` draws after one prompt, from a model with fixed logits."""

    def model(tokens):
        return LOGITS.expand(*tokens.shape, 5)

    model.training, model.eval, model.train = False, lambda: None, lambda _: None
    prompt = torch.zeros(count, 1, dtype=torch.long)
    generator = torch.Generator().manual_seed(1)
    tokens = generate(model, prompt, 1, generator=generator, context=4, **options)
    return torch.bincount(tokens[:, 1], minlength=5) / count


class TestSampling:
    @pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
    def test_temperature(self, temperature):
        expected = F.softmax(LOGITS / temperature, dim=-1)
        assert (
            drawn_shares(temperature=temperature) - expected
        ).abs().max() < 0.015  # over 4 deviations

    def test_temperature_zero_takes_the_likeliest(self):
        assert drawn_shares(count=100, temperature=0).tolist() == [1, 0, 0, 0, 0]

    def test_top_k_keeps_k_and_their_proportions(self):
        shares = drawn_shares(top_k=2)
        expected = F.softmax(LOGITS[[0, 4]], dim=-1)
        assert (shares[[0, 4]] - expected).abs().max() < 0.015
        assert not shares[[1, 2, 3]].any()
        assert torch.equal(
            next_token_probabilities(LOGITS, top_k=9), next_token_probabilities(LOGITS)
        )

    def test_top_p_keeps_the_fewest_that_reach_p(self):
        # The probabilities in order are 0.48, 0.29, 0.18, 0.06, …
        ranked = F.softmax(LOGITS, dim=-1).sort(descending=True).values
        for kept in range(1, 6):
            for p in (ranked[:kept].sum() - 0.01, ranked[: kept - 1].sum() + 0.005):
                probabilities = next_token_probabilities(LOGITS, top_p=p.clamp(max=1).item())
                assert (probabilities > 0).sum() == kept
        shares = drawn_shares(top_p=0.7)
        expected = F.softmax(LOGITS[[0, 4]], dim=-1)
        assert (shares[[0, 4]] - expected).abs().max() < 0.015

    def test_each_row_has_its_own_ranking(self):
        rows = torch.stack([LOGITS, LOGITS.flip(0)])
        both = next_token_probabilities(rows, top_k=3, top_p=0.9)
        torch.testing.assert_close(both[1], both[0].flip(0))
        torch.testing.assert_close(both.sum(dim=-1), torch.ones(2))

    @pytest.mark.parametrize(
        "bad", [{"temperature": -1}, {"top_k": 0}, {"top_p": 0}, {"top_p": 1.1}]
    )
    def test_settings_out_of_range_are_named(self, bad):
        with pytest.raises(ValueError, match=next(iter(bad))):
            next_token_probabilities(LOGITS, **bad)

    def test_the_same_generator_gives_the_same_text_beyond_the_context(self):
        model = stirred(model_of("modern")).train()
        texts = [
            generate(
                model, torch.tensor([[1, 2]]), 20, generator=torch.Generator().manual_seed(seed)
            )
            for seed in (3, 3, 4)
        ]
        assert torch.equal(texts[0], texts[1]) and not torch.equal(texts[0], texts[2])
        assert texts[0].shape == (1, 22) and texts[0][0, :2].tolist() == [1, 2]
        assert model.training  # as it was

    def test_an_empty_prompt_is_refused(self):
        with pytest.raises(ValueError, match="prompt is empty"):
            generate(model_of("gpt2"), torch.zeros(1, 0, dtype=torch.long), 1)


def test_the_gpt2_recipe_equals_the_reference():
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    theirs = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=VOCABULARY, n_positions=7, n_embd=12, n_layer=2, n_head=2
        )
    ).eval()
    ours = model_of("gpt2").eval()
    source = {name: tensor for name, tensor in theirs.transformer.state_dict().items()}
    target = {"embedding.weight": source["wte.weight"], "positions.weight": source["wpe.weight"]}
    for kind in ("weight", "bias"):
        target[f"norm.{kind}"] = source[f"ln_f.{kind}"]
        for layer in range(2):
            here, there = f"blocks.{layer}", f"h.{layer}"
            both = source[f"{there}.attn.c_attn.{kind}"].chunk(3, dim=-1)
            for name, part in zip(("query", "key", "value"), both, strict=True):
                target[f"{here}.attention.{name}.{kind}"] = part.T if part.ndim == 2 else part
            for name, other in {
                "attention.output": "attn.c_proj",
                "feed_forward.hidden": "mlp.c_fc",
                "feed_forward.output": "mlp.c_proj",
            }.items():
                part = source[f"{there}.{other}.{kind}"]
                target[f"{here}.{name}.{kind}"] = part.T if part.ndim == 2 else part
            target[f"{here}.attention_norm.{kind}"] = source[f"{there}.ln_1.{kind}"]
            target[f"{here}.feed_forward_norm.{kind}"] = source[f"{there}.ln_2.{kind}"]
    ours.load_state_dict(target)
    tokens = torch.randint(VOCABULARY, (2, 7))
    torch.testing.assert_close(ours(tokens), theirs(tokens).logits, atol=1e-5, rtol=0)
