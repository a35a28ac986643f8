/* check.c: what may come in. Everything is checked at the border, before anything is allocated. */

#include "real.h"

static int check_size(const char *key, int value, int low, int high) {
    if (value >= low && value <= high) return 0;
    return chat_fail("%s is %d, but must be from %d to %d", key, value, low, high);
}

enum { MANY = 1 << 24 };

static int check_experts(const Config *c) {
    if (check_size("experts_used", c->experts_used, 1, c->experts)
        || check_size("expert_hidden", c->expert_hidden, 1, MANY / c->experts_used)
        || check_size("expert_norm", c->expert_norm, 0, 1)
        || check_size("expert_period", c->expert_period, 1, 10000))
        return -1;
    if (c->bias & BIAS_MLP) return chat_fail("experts have no biases, but bias is %d", c->bias);
    if (c->activation != SWIGLU && c->activation != GEGLU)
        return chat_fail("activation is %d, but that of experts must be %d or %d", c->activation,
                         SWIGLU, GEGLU);
    return 0;
}

int check_config(const Config *c) {
    if (check_size("vocab", c->vocab, 1, MANY) || check_size("context", c->context, 1, MANY)
        || check_size("layers", c->layers, 1, 10000)
        || check_size("channels", c->channels, 1, 1 << 20)
        || check_size("heads", c->heads, 1, 1 << 14)
        || check_size("kv_heads", c->kv_heads, 1, c->heads)
        || check_size("head_dim", c->head_dim, 2, 256) || check_size("hidden", c->hidden, 1, MANY)
        || check_size("norm", c->norm, LAYERNORM, PLAINNORM)
        || check_size("position", c->position, LEARNED, ROPE)
        || check_size("activation", c->activation, GELU, GELU_ERF)
        || check_size("bias", c->bias, BIAS_NONE, BIAS_ALL)
        || check_size("block", c->block, PRE_NORM, PARALLEL_SHARED)
        || check_size("qk_norm", c->qk_norm, QK_PLAIN, QK_WIDE)
        || check_size("tied", c->tied, 0, 1) || check_size("scalar", c->scalar, 0, 1)
        || check_size("window", c->window, 0, MANY)
        || check_size("window_period", c->window_period, 0, 10000)
        || check_size("local_rope", c->local_rope, 0, c->position == ROPE)
        || check_size("lora", c->lora, 0, MANY)
        || check_size("experts", c->experts, 0, min_int(MOST_EXPERTS, (1 << 18) / c->layers))
        || (c->experts && check_experts(c)))
        return -1;
    if (c->heads % c->kv_heads)
        return chat_fail("heads (%d) is not a multiple of kv_heads (%d)", c->heads, c->kv_heads);
    const int side = min_int(min_int(c->channels, c->heads * c->head_dim), c->hidden);
    if (c->lora > side)
        return chat_fail("lora is %d, but must be at most %d: a matrix of %d rows or columns has no"
                         " higher rank", c->lora, side, side);
    if (c->head_dim % 2) return chat_fail("head_dim is %d, but must be even", c->head_dim);
    if (!(c->norm_eps > 0 && c->norm_eps < 1))
        return chat_fail("norm_eps is %g, but must be between 0 and 1", c->norm_eps);
    const char *keys[] = { "embedding_scale", "attention_scale", "attention_cap", "logit_cap" };
    const float values[] = { c->embedding_scale, c->attention_scale, c->attention_cap,
                             c->logit_cap };
    for (int i = 0; i < 4; i++)
        if (!(values[i] >= 0 && values[i] < INFINITY))
            return chat_fail("%s is %g, but must be 0 or more and finite", keys[i], values[i]);
    return 0;
}

int check_rope(const Config *c, const double *rope) {
    const int n = c->position == ROPE ? (1 + c->head_dim / 2) * (1 + c->local_rope) : 0;
    if (!rope && n) return chat_fail("the frequencies of RoPE are missing");
    for (int i = 0; i < n; i++)
        if (!(rope[i] >= 0 && rope[i] < INFINITY))
            return chat_fail("RoPE's factor or frequency %d is %g, but must be 0 or more and"
                             " finite", i, rope[i]);
    return 0;
}

int check_ids(const char *what, const int *ids, int low, int V, int N, int T) {
    for (int n = 0; n < N; n++)
        if (ids[n] < low || ids[n] >= V)
            return chat_fail("%s %d at (%d,%d) is outside the vocabulary of %d",
                             what, ids[n], n / T, n % T, V);
    return 0;
}

int check_batch(const Config *c, const int *tokens, const int *targets,
                const int *doc_start, int B, int T) {
    if (B < 1 || T < 1) return chat_fail("a batch of (%d,%d) tokens is empty", B, T);
    if (T > c->context)
        return chat_fail("%d tokens in a row, but the model's context is %d", T, c->context);
    if ((double)B * T > 1 << 28) return chat_fail("a batch of (%d,%d) tokens is too large", B, T);
    for (int n = 0; doc_start && n < B * T; n++)
        if (doc_start[n] < 0 || doc_start[n] > n % T || (n % T && doc_start[n] < doc_start[n - 1]))
            return chat_fail("doc_start is %d at (%d,%d): it must be from 0 to %d and never fall"
                             " along a row", doc_start[n], n / T, n % T, n % T);
    if (targets && check_ids("target", targets, -1, c->vocab, B * T, T)) return -1;
    return check_ids("token", tokens, 0, c->vocab, B * T, T);
}

int check_sampling(const Sampling *s) {
    if (!(s->temperature >= 0 && s->temperature < INFINITY))
        return chat_fail("temperature is %g, but must be 0 or more", s->temperature);
    if (s->top_k < 0) return chat_fail("top_k is %d, but must be 0 (off) or more", s->top_k);
    if (!(s->top_p > 0 && s->top_p <= 1))
        return chat_fail("top_p is %g, but must be over 0 and at most 1 (off)", s->top_p);
    if (!(s->min_p >= 0 && s->min_p <= 1))
        return chat_fail("min_p is %g, but must be from 0 (off) to 1", s->min_p);
    if (!(s->repetition_penalty > 0 && s->repetition_penalty < INFINITY))
        return chat_fail("repetition_penalty is %g, but must be over 0; 1 is off",
                         s->repetition_penalty);
    return 0;
}

static int check_rate(const char *key, float value, float high) {
    if (value >= 0 && value < high) return 0;
    return high < INFINITY
        ? chat_fail("AdamW's %s is %g, but must be from 0 to below %g", key, value, high)
        : chat_fail("AdamW's %s is %g, but must be 0 or more and finite", key, value);
}

int check_adamw(const AdamW *adam) {
    if (adam->step < 1) return chat_fail("AdamW's step is %d, but counts from 1", adam->step);
    if (check_rate("lr", adam->lr, INFINITY)
        || check_rate("beta1", adam->beta1, 1)
        || check_rate("beta2", adam->beta2, 1)
        || check_rate("weight_decay", adam->weight_decay, INFINITY)
        || check_rate("momentum", adam->momentum, 1)
        || check_rate("grad_scale", adam->grad_scale, INFINITY))
        return -1;
    if (!(adam->eps > 0 && adam->eps < INFINITY))
        return chat_fail("AdamW's eps is %g, but must be over 0 and finite", adam->eps);
    if (adam->lr * adam->weight_decay > 1)
        return chat_fail("AdamW's lr (%g) times weight_decay (%g) is over 1: a step would turn the"
                         " sign of every weight", adam->lr, adam->weight_decay);
    return 0;
}
