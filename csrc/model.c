/* model.c: the transformer. Its parameters, its forward pass, its backward pass, one step of learning
   and one step of generation, written once for every device and precision: all arithmetic is in the
   kernels that chat.h declares.

   A block is  x + attention(norm(x)),  then  x + mlp(norm(x));  the residual stream x is (N,C) with
   N = B*T. The way of a batch: embed, L blocks, norm, head, loss; and back in the same order. */

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "real.h"

/* ---- Parameters ------------------------------------------------------------------------------ */

/* A parameter is its offset in the arena: the same for weights, gradients and moments. */
typedef size_t Offset;
#define NONE SIZE_MAX                /* a parameter that this architecture does not have */

typedef struct { Offset weight, bias; } Norm;                     /* (C), (C) */
typedef struct { Offset weight, bias, packed; int in, out; } Linear;  /* (out,in), (out) */

typedef struct {
    Norm norm1;
    Linear qkv;                      /* (W,C): queries, keys, values */
    Offset q_norm, k_norm;           /* (D) each */
    Linear proj;                     /* (C,H*D) */
    Norm norm2;
    Linear up;                       /* (F,C), or gate and up (2F,C) */
    Linear down;                     /* (C,F) */
} Layer;

/* What the forward pass of one layer leaves for its backward pass. */
typedef struct {
    real *x;                         /* (N,C) the residual stream coming in */
    float *mean1, *rstd1;            /* (N) */
    real *h1;                        /* (N,C) norm(x) */
    real *qkv;                       /* (N,W) */
    float *qk_rstd;                  /* (N,H+K) */
    real *rotated;                   /* (N,W) qkv after norm and RoPE; qkv itself without either */
    real *att;                       /* (N,H*D) */
    float *lse;                      /* (N,H) */
    real *mid;                       /* (N,C) x + attention */
    float *mean2, *rstd2;            /* (N) */
    real *h2;                        /* (N,C) norm(mid) */
    real *up;                        /* (N,F) or (N,2F) */
    real *act;                       /* (N,F) */
} Activations;

struct Model {
    Config config;
    int W, U, P;                     /* rows of qkv, rows of up, rows of the head padded to 128 */
    TensorInfo *tensors;
    Offset *offsets;
    int n_tensors;

    Offset wte, wpe;                 /* (P,C), (context,C) */
    Layer *layers;
    Norm norm;
    Linear head;                     /* (P,C): the embedding, lm_head or the scalar head */

    size_t n_weights, n_packed;
    real *weights, *packed;
    float *masters;                  /* NULL where real is float */
    float *grads, *moment1, *moment2;    /* NULL before their first use */
    int stale;                       /* weights changed since they were packed */
    float *rope;                     /* (context,D) */

    int rows, training;              /* the plan: N, and whether it keeps what a backward pass needs */
    void *arena;
    Activations *acts;               /* (L), or (1) which all layers share */
    int *tokens, *targets, *first, *positions, *slots;   /* (N) */
    real *last, *h, *dh;             /* (N,C): out of the blocks, norm of it, its gradient */
    float *mean, *rstd;
    float *out, *coef, *lse;         /* (N): nll or values, dLoss/dout, of the head */
    float *logits;                   /* (CHUNK,P) */
    real *dlogits;
    real *dx, *dc, *dw, *du, *da;    /* gradients (N,C), (N,C), (N,W), (N,U), (N,max(F,H*D)) */
    void *work;

    int B, T, has_first, fused;      /* the batch of the last model_forward; T = 0: none */
};

struct Cache {
    Model *model;
    int slots, length;
    int *used;                       /* (slots) tokens in each */
    real *keys, *values;             /* (L,slots,length,K*D) */
};

enum { CHUNK = 512 };                /* rows whose logits exist at one time */

/* The list of all parameters is made by calling `add` for each, twice: to count, and to place. */
static Offset add(Model *m, int layer, const char *name, int rows, int cols, int held) {
    Offset offset = m->n_weights;
    if (m->tensors) {
        TensorInfo *info = &m->tensors[m->n_tensors];
        int used = layer < 0 ? 0 : snprintf(info->name, sizeof info->name, "model.layers.%d.", layer);
        snprintf(info->name + used, sizeof info->name - used, "%s", name);
        info->rows = rows;
        info->cols = cols;
        info->decay = cols > 0;
        m->offsets[m->n_tensors] = offset;
    }
    m->n_tensors++;
    m->n_weights += (size_t)held * (cols ? cols : 1);
    return offset;
}

