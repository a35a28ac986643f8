/* model.c: the transformer. Its forward and backward pass, one step of learning and one of
   generation, written once for every device and precision: all arithmetic is in chat.h's kernels.

   A block is  x + attention(norm(x)),  then  x + mlp(norm(x));  the residual stream x is (N,C) with
   N = B*T. The way of a batch: embed, L blocks, norm, head, loss; and back in the same order. */

#include "model.h"

/* ---- Forward --------------------------------------------------------------------------------- */

static void norm_forward(const Model *m, real *out, float *mean, float *rstd, const real *inp,
                         const Norm *p, int N) {
    const Config *c = &m->config;
    if (c->norm == LAYERNORM)
        layernorm_forward(out, mean, rstd, inp, weight(m, p->weight), weight(m, p->bias),
                          N, c->channels, c->norm_eps);
    else
        rmsnorm_forward(out, rstd, inp, weight(m, p->weight), N, c->channels, c->norm_eps);
}

static void forward(const Model *m, real *out, real *pre, const real *inp, const Linear *p,
                    const real *residual, int N) {
    linear_forward(out, pre, inp, p->packed == NONE ? weight(m, p->weight) : m->packed + p->packed,
                   weight(m, p->bias), residual, m->work, N, p->in, p->out);
}

/* Where a block's attention looks: at its own batch, or at a cache. */
typedef struct { int B, T; const int *first; Cache *cache; } Context;

static void attention(const Model *m, Activations *a, int l, const Context *x, int N) {
    const Config *c = &m->config;
    const int H = c->heads, K = c->kv_heads, D = c->head_dim, window = window_of(c, l);
    if (!x->cache) {
        attention_forward(a->att, a->lse, a->rotated, x->first, x->B, x->T, H, K, D, window);
        return;
    }
    size_t layer = (size_t)l * x->cache->total * K * D;
    real *keys = x->cache->keys + layer, *values = x->cache->values + layer;
    cache_write(keys, values, a->rotated, m->starts, m->positions, N, H, K, D);
    attention_extend(a->att, a->rotated, keys, values, m->starts, m->positions, m->work,
                     N, c->context, H, K, D, window);
}

/* Layer l on N rows: reads a->x, writes next (which may be a->x) unless that is NULL. */
static void block_forward(const Model *m, int l, Activations *a, real *next,
                          const Context *x, int N) {
    const Config *c = &m->config;
    const Layer *p = &m->layers[l];
    norm_forward(m, a->h1, a->mean1, a->rstd1, a->x, &p->norm1, N);
    forward(m, a->qkv, NULL, a->h1, &p->qkv, NULL, N);
    if (a->rotated != a->qkv)
        qk_norm_rope_forward(a->rotated, a->qk_rstd, a->qkv, weight(m, p->q_norm),
                             weight(m, p->k_norm), m->rope, m->positions,
                             N, c->heads, c->kv_heads, c->head_dim, c->norm_eps);
    attention(m, a, l, x, N);
    forward(m, a->mid, NULL, a->att, &p->proj, a->x, N);
    norm_forward(m, a->h2, a->mean2, a->rstd2, a->mid, &p->norm2, N);
    if (c->activation == GELU) {
        forward(m, a->act, a->up, a->h2, &p->up, NULL, N);
    } else {
        forward(m, a->up, NULL, a->h2, &p->up, NULL, N);
        swiglu_forward(a->act, a->up, N, c->hidden);
    }
    if (next) forward(m, next, NULL, a->act, &p->down, a->mid, N);
}

/* All blocks and the final norm: m->tokens, m->positions (N) to m->h (N,C). */
static void blocks_forward(Model *m, const Context *x, int N) {
    const int L = m->config.layers;
    pack_weights(m);
    embed_forward(m->acts[0].x, m->tokens, m->positions, weight(m, m->wte), weight(m, m->wpe),
                  N, m->config.channels);
    for (int l = 0; l < L; l++) {
        real *next = l == L - 1 ? m->last : m->acts[l + 1].x;
        block_forward(m, l, &m->acts[l], next, x, N);
    }
    norm_forward(m, m->h, m->mean, m->rstd, m->last, &m->norm, N);
}

