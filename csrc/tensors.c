/* tensors.c: the parameters, and where all numbers of a model lie, its activations too; and how
   they get in and out.

   With SHARD (ZeRO-1, arXiv:1910.02054) each rank of a job owns some of the tensors, whole ones, so
   that an optimizer sees all of a matrix: it alone keeps their masters and moments. A step takes a
   sum of each gradient at its owner, and each weight from there to all. */

#include "model.h"
#include "blocks.h"

/* ---- Who owns them --------------------------------------------------------------------------- */

static size_t max_size(size_t a, size_t b) { return a > b ? a : b; }

/* How many numbers the product of a tensor has. */
static size_t product_size(const Tensor *t) { return (size_t)t->out * max_int(1, t->cols); }

/* Of two products the larger one first, then the first one. */
static int by_size(const void *a, const void *b) {
    const Tensor *x = *(Tensor *const *)a, *y = *(Tensor *const *)b;
    if (product_size(x) != product_size(y)) return product_size(x) < product_size(y) ? 1 : -1;
    return x < y ? -1 : 1;
}

/* Products of matrices, from the largest one on, go to the rank that owns least so far; vectors
   stay with the matrix before them. What is frozen counts for nothing. */
static int choose_owners(Model *m) {
    const int n = m->end - m->tensors;
    Tensor **order = malloc(sizeof *order * n);
    size_t *owned = calloc(job.ranks, sizeof *owned);
    int count = 0;
    for (int i = 0; order && i < n; i++)
        if (m->tensors[i].cols && !m->tensors[i].row && !m->tensors[i].frozen)
            order[count++] = &m->tensors[i];
    if (order) qsort(order, count, sizeof *order, by_size);
    for (int i = 0; owned && i < count; i++) {
        int least = 0;
        for (int r = 1; r < job.ranks; r++) if (owned[r] < owned[least]) least = r;
        order[i]->owner = least;
        owned[least] += product_size(order[i]);
    }
    for (Tensor *t = m->tensors; t < m->end; t++) if (!t->cols || t->row) t->owner = t[-1].owner;
    int failed = order && owned ? 0 : chat_fail("no memory for the owners of %d tensors", n);
    free(order);
    free(owned);
    return failed;
}

const Tensor *next_run(const Tensor *t, const Tensor *end, size_t *n) {
    const Tensor *next = t + 1;
    while (next < end && next->owner == t->owner && next->frozen == t->frozen) next++;
    *n = t->frozen ? 0 : (size_t)(next[-1].w - t->w) + size_of(next - 1);
    return next;
}

/* ---- Where they lie -------------------------------------------------------------------------- */

/* Memory that is cut into pieces, twice in the same way: with base NULL, to count the bytes, and
   then to place the pieces. */
typedef struct { char *base; size_t used; } Arena;

/* The next piece of the arena. It begins where any load is aligned. */
static void *take(Arena *a, size_t count, size_t size) {
    void *piece = a->base ? a->base + a->used : NULL;
    a->used += (count + 63) / 64 * 64 * size;
    return piece;
}

/* Floats of a tensor, behind those of the one before in its product. */
static float *take_part(Arena *a, const Tensor *t, float *const *before) {
    if (!t->row) return take(a, product_size(t), sizeof(float));
    return *before ? *before + size_of(t - 1) : NULL;
}

static int is_packed(const Tensor *t) {
    return t->multiplied && linear_packed_size(t->cols, t->out) > 0;
}

/* Whether a tensor is read where model_map says that it lies. */
static int is_mapped(const Model *m, const Tensor *t) {
    return m->flags & MAPPED && quant_multiplies() && (t->multiplied || t == m->wte);
}

/* What it can a model holds packed and in no other way, unless it may learn that; and nothing of
   what is mapped. */