static Offset add_if(int wanted, Model *m, int layer, const char *name, int rows, int cols) {
    return wanted ? add(m, layer, name, rows, cols, rows) : NONE;
}

static Norm add_norm(Model *m, int layer, const char *weight, const char *bias) {
    const Config *c = &m->config;
    Norm norm;
    norm.weight = add(m, layer, weight, c->channels, 0, c->channels);
    norm.bias = add_if(c->norm == LAYERNORM && c->bias == BIAS_ALL, m, layer, bias, c->channels, 0);
    return norm;
}

static Linear linear(Model *m, Offset weight, Offset bias, int in, int out) {
    Linear l = { weight, bias, m->n_packed, in, out };
    m->n_packed += linear_packed_size(in, out);
    return l;
}

/* Each parameter once, in the order of the checkpoint. Tensors that are multiplied together (q, k, v;
   gate, up) lie one behind the other and are one Linear. */
static void layout(Model *m) {
    const Config *c = &m->config;
    const int C = c->channels, F = c->hidden, Q = c->heads * c->head_dim, KV = c->kv_heads * c->head_dim;
    const int bias = c->bias == BIAS_ALL, qkv_bias = c->bias != BIAS_NONE, gated = c->activation == SWIGLU;
    m->n_tensors = 0;
    m->n_weights = m->n_packed = 0;

    m->wte = add(m, -1, "model.embed_tokens.weight", c->vocab, C, m->P);
    m->wpe = add_if(c->position == LEARNED, m, -1, "model.positions.weight", c->context, C);
    for (int l = 0; l < c->layers; l++) {
        Layer *x = &m->layers[l];
        Offset w, b;
        x->norm1 = add_norm(m, l, "input_layernorm.weight", "input_layernorm.bias");
        w = add_if(1, m, l, "self_attn.q_proj.weight", Q, C);
            add_if(1, m, l, "self_attn.k_proj.weight", KV, C);
            add_if(1, m, l, "self_attn.v_proj.weight", KV, C);
        b = add_if(qkv_bias, m, l, "self_attn.q_proj.bias", Q, 0);
            add_if(qkv_bias, m, l, "self_attn.k_proj.bias", KV, 0);
            add_if(qkv_bias, m, l, "self_attn.v_proj.bias", KV, 0);
        x->qkv = linear(m, w, b, C, Q + 2 * KV);
        x->q_norm = add_if(c->qk_norm, m, l, "self_attn.q_norm.weight", c->head_dim, 0);
        x->k_norm = add_if(c->qk_norm, m, l, "self_attn.k_norm.weight", c->head_dim, 0);
        w = add_if(1, m, l, "self_attn.o_proj.weight", C, Q);
        b = add_if(bias, m, l, "self_attn.o_proj.bias", C, 0);
        x->proj = linear(m, w, b, Q, C);
        x->norm2 = add_norm(m, l, "post_attention_layernorm.weight", "post_attention_layernorm.bias");
        w = add_if(gated, m, l, "mlp.gate_proj.weight", F, C);
        Offset up = add_if(1, m, l, "mlp.up_proj.weight", F, C);
        b = add_if(gated && bias, m, l, "mlp.gate_proj.bias", F, 0);
        Offset up_bias = add_if(bias, m, l, "mlp.up_proj.bias", F, 0);
        x->up = gated ? linear(m, w, b, C, 2 * F) : linear(m, up, up_bias, C, F);
        w = add_if(1, m, l, "mlp.down_proj.weight", C, F);
        b = add_if(bias, m, l, "mlp.down_proj.bias", C, 0);
        x->down = linear(m, w, b, F, C);
    }
    m->norm = add_norm(m, -1, "model.norm.weight", "model.norm.bias");
    Offset head = m->wte;
    if (c->scalar) head = add(m, -1, "score.weight", 1, C, 1);
    else if (!c->tied) head = add(m, -1, "lm_head.weight", c->vocab, C, m->P);
    m->head = linear(m, head, NONE, C, c->scalar ? 1 : m->P);
}

