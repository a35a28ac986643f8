/* model.c: the transformer. Its forward and backward pass, one step of learning and one of
   generation, written once for every device and precision: all arithmetic is in kernels.h.

   A block is  x + attention(norm(x)),  then  x + mlp(norm(x)),  or another one of chat.h's; the
   residual stream x is (N,C) with N = B*T. The way of a batch: embed, L blocks, norm, head, loss;
   and back in the same order. */

#include "model.h"

/* ---- Forward --------------------------------------------------------------------------------- */

static void norm_forward(const Model *m, real *out, float *mean, float *rstd, const real *inp,
                         const Tensor *w, const Tensor *bias, int N) {
    const Config *c = &m->config;
    if (c->norm == RMSNORM)
        rmsnorm_forward(out, rstd, inp, weight(w), N, c->channels, c->norm_eps);
    else
        layernorm_forward(out, mean, rstd, inp, weight(w), weight(bias), N, c->channels,
                          c->norm_eps);
}

/* What linear_forward reads of a weight. */
static const real *multiplied(const Tensor *t) { return t->packed ? t->packed : t->w; }

/* The parts of a product that is mapped may be of several types. */
static void forward_mapped(const Model *m, real *out, const real *inp, const Tensor *w,
                           const real *bias, const real *residual, int N) {
    const int C = w->cols;
    quant_inputs(m->work, inp, N, C);
    for (const Tensor *t = w; t == w || (t < m->end && t->row); t++)
        quant_forward(out + t->row, inp, m->work, t->blocks, bias ? bias + t->row : NULL,
                      residual ? residual + t->row : NULL,
                      t->type, t->pairs, N, C, t->rows, w->out);
}

/* out += what the adapter of w makes of inp: (inp A^T) B^T. */
static void adapter_forward(const Model *m, real *out, const real *inp, const Tensor *w, int N) {
    const Tensor *A = w->adapter, *B = A + 1;
    linear_forward(m->low, NULL, inp, multiplied(A), NULL, NULL, m->work, N, A->cols, A->out);
    linear_forward(out, NULL, m->low, multiplied(B), NULL, out, m->work, N, B->cols, B->out);
}

static void forward(const Model *m, real *out, real *pre, const real *inp, const Tensor *w,
                    const Tensor *bias, const real *residual, int N) {
    if (!w->blocks && !w->adapter) {
        linear_forward(out, pre, inp, multiplied(w), weight(bias), residual, m->work,
                       N, w->cols, w->out);
        return;
    }
    real *sum = pre ? pre : out;
    if (w->blocks) forward_mapped(m, sum, inp, w, weight(bias), residual, N);
    else linear_forward(sum, NULL, inp, multiplied(w), weight(bias), residual, m->work,
                        N, w->cols, w->out);
    if (w->adapter) adapter_forward(m, sum, inp, w, N);
    if (pre) gelu_forward(out, pre, (size_t)N * w->out);
}

/* Products of a layer without a bias, in float. */
static void forward_float(const Model *m, float *out, const real *inp, const Tensor *w, int N) {
    if (!w->blocks) {
        linear_forward_float(out, inp, multiplied(w), m->work, N, w->cols, w->out);
        return;
    }
    quant_inputs(m->work, inp, N, w->cols);
    quant_forward_float(out, inp, m->work, w->blocks, w->type, N, w->cols, w->rows, w->out);
}

/* How many rows go through the MLPs of layer l, and how wide each is there. */
static int mlp_rows(const Config *c, int l, int N) {
    return has_experts(c, l) ? N * c->experts_used : N;
}
static int mlp_width(const Config *c, int l) {
    return has_experts(c, l) ? c->expert_hidden : c->hidden;
}

static void activate(const Model *m, int l, int rows) {
    const Activations *a = &m->acts[l];
    const int N = mlp_rows(&m->config, l, rows), F = mlp_width(&m->config, l);
    switch (m->config.activation) {
        case GELU: gelu_forward(a->act, a->up, (size_t)N * F); break;
        case GELU_ERF: gelu_erf_forward(a->act, a->up, (size_t)N * F); break;
        case SWIGLU: swiglu_forward(a->act, a->up, N, F); break;
        case GEGLU: geglu_forward(a->act, a->up, N, F); break;
    }
}