static void head_forward(const Model *m, float *logits, const real *h, int rows) {
    const Linear *p = &m->head;
    linear_forward_float(logits, h,
                         p->packed == NONE ? weight(m, p->weight) : m->packed + p->packed,
                         m->work, rows, p->in, p->out);
}

/* m->h (N,C) to m->out, some rows at a time, of which only those that are asked for anything; with
   `backward` also the head's gradients, m->coef being dLoss/dout. */
static void head(Model *m, int N, int backward) {
    const Linear *p = &m->head;
    const int C = p->in, few = m->n_asked < N;
    real *h = few ? m->dc : m->h, *dh = few ? m->dx : m->dh;
    if (few) gather_rows(h, m->h, m->asked, m->n_asked, C);
    for (int n = 0, i = 0, rows; n < m->n_asked; n += rows, i++) {
        if ((rows = m->asked_in[i]) == 0) continue;
        const size_t at = (size_t)n * C;
        float *logits = m->config.scalar ? m->out + n : m->logits;
        head_forward(m, logits, h + at, rows);
        if (!m->config.scalar)
            nll_forward(m->out + n, backward ? m->dlogits : NULL, logits, m->targets + n,
                        m->coef + n, rows, m->config.vocab, m->P);
        else if (backward)
            narrow(m->dlogits, m->coef + n, rows);
        if (backward)
            linear_backward(dh + at, grad(m, p->weight), NULL, m->dlogits, h + at,
                            weight(m, p->weight), NULL, m->work, rows, C, p->out);
    }
    if (!few || !backward) return;
    device_zero(dh + (size_t)m->n_asked * C, sizeof(real) * C);  /* m->nth of all other rows */
    gather_rows(m->dh, dh, m->nth, N, C);
}

/* ---- A batch, through all of it -------------------------------------------------------------- */

/* order (N) = the indices of ids (N), all below n_ids, by id, equal ones as they come.
   ends (n_ids) is scratch. */
static void sort_by_id(int *order, int *ends, const int *ids, int N, int n_ids) {
    memset(ends, 0, sizeof(int) * n_ids);
    for (int n = 0; n < N; n++) ends[ids[n]]++;
    for (int i = 1; i < n_ids; i++) ends[i] += ends[i - 1];
    for (int n = N - 1; n >= 0; n--) order[--ends[ids[n]]] = n;
}

/* Tokens and positions; their orders too, if embed_backward is to come. */
static int upload_batch(Model *m, const int *tokens, const int *first, int B, int T, int backward) {
    const Config *c = &m->config;
    const int N = B * T, n_ids = max_int(c->vocab, c->context);
    int *positions = malloc(sizeof(int) * (2 * (size_t)N + n_ids));
    if (!positions) return chat_fail("no memory for %d positions", N);
    int *order = positions + N, *ends = order + N;
    for (int n = 0; n < N; n++) positions[n] = n % T - (first ? first[n] : 0);
    device_write(m->positions, positions, sizeof(int) * N);
    device_write(m->tokens, tokens, sizeof(int) * N);
    if (first) device_write(m->first, first, sizeof(int) * N);
    if (backward) {
        sort_by_id(order, ends, tokens, N, c->vocab);
        device_write(m->by_token, order, sizeof(int) * N);
    }
    if (backward && m->wpe != NONE) {
        sort_by_id(order, ends, positions, N, c->context);
        device_write(m->by_position, order, sizeof(int) * N);
    }
    free(positions);
    return 0;
}

/* Whether the head computes row n: it has a target, or its neighbour has. bfloat16 are multiplied in
   pairs, and where these stay together each sum is that over all rows. NULL: a scalar head. */
static int is_asked(const int *targets, int n, int N) {
    return !targets || targets[n] >= 0 || targets[min_int(n ^ 1, N - 1)] >= 0;
}