static const real *weight(const Model *m, Offset p) { return p == NONE ? NULL : m->weights + p; }
static float *grad(const Model *m, Offset p) { return p == NONE ? NULL : m->grads + p; }

/* ---- Making and freeing ---------------------------------------------------------------------- */

static int make(Model *m, const Config *config) {
    m->config = *config;
    m->W = (config->heads + 2 * config->kv_heads) * config->head_dim;
    m->U = config->hidden * (config->activation == SWIGLU ? 2 : 1);
    m->P = (config->vocab + 127) / 128 * 128;
    m->stale = 1;
    m->layers = calloc(config->layers, sizeof(Layer));
    if (!m->layers) return chat_fail("no memory for %d layers", config->layers);
    layout(m);
    m->tensors = calloc(m->n_tensors, sizeof(TensorInfo));
    m->offsets = calloc(m->n_tensors, sizeof(Offset));
    if (!m->tensors || !m->offsets) return chat_fail("no memory for %d tensors", m->n_tensors);
    layout(m);
    m->weights = device_alloc(m->n_weights * sizeof(real));
    m->packed = device_alloc(m->n_packed * sizeof(real));
    if (!m->weights || !m->packed) return -1;
    if (sizeof(real) < sizeof(float) && !(m->masters = device_alloc(m->n_weights * sizeof(float))))
        return -1;
    if (config->position == ROPE) {
        const Config *c = config;
        m->rope = device_alloc(sizeof(float) * c->context * c->head_dim);
        if (!m->rope) return -1;
        rope_table(m->rope, c->context, c->head_dim, c->rope_theta,
                   c->rope_factor, c->rope_low, c->rope_high, c->rope_context);
    }
    return 0;
}

int model_create(Model **out, const Config *config) {
    *out = NULL;
    if (check_config(config)) return -1;
    Model *m = calloc(1, sizeof(Model));
    if (!m) return chat_fail("no memory for a model");
    if (make(m, config)) { model_free(m); return -1; }
    *out = m;
    return 0;
}

void model_free(Model *m) {
    if (!m) return;
    device_free(m->weights); device_free(m->packed); device_free(m->masters);
    device_free(m->grads); device_free(m->moment1); device_free(m->moment2);
    device_free(m->rope); device_free(m->arena);
    free(m->acts); free(m->layers); free(m->tensors); free(m->offsets);
    free(m);
}

/* Gradients and moments come to be, as zeros, where they are first needed. */
static int ensure(const Model *m, float **arena) {
    if (!*arena) *arena = device_alloc(m->n_weights * sizeof(float));
    return *arena ? 0 : -1;
}

/* ---- Reading and writing tensors ------------------------------------------------------------- */

int model_tensors(const Model *m) { return m->n_tensors; }

static size_t size_of(const TensorInfo *t) { return (size_t)t->rows * (t->cols ? t->cols : 1); }

static int check_index(const Model *m, int index) {
    if (index >= 0 && index < m->n_tensors) return 0;
    return chat_fail("there is no tensor %d; the model has %d", index, m->n_tensors);
}

int model_tensor(const Model *m, int index, TensorInfo *info) {
    if (check_index(m, index)) return -1;
    *info = m->tensors[index];
    return 0;
}

/* Where a tensor's floats are (for weights that are not float: the masters'); NULL and an error else. */
static float *find(Model *m, int what, int index, size_t *count) {
    float **arenas[] = { &m->masters, &m->grads, &m->moment1, &m->moment2 };
    if (check_index(m, index)) return NULL;
    if (what < WEIGHT || what > MOMENT2) { chat_fail("%d is no kind of tensor", what); return NULL; }
    if (what != WEIGHT && ensure(m, arenas[what])) return NULL;
    *count = size_of(&m->tensors[index]);
    return (*arenas[what] ? *arenas[what] : (float *)m->weights) + m->offsets[index];
}

int model_read(Model *m, int what, int index, float *out) {
    size_t count;
    const float *from = find(m, what, index, &count);
    return from ? device_read(out, from, count * sizeof(float)) : -1;
}