/* out = residual + the norm of branch. Where that is NULL, out is complete already. */
static void add_norm(const Model *m, real *out, real *branch, float *mean, float *rstd,
                     const Tensor *norm, const Tensor *norm_bias, const real *residual, int N) {
    if (!branch) return;
    norm_forward(m, out, mean, rstd, branch, norm, norm_bias, N);
    add_reals(out, out, residual, (size_t)N * m->config.channels);
}

static void attention(const Model *m, Activations *a, int l, const Context *x, int N) {
    const Config *c = &m->config;
    const int H = c->heads, K = c->kv_heads, D = c->head_dim, window = window_of(c, l);
    const float scale = score_scale(c), cap = c->attention_cap;
    if (!x->cache) {
        attention_forward(a->att, a->lse, a->rotated, x->doc_start,
                          x->B, x->T, H, K, D, window, scale, cap);
        return;
    }
    const size_t layer = (size_t)l * x->cache->total * K * D * kept_size(m);
    char *keys = x->cache->keys + layer, *values = x->cache->values + layer;
    cache_write(keys, values, a->rotated, m->starts, m->positions, N, H, K, D, keeps_halves(m));
    attention_extend(a->att, a->rotated, keys, values, m->starts, m->positions, m->work,
                     N, c->context, H, K, D, window, scale, cap, keeps_halves(m));
}

/* out (N*k,..) = inp (N*k,..), of which each expert multiplies its rows: by EXPERT_UP, that is gate
   and up in one, or by EXPERT_DOWN. */
static void expert_products(const Model *m, int l, real *out, const real *inp, int which) {
    const int *begins = begins_of(m, l);
    for (int e = 0; e < m->config.experts; e++) {
        const Tensor *w = &m->layers[l].experts[EXPERT_TENSORS * e + which];
        const size_t at = begins[e];
        const int n = begins[e + 1] - begins[e];
        if (n) forward(m, out + at * w->out, NULL, inp + at * w->cols, w, NULL, NULL, n);
    }
}

/* Where the experts of layer l are chosen, and what they are of their rows. */
static int route(const Model *m, int l, Activations *a, int N) {
    const Config *c = &m->config;
    forward_float(m, a->probs, a->h2, m->layers[l].router, N);
    route_forward(a->chosen, a->shares, a->probs, N, c->experts, c->experts_used, c->expert_norm);
    if (group_rows(m, l, N)) return -1;
    spread_rows(m->pairs, a->h2, NULL, a->places, N, c->experts_used, c->channels);
    return 0;
}

/* The MLP of layer l, or its experts: a->h2 to a->branch2, or where that is NULL to out with a->mid
   added; out NULL: only to a->act. */
static int mlp_forward(const Model *m, int l, Activations *a, real *out, int N) {
    const Config *c = &m->config;
    const Layer *p = &m->layers[l];
    const int is_gelu = c->activation == GELU;
    real *sum = a->branch2 ? a->branch2 : out;
    const real *residual = a->branch2 ? NULL : a->mid;
    if (!has_experts(c, l)) {
        forward(m, is_gelu ? a->act : a->up, is_gelu ? a->up : NULL, a->h2, p->up, p->up_bias, NULL,
                N);
        if (!is_gelu) activate(m, l, N);
        if (sum) forward(m, sum, NULL, a->act, p->down, p->down_bias, residual, N);
        return 0;
    }
    if (route(m, l, a, N)) return -1;
    expert_products(m, l, a->up, m->pairs, EXPERT_UP);
    activate(m, l, N);
    if (!sum) return 0;
    expert_products(m, l, m->pairs, a->act, EXPERT_DOWN);
    collect_rows(sum, residual, m->pairs, a->shares, a->places, N, c->experts_used, c->channels);
    return 0;
}

