"""What tests/bench.py compares us with: the same work, done by others as fast as they can.

Each is imported where it is first asked for; ABSENT says which could not be, and why.
"""

import ctypes
import json
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from importlib import import_module
from tempfile import TemporaryDirectory

import numpy as np

from csrc.config import BIAS_ALL, LAYERNORM
from csrc.hf import bfloat16

NAMES = {"torch": "PyTorch", "peft": "PEFT", "trl": "TRL",
         "llama_cpp": "llama.cpp (llama-cpp-python)"}
ABSENT = {}                                      # name: why
QUIET = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)


@lru_cache(None)
def peer(name):
    """The module, or None."""
    try:
        return import_module(name)
    except Exception as error:                   # a broken installation is an absent one
        ABSENT[name] = f"{type(error).__name__}: {error}"
        return None


def name(of):
    module = peer(of)
    return f"{NAMES.get(of, of)} {module.__version__ if module else 'is absent'}"


# ---- PyTorch -----------------------------------------------------------------------------------


def tensor(array):
    """The same memory as a tensor; uint16 holds bfloat16."""
    torch = peer("torch")
    if array.dtype == np.uint16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(np.ascontiguousarray(array))


def products(inp, weight, out, dinp, threads):
    """Functions for NT, NN, TN, as in tests/bench.py's gemm; no functions without PyTorch."""
    torch = peer("torch")
    if not torch:
        return [None] * 3
    torch.set_num_threads(threads)
    inp, weight, out, dinp = map(tensor, (inp, weight, out, dinp))
    dweight = torch.empty_like(weight)
    return [partial(torch.mm, inp, weight.T, out=out), partial(torch.mm, out, weight, out=dinp),
            partial(torch.mm, out.T, inp, out=dweight)]


def gpt(c, T):
    """The model of a Config with one key/value head a head, as one writes it in PyTorch."""
    torch = peer("torch")
    nn, F = torch.nn, torch.nn.functional
    gpt2, bias, C = c.norm == LAYERNORM, c.bias == BIAS_ALL, c.channels

    class RMSNorm(nn.RMSNorm):
        def forward(self, x):                    # it is fused only where both have one type
            return F.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)

    norm = partial(nn.LayerNorm if gpt2 else RMSNorm, eps=c.norm_eps)
    inverse = c.rope_theta ** (-torch.arange(0, c.head_dim, 2) / c.head_dim)
    angles = torch.outer(torch.arange(T), inverse)
    cos, sin = angles.cos().repeat(1, 2), angles.sin().repeat(1, 2)

    def rotate(x):
        half = c.head_dim // 2
        return x * cos + torch.cat((-x[..., half:], x[..., :half]), -1) * sin

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = norm(C), norm(C)
            self.qkv, self.proj = nn.Linear(C, 3 * C, bias=bias), nn.Linear(C, C, bias=bias)
            self.up = nn.Linear(C, c.hidden if gpt2 else 2 * c.hidden, bias=bias)
            self.down = nn.Linear(c.hidden, C, bias=bias)
            if not gpt2:
                self.q_norm, self.k_norm = norm(c.head_dim), norm(c.head_dim)

        def forward(self, x):
            B = len(x)
            q, k, v = (y.view(B, T, c.heads, c.head_dim).transpose(1, 2)
                       for y in self.qkv(self.norm1(x)).chunk(3, -1))
            if not gpt2:
                q, k = rotate(self.q_norm(q)), rotate(self.k_norm(k))
            a = F.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v, is_causal=True)
            x = x + self.proj(a.transpose(1, 2).reshape(B, T, -1))
            h = self.up(self.norm2(x))
            if gpt2:
                return x + self.down(F.gelu(h, approximate="tanh"))
            gate, up = h.chunk(2, -1)
            return x + self.down(F.silu(gate) * up)

    class GPT(nn.Module):
        def __init__(self):
            super().__init__()
            self.wte = nn.Embedding(c.vocab, C)
            self.wpe = nn.Embedding(c.context, C) if gpt2 else None
            self.blocks, self.norm = nn.Sequential(*(Block() for _ in range(c.layers))), norm(C)

        def forward(self, tokens, targets):
            x = self.wte(tokens) + (self.wpe.weight[:T] if gpt2 else 0)
            logits = self.norm(self.blocks(x)) @ self.wte.weight.T
            return F.cross_entropy(logits.view(targets.numel(), -1).float(), targets.reshape(-1))

    return GPT()