static size_t place_weights(Model *m, char *base) {
    Arena a = { base, 0 };
    for (Tensor *t = m->tensors; t < m->end; t++) {
        if (is_mapped(m, t)) continue;
        if (t->row) t->w = t[-1].w ? t[-1].w + size_of(t - 1) : NULL;
        else if ((m->flags & TRAINS && !t->frozen) || !is_packed(t))
            t->w = take(&a, product_size(t), sizeof(real));
    }
    for (Tensor *t = m->tensors; t < m->end; t++) {
        if (is_mapped(m, t)) continue;
        if (t->row) t->packed = t[-1].packed;
        else if (is_packed(t))
            t->packed = take(&a, linear_packed_size(t->cols, t->out), sizeof(real));
    }
    return a.used;
}

static int has_master(const Model *m, const Tensor *t) {
    return m->flags & TRAINS && !(m->flags & NO_MASTERS) && sizeof(real) < sizeof(float)
        && !t->frozen;
}

static size_t place_masters(Model *m, char *base) {
    Arena a = { base, 0 };
    for (Tensor *t = m->tensors; t < m->end; t++)
        if (has_master(m, t) && is_kept(m, t)) t->master = take_part(&a, t, &t[-1].master);
    return a.used;
}

static size_t place_gradients(Model *m, char *base) {
    Arena a = { base, 0 };
    for (Tensor *t = m->tensors; t < m->end; t++) {
        if (!t->frozen) t->grad = take_part(&a, t, &t[-1].grad);
    }
    return a.used;
}

static void place_muon(Model *m, Arena *a) {
    size_t whole = 0, square = 0, work = 0;
    for (const Tensor *t = m->tensors; t < m->end; t++) {
        const int n = min_int(t->out, t->cols), K = max_int(t->out, t->cols);
        if (!t->muon || t->row || t->frozen || !is_kept(m, t)) continue;
        whole = max_size(whole, product_size(t));
        square = max_size(square, (size_t)n * n);
        work = max_size(work, max_size(symmetric_work(n, K), linear_work(t->out, t->cols, n, 1)));
    }
    real **const reals[] = { &m->muon.x, &m->muon.y, &m->muon.g, &m->muon.q, &m->muon.p,
                             &m->muon.t };
    for (int i = 0; i < 6; i++) *reals[i] = take(a, i < 2 ? whole : square, sizeof(real));
    m->muon.wide = take(a, square, sizeof(float));
    m->muon.work = take(a, work, 1);
}

static size_t place_moments(Model *m, char *base) {
    Arena a = { base, 0 };
    for (Tensor *t = m->tensors; t < m->end; t++) {
        if (t->frozen || !is_kept(m, t)) continue;
        t->moment1 = take_part(&a, t, &t[-1].moment1);
        if (!t->muon) t->moment2 = take_part(&a, t, &t[-1].moment2);
    }
    if (m->flags & MUON) place_muon(m, &a);
    return a.used;
}

/* Memory for pieces that there are none of yet. */
static int fill(Model *m, char **arena, size_t (*place)(Model *m, char *base)) {
    if (*arena) return 0;
    if (!(*arena = device_alloc(place(m, NULL) + 1))) return -1;     /* 0 bytes if all is frozen */
    place(m, *arena);
    return 0;
}

int ensure_gradients(Model *m) {
    if (!(m->flags & TRAINS))
        return chat_fail("the model was made only to generate: it has no gradients");
    if (!m->grads) m->n_grads = place_gradients(m, NULL) / sizeof(float);
    return fill(m, &m->grads, place_gradients);
}

int ensure_moments(Model *m) {
    return ensure_gradients(m) || fill(m, &m->moments, place_moments) ? -1 : 0;
}

/* ---- The plan of activations ----------------------------------------------------------------- */

/* What kernels need for a while. */
static size_t work_size(const Model *m, int N, int M, int training) {
    const Config *c = &m->config;
    size_t work = extend_work(N, c->context, c->heads, c->head_dim);
    if (training) work = max_size(work, attention_work(1, N, c->heads, c->head_dim));
    if (training) work = max_size(work, norm_work(N, c->channels));
    if (training) work = max_size(work, norm_work(N, c->qk_norm == QK_WIDE
                                  ? (c->heads + c->kv_heads) * c->head_dim : c->head_dim));
    for (const Tensor *t = m->tensors; t < m->end; t++) {
        const int n = t == m->head ? M : N;
        if (!t->multiplied || t->row) continue;
        work = max_size(work, is_mapped(m, t) ? quant_inputs_size(n, t->cols)
                                              : linear_work(n, t->cols, t->out, training));
    }
    return work;
}