int block_forward(const Model *m, int l, Activations *a, real *next, const Context *x, int N) {
    const Config *c = &m->config;
    const Layer *p = &m->layers[l];
    if (a->h1 != a->x) norm_forward(m, a->h1, a->mean1, a->rstd1, a->x, p->norm1, p->norm1_bias, N);
    forward(m, a->qkv, NULL, a->h1, p->qkv, p->qkv_bias, NULL, N);
    if (a->rotated != a->qkv)
        qk_norm_rope_forward(a->rotated, a->qk_rstd, a->qkv, weight(p->q_norm),
                             weight(p->k_norm), rope_of(m, l), m->positions,
                             N, c->heads, c->kv_heads, c->head_dim, c->qk_norm == QK_WIDE,
                             c->norm_eps);
    attention(m, a, l, x, N);
    forward(m, a->branch1 ? a->branch1 : a->mid, NULL, a->att, p->proj, p->proj_bias,
            a->branch1 ? NULL : a->x, N);
    add_norm(m, a->mid, a->branch1, a->post_mean1, a->post_rstd1, p->post1, p->post1_bias, a->x, N);
    if (a->h2 != a->mid && a->h2 != a->h1)
        norm_forward(m, a->h2, a->mean2, a->rstd2, is_parallel(c) ? a->x : a->mid,
                     p->norm2, p->norm2_bias, N);
    if (mlp_forward(m, l, a, next, N)) return -1;
    add_norm(m, next ? next : m->dc, a->branch2, a->post_mean2, a->post_rstd2, p->post2,
             p->post2_bias, a->mid, N);
    return 0;
}

/* All blocks and the final norm: m->tokens, m->positions (N) to m->h (N,C). */
static int blocks_forward(Model *m, const Context *x, int N) {
    const int L = m->config.layers, C = m->config.channels;
    device_watch(1);
    pack_weights(m);
    if (m->wte->blocks)
        embed_quant(m->acts[0].x, m->tokens, m->positions, m->wte->blocks, weight(m->wpe),
                    m->wte->type, N, C);
    else if (m->wte->w)
        embed_forward(m->acts[0].x, m->tokens, m->positions, m->wte->w, weight(m->wpe), N, C);
    else
        embed_packed(m->acts[0].x, m->tokens, m->positions, m->wte->packed, weight(m->wpe),
                     N, C, m->wte->out);
    if (m->config.embedding_scale)
        scale_reals(m->acts[0].x, m->config.embedding_scale, (size_t)N * C);
    for (int l = 0; l < L; l++) {
        real *next = l == L - 1 ? m->last : m->acts[l + 1].x;
        if (block_forward(m, l, &m->acts[l], next, x, N)) return -1;
    }
    norm_forward(m, m->h, m->mean, m->rstd, m->last, m->norm, m->norm_bias, N);
    device_watch(0);
    return 0;
}

static int is_capped(const Model *m) { return m->config.logit_cap && !m->config.scalar; }

static void head_forward(const Model *m, float *logits, const real *h, int rows) {
    forward_float(m, logits, h, m->head, rows);
    if (is_capped(m)) softcap_forward(logits, m->config.logit_cap, (size_t)rows * m->P);
}

/* m->h (N,C) to m->out (n_targets), some rows at a time, of those that have a target; with
   `backward` also the head's gradients, m->coef being dLoss/dout. */
static void head(Model *m, int N, int backward) {
    const Tensor *p = m->head;
    const int C = p->cols, count = m->n_targets, few = count < N;
    real *h = few ? m->dc : m->h, *dh = few ? m->dx : m->dh;
    if (few && count) gather_rows(h, m->h, m->target_rows, count, C);
    for (int n = 0, rows; n < count; n += rows) {
        rows = min_int(nll_rows(), count - n);
        const size_t at = (size_t)n * C;
        float *logits = m->config.scalar ? m->out + n : m->logits;
        head_forward(m, logits, h + at, rows);
        if (!m->config.scalar)
            nll_forward(m->out + n, backward ? m->dlogits : NULL, logits, m->targets + n,
                        m->coef + n, rows, m->config.vocab, m->P);
        else if (backward)
            narrow(m->dlogits, m->coef + n, rows);
        if (backward && is_capped(m))
            softcap_backward(m->dlogits, logits, m->config.logit_cap, (size_t)rows * m->P);
        if (backward)
            linear_backward(dh + at, p->grad, NULL, m->dlogits, h + at, p->w, p->packed, NULL,
                            NULL, m->work, rows, C, p->out);
    }
    if (!few || !backward) return;
    device_zero(dh + (size_t)count * C, sizeof(real) * C);   /* what target_index says of others */
    gather_rows(m->dh, dh, m->target_index, N, C);
}