int model_write(Model *m, int what, int index, const float *values) {
    size_t count;
    float *to = find(m, what, index, &count);
    if (!to) return -1;
    device_write(to, values, count * sizeof(float));
    if (what == WEIGHT && m->masters) narrow(m->weights + m->offsets[index], to, count);
    m->stale |= what == WEIGHT;
    return 0;
}

/* ---- The plan of activations ----------------------------------------------------------------- */

/* The next piece of the arena, or with base NULL only its size; pieces begin on cache lines. */
static void *take(char *base, size_t *used, size_t bytes) {
    void *piece = base ? base + *used : NULL;
    *used += (bytes + 63) / 64 * 64;
    return piece;
}

/* Lays out everything for N rows; returns the bytes. Run to count, then to place. */
static size_t place(Model *m, char *base, size_t N, int training) {
    const Config *c = &m->config;
    const size_t C = c->channels, HD = (size_t)c->heads * c->head_dim, R = sizeof(real), S = sizeof(float);
    const size_t chunk = N < CHUNK ? N : CHUNK;
    const int transformed = c->qk_norm || c->position == ROPE;
    size_t used = 0, work = 0;
    #define TAKE(count, size) take(base, &used, (count) * (size))
    for (int l = 0; l < (training ? c->layers : 1); l++) {
        Activations *a = &m->acts[l];
        a->x = TAKE(N * C, R);      a->mean1 = TAKE(N, S);    a->rstd1 = TAKE(N, S);
        a->h1 = TAKE(N * C, R);     a->qkv = TAKE(N * m->W, R);
        a->qk_rstd = TAKE(N * (c->heads + c->kv_heads), S);
        a->rotated = transformed ? TAKE(N * m->W, R) : a->qkv;
        a->att = TAKE(N * HD, R);   a->lse = TAKE(N * c->heads, S);
        a->mid = TAKE(N * C, R);    a->mean2 = TAKE(N, S);    a->rstd2 = TAKE(N, S);
        a->h2 = TAKE(N * C, R);     a->up = TAKE(N * m->U, R); a->act = TAKE(N * c->hidden, R);
    }
    m->tokens = TAKE(N, sizeof(int));    m->targets = TAKE(N, sizeof(int));
    m->first = TAKE(N, sizeof(int));     m->positions = TAKE(N, sizeof(int));
    m->slots = TAKE(N, sizeof(int));
    m->last = TAKE(N * C, R);   m->h = TAKE(N * C, R);
    m->mean = TAKE(N, S);       m->rstd = TAKE(N, S);
    m->out = TAKE(N, S);        m->coef = TAKE(N, S);     m->lse = TAKE(N, S);
    m->logits = TAKE(chunk * m->head.out, S);
    if (training) {
        m->dh = TAKE(N * C, R);     m->dlogits = TAKE(chunk * m->head.out, R);
        m->dx = TAKE(N * C, R);     m->dc = TAKE(N * C, R);
        m->dw = TAKE(N * m->W, R);  m->du = TAKE(N * m->U, R);
        m->da = TAKE(N * (HD > (size_t)c->hidden ? HD : (size_t)c->hidden), R);
    }
    const Linear *each[] = { &m->layers[0].qkv, &m->layers[0].proj, &m->layers[0].up,
                             &m->layers[0].down, &m->head };
    for (int i = 0; i < 5; i++) {
        size_t need = linear_work(i == 4 ? chunk : N, each[i]->in, each[i]->out);
        work = need > work ? need : work;
    }
    m->work = TAKE(work, 1);
    #undef TAKE
    return used;
}

/* Makes room for N rows, with the activations of all layers (training) or of one (generation). */
static int plan(Model *m, int N, int training) {
    int kept = training ? m->config.layers : 1;
    if (N <= m->rows && training <= m->training) return 0;
    m->T = m->rows = 0;
    device_free(m->arena);
    m->arena = NULL;
    free(m->acts);
    m->acts = calloc(kept, sizeof(Activations));
    if (!m->acts) return chat_fail("no memory for the activations of %d layers", kept);
    size_t bytes = place(m, NULL, N, training);
    if (bytes > device_memory())
        return chat_fail("%d tokens at once need %.1f GB for activations, and there are %.1f GB of"
                         " memory: use a smaller batch", N, bytes / 1e9, device_memory() / 1e9);
    m->arena = device_alloc(bytes);
    if (!m->arena) return -1;
    place(m, m->arena, N, training);
    m->rows = N;
    m->training = training;
    return 0;
}