def steps(config, dtype, tokens, targets, threads, device="cpu"):
    """{"eager": function, "compiled": function}: whole training steps, what can be had of them."""
    torch = peer("torch")
    if not torch:
        return {}
    torch.set_num_threads(threads)
    torch._dynamo.reset()
    with torch.device(device):
        model = gpt(config, tokens.shape[1])
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, (0.9, 0.95), fused=True)
    tokens, targets = tensor(tokens).to(device), tensor(targets).to(device)

    def step(forward):
        with torch.autocast(device, torch.bfloat16, enabled=dtype == "bf16"):
            loss = forward(tokens, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if device == "cuda":
            torch.cuda.synchronize()

    compiled = partial(step, torch.compile(model))
    try:
        compiled()
    except Exception as error:                   # no compiler, most of all
        ABSENT["torch.compile"] = f"{type(error).__name__}: {error}".splitlines()[0]
        return {"eager": partial(step, model)}
    return {"eager": partial(step, model), "compiled": compiled}


def adapted(folder, dtype, r, tokens, targets, threads):
    """A function that takes a step of PEFT's adapters, on all linear layers of the model in a
    folder; None without PEFT."""
    torch, transformers, peft = map(peer, ("torch", "transformers", "peft"))
    if not (torch and transformers and peft):
        return None
    torch.set_num_threads(threads)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.bfloat16 if dtype == "bf16" else torch.float32)
    model = peft.get_peft_model(model, peft.LoraConfig(
        r=r, lora_alpha=r, target_modules="all-linear", task_type="CAUSAL_LM")).train()
    learned = [x for x in model.parameters() if x.requires_grad]
    optimizer = torch.optim.AdamW(learned, 1e-4, (0.9, 0.95), fused=True)
    tokens, targets = (torch.tensor(x.astype(np.int64)) for x in (tokens, targets))

    def step():
        logits = model(input_ids=tokens).logits.float()
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.reshape(-1)).backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return step


def attention(B, T, H, D, times=20):
    """Functions for SDPA, causal, in bf16 on the GPU, forward and backward, `times` in a row."""
    torch = peer("torch")
    if not (torch and torch.cuda.is_available()):
        return [None] * 2
    q, k, v = (torch.randn(B, H, T, D, dtype=torch.bfloat16, device="cuda", requires_grad=True)
               for _ in range(3))
    sdpa = partial(torch.nn.functional.scaled_dot_product_attention, q, k, v, is_causal=True)
    out = sdpa()
    dout = torch.randn_like(out)

    def forward():
        with torch.no_grad():
            for _ in range(times):
                sdpa()
        torch.cuda.synchronize()

    def backward():
        for _ in range(times):
            torch.autograd.grad(out, (q, k, v), dout, retain_graph=True)
        torch.cuda.synchronize()

    return [forward, backward]


# ---- llama.cpp ---------------------------------------------------------------------------------