/* Which of N rows are asked, and for what. */
static int upload_targets(Model *m, const int *targets, int N) {
    int *asked = malloc(sizeof(int) * 3 * N), *aims = asked + N, *nth = aims + N, count = 0;
    if (!asked) return chat_fail("no memory for %d targets", N);
    memset(m->asked_in, 0, sizeof(int) * ceil_div(N, nll_rows()));
    for (int n = 0; n < N; n++) {
        if (!is_asked(targets, n, N)) continue;
        asked[count] = n;
        aims[count++] = targets ? targets[n] : 0;
        m->asked_in[n / nll_rows()]++;
    }
    for (int n = 0, i = 0; n < N; n++) nth[n] = i < count && asked[i] == n ? i++ : count;
    device_write(m->asked, asked, sizeof(int) * count);
    device_write(m->targets, aims, sizeof(int) * count);
    device_write(m->nth, nth, sizeof(int) * N);
    free(asked);
    m->n_asked = count;
    return 0;
}

/* The weights of those rows. */
static int upload_weights(Model *m, const float *weights, int N) {
    int *asked = malloc((sizeof(int) + sizeof(float)) * N), count = m->n_asked;
    if (!asked) return chat_fail("no memory for %d weights", N);
    float *coef = (float *)(asked + N);
    int failed = device_read(asked, m->asked, sizeof(int) * count);
    for (int i = 0; i < count && !failed; i++) coef[i] = weights[asked[i]];
    device_write(m->coef, coef, sizeof(float) * count);
    free(asked);
    return failed;
}

int model_forward(Model *m, float *out, const int *tokens, const int *targets, const int *first,
                  const float *weights, int B, int T) {
    const int scalar = m->config.scalar;
    if (check_batch(&m->config, tokens, targets, first, B, T)) return -1;
    if (!scalar && !targets) return chat_fail("a model with a vocabulary head needs targets");
    int N = B * T;
    if (plan(m, N, 1) || upload_batch(m, tokens, first, B, T, 1)) return -1;
    if (weights && ensure(m, &m->grads)) return -1;
    if (upload_targets(m, targets, N) || (weights && upload_weights(m, weights, N))) return -1;

    Context x = { B, T, first ? m->first : NULL, NULL };
    blocks_forward(m, &x, N);
    head(m, N, weights != NULL);
    m->B = B;
    m->T = T;
    m->has_first = first != NULL;
    m->fused = weights != NULL;
    if (device_read(out, m->out, sizeof(float) * m->n_asked)) return -1;
    for (int n = N, i = m->n_asked; i < n--;) out[n] = is_asked(targets, n, N) ? out[--i] : 0;
    return 0;
}

/* logits (N,V) on the host = the head on h (N,C), without the padding. The first nll_rows() of them
   are in m->logits already. */
static int read_logits(Model *m, float *logits, const real *h, int N) {
    const int V = m->config.scalar ? 1 : m->config.vocab;
    for (int n = 0; n < N; n++) {
        int row = n % nll_rows(), rows = min_int(nll_rows(), N - n);
        if (n && row == 0) head_forward(m, m->logits, h + (size_t)n * m->config.channels, rows);
        if (device_read(logits + (size_t)n * V, m->logits + (size_t)row * m->head.out,
                        sizeof(float) * V))
            return -1;
    }
    return 0;
}

int model_logits(Model *m, float *logits, const int *tokens, int B, int T) {
    if (check_batch(&m->config, tokens, NULL, NULL, B, T) || plan(m, B * T, 0)) return -1;
    if (upload_batch(m, tokens, NULL, B, T, 0)) return -1;
    m->T = 0;
    Context x = { B, T, NULL, NULL };
    blocks_forward(m, &x, B * T);
    head_forward(m, m->logits, m->h, min_int(nll_rows(), B * T));
    return read_logits(m, logits, m->h, B * T);
}

/* ---- Backward -------------------------------------------------------------------------------- */

