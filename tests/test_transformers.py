"""transformers as the judge of hf.py: either reads what the other saved, with the same weights,
logits, greedy tokens, losses of training, and token ids.

Skipped where transformers and torch are not installed.
"""

from dataclasses import replace

import numpy as np
import pytest

from csrc import hf
from csrc.bind import Model
from csrc.config import BIAS_ALL, BIAS_QKV, Config
from data.tokens import learn
from folders import CONFIGS, GPT2, library_or_skip, llama3, random_model, same_weights

transformers = pytest.importorskip("transformers")
torch = pytest.importorskip("torch")

LONG = dict(vocab=97, context=1200, layers=2, channels=32, heads=4, kv_heads=2, head_dim=16,
            hidden=48)
THEIRS = {           # class in transformers: its configuration
    "GPT2LMHeadModel": dict(n_positions=1200, n_embd=32, n_layer=2, n_head=4),
    "LlamaForCausalLM": dict(head_dim=None, rope_scaling={
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 64}, rope_theta=500000.0),
    "LlamaForCausalLM with biases": dict(attention_bias=True, mlp_bias=True),
    "Qwen2ForCausalLM": dict(),
    "Qwen3ForCausalLM": dict(head_dim=16, tie_word_embeddings=True),
    "MistralForCausalLM": dict(head_dim=8, sliding_window=50),
    "Qwen3ForCausalLM with windows": dict(
        head_dim=16, use_sliding_window=True, sliding_window=50, max_window_layers=0,
        layer_types=["sliding_attention", "full_attention"]),
    "Qwen3ForCausalLM with biases": dict(head_dim=16, attention_bias=True),
    "LlamaForCausalLM linear": dict(rope_scaling={"rope_type": "linear", "factor": 4.0}),
    "LlamaForCausalLM dynamic": dict(rope_scaling={"rope_type": "dynamic", "factor": 4.0},
                                     max_position_embeddings=300),
    "Qwen2ForCausalLM yarn": dict(rope_scaling={
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 300}),
    "LlamaForCausalLM yarn": dict(rope_scaling={
        "rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 64,
        "mscale": 1.0, "mscale_all_dim": 0.5, "beta_fast": 16, "truncate": False}),
    "MixtralForCausalLM": dict(num_local_experts=5, num_experts_per_tok=2),
    "MixtralForCausalLM with windows": dict(num_local_experts=3, num_experts_per_tok=3,
                                            sliding_window=50),
    "Qwen3MoeForCausalLM": dict(head_dim=16, num_experts=6, num_experts_per_tok=3,
                                moe_intermediate_size=24),
    "Qwen3MoeForCausalLM beside one MLP": dict(
        head_dim=16, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=40,
        decoder_sparse_step=2, norm_topk_prob=True),
    "Phi3ForCausalLM": dict(sliding_window=50),
    "Phi3ForCausalLM longrope": dict(
        original_max_position_embeddings=64, partial_rotary_factor=0.5, rope_scaling={
            "rope_type": "longrope", "short_factor": [1.0, 1.1], "long_factor": [1.5, 9.0]}),
    "GemmaForCausalLM": dict(head_dim=16),
    "Gemma2ForCausalLM": dict(head_dim=16, sliding_window=50, query_pre_attn_scalar=20,
                              attn_logit_softcapping=2.0, final_logit_softcapping=3.0),
    "Gemma3ForCausalLM": dict(
        head_dim=16, sliding_window=50, query_pre_attn_scalar=20, num_hidden_layers=7,
        rope_parameters={
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}),
    "OlmoForCausalLM": dict(),
    "Olmo2ForCausalLM": dict(),
    "GPTNeoXForCausalLM": dict(),
    "GPTNeoXForCausalLM one after the other": dict(
        use_parallel_residual=False, attention_bias=False,
        rope_parameters={"rope_theta": 1e4, "partial_rotary_factor": 1.0}),
    "FalconForCausalLM": dict(),
    "FalconForCausalLM of 40 B": dict(new_decoder_architecture=True, num_kv_heads=2, bias=True),
    "FalconForCausalLM of 11 B": dict(new_decoder_architecture=True, num_kv_heads=2,
                                      num_ln_in_parallel_attn=1),
    "FalconForCausalLM one after the other": dict(parallel_attn=False, multi_query=False),
}
COMMON = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
              intermediate_size=48, max_position_embeddings=1200)