GGUF_NAMES = {                                   # ours: its
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down"}


def write_gguf(model, weights, path):
    """A model of Llama's kind in bf16 as llama.cpp reads it; one without a vocabulary. weights: the
    name and the values of each tensor."""
    gguf, c = peer("gguf"), model.config
    new = path.with_suffix(".new")
    writer = gguf.GGUFWriter(new, "llama")
    writer.add_vocab_size(c.vocab)
    writer.add_tokenizer_model("none")
    writer.add_context_length(c.context)
    writer.add_embedding_length(c.channels)
    writer.add_block_count(c.layers)
    writer.add_feed_forward_length(c.hidden)
    writer.add_head_count(c.heads)
    writer.add_head_count_kv(c.kv_heads)
    writer.add_rope_dimension_count(c.head_dim)
    writer.add_rope_freq_base(c.rope_theta)
    writer.add_layer_norm_rms_eps(c.norm_eps)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)
    for name, values in weights:
        layer, part = re.fullmatch(r"(?:model\.layers\.(\d+)\.)?(.*)\.weight", name).groups()
        its = (f"blk.{layer}." if layer else "") + GGUF_NAMES[part] + ".weight"
        if part in ("self_attn.q_proj", "self_attn.k_proj"):
            # It rotates neighbours, we (and Hugging Face) i with i + D/2.
            halves = values.reshape(-1, 2, c.head_dim // 2, c.channels)
            values = halves.swapaxes(1, 2).reshape(values.shape)
        if values.ndim == 2:
            writer.add_tensor(its, bfloat16(values),
                              raw_dtype=gguf.GGMLQuantizationType.BF16)
        else:
            writer.add_tensor(its, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(new, path)


def llama(model, weights, path, threads):
    """What makes functions as tests/bench.py's extender does; None without llama.cpp. `path` keeps
    the weights, as write_gguf takes them. RuntimeError unless it gives the model's own logits."""
    llama_cpp, gguf = peer("llama_cpp"), peer("gguf")
    if not (llama_cpp and gguf):
        return None
    if not path.exists():
        write_gguf(model, weights, path)
    its = llama_cpp.Llama(str(path), n_ctx=512, n_batch=512, n_threads=threads,
                          n_threads_batch=threads, flash_attn=True, verbose=False)

    def extender(first, pieces):
        its.reset()
        if first:
            its.eval(list(range(first)))

        def extend():
            its.n_tokens = first                 # the next eval forgets what comes after
            for piece in pieces:
                its.eval(piece)
                logits = llama_cpp.llama_get_logits_ith(its.ctx, -1)
            return np.ctypeslib.as_array(logits, (model.config.vocab,))
        return extend

    theirs = extender(0, [[1, 2, 3, 4]])()
    ours = model.extend(model.cache(1, 4), [0], [[1, 2, 3, 4]])[0]
    if np.abs(ours - theirs).max() > 0.1 * np.abs(ours).max():
        raise RuntimeError(f"{path} holds another model: delete it")
    return extender


def llama_file(path, threads):
    """What makes functions as tests/bench.py's extender does, of a GGUF file: several sequences are
    one batch; None without llama.cpp."""
    cpp = peer("llama_cpp")
    if not cpp:
        return None
    cpp.llama_log_set(QUIET, None)               # it prints a page otherwise
    model = cpp.llama_model_load_from_file(str(path).encode(), cpp.llama_model_default_params())
    V = cpp.llama_vocab_n_tokens(cpp.llama_model_get_vocab(model))

    def extender(slots, first, pieces, length):
        params = cpp.llama_context_default_params()
        params.n_ctx, params.n_seq_max, params.n_batch = slots * -(-length // 256) * 256, slots, 512
        params.n_threads = params.n_threads_batch = threads
        context = cpp.llama_init_from_model(model, params)
        batch, memory = cpp.llama_batch_init(512, 0, 1), cpp.llama_get_memory(context)

        def append(slots, at, tokens):
            batch.n_tokens = len(slots) * len(tokens)
            for i in range(batch.n_tokens):
                batch.token[i], batch.pos[i] = tokens[i % len(tokens)], at + i % len(tokens)
                batch.n_seq_id[i], batch.seq_id[i][0] = 1, slots[i // len(tokens)]
                batch.logits[i] = (i + 1) % len(tokens) == 0
            if cpp.llama_decode(context, batch):
                raise RuntimeError(f"llama.cpp cannot append {tokens[:3]}... at {at}")

        for slot in range(slots):
            for at in range(0, first, 512):
                append([slot], at, list(range(at, min(first, at + 512))))

        def extend():
            for slot in range(slots):
                cpp.llama_memory_seq_rm(memory, slot, first, -1)
            at = first
            for piece in pieces:
                append(list(range(slots)), at, piece)
                logits, at = cpp.llama_get_logits_ith(context, -1), at + len(piece)
            return np.ctypeslib.as_array(logits, (V,))
        return extend
    return extender


# ---- Tokenizers --------------------------------------------------------------------------------


def encoder(name, tokenizer, texts, threads):
    """A function that encodes the texts with our tokenizer's vocabulary, or None."""
    from data.tokens.vocabulary import read_vocabulary
    module = peer(name)
    if not module:
        return None
    if name == "tokenizers":
        os.environ["RAYON_NUM_THREADS"] = str(threads)
        its = module.Tokenizer.from_str(json.dumps(tokenizer.spec))
        return lambda: its.encode_batch_fast(texts)
    ranks = read_vocabulary(tokenizer.spec)
    its = module.Encoding("peer", pat_str=tokenizer.codec.pattern, mergeable_ranks=ranks,
                          special_tokens=tokenizer.specials)

    def encode(part):                            # its own batches give a thread one text at a time
        return [its.encode_ordinary(text) for text in part]

    parts, pool = [texts[i::threads] for i in range(threads)], ThreadPoolExecutor(threads)
    return lambda: list(pool.map(encode, parts))


# ---- TRL ---------------------------------------------------------------------------------------


def grpo(folder, asked, worth, prompts, group, longest, threads, lora, steps):
    """(the median seconds of a step of TRL's GRPOTrainer on a CPU, the tokens of an answer); None
    without TRL. asked: messages of problems, worth: what an answer's ids are, lora: a rank or 0."""
    torch, trl, peft, datasets = map(peer, ("torch", "trl", "peft", "datasets"))
    transformers = peer("transformers")
    if not (torch and trl and datasets and transformers):
        return None
    torch.set_num_threads(threads)
    times, lengths = [], []

    class Clock(transformers.TrainerCallback):
        def on_step_begin(self, *args, **more):
            times.append(-time.perf_counter())

        def on_step_end(self, *args, **more):
            times[-1] += time.perf_counter()

    def reward(completion_ids, **more):
        lengths.extend(map(len, completion_ids))
        return [*map(worth, completion_ids)]

    with TemporaryDirectory() as place:
        trainer = trl.GRPOTrainer(
            str(folder), reward, train_dataset=datasets.Dataset.from_list(
                [{"prompt": messages} for messages in asked]), callbacks=[Clock()],
            peft_config=peft.LoraConfig(r=lora, lora_alpha=lora, target_modules="all-linear",
                                        task_type="CAUSAL_LM") if lora else None,
            args=trl.GRPOConfig(
                place, per_device_train_batch_size=prompts * group, num_generations=group,
                max_completion_length=longest, max_steps=steps + 1, use_cpu=True, bf16=False,
                learning_rate=1e-6, beta=0.0, temperature=1.0, report_to=[], save_strategy="no",
                logging_strategy="no", disable_tqdm=True, gradient_checkpointing=False,
                model_init_kwargs={"dtype": "float32"}))
        trainer.train()
    return float(np.median(times[1:])), float(np.mean(lengths))