/* ---- A batch, through all of it -------------------------------------------------------------- */

int model_forward(Model *m, float *out, const int *tokens, const int *targets,
                  const int *doc_start, const float *weights, int B, int T) {
    const int N = B * T;
    if (check_batch(&m->config, tokens, targets, doc_start, B, T)) return -1;
    if (!m->config.scalar && !targets)
        return chat_fail("a model with a vocabulary head needs targets");
    if (plan(m, N, N, 1) || upload_batch(m, tokens, doc_start, B, T, 1)) return -1;
    if (weights && ensure_gradients(m)) return -1;
    if (upload_targets(m, targets, N) || (weights && upload_weights(m, weights))) return -1;

    m->T = 0;
    Context x = { B, T, doc_start ? m->doc_start : NULL, NULL };
    if (blocks_forward(m, &x, N)) return -1;
    head(m, N, weights != NULL);
    m->B = B;
    m->T = T;
    m->has_doc_start = doc_start != NULL;
    m->fused = weights != NULL;
    if (device_read(out, m->out, sizeof(float) * m->n_targets)) return -1;
    for (int n = N, i = m->n_targets; n--;)
        out[n] = i && m->target_rows_host[i - 1] == n ? out[--i] : 0;
    return 0;
}

/* logits (N,V) on the host = the head on h (N,C), without the padding. The first nll_rows() of them
   are in m->logits already. */
static int read_logits(Model *m, float *logits, const real *h, int N) {
    const int V = m->config.scalar ? 1 : m->config.vocab;
    for (int n = 0; n < N; n++) {
        int row = n % nll_rows(), rows = min_int(nll_rows(), N - n);
        if (n && row == 0) head_forward(m, m->logits, h + (size_t)n * m->config.channels, rows);
        if (device_read(logits + (size_t)n * V, m->logits + (size_t)row * m->head->out,
                        sizeof(float) * V))
            return -1;
    }
    return 0;
}

int model_logits(Model *m, float *logits, const int *tokens, int B, int T) {
    if (check_batch(&m->config, tokens, NULL, NULL, B, T) || plan(m, B * T, B * T, 0))
        return -1;
    if (upload_batch(m, tokens, NULL, B, T, 0)) return -1;
    m->T = 0;
    Context x = { B, T, NULL, NULL };
    if (blocks_forward(m, &x, B * T)) return -1;
    head_forward(m, m->logits, m->h, min_int(nll_rows(), B * T));
    return read_logits(m, logits, m->h, B * T);
}

/* ---- Backward -------------------------------------------------------------------------------- */

static void norm_backward(const Model *m, real *dinp, const real *dout, const real *inp,
                          const float *mean, const float *rstd, const Tensor *w,
                          const Tensor *bias, int N) {
    const int C = m->config.channels;
    if (m->config.norm == RMSNORM)
        rmsnorm_backward(dinp, grad(w), dout, inp, weight(w), rstd, m->work, N, C);
    else
        layernorm_backward(dinp, grad(w), grad(bias), dout, inp, weight(w), mean, rstd, m->work,
                           N, C);
}

/* The gradients of an adapter's A and B; dinp = the part of it that comes through them. */
static void adapter_backward(const Model *m, real *dinp, const real *dout, const real *inp,
                             const Tensor *w, int N) {
    const Tensor *A = w->adapter, *B = A + 1;
    linear_forward(m->low, NULL, inp, multiplied(A), NULL, NULL, m->work, N, A->cols, A->out);
    linear_backward(m->dlow, B->grad, NULL, dout, m->low, B->w, NULL, NULL, NULL, m->work,
                    N, B->cols, B->out);
    linear_backward(dinp, A->grad, NULL, m->dlow, inp, A->w, NULL, NULL, NULL, m->work,
                    N, A->cols, A->out);
}

static void backward(const Model *m, real *dinp, const real *dout, const real *inp,
                     const Tensor *w, const Tensor *bias, const real *pre, int N) {
    if (w->adapter) adapter_backward(m, dinp, dout, inp, w, N);
    linear_backward(dinp, w->grad, grad(bias), dout, inp, w->w, w->packed, pre,
                    w->adapter ? dinp : NULL, m->work, N, w->cols, w->out);
}