static void norm_backward(const Model *m, real *dinp, const real *dout, const real *inp,
                          const float *mean, const float *rstd, const Norm *p, int N) {
    const int C = m->config.channels;
    if (m->config.norm == LAYERNORM)
        layernorm_backward(dinp, grad(m, p->weight), grad(m, p->bias), dout, inp,
                           weight(m, p->weight), mean, rstd, m->work, N, C);
    else
        rmsnorm_backward(dinp, grad(m, p->weight), dout, inp, weight(m, p->weight), rstd,
                         m->work, N, C);
}

static void backward(const Model *m, real *dinp, const real *dout, const real *inp, const Linear *p,
                     const real *pre, int N) {
    linear_backward(dinp, grad(m, p->weight), grad(m, p->bias), dout, inp, weight(m, p->weight),
                    pre, m->work, N, p->in, p->out);
}

/* What block_forward computed and another layer has overwritten since. */
static void recompute(const Model *m, int l, const Context *x, int N) {
    const Config *c = &m->config;
    const Layer *p = &m->layers[l];
    Activations *a = &m->acts[l];
    if (m->how & RECOMPUTE_BLOCKS) {
        block_forward(m, l, a, NULL, x, N);
    } else if (m->how & RECOMPUTE) {
        norm_forward(m, a->h1, a->mean1, a->rstd1, a->x, &p->norm1, N);
        norm_forward(m, a->h2, a->mean2, a->rstd2, a->mid, &p->norm2, N);
        if (c->activation == GELU) gelu_forward(a->act, a->up, (size_t)N * c->hidden);
        else swiglu_forward(a->act, a->up, N, c->hidden);
    }
}

/* Layer l: m->dx comes in as dLoss/d(its output) and leaves as dLoss/d(its input). */
static void block_backward(const Model *m, int l, const Context *x, int N) {
    const Config *c = &m->config;
    const Layer *p = &m->layers[l];
    const Activations *a = &m->acts[l];
    const int H = c->heads, K = c->kv_heads, D = c->head_dim;
    recompute(m, l, x, N);
    if (c->activation == GELU) {
        backward(m, m->du, m->dx, a->act, &p->down, a->up, N);
    } else {
        backward(m, m->da, m->dx, a->act, &p->down, NULL, N);
        swiglu_backward(m->du, m->da, a->up, N, c->hidden);
    }
    backward(m, m->dc, m->du, a->h2, &p->up, NULL, N);
    norm_backward(m, m->dx, m->dc, a->mid, a->mean2, a->rstd2, &p->norm2, N);
    backward(m, m->da, m->dx, a->att, &p->proj, NULL, N);
    attention_backward(m->dw, m->da, a->att, a->lse, a->rotated, x->first, m->work,
                       x->B, x->T, H, K, D, window_of(c, l));
    if (a->rotated != a->qkv)
        qk_norm_rope_backward(m->dw, grad(m, p->q_norm), grad(m, p->k_norm), m->dw, a->qkv,
                              weight(m, p->q_norm), weight(m, p->k_norm), a->qk_rstd,
                              m->rope, m->positions, m->work, N, H, K, D);
    backward(m, m->dc, m->dw, a->h1, &p->qkv, NULL, N);
    norm_backward(m, m->dx, m->dc, a->x, a->mean1, a->rstd1, &p->norm1, N);
}