OURS = {             # the same classes: our Config
    "GPT2LMHeadModel": Config(**{**LONG, "kv_heads": 4, "head_dim": 8}, **GPT2),
    "LlamaForCausalLM": Config(**LONG, qk_norm=0, tied=0, **llama3(64)),
    "LlamaForCausalLM with biases": Config(**LONG, qk_norm=0, bias=BIAS_ALL),
    "Qwen2ForCausalLM": Config(**LONG, qk_norm=0, bias=BIAS_QKV, rope_theta=1e6),
    "Qwen3ForCausalLM": Config(**LONG, rope_theta=1e6),
    "MistralForCausalLM": Config(**LONG, qk_norm=0, window=50),
    "MixtralForCausalLM": Config(**LONG, qk_norm=0, experts=4, experts_used=2, expert_hidden=48,
                                 expert_norm=1, expert_period=1),
    "Qwen3MoeForCausalLM": Config(**LONG, experts=4, experts_used=2, expert_hidden=24,
                                  expert_period=1),
    "Qwen2ForCausalLM with windows": Config(**LONG, qk_norm=0, bias=BIAS_QKV, window=50,
                                            window_period=2),
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def their_model(name, **settings):
    """A random model of transformers, in which nothing is 0 or 1 by accident."""
    kind = getattr(transformers, name.split()[0])
    common = COMMON if "GPT2" not in name else {}
    config = kind.config_class(**{**common, **settings}, vocab_size=97, bos_token_id=None,
                               eos_token_id=None, pad_token_id=0, attn_implementation="eager")
    torch.manual_seed(1)
    model = kind(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return model


def load_theirs(folder, kind="AutoModelForCausalLM"):
    """Eager attention is the one that knows soft caps."""
    return getattr(transformers, kind).from_pretrained(folder, dtype=torch.float32,
                                                       attn_implementation="eager").eval()


def their_logits(model, tokens):
    with torch.no_grad():
        return model(torch.tensor(tokens)).logits.numpy()


def greedy(model, prompt, count):
    cache, tokens = model.cache(1, len(prompt) + count), list(prompt)
    logits = model.extend(cache, [0], [tokens])
    for _ in range(count):
        tokens.append(int(logits[0].argmax()))
        logits = model.extend(cache, [0], [tokens[-1:]])
    return tokens


def their_greedy(model, prompt, count):
    prompt = torch.tensor([prompt])
    out = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=count,
                         do_sample=False)
    return out[0].tolist()


def check_agreement(ours, theirs, short=True):
    """The same logits at T = 64 and at positions over 1,000, and the same 32 greedy tokens; not the
    `short` ones where theirs has another RoPE for each length, and ours one for its context."""
    rng = np.random.default_rng(2)
    # Theirs rounds the angles of RoPE to float; a mean over few keys shows more of that.
    bound = 3e-4 if ours.config.window else 1e-4
    for shape in ((2, 64), (1, 1200))[not short:]:
        tokens = rng.integers(0, 97, shape)
        want = their_logits(theirs, tokens)
        difference = np.abs(ours.logits(tokens) - want).max(-1) / max(1, np.abs(want).max())
        print(f"largest difference of logits at {shape}: {difference.max():.1e}; at positions from "
              f"1,000 on: {difference[:, 1000:].max(initial=0):.1e}")
        assert difference.max() < bound
    if not short:
        return
    prompt = tokens[0, :8].tolist()
    assert greedy(ours, prompt, 32) == their_greedy(theirs, prompt, 32)


@pytest.mark.parametrize("name", THEIRS)
def test_models_of_transformers_compute_the_same_here(name, tmp_path):
    theirs = their_model(name, **THEIRS[name])
    theirs.save_pretrained(tmp_path)
    ours = Model.load(tmp_path, context=1200)
    check_agreement(ours, theirs, "dynamic" not in name and "longrope" not in name)
    hf.save(ours, tmp_path / "again")            # in the same family, which is read there again
    assert same_weights(Model.load(tmp_path / "again"), ours)
    tokens = np.random.default_rng(6).integers(0, 97, (1, 1200))
    back = load_theirs(tmp_path / "again")
    assert type(back) is type(theirs)
    assert np.abs(their_logits(back, tokens) - their_logits(theirs, tokens)).max() < 1e-6


@pytest.mark.parametrize("name", OURS)
def test_our_models_compute_the_same_in_transformers(name, tmp_path):
    model = random_model(OURS[name])
    hf.save(model, tmp_path)
    theirs = load_theirs(tmp_path)
    assert type(theirs).__name__ == name.split()[0]
    check_agreement(model, theirs)


@pytest.mark.parametrize("name", ["GPT2", "Llama", "Qwen2", "Qwen3"])
def test_scalar_heads_mean_the_same_in_transformers(name, tmp_path):
    model = random_model(replace(OURS[name + ("LMHeadModel" if name == "GPT2" else "ForCausalLM")],
                                 scalar=1, tied=1))
    hf.save(model, tmp_path, {"pad": 0})
    theirs = load_theirs(tmp_path, "AutoModelForSequenceClassification")
    assert type(theirs).__name__ == name + "ForSequenceClassification"
    tokens = np.random.default_rng(3).integers(1, 97, (3, 40))
    assert np.abs(model.logits(tokens)[:, -1] - their_logits(theirs, tokens)).max() < 1e-4
    theirs.save_pretrained(tmp_path / "back")
    assert same_weights(Model.load(tmp_path / "back"), model)


def test_what_transformers_saves_again_is_the_same_model(tmp_path):
    for name, config in OURS.items():
        model = random_model(config)
        hf.save(model, tmp_path / name)
        back = tmp_path / name / "back"
        load_theirs(tmp_path / name).save_pretrained(back, max_shard_size="20KB")
        assert (back / "model.safetensors.index.json").exists()
        again = Model.load(back)
        assert again.config == model.config
        assert same_weights(again, model)


def test_a_bf16_folder_is_bf16_in_transformers(tmp_path):
    library_or_skip("bf16")
    model = random_model(OURS["Qwen3ForCausalLM"], "bf16")
    hf.save(model, tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype="auto")
    assert theirs.dtype == torch.bfloat16
    for name in model.index:
        ours = torch.tensor(model.read(name)).to(torch.bfloat16)
        assert torch.equal(theirs.get_parameter(name), ours)


@pytest.mark.parametrize("name", ["GPT2LMHeadModel", "Qwen3ForCausalLM", "Qwen3MoeForCausalLM"])
def test_twenty_steps_of_training_have_the_losses_of_torch(name, tmp_path):
    model = random_model(replace(OURS[name], context=64), deviation=0.1)
    hf.save(model, tmp_path)
    theirs = load_theirs(tmp_path).train()
    matrices = [p for p in theirs.parameters() if p.ndim > 1]
    rest = [p for p in theirs.parameters() if p.ndim == 1]
    adam = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1},
                              {"params": rest, "weight_decay": 0.0}],
                             lr=3e-3, betas=(0.9, 0.95), eps=1e-8)
    rng, worst, clipped = np.random.default_rng(4), 0.0, 0
    for step in range(1, 21):
        row = np.cumsum(rng.integers(0, 3, (4, 49)), 1) % 97           # something to learn
        tokens, targets = row[:, :-1], row[:, 1:]
        model.zero_grad()
        ours = model.forward(tokens, targets, weights=np.full(tokens.shape, 1 / tokens.size)).mean()
        model.backward()
        norm = model.grad_norm()
        model.update(step, lr=3e-3, beta1=0.9, beta2=0.95, eps=1e-8, weight_decay=0.1,
                     grad_scale=min(1.0, 1.0 / (norm + 1e-6)))
        logits = theirs(torch.tensor(tokens)).logits.flatten(0, 1)
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(targets).flatten())
        adam.zero_grad()
        loss.backward()
        assert float(torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)) == pytest.approx(
            norm, rel=1e-3)
        adam.step()
        worst, clipped = max(worst, abs(ours - loss.item())), clipped + (norm > 1)
        assert abs(ours - loss.item()) < 1e-3
    print(f"20 steps, {clipped} of them clipped: loss {ours:.4f}, largest difference {worst:.1e}")
    assert clipped and ours < 4.5