/* What block_forward computed and another layer has overwritten since. */
static int recompute(const Model *m, int l, const Context *x, int N) {
    const Config *c = &m->config;
    const Layer *p = &m->layers[l];
    Activations *a = &m->acts[l];
    if (m->flags & RECOMPUTE_BLOCKS) return block_forward(m, l, a, NULL, x, N);
    if (m->flags & RECOMPUTE) {
        if (a->h1 != a->x)
            norm_forward(m, a->h1, a->mean1, a->rstd1, a->x, p->norm1, p->norm1_bias, N);
        if (a->h2 != a->mid && a->h2 != a->h1)
            norm_forward(m, a->h2, a->mean2, a->rstd2, is_parallel(c) ? a->x : a->mid,
                         p->norm2, p->norm2_bias, N);
        activate(m, l, N);
    }
    return 0;
}

/* What m->dx is before a branch's own norm, if it has one: there it is in m->dc. */
static const real *before_norm(const Model *m, const real *branch, const float *mean,
                               const float *rstd, const Tensor *w, const Tensor *bias, int N) {
    if (!branch) return m->dx;
    device_zero(m->dc, sizeof(real) * N * m->config.channels);
    norm_backward(m, m->dc, m->dx, branch, mean, rstd, w, bias, N);
    return m->dc;
}

/* m->dx += what m->dc, the gradient of h, is before the norm that made it of inp. */
static void add_before_norm(const Model *m, const real *h, const real *inp, const float *mean,
                            const float *rstd, const Tensor *w, const Tensor *bias, int N) {
    if (h == inp) add_reals(m->dx, m->dx, m->dc, (size_t)N * m->config.channels);
    else norm_backward(m, m->dx, m->dc, inp, mean, rstd, w, bias, N);
}

/* The gradient of what an MLP's gate and up were, m->du, from that of what they became, m->da. */
static void activate_backward(const Model *m, int l, int rows) {
    const Config *c = &m->config;
    const real *up = m->acts[l].up;
    const int N = mlp_rows(c, l, rows), F = mlp_width(c, l);
    switch (c->activation) {
        case GELU_ERF: gelu_erf_backward(m->du, m->da, up, (size_t)N * F); break;
        case SWIGLU: swiglu_backward(m->du, m->da, up, N, F); break;
        case GEGLU: geglu_backward(m->du, m->da, up, N, F); break;
    }
}

static void expert_products_backward(const Model *m, int l, real *dinp, const real *dout,
                                     const real *inp, int which) {
    const int *begins = begins_of(m, l);
    for (int e = 0; e < m->config.experts; e++) {
        const Tensor *w = &m->layers[l].experts[EXPERT_TENSORS * e + which];
        const size_t at = begins[e], in = at * w->cols, out = at * w->out;
        const int n = begins[e + 1] - begins[e];
        if (n) backward(m, dinp + in, dout + out, inp + in, w, NULL, NULL, n);
    }
}

/* The experts of layer l: d, the gradient of their sum, to m->dc, that of h2. */
static void experts_backward(const Model *m, int l, const real *d, int N) {
    const Config *c = &m->config;
    const Activations *a = &m->acts[l];
    const int C = c->channels, k = c->experts_used;
    spread_rows(m->pairs, d, a->shares, a->places, N, k, C);
    expert_products_backward(m, l, m->da, m->pairs, a->act, EXPERT_DOWN);
    route_backward(m->drouter, m->da, a->act, a->probs, a->shares, a->chosen, a->places,
                   N, c->experts, k, c->expert_hidden, c->expert_norm);
    activate_backward(m, l, N);
    spread_rows(m->pairs, a->h2, NULL, a->places, N, k, C);
    expert_products_backward(m, l, m->dpairs, m->du, m->pairs, EXPERT_UP);
    backward(m, m->dc, m->drouter, a->h2, m->layers[l].router, NULL, NULL, N);
    collect_rows(m->dc, m->dc, m->dpairs, NULL, a->places, N, k, C);
}