#define TAKE(count, size) take(arena, count, size)

/* The activations of layer l, on N rows. */
static void place_layer(Model *m, int l, Arena *arena, size_t N, int training) {
    const Config *c = &m->config;
    const size_t C = c->channels, HD = (size_t)c->heads * c->head_dim, k = experts_used(c);
    const size_t R = sizeof(real), S = sizeof(float), I = sizeof(int);
    const int transformed = c->qk_norm || c->position == ROPE;
    const int post = c->block == POST_NORM || c->block == SANDWICH;
    const int blocks = training && !(m->flags & RECOMPUTE_BLOCKS);   /* keep what is in them, */
    const int all = blocks && !(m->flags & RECOMPUTE);               /* all of it */
    Activations *a = &m->acts[l];
    #define KEEP(kept, piece, count, size) \
        (a->piece = l > 0 && !(kept) ? m->acts[0].piece : TAKE(count, size))
    KEEP(training, x, N * C, R);
    KEEP(blocks, mean1, N, S);       KEEP(blocks, rstd1, N, S);
    a->h1 = a->x;
    if (c->block != POST_NORM) KEEP(all, h1, N * C, R);
    KEEP(blocks && (c->qk_norm || !transformed), qkv, N * m->W, R);
    KEEP(blocks, qk_rstd, N * (c->heads + c->kv_heads), S);
    a->rotated = a->qkv;
    if (transformed) KEEP(blocks, rotated, N * m->W, R);
    KEEP(blocks, att, N * HD, R);    KEEP(blocks, lse, N * c->heads, S);
    if (post) {
        KEEP(blocks, branch1, N * C, R); KEEP(blocks, branch2, N * C, R);
        KEEP(blocks, post_mean1, N, S);  KEEP(blocks, post_rstd1, N, S);
        KEEP(blocks, post_mean2, N, S);  KEEP(blocks, post_rstd2, N, S);
    }
    KEEP(blocks, mid, N * C, R);
    if (c->block == PARALLEL_SHARED) {
        a->mean2 = a->mean1;         a->rstd2 = a->rstd1;
        a->h2 = a->h1;
    } else {
        KEEP(blocks, mean2, N, S);   KEEP(blocks, rstd2, N, S);
        a->h2 = a->mid;
        if (c->block != POST_NORM) KEEP(all, h2, N * C, R);
    }
    if (c->experts) {
        KEEP(blocks, probs, N * c->experts, S);  KEEP(blocks, shares, N * k, S);
        KEEP(blocks, chosen, N * k, I);          KEEP(blocks, places, N * k, I);
    }
    KEEP(blocks, up, N * m->U, R);   KEEP(all, act, N * m->F, R);
    #undef KEEP
}