int model_backward(Model *m, const float *weights, int reduce) {
    const int C = m->config.channels, L = m->config.layers, N = m->B * m->T;
    if (m->T == 0) return chat_fail("model_backward needs a model_forward just before it");
    if (!weights && !m->fused) return chat_fail("neither forward nor backward was given weights");
    if (weights && m->fused) return chat_fail("model_forward was given weights already");
    if (ensure(m, &m->grads)) return -1;
    if (weights) {
        if (upload_weights(m, weights, N)) return -1;
        head(m, N, 1);
    }
    device_zero(m->dx, sizeof(real) * N * C);
    norm_backward(m, m->dx, m->dh, m->last, m->mean, m->rstd, &m->norm, N);
    if (reduce) reduce_bucket(m, L + 1);
    Context x = { m->B, m->T, m->has_first ? m->first : NULL, NULL };
    for (int l = L - 1; l >= 0; l--) {
        block_backward(m, l, &x, N);
        if (reduce) reduce_bucket(m, l + 1);
    }
    embed_backward(grad(m, m->wte), grad(m, m->wpe), m->dx, m->tokens, m->positions,
                   m->by_token, m->by_position, N, C);
    if (reduce) reduce_bucket(m, 0);             /* last: a tied head, too, has added to it */
    comm_wait();
    m->T = 0;
    return 0;
}

/* ---- Learning -------------------------------------------------------------------------------- */

int model_zero_grad(Model *m) {
    if (ensure(m, &m->grads)) return -1;
    device_zero(m->grads, m->n_weights * sizeof(float));
    return 0;
}

int model_grad_norm(Model *m, float *norm) {
    if (ensure(m, &m->grads)) return -1;
    double sum;
    if (sum_gradients(m, &sum)) return -1;
    *norm = (float)sqrt(sum);
    return 0;
}

int model_update(Model *m, const AdamW *adam) {
    if (adam->step < 1) return chat_fail("AdamW's step is %d, but counts from 1", adam->step);
    if (!(adam->lr >= 0 && adam->lr < INFINITY
          && adam->grad_scale >= 0 && adam->grad_scale < INFINITY))
        return chat_fail("AdamW's lr is %g and grad_scale %g, but must be 0 or more and finite",
                         adam->lr, adam->grad_scale);
    if (ensure(m, &m->grads) || ensure(m, &m->moment1) || ensure(m, &m->moment2)) return -1;
    size_t before = 0;               /* elements of other tensors: whatever lies between them */
    for (int i = 0; i < m->n_tensors; i++) {
        const Part p = part_of(m, i, m->shard);
        if (p.count > 0) adamw(m->weights + p.at, m->masters ? m->masters + p.own : NULL,
              m->moment1 + p.own, m->moment2 + p.own, m->grads + p.at,
              adam, m->tensors[i].decay, before + p.first, p.count);
        before += size_of(&m->tensors[i]);
        if (m->how & SHARD && (i + 1 == m->n_tensors || bucket_of(m, i + 1) > bucket_of(m, i)))
            gather_bucket(m, bucket_of(m, i));
    }
    comm_wait();
    m->stale = 1;
    return 0;
}

/* ---- Generation ------------------------------------------------------------------------------ */

static int check_slot(const Cache *x, int slot) {
    if (slot >= 0 && slot < x->slots) return 0;
    return chat_fail("there is no slot %d; the cache has %d", slot, x->slots);
}

int cache_fork(Cache *x, int to, int from, int count) {
    if (check_slot(x, to) || check_slot(x, from)) return -1;
    if (count < 0 || count > x->slot[from].used)
        return chat_fail("slot %d holds %d tokens, not %d", from, x->slot[from].used, count);
    if (count > x->slot[to].length)
        return chat_fail("slot %d has room for %d tokens, not %d", to, x->slot[to].length, count);
    const size_t token = (size_t)x->model->config.kv_heads * x->model->config.head_dim;
    for (int l = 0; l < x->model->config.layers && to != from; l++) {
        const size_t at = ((size_t)l * x->total + x->slot[to].start) * token;
        const size_t was = ((size_t)l * x->total + x->slot[from].start) * token;
        device_copy(x->keys + at, x->keys + was, count * token * sizeof(real));
        device_copy(x->values + at, x->values + was, count * token * sizeof(real));
    }
    x->slot[to].used = count;
    return 0;
}