static void pack_weights(Model *m) {
    if (!m->stale) return;
    for (int l = 0; l < m->config.layers; l++) {
        const Linear *each[] = { &m->layers[l].qkv, &m->layers[l].proj,
                                 &m->layers[l].up, &m->layers[l].down };
        for (int i = 0; i < 4; i++)
            linear_pack(m->packed + each[i]->packed, weight(m, each[i]->weight),
                        each[i]->in, each[i]->out);
    }
    linear_pack(m->packed + m->head.packed, weight(m, m->head.weight), m->head.in, m->head.out);
    m->stale = 0;
}

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

static void forward(const Model *m, real *out, const real *inp, const Linear *p, const real *residual,
                    int N) {
    linear_forward(out, inp, m->packed + p->packed, weight(m, p->bias), residual,
                   m->work, N, p->in, p->out);
}

/* Where a block's attention looks: at its own batch, or at a cache. */
typedef struct { int B, T; const int *first; Cache *cache; } Context;

static void attention(const Model *m, Activations *a, int l, const Context *x, int N) {
    const Config *c = &m->config;
    const int H = c->heads, K = c->kv_heads, D = c->head_dim;
    if (!x->cache) {
        attention_forward(a->att, a->lse, a->rotated, x->first, x->B, x->T, H, K, D);
        return;
    }
    size_t layer = (size_t)l * x->cache->slots * x->cache->length * K * D;
    real *keys = x->cache->keys + layer, *values = x->cache->values + layer;
    cache_write(keys, values, a->rotated, m->slots, m->positions, N, x->cache->length, H, K, D);
    attention_extend(a->att, a->rotated, keys, values, m->slots, m->positions,
                     N, x->cache->length, H, K, D);
}

/* Layer l on N rows: reads a->x, writes next (which may be a->x). */
static void block_forward(const Model *m, int l, Activations *a, real *next, const Context *x, int N) {
    const Config *c = &m->config;
    const Layer *p = &m->layers[l];
    norm_forward(m, a->h1, a->mean1, a->rstd1, a->x, &p->norm1, N);
    forward(m, a->qkv, a->h1, &p->qkv, NULL, N);
    if (a->rotated != a->qkv)
        qk_norm_rope_forward(a->rotated, a->qk_rstd, a->qkv, weight(m, p->q_norm), weight(m, p->k_norm),
                             m->rope, m->positions, N, c->heads, c->kv_heads, c->head_dim, c->norm_eps);
    attention(m, a, l, x, N);
    forward(m, a->mid, a->att, &p->proj, a->x, N);
    norm_forward(m, a->h2, a->mean2, a->rstd2, a->mid, &p->norm2, N);
    forward(m, a->up, a->h2, &p->up, NULL, N);
    if (c->activation == GELU) gelu_forward(a->act, a->up, (size_t)N * c->hidden);
    else swiglu_forward(a->act, a->up, N, c->hidden);
    forward(m, next, a->act, &p->down, a->mid, N);
}

/* All blocks and the final norm: m->tokens, m->positions (N) to m->h (N,C). */
static void blocks_forward(Model *m, const Context *x, int N) {
    const int L = m->config.layers;
    pack_weights(m);
    embed_forward(m->acts[0].x, m->tokens, m->positions, weight(m, m->wte), weight(m, m->wpe),
                  N, m->config.channels);
    for (int l = 0; l < L; l++) {
        Activations *a = &m->acts[m->training ? l : 0];
        real *next = l == L - 1 ? m->last : m->training ? m->acts[l + 1].x : a->x;
        block_forward(m, l, a, next, x, N);
    }
    norm_forward(m, m->h, m->mean, m->rstd, m->last, &m->norm, N);
}

static void head_forward(const Model *m, float *logits, const real *h, int rows) {
    linear_forward_float(logits, h, m->packed + m->head.packed, NULL, m->work,
                         rows, m->head.in, m->head.out);
}