static size_t place_activations(Model *m, char *base, size_t N, size_t M, int training) {
    const Config *c = &m->config;
    const size_t C = c->channels, HD = (size_t)c->heads * c->head_dim, I = sizeof(int);
    const size_t k = experts_used(c), R = sizeof(real), S = sizeof(float);
    Arena whole = { base, 0 }, *arena = &whole;
    for (int l = 0; l < c->layers; l++) place_layer(m, l, arena, N, training);
    m->tokens = TAKE(N, I);     m->targets = TAKE(N, I);  m->doc_start = TAKE(N, I);
    m->positions = TAKE(N, I);  m->starts = TAKE(N, I);
    m->last = TAKE(N * C, R);   m->h = TAKE(N * C, R);
    m->mean = TAKE(N, S);       m->rstd = TAKE(N, S);
    m->pairs = TAKE(N * k * C, R);
    m->low = TAKE(N * c->lora, R);
    m->logits = TAKE(M * m->head->out, S);
    m->settings = TAKE(M, sizeof(Sampling));
    m->drawn = TAKE(M, I);      m->logprobs = TAKE(M, S);
    if (training) {
        m->by_token = TAKE(N, I);       m->by_position = TAKE(N, I);
        m->target_rows = TAKE(N, I);    m->target_index = TAKE(N, I);
        m->out = TAKE(N, S);            m->coef = TAKE(N, S);
        m->dh = TAKE(N * C, R);         m->dlogits = TAKE(M * m->head->out, R);
        m->dx = TAKE(N * C, R);         m->dc = TAKE(N * C, R);
        m->dw = TAKE(N * m->W, R);      m->du = TAKE(N * m->U, R);
        m->da = TAKE(N * max_size(HD, m->F), R);
        m->dpairs = TAKE(N * k * C, R); m->drouter = TAKE(N * c->experts, R);
        m->dlow = TAKE(N * c->lora, R);
    }
    m->work = TAKE(work_size(m, N, M, training), 1);
    return whole.used;
}
#undef TAKE

int plan(Model *m, int N, int rows, int training) {
    int M = min_int(rows, nll_rows());
    m->undrawn = m->extended = 0;
    for (const Tensor *t = m->tensors; m->flags & MAPPED && !m->rows && t < m->end; t++)
        if (is_mapped(m, t) && !t->blocks)
            return chat_fail("%s has not been mapped: model_map says where it lies", t->name);
    if (N <= m->rows && M <= m->logit_rows && training <= m->training) return 0;
    if (m->config.experts && N > (1 << 28) / m->config.experts_used)
        return chat_fail("%d tokens at once, each in %d experts, are too many: use a smaller batch",
                         N, m->config.experts_used);
    if (training == m->training) {               /* by turns many rows and many logits: once both */
        N = max_int(N, m->rows);
        M = max_int(M, m->logit_rows);
    }
    m->T = m->rows = m->logit_rows = 0;
    m->plans++;
    device_free(m->arena);
    free(m->target_rows_host);
    m->arena = NULL;
    m->target_rows_host = NULL;
    size_t bytes = place_activations(m, NULL, N, M, training);
    if (bytes > device_memory())
        return chat_fail("%d tokens at once need %.1f GB for activations, and there are %.1f GB of"
                         " memory: use a smaller batch", N, bytes / 1e9, device_memory() / 1e9);
    if (training && !(m->target_rows_host = malloc(sizeof(int) * N)))
        return chat_fail("no memory for %d rows", N);
    if (!(m->arena = device_alloc(bytes))) return -1;
    place_activations(m, m->arena, N, M, training);
    m->rows = N;
    m->logit_rows = M;
    m->training = training;
    return 0;
}

/* ---- Making and freeing ---------------------------------------------------------------------- */

/* All of a model that takes no memory to speak of. */
static int outline(Model *m, const Config *config, int flags) {
    if (flags & MAPPED && flags & TRAINS)
        return chat_fail("a model cannot learn weights that are mapped");
    if (flags & MUON && config->lora)
        return chat_fail("Muon moves whole matrices, but with lora only adapters learn: use AdamW");
    const int E = config->experts, k = experts_used(config);
    const int dense = !E || config->expert_period > 1;           /* some layers have no experts */
    const int most = 6 + (32 + EXPERT_TENSORS * E) * config->layers;     /* tensors at most */
    m->config = *config;
    m->flags = flags;
    m->W = (config->heads + 2 * config->kv_heads) * config->head_dim;
    m->F = max_int(dense ? config->hidden : 0, k ? k * config->expert_hidden : 0);
    m->U = m->F * (is_gated(config) ? 2 : 1);
    m->P = (config->vocab + 127) / 128 * 128;
    m->layers = calloc(config->layers + 1, sizeof(Layer));
    m->acts = calloc(config->layers, sizeof(Activations));
    m->tensors = calloc(most, sizeof(Tensor));
    m->begins = calloc((size_t)config->layers * (E + 1), sizeof(int));
    if (!m->layers || !m->acts || !m->tensors || !m->begins)
        return chat_fail("no memory for %d layers", config->layers);
    list_tensors(m);
    return job.ranks > 1 ? choose_owners(m) : 0;
}