static int check_extend(const Model *m, const Cache *x, const int *slots, const int *tokens,
                        const int *counts, int n, int *total) {
    *total = 0;
    if (x->model != m) return chat_fail("the cache belongs to another model");
    if (n < 1 || n > x->slots) return chat_fail("%d slots to extend, of %d", n, x->slots);
    for (int i = 0; i < n; i++) {
        if (check_slot(x, slots[i])) return -1;
        for (int j = 0; j < i; j++)
            if (slots[i] == slots[j]) return chat_fail("slot %d is extended twice", slots[i]);
        if (counts[i] < 1)
            return chat_fail("slot %d is extended by %d tokens", slots[i], counts[i]);
        const struct Slot *s = &x->slot[slots[i]];
        if (counts[i] > s->length - s->used)
            return chat_fail("slot %d holds %d of %d tokens: there is no room for %d more",
                             slots[i], s->used, s->length, counts[i]);
        *total += counts[i];
    }
    return check_ids("token", tokens, 0, m->config.vocab, *total, *total);
}

int model_extend(Model *m, Cache *x, float *logits, const int *slots, const int *tokens,
                 const int *counts, int n, int every) {
    int N;
    if (check_extend(m, x, slots, tokens, counts, n, &N) || plan(m, N, 0)) return -1;
    const int rows = every ? N : n, first = min_int(rows, nll_rows());
    if (!logits && (rows > first || m->config.scalar))
        return chat_fail("%d rows of logits cannot stay on the device: at most %d can, and those of"
                         " a scalar head are not drawn from", rows, first);
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
    void **graph = N == n && rows == first ? graph_of(x, n) : NULL;
    if (!graph || !device_record(graph)) {
        blocks_forward(m, &context, N);
        if (rows < N) gather_rows(m->last, m->h, m->targets, n, m->config.channels);
        head_forward(m, m->logits, h, first);
        if (graph) device_record_end(graph);
    }
    m->undrawn = logits ? 0 : rows;
    if (logits && read_logits(m, logits, h, rows)) return -1;
    for (int i = 0; i < n; i++) x->slot[slots[i]].used += counts[i];
    return 0;
}

/* Whether row i's settings make sense, and name only ids that there are. */
static int check_row(const Sampling *s, int i, int n_ids) {
    if (check_sampling(s)) return -1;
    if (s->banned < 0 || s->n_banned < 0 || s->banned > n_ids - s->n_banned
        || s->seen < 0 || s->n_seen < 0 || s->seen > n_ids - s->n_seen)
        return chat_fail("row %d names tokens beyond the %d ids", i, n_ids);
    return 0;
}

int model_sample(Model *m, int *tokens, float *logprobs, float *probabilities,
                 const Sampling *settings, const int *ids, int n_ids) {
    const int n = m->undrawn, V = m->config.vocab;
    if (n == 0) return chat_fail("model_sample needs a model_extend without logits just before it");
    if (n_ids < 0 || check_ids("token", ids, 0, V, n_ids, n_ids)) return -1;
    for (int i = 0; i < n; i++)
        if (check_row(&settings[i], i, n_ids)) return -1;
    if (n_ids > m->n_ids) {
        device_free(m->ids);
        m->n_ids = 0;
        if (!(m->ids = device_alloc(n_ids * sizeof *ids))) return -1;
        m->n_ids = n_ids;
    }
    device_write(m->settings, settings, n * sizeof *settings);
    device_write(m->ids, ids, n_ids * sizeof *ids);
    sample_rows(m->drawn, m->logprobs, m->logits, m->settings, m->ids, n, V, m->P, !!probabilities);
    m->undrawn = 0;
    if (device_read(tokens, m->drawn, n * sizeof *tokens)) return -1;
    for (int i = 0; i < n; i++)
        if (tokens[i] < 0)
            return chat_fail("row %d has no token left to draw, or a logit that is no number", i);
    if (logprobs && device_read(logprobs, m->logprobs, n * sizeof *logprobs)) return -1;
    for (int i = 0; i < n && probabilities; i++)
        if (device_read(probabilities + (size_t)i * V, m->logits + (size_t)i * m->P,
                        V * sizeof *probabilities))
            return -1;
    return 0;
}