/* The gradient of the head for `rows` rows from n on, whose logits are in m->logits; coef is dLoss/dout. */
static void head_backward(Model *m, int n, int rows) {
    const Linear *p = &m->head;
    if (m->config.scalar)
        narrow(m->dlogits, m->coef + n, rows);
    else
        nll_backward(m->dlogits, m->logits, m->lse + n, m->targets + n, m->coef + n,
                     rows, m->config.vocab, m->P);
    size_t at = (size_t)n * p->in;
    linear_backward(m->dh + at, grad(m, p->weight), NULL, m->dlogits, m->h + at, weight(m, p->weight),
                    m->work, rows, p->in, p->out);
}

/* ---- A batch, through all of it ---------------------------------------------------------------- */

static int upload_batch(Model *m, const int *tokens, const int *first, int B, int T) {
    int N = B * T, *positions = malloc(sizeof(int) * N);
    if (!positions) return chat_fail("no memory for %d positions", N);
    for (int n = 0; n < N; n++) positions[n] = n % T - (first ? first[n] : 0);
    device_write(m->positions, positions, sizeof(int) * N);
    device_write(m->tokens, tokens, sizeof(int) * N);
    if (first) device_write(m->first, first, sizeof(int) * N);
    free(positions);
    return 0;
}

int model_forward(Model *m, float *out, const int *tokens, const int *targets, const int *first,
                  const float *weights, int B, int T) {
    const int scalar = m->config.scalar;
    if (check_batch(&m->config, tokens, targets, first, B, T)) return -1;
    if (!scalar && !targets) return chat_fail("a model with a vocabulary head needs targets");
    int N = B * T;
    if (plan(m, N, 1) || upload_batch(m, tokens, first, B, T)) return -1;
    if (weights && ensure(m, &m->grads)) return -1;
    if (targets) device_write(m->targets, targets, sizeof(int) * N);
    if (weights) device_write(m->coef, weights, sizeof(float) * N);

    Context x = { B, T, first ? m->first : NULL, NULL };
    blocks_forward(m, &x, N);
    for (int n = 0; n < N; n += CHUNK) {
        int rows = min_int(CHUNK, N - n);
        float *logits = scalar ? m->out + n : m->logits;
        head_forward(m, logits, m->h + (size_t)n * m->config.channels, rows);
        if (!scalar) nll_forward(m->out + n, m->lse + n, logits, m->targets + n,
                                 rows, m->config.vocab, m->P);
        if (weights) head_backward(m, n, rows);
    }
    m->B = B;
    m->T = T;
    m->has_first = first != NULL;
    m->fused = weights != NULL;
    return device_read(out, m->out, sizeof(float) * N);
}

/* logits (N,V) on the host = the head on h (N,C), without the padding. */
static int read_logits(Model *m, float *logits, const real *h, int N) {
    const int V = m->config.scalar ? 1 : m->config.vocab;
    for (int n = 0; n < N; n++) {
        int row = n % CHUNK, rows = min_int(CHUNK, N - n);
        if (row == 0) head_forward(m, m->logits, h + (size_t)n * m->config.channels, rows);
        if (device_read(logits + (size_t)n * V, m->logits + (size_t)row * m->head.out, sizeof(float) * V))
            return -1;
    }
    return 0;
}

int model_logits(Model *m, float *logits, const int *tokens, int B, int T) {
    if (check_batch(&m->config, tokens, NULL, NULL, B, T) || plan(m, B * T, 0)) return -1;
    if (upload_batch(m, tokens, NULL, B, T)) return -1;
    m->T = 0;
    Context x = { B, T, NULL, NULL };
    blocks_forward(m, &x, B * T);
    return read_logits(m, logits, m->h, B * T);
}

/* ---- Backward -------------------------------------------------------------------------------- */

static void norm_backward(const Model *m, real *dinp, const real *dout, const real *inp,
                          const float *mean, const float *rstd, const Norm *p, int N) {
    const int C = m->config.channels;
    if (m->config.norm == LAYERNORM)
        layernorm_backward(dinp, grad(m, p->weight), grad(m, p->bias), dout, inp,
                           weight(m, p->weight), mean, rstd, N, C);
    else
        rmsnorm_backward(dinp, grad(m, p->weight), dout, inp, weight(m, p->weight), rstd, N, C);
}