static void free_outline(Model *m) {
    free(m->begins);
    free(m->tensors);
    free(m->layers);
    free(m->acts);
}

/* Of the tables, for so many positions. */
static size_t rope_bytes(const Config *c, int rows) {
    return c->position == ROPE ? sizeof(float) * (1 + c->local_rope) * rows * c->head_dim : 0;
}

int model_memory(Memory *memory, const Config *config, int flags, int N, int slots, int length) {
    Model m = { 0 };
    const int training = flags & TRAINS, rows = training || slots == 0 ? N : min_int(N, slots);
    int failed = check_config(config) || outline(&m, config, flags);
    if (!failed) {
        const int rope_rows = min_int(max_int(N, length), config->context);
        *memory = (Memory){ .weights = place_weights(&m, NULL) + rope_bytes(config, rope_rows),
                            .masters = place_masters(&m, NULL),
                            .cache = cache_bytes(&m, (double)slots * length) };
        if (training) memory->gradients = place_gradients(&m, NULL);
        if (training) memory->moments = place_moments(&m, NULL);
        if (N) memory->activations = place_activations(&m, NULL, N, min_int(rows, nll_rows()),
                                                       training);
    }
    free_outline(&m);
    return failed ? -1 : 0;
}

/* Keeps `rope`, which model_create was given. */
static int keep_turns(Model *m, const double *rope) {
    const size_t bytes = sizeof(double) * (1 + m->config.local_rope) * (1 + m->config.head_dim / 2);
    if (!(m->turns = malloc(bytes))) return chat_fail("no memory for RoPE's frequencies");
    memcpy(m->turns, rope, bytes);
    return 0;
}

int ensure_ropes(Model *m, int rows) {
    const int D = m->config.head_dim, tables = 1 + m->config.local_rope;
    if (!m->turns || rows <= m->rope_rows) return 0;
    rows = min_int(max_int(rows, 2 * m->rope_rows), m->config.context);
    double *frequencies = device_alloc(D / 2 * sizeof(double));
    m->plans++;                                  /* recorded steps point to the tables before */
    m->rope_rows = 0;
    for (int i = 0; frequencies && i < tables; i++) {
        const double *turns = m->turns + i * (1 + D / 2);
        device_free(m->rope[i]);
        if (!(m->rope[i] = device_alloc(rope_bytes(&m->config, rows) / tables))) break;
        device_write(frequencies, turns + 1, D / 2 * sizeof(double));
        rope_table(m->rope[i], frequencies, (float)turns[0], rows, D);
        if (i == tables - 1) m->rope_rows = rows;
    }
    device_free(frequencies);
    return m->rope_rows ? 0 : -1;
}

static int make(Model *m, const Config *c, const double *rope, int flags) {
    if (outline(m, c, flags)) return -1;
    const size_t masters = place_masters(m, NULL);
    const double need = (double)place_weights(m, NULL) + masters;
    if (need > device_memory())
        return chat_fail("a model of %d layers, %d channels and vocabulary %d needs %.1f GB for its"
                         " weights, and there are %.1f GB of memory", c->layers, c->channels,
                         c->vocab, need / 1e9, device_memory() / 1e9);
    if (fill(m, &m->weights, place_weights)) return -1;
    if (masters && fill(m, &m->masters, place_masters)) return -1;
    return c->position == ROPE ? keep_turns(m, rope) : 0;
}

int model_create(Model **out, const Config *config, const double *rope, int flags) {
    *out = NULL;
    if (check_config(config) || check_rope(config, rope) || device_ready()) return -1;
    Model *m = calloc(1, sizeof(Model));
    if (!m) return chat_fail("no memory for a model");
    if (make(m, config, rope, flags)) { model_free(m); return -1; }
    *out = m;
    return 0;
}