/* The MLP of layer l: m->dx to m->dc, the gradient of h2. */
static void mlp_backward(const Model *m, int l, int N) {
    const Config *c = &m->config;
    const Layer *p = &m->layers[l];
    const Activations *a = &m->acts[l];
    const real *d = before_norm(m, a->branch2, a->post_mean2, a->post_rstd2, p->post2,
                                p->post2_bias, N);
    if (has_experts(c, l)) { experts_backward(m, l, d, N); return; }
    if (c->activation == GELU) backward(m, m->du, d, a->act, p->down, p->down_bias, a->up, N);
    else backward(m, m->da, d, a->act, p->down, p->down_bias, NULL, N);
    activate_backward(m, l, N);
    backward(m, m->dc, m->du, a->h2, p->up, p->up_bias, NULL, N);
}

/* Layer l: m->dx comes in as dLoss/d(its output) and leaves as dLoss/d(its input). Where both
   branches are parallel, the attention's gradient is taken before the MLP's joins m->dx. */
static int block_backward(const Model *m, int l, const Context *x, int N) {
    const Config *c = &m->config;
    const Layer *p = &m->layers[l];
    const Activations *a = &m->acts[l];
    const int H = c->heads, K = c->kv_heads, D = c->head_dim, parallel = is_parallel(c);
    if (recompute(m, l, x, N)) return -1;
    mlp_backward(m, l, N);
    if (parallel) backward(m, m->da, m->dx, a->att, p->proj, p->proj_bias, NULL, N);
    add_before_norm(m, a->h2, parallel ? a->x : a->mid, a->mean2, a->rstd2,
                    p->norm2, p->norm2_bias, N);
    if (!parallel)
        backward(m, m->da, before_norm(m, a->branch1, a->post_mean1, a->post_rstd1, p->post1,
                 p->post1_bias, N), a->att, p->proj, p->proj_bias, NULL, N);
    attention_backward(m->dw, m->da, a->att, a->lse, a->rotated, x->doc_start, m->work,
                       x->B, x->T, H, K, D, window_of(c, l), score_scale(c), c->attention_cap);
    if (a->rotated != a->qkv)
        qk_norm_rope_backward(m->dw, grad(p->q_norm), grad(p->k_norm), m->dw, a->qkv,
                              weight(p->q_norm), weight(p->k_norm), a->qk_rstd,
                              rope_of(m, l), m->positions, m->work, N, H, K, D,
                              c->qk_norm == QK_WIDE);
    backward(m, m->dc, m->dw, a->h1, p->qkv, p->qkv_bias, NULL, N);
    add_before_norm(m, a->h1, a->x, a->mean1, a->rstd1, p->norm1, p->norm1_bias, N);
    return 0;
}

/* Begins to sum gradients of tensors t..end over the ranks: at their owners, with SHARD; else
   everywhere. */
static void reduce(const Model *m, const Tensor *t, const Tensor *end) {
    size_t n;
    for (const Tensor *next; t < end; t = next) {
        next = next_run(t, end, &n);
        comm_reduce(t->grad, n, t->owner);
        if (!(m->flags & SHARD)) comm_gather(t->grad, n * sizeof(float), t->owner);
    }
}

int model_backward(Model *m, const float *weights, int all_ranks) {
    const int C = m->config.channels, L = m->config.layers, N = m->B * m->T;
    if (m->T == 0) return chat_fail("model_backward needs a model_forward just before it");
    if (!weights && !m->fused) return chat_fail("neither forward nor backward was given weights");
    if (weights && m->fused) return chat_fail("model_forward was given weights already");
    if (ensure_gradients(m)) return -1;
    if (weights) {
        if (upload_weights(m, weights)) return -1;
        head(m, N, 1);
    }
    device_zero(m->dx, sizeof(real) * N * C);
    norm_backward(m, m->dx, m->dh, m->last, m->mean, m->rstd, m->norm, m->norm_bias, N);
    if (all_ranks) reduce(m, m->layers[L].first, m->end);
    Context x = { m->B, m->T, m->has_doc_start ? m->doc_start : NULL, NULL };
    for (int l = L - 1; l >= 0; l--) {
        if (block_backward(m, l, &x, N)) return -1;
        if (all_ranks) reduce(m, m->layers[l].first, m->layers[l + 1].first);
    }
    if (m->config.embedding_scale)
        scale_reals(m->dx, m->config.embedding_scale, (size_t)N * C);
    embed_backward(grad(m->wte), grad(m->wpe), m->dx, m->tokens, m->positions,
                   m->by_token, m->by_position, N, C);
    if (all_ranks) reduce(m, m->tensors, m->layers[0].first);    /* a tied head has added, too */
    comm_wait();
    m->T = 0;
    return 0;
}