static void backward(const Model *m, real *dinp, const real *dout, const real *inp, const Linear *p,
                     int N) {
    linear_backward(dinp, grad(m, p->weight), grad(m, p->bias), dout, inp, weight(m, p->weight),
                    m->work, N, p->in, p->out);
}

/* Layer l: m->dx comes in as dLoss/d(its output) and leaves as dLoss/d(its input). */
static void block_backward(const Model *m, int l, const int *first, int N) {
    const Config *c = &m->config;
    const Layer *p = &m->layers[l];
    const Activations *a = &m->acts[l];
    const int H = c->heads, K = c->kv_heads, D = c->head_dim;
    backward(m, m->da, m->dx, a->act, &p->down, N);
    if (c->activation == GELU) gelu_backward(m->du, m->da, a->up, (size_t)N * c->hidden);
    else swiglu_backward(m->du, m->da, a->up, N, c->hidden);
    backward(m, m->dc, m->du, a->h2, &p->up, N);
    norm_backward(m, m->dx, m->dc, a->mid, a->mean2, a->rstd2, &p->norm2, N);
    backward(m, m->da, m->dx, a->att, &p->proj, N);
    attention_backward(m->dw, m->da, a->att, a->lse, a->rotated, first, m->B, m->T, H, K, D);
    if (a->rotated != a->qkv)
        qk_norm_rope_backward(m->dw, grad(m, p->q_norm), grad(m, p->k_norm), m->dw, a->qkv,
                              weight(m, p->q_norm), weight(m, p->k_norm), a->qk_rstd,
                              m->rope, m->positions, N, H, K, D);
    backward(m, m->dc, m->dw, a->h1, &p->qkv, N);
    norm_backward(m, m->dx, m->dc, a->x, a->mean1, a->rstd1, &p->norm1, N);
}

int model_backward(Model *m, const float *weights) {
    const int C = m->config.channels, N = m->B * m->T;
    if (m->T == 0) return chat_fail("model_backward needs a model_forward just before it");
    if (!weights && !m->fused) return chat_fail("neither forward nor backward was given weights");
    if (weights && m->fused) return chat_fail("model_forward was given weights already");
    if (ensure(m, &m->grads)) return -1;
    if (weights) {
        device_write(m->coef, weights, sizeof(float) * N);
        for (int n = 0; n < N; n += CHUNK) {
            int rows = min_int(CHUNK, N - n);
            if (!m->config.scalar) head_forward(m, m->logits, m->h + (size_t)n * C, rows);
            head_backward(m, n, rows);
        }
    }
    device_zero(m->dx, sizeof(real) * N * C);
    norm_backward(m, m->dx, m->dh, m->last, m->mean, m->rstd, &m->norm, N);
    for (int l = m->config.layers - 1; l >= 0; l--)
        block_backward(m, l, m->has_first ? m->first : NULL, N);
    embed_backward(grad(m, m->wte), grad(m, m->wpe), m->dx, m->tokens, m->positions, N, C);
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
    *norm = (float)sqrt(sum_squares(m->grads, m->n_weights));
    return 0;
}

int model_update(Model *m, const AdamW *adam) {
    if (adam->step < 1) return chat_fail("AdamW's step is %d, but counts from 1", adam->step);
    if (!(adam->lr >= 0 && adam->lr < INFINITY && adam->grad_scale >= 0 && adam->grad_scale < INFINITY))
        return chat_fail("AdamW's lr is %g and grad_scale %g, but must be 0 or more and finite",
                         adam->lr, adam->grad_scale);
    if (ensure(m, &m->grads) || ensure(m, &m->moment1) || ensure(m, &m->moment2)) return -1;
    for (int i = 0; i < m->n_tensors; i++) {
        Offset p = m->offsets[i];
        const TensorInfo *t = &m->tensors[i];
        adamw(m->weights + p, m->masters ? m->masters + p : NULL, m->moment1 + p, m->moment2 + p,
              m->grads + p, adam, t->decay, size_of(t));
    }
    m->stale = 1;
    return 0;
}