int model_reserve(Model *m, int N) {
    if (N < 1) return chat_fail("%d tokens to make room for", N);
    return ensure_moments(m) || plan(m, N, N, 1) ? -1 : 0;
}

void model_free(Model *m) {
    if (!m) return;
    leave_caches(m);
    device_free(m->weights); device_free(m->masters); device_free(m->grads);
    device_free(m->moments); device_free(m->arena);
    device_free(m->rope[0]); device_free(m->rope[1]);
    free(m->turns);
    device_free(m->ids); device_free(m->biases);
    free(m->target_rows_host);
    free_outline(m);
    free(m);
}

/* ---- Reading and writing tensors ------------------------------------------------------------- */

int model_tensors(const Model *m) { return m->end - m->tensors; }

static Tensor *find(const Model *m, int index) {
    if (index >= 0 && index < model_tensors(m)) return &m->tensors[index];
    chat_fail("there is no tensor %d; the model has %d", index, model_tensors(m));
    return NULL;
}

int model_tensor(const Model *m, int index, TensorInfo *info) {
    const Tensor *t = find(m, index);
    if (!t) return -1;
    *info = (TensorInfo){ .rows = t->rows, .cols = t->cols, .decay = t->decay,
                          .frozen = t->frozen, .muon = t->muon };
    memcpy(info->name, t->name, sizeof t->name);
    return 0;
}

int model_freeze(Model *m, int index) {
    Tensor *t = find(m, index);
    if (!t) return -1;
    if (m->grads || m->moments)
        return chat_fail("%s has a gradient already: freeze it before the first one", t->name);
    t = product_of(t);
    do { t->frozen = 1; t->master = NULL; } while (++t < m->end && t->row);
    return 0;
}

/* The floats of this kind exist from now on, unless another rank has them. */
static int ensure_kind(Model *m, int what, const Tensor *t) {
    if (what < WEIGHT || what > MOMENT2) return chat_fail("%d is no kind of tensor", what);
    if (!(m->flags & TRAINS))
        return chat_fail("a model made only to generate cannot give its tensors back");
    if (what == WEIGHT) return 0;
    if (t->frozen) return chat_fail("%s is frozen: it has no gradient and no moments", t->name);
    if (t->muon && what == MOMENT2)
        return chat_fail("%s is updated by Muon, which has no second moment", t->name);
    return what == GRADIENT ? ensure_gradients(m) : ensure_moments(m);
}

static float *floats_of(const Tensor *t, int what) {
    float *const each[] = { t->master, t->grad, t->moment1, t->moment2 };
    return each[what];
}

/* out (rows,cols) = a tensor's reals, in float. */
static int read_reals(const Tensor *t, float *out) {
    const size_t count = size_of(t), bytes = count * sizeof(float);
    if (sizeof(real) == sizeof(float)) return device_read(out, t->w, bytes);
    float *wide = device_alloc(bytes);
    if (!wide) return -1;
    widen(wide, t->w, count);
    int failed = device_read(out, wide, bytes);
    device_free(wide);
    return failed;
}

int model_read(Model *m, int what, int index, float *out) {
    const Tensor *t = find(m, index);
    if (!t || ensure_kind(m, what, t)) return -1;
    if (what == WEIGHT && !t->w)
        return chat_fail("%s is frozen and packed: it cannot be read back", t->name);
    if (what == WEIGHT && !has_master(m, t)) return read_reals(t, out);
    const size_t bytes = size_of(t) * sizeof(float);
    if (is_kept(m, t) && device_read(out, floats_of(t, what), bytes)) return -1;
    return m->flags & SHARD ? comm_broadcast(out, bytes, t->owner) : 0;
}

/* The reals of a tensor = values, rounded to the nearest: some rows at a time, so that there is no
   second copy of all. Where weights only are packed, that is done here. */