@pytest.fixture(scope="module")
def tokenizer():
    return pytest.importorskip("data.tokens.bpe")


NASTY = ["", " ", "Hello, world! It's 12345 o'clock.", "  two\n\n\nlines \t ",
         "naïve café 東京 🙂👩‍👩‍👧",
         "\u00a0\u2028x\u200d", "a" * 500, "İi̇ ſ ﬁ", "\x00\x7f\r\n"]


def random_text(length):
    """Code points of every size, the half of them ASCII, without surrogates."""
    rng = np.random.default_rng(5)
    limit = rng.choice([0x80, 0x80, 0x80, 0x250, 0x3100, 0x110000], length)
    points = (rng.random(length) * limit).astype(int)
    return "".join(chr(point) for point in points if not 0xD800 <= point < 0xE000)


def test_auto_tokenizer_gives_our_ids(tokenizer, tmp_path):
    text = " ".join(NASTY + ["the cat sat on the mat and the dog sat on the log"] * 20)
    ours = tokenizer.learn(learn.count_chunks([text]), 400)
    ours.save(tmp_path)
    hf.save(Model(replace(CONFIGS["Qwen3ForCausalLM"], vocab=ours.vocab_size)), tmp_path,
            {"bos": ours.special(tokenizer.BEGIN), "eos": ours.special(tokenizer.END)})
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in NASTY + [random_text(200000)]:
        assert theirs.encode(text, add_special_tokens=False) == ours.encode(text), text
    assert len(theirs) == ours.vocab_size
    assert theirs.eos_token_id == ours.special(tokenizer.END)

    def special(name):
        return [ours.special(name)]

    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"},
                {"role": "assistant", "content": "4"},
                {"role": "user", "content": [{"type": "text", "text": "Thanks\n"}]}]
    expected = special("<|endoftext|>")
    for message in messages:
        content = message["content"] if isinstance(message["content"], str) else "Thanks\n"
        expected += (special("<|im_start|>") + ours.encode(message["role"] + "\n")
                     + ours.encode(content) + special("<|im_end|>") + ours.encode("\n"))
    expected += special("<|im_start|>") + ours.encode("assistant\n")
    ids = theirs.apply_chat_template(messages, add_generation_prompt=True, tokenize=True)
    assert list(ids if isinstance(ids, list) else ids["input_ids"]) == expected