/* ---- Learning -------------------------------------------------------------------------------- */

int model_zero_grad(Model *m) {
    if (ensure_gradients(m)) return -1;
    device_zero(m->grads, m->n_grads * sizeof(float));
    return 0;
}

int model_grad_norm(Model *m, float *norm) {
    double sum = 0;
    size_t n;
    if (ensure_gradients(m)) return -1;
    if (!(m->flags & SHARD)) sum = sum_squares((float *)m->grads, m->n_grads);
    else for (const Tensor *t = m->tensors, *next; t < m->end; t = next) {
        next = next_run(t, m->end, &n);
        if (is_kept(m, t) && n) sum += sum_squares(t->grad, n);
    }
    if (m->flags & SHARD && comm_sum(&sum, 1)) return -1;
    *norm = (float)sqrt(sum);
    return 0;
}

int model_update(Model *m, const AdamW *adam) {
    size_t n, before = 0;            /* elements of other tensors: whatever lies between them */
    if (check_adamw(adam) || ensure_moments(m)) return -1;
    for (Tensor *t = m->tensors, *next; t < m->end; t = next) {
        next = (Tensor *)next_run(t, m->end, &n);
        for (Tensor *u = t; u < next; before += size_of(u++)) {
            u->stale = !u->frozen;
            if (u->muon && u->moment1 && !u->row) muon_update(m, u, adam, before);
            if (u->moment1 && !u->muon)
                adamw(u->w, u->master, u->moment1, u->moment2, u->grad, adam, u->decay, before,
                      size_of(u));
        }
        if (m->flags & SHARD) comm_gather(t->w, n * sizeof(real), t->owner);
    }
    comm_wait();
    return 0;
}

/* ---- Generation ------------------------------------------------------------------------------ */

int model_extend(Model *m, Cache *x, float *logits, const int *slots, const int *tokens,
                 const int *counts, int n, int every) {
    int N;
    if (check_extend(m, x, slots, tokens, counts, n, &N) || plan(m, N, every ? N : n, 0))
        return -1;
    const int rows = every ? N : n, at_once = min_int(rows, nll_rows());
    if (!logits && (rows > at_once || m->config.scalar))
        return chat_fail("%d rows of logits cannot stay on the device: at most %d can, and those of"
                         " a scalar head are not drawn from", rows, at_once);
    int *starts = malloc(sizeof(int) * 3 * N), *positions = starts + N, *ends = positions + N;
    if (!starts) return chat_fail("no memory for %d positions", N);
    for (int i = 0, row = 0; i < n; i++)
        for (int j = 0; j < counts[i]; j++, row++) {
            starts[row] = x->slot[slots[i]].start;
            positions[row] = x->slot[slots[i]].used + j;
            ends[i] = row;
        }
    device_write(m->starts, starts, sizeof(int) * N);
    device_write(m->positions, positions, sizeof(int) * N);
    device_write(m->tokens, tokens, sizeof(int) * N);
    device_write(m->targets, ends, sizeof(int) * n);
    free(starts);

    m->T = 0;
    Context context = { 0, 0, NULL, x };
    const real *h = rows < N ? m->last : m->h;
    const int recorded = N == n && rows == at_once && !m->config.experts;    /* see group_rows */
    void **graph = recorded ? graph_of(x, n) : NULL;
    if (!graph || !device_record(graph)) {
        if (blocks_forward(m, &context, N)) return -1;
        if (rows < N) gather_rows(m->last, m->h, m->targets, n, m->config.channels);
        head_forward(m, m->logits, h, at_once);
        if (graph) device_record_end(graph);
    }
    m->undrawn = logits ? 0 : rows;
    m->extended = N;
    if (logits && read_logits(m, logits, h, rows)) return -1;
    for (int i = 0; i < n; i++) x->slot[slots[i]].used += counts[i];
    return 0;
}