/* ---- Generation ------------------------------------------------------------------------------ */

int cache_create(Cache **out, Model *m, int slots, int length) {
    const Config *c = &m->config;
    *out = NULL;
    if (slots < 1 || slots > 1 << 20)
        return chat_fail("slots is %d, but must be from 1 to %d", slots, 1 << 20);
    if (length < 1 || length > c->context)
        return chat_fail("length is %d, but must be from 1 to the context, %d", length, c->context);
    double bytes = 2.0 * sizeof(real) * c->layers * slots * length * c->kv_heads * c->head_dim;
    if (bytes > device_memory())
        return chat_fail("a cache of %d slots of %d tokens needs %.1f GB, and there are %.1f GB of memory",
                         slots, length, bytes / 1e9, device_memory() / 1e9);
    Cache *x = calloc(1, sizeof(Cache));
    if (!x) return chat_fail("no memory for a cache");
    *x = (Cache){ m, slots, length, calloc(slots, sizeof(int)),
                  device_alloc((size_t)bytes / 2), device_alloc((size_t)bytes / 2) };
    if (!x->used || !x->keys || !x->values) { cache_free(x); return -1; }
    *out = x;
    return 0;
}

void cache_free(Cache *x) {
    if (!x) return;
    device_free(x->keys);
    device_free(x->values);
    free(x->used);
    free(x);
}

static int check_slot(const Cache *x, int slot) {
    if (slot >= 0 && slot < x->slots) return 0;
    return chat_fail("there is no slot %d; the cache has %d", slot, x->slots);
}

int cache_fork(Cache *x, int to, int from, int count) {
    if (check_slot(x, to) || check_slot(x, from)) return -1;
    if (count < 0 || count > x->used[from])
        return chat_fail("slot %d holds %d tokens, not %d", from, x->used[from], count);
    size_t token = (size_t)x->model->config.kv_heads * x->model->config.head_dim;
    size_t slot = token * x->length, layer = slot * x->slots;
    for (int l = 0; l < x->model->config.layers && to != from; l++) {
        device_copy(x->keys + l * layer + to * slot, x->keys + l * layer + from * slot,
                    count * token * sizeof(real));
        device_copy(x->values + l * layer + to * slot, x->values + l * layer + from * slot,
                    count * token * sizeof(real));
    }
    x->used[to] = count;
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
        if (counts[i] < 1) return chat_fail("slot %d is extended by %d tokens", slots[i], counts[i]);
        if (counts[i] > x->length - x->used[slots[i]])
            return chat_fail("slot %d holds %d of %d tokens: there is no room for %d more",
                             slots[i], x->used[slots[i]], x->length, counts[i]);
        *total += counts[i];
    }
    return check_ids("token", tokens, 0, m->config.vocab, *total, *total);
}

int model_extend(Model *m, Cache *x, float *logits, const int *slots, const int *tokens,
                 const int *counts, int n, int every) {
    int N;
    if (check_extend(m, x, slots, tokens, counts, n, &N) || plan(m, N, 0)) return -1;
    int *row_slots = malloc(sizeof(int) * 3 * N), *positions = row_slots + N, *ends = positions + N;
    if (!row_slots) return chat_fail("no memory for %d positions", N);
    for (int i = 0, row = 0; i < n; i++)
        for (int j = 0; j < counts[i]; j++, row++) {
            row_slots[row] = slots[i];
            positions[row] = x->used[slots[i]] + j;
            ends[i] = row;
        }
    device_write(m->slots, row_slots, sizeof(int) * N);
    device_write(m->positions, positions, sizeof(int) * N);
    device_write(m->tokens, tokens, sizeof(int) * N);
    device_write(m->targets, ends, sizeof(int) * n);
    free(row_slots);

    m->T = 0;
    Context context = { 0, 0, NULL, x };
    blocks_forward(m, &context, N);
    if (!every) gather_rows(m->last, m->h, m->targets, n, m->config.channels);
    if (read_logits(m, logits, every ? m->h : m->last, every ? N : n)) return -1;
    for (int i = 0; i < n; i++) x->used[slots[i]] += counts[i];
    return 0;
}