static int write_reals(Tensor *t, const float *values) {
    const size_t cols = max_int(1, t->cols);
    const int some = min_int(1024, t->rows);
    product_of(t)->stale = 1;
    if (sizeof(real) == sizeof(float) && t->w) {
        device_write(t->w, values, size_of(t) * sizeof(float));
        return 0;
    }
    float *wide = device_alloc(sizeof(float) * some * cols);
    real *rows = device_alloc(sizeof(real) * some * cols);
    for (int r = 0; wide && rows && r < t->rows; r += some) {
        const int n = min_int(some, t->rows - r);
        device_write(wide, values + r * cols, sizeof(float) * n * cols);
        narrow(rows, wide, n * cols);
        if (t->w) device_copy(t->w + r * cols, rows, sizeof(real) * n * cols);
        else linear_pack(t->packed, rows, t->row + r, n, t->cols, t->out);
    }
    device_free(wide);
    device_free(rows);
    return wide && rows ? 0 : -1;
}

int model_write(Model *m, int what, int index, const float *values) {
    Tensor *t = find(m, index);
    if (!t) return -1;
    if (is_mapped(m, t)) return chat_fail("%s is mapped, so it cannot be written", t->name);
    if (m->flags & TRAINS || what != WEIGHT) {
        if (ensure_kind(m, what, t)) return -1;
        float *floats = floats_of(t, what);
        if (floats) device_write(floats, values, size_of(t) * sizeof(float));
    }
    return what == WEIGHT ? write_reals(t, values) : 0;
}

size_t quant_row(int type, int C) {
    const int numbers = block_numbers(type);
    return numbers && C % numbers == 0 ? (size_t)(C / numbers) * block_bytes(type) : 0;
}

/* A tensor's reals = the numbers in blocks, some rows at a time. */
static int expand(Tensor *t, int type, const char *data, int rows, int cols, int pairs) {
    const size_t bytes = quant_row(type, cols);
    const int some = min_int(max_int(1, (1 << 24) / cols), rows);
    float *wide = device_alloc(sizeof(float) * some * cols);
    char *blocks = device_alloc(bytes * some);
    for (int r = 0; wide && blocks && r < rows; r += some) {
        const int n = min_int(some, rows - r);
        device_write(blocks, data + r * bytes, n * bytes);
        dequantize(wide, blocks, type, (size_t)n * cols);
        if (!pairs) narrow(t->w + (size_t)r * cols, wide, (size_t)n * cols);
        for (int i = 0; pairs && i < n; i++)
            narrow(t->w + (size_t)paired_row(r + i, pairs) * cols, wide + (size_t)i * cols, cols);
    }
    device_free(wide);
    device_free(blocks);
    return wide && blocks ? 0 : -1;
}

int model_map(Model *m, int index, int type, const void *data, size_t bytes, int pairs) {
    Tensor *t = find(m, index);
    if (!t) return -1;
    if (!(m->flags & MAPPED))
        return chat_fail("%s cannot be mapped: the model was not made with MAPPED", t->name);
    const int one = !t->cols && !pairs;          /* a vector is one row, or pairs of numbers */
    const int rows = one ? 1 : t->rows, cols = one ? t->rows : max_int(1, t->cols);
    const size_t row = quant_row(type, cols);
    if (!row)
        return chat_fail("%s has rows of %d numbers in type %d, which is not read here",
                         t->name, cols, type);
    if (bytes != row * rows)
        return chat_fail("%s is %zu bytes long, but (%d,%d) in type %d are %zu",
                         t->name, bytes, rows, cols, type, row * rows);
    if (pairs && (pairs < 2 || pairs % 2 || rows % pairs))
        return chat_fail("%s has no heads of %d rows in pairs, but %d rows", t->name, pairs, rows);
    if (!is_mapped(m, t)) return expand(t, type, data, rows, cols, pairs);
    t->blocks = data;
    t->type = type;
    t->pairs = pairs;
    return 0;
}

void pack_weights(Model *m) {
    for (Tensor *t = m->tensors; t < m->end; t->stale = 0, t++)
        if (t->stale && t->packed && t->w && t->row == 0)
            linear_pack(t->packed, t->w, 0, t->out, t->cols, t->out);
}
