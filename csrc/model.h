/* model.h: what a model and its cache are made of; shared by parameters.c, which lists the
   parameters, tensors.c, which finds room for everything, and model.c, which computes. */

#ifndef MODEL_H
#define MODEL_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "real.h"
#include "job.h"

/* A parameter. Those that are multiplied together (q, k, v; gate, up) are parts of one product:
   they lie one behind the other, and the first stands for all, as a weight W (out,cols). The
   product may have an adapter (LoRA, arXiv:2106.09685): y = x W^T + (x A^T) B^T. */
typedef struct Tensor Tensor;
struct Tensor {
    char name[64];
    int rows, cols;                  /* (rows,cols), or (rows,) where cols is 0 */
    int decay;                       /* weight decay applies */
    int multiplied;                  /* the weight of a linear layer, which may be packed */
    int row, out;                    /* its first row in its product, of how many rows, padded */
    int frozen;                      /* has no gradient and is never updated */
    int muon;                        /* updated by Muon, its whole product at once */
    Tensor *adapter;                 /* A (lora,cols), and behind it B (out,lora); NULL: none */
    int owner;                       /* the rank that updates it; with SHARD the others do not */
    real *w;                         /* (rows,cols); NULL: there is only `packed`, or `blocks` */
    real *packed;                    /* the whole product, for linear_forward; NULL: it reads w */
    int stale;                       /* w, or another of its product, changed since */
    const void *blocks;              /* where model_map said that it lies; NULL: nowhere (so far) */
    int type, pairs;                 /* how, for quant_forward */
    float *master;                   /* NULL: w is all there is, or another rank has it */
    float *grad;                     /* NULL: frozen, or not used so far */
    float *moment1, *moment2;        /* NULL: frozen, not used so far, or another rank has them;
                                        moment2: or Muon, which has none */
};

/* Where among its tensors, gate, up and down, an expert's two products begin. */
enum { EXPERT_UP, EXPERT_DOWN = 2, EXPERT_TENSORS };

typedef struct {                     /* NULL: this architecture does not have it */
    Tensor *first;                   /* of this layer; of one more, the first behind all layers */
    Tensor *norm1, *norm1_bias;      /* (C) */
    Tensor *qkv, *qkv_bias;          /* (W,C), (W): queries, keys, values */
    Tensor *q_norm, *k_norm;         /* (D), or (H*D) and (K*D) */
    Tensor *proj, *proj_bias;        /* (C,H*D), (C) */
    Tensor *post1, *post1_bias;      /* (C) */
    Tensor *norm2, *norm2_bias;      /* (C) */
    Tensor *up, *up_bias;            /* (F,C), or gate and up (2F,C); (F), (2F) */
    Tensor *down, *down_bias;        /* (C,F), (C) */
    Tensor *router, *experts;        /* (E,C); of each expert gate and up (2F,C), then down */
    Tensor *post2, *post2_bias;      /* (C) */
} Layer;

/* What the forward pass of one layer leaves for its backward pass. */
typedef struct {
    real *x;                         /* (N,C) the residual stream coming in */
    float *mean1, *rstd1;            /* (N) */
    real *h1;                        /* (N,C) norm(x), or x itself */
    real *qkv;                       /* (N,W) */
    float *qk_rstd;                  /* (N,H+K) */
    real *rotated;                   /* (N,W) qkv after norm and RoPE; qkv itself without either */
    real *att;                       /* (N,H*D) */
    float *lse;                      /* (N,H) */
    real *branch1;                   /* (N,C) attention before its own norm; NULL: it has none */
    float *post_mean1, *post_rstd1;  /* (N) */
    real *mid;                       /* (N,C) x + attention */
    float *mean2, *rstd2;            /* (N) */
    real *h2;                        /* (N,C) norm(mid), or of parallel blocks norm(x); mid; h1 */
    float *probs, *shares;           /* (N,E), (N,k): of experts, and of those that are chosen */
    int *chosen, *places;            /* (N,k): which they are, and where their rows lie */
    real *up;                        /* (N,F) or (N,2F); with experts k times as many rows */
    real *act;                       /* (N,F) */
    real *branch2;                   /* (N,C) the MLP before its own norm; NULL: it has none */
    float *post_mean2, *post_rstd2;  /* (N) */
} Activations;

/* What Muon needs for a while, of the largest of the products that this rank updates. */
typedef struct {
    real *x, *y;                     /* (out,cols) */
    real *g, *q, *p, *t;             /* (n,n), n the smaller of both */
    float *wide;                     /* (n,n) */
    void *work;
} Muon;

struct Model {
    Config config;
    int flags;
    int W, F, U, P;                  /* rows of qkv, a token's numbers of act and of up at most,
                                        vocabulary padded to 128 */
    Tensor *tensors, *end;           /* all of them, in the order of the checkpoint */
    Tensor *wte, *wpe;               /* (V,C), (context,C) or NULL */
    Layer *layers;
    Tensor *norm, *norm_bias;        /* (C) */
    Tensor *head;                    /* (P,C): the embedding or lm_head; or the scalar head (1,C) */

    char *weights, *masters, *grads, *moments;   /* the arenas where tensors have their numbers */
    size_t n_grads;                  /* floats */
    Muon muon;                       /* among the moments */
    double *turns;                   /* what model_create was given as rope; NULL: no RoPE */
    float *rope[2];                  /* (rope_rows,D): of layers; NULL, or of those with a window */
    int rope_rows;                   /* the positions that there were so far, at least */

    int rows, logit_rows, training;  /* the plan: N, M <= nll_rows(), whether backward may follow */
    char *arena;                     /* of all that follows */
    Activations *acts;               /* (L); what need not be kept, all layers share */
    int *tokens, *doc_start, *positions, *starts;    /* (N); starts: of the rows' slots */
    int *by_token, *by_position;     /* (N) rows, sorted */
    int n_targets, *target_rows_host;    /* the rows with a target, which alone the head computes */
    int *targets, *target_rows;      /* (n_targets): their targets; the same rows, on the device */
    int *target_index;               /* (N): which of these a row is, or n_targets */
    real *last, *h, *dh;             /* (N,C): out of the blocks, norm of it, its gradient */
    float *mean, *rstd;              /* (N) */
    float *out, *coef;               /* (n_targets): nll or values, and dLoss/dout */
    float *logits;                   /* (M,P) */
    real *dlogits;                   /* (M,P) */
    Sampling *settings;              /* (M): of model_sample, and what comes of it */
    int *drawn;
    float *logprobs;
    int *ids, n_ids;                 /* those that settings name, and how many there is room for */
    float *biases;                   /* (n_ids) */
    int *begins;                     /* (L,E+1), on the host: where the rows of each expert begin */
    real *pairs, *dpairs;            /* (N*k,C): rows by expert */
    real *drouter;                   /* (N,E) */
    real *dx, *dc, *dw, *du, *da;    /* gradients (N,C), (N,C), (N,W), (N,U), (N,max(F,H*D)) */
    real *low, *dlow;                /* (N,lora): x A^T of an adapter, and its gradient */
    void *work;

    int B, T, has_doc_start, fused;  /* the batch of the last model_forward; T = 0: none */
    int undrawn, extended;           /* rows of logits that model_extend left for model_sample, and
                                        rows of states for model_states */
    int plans;                       /* how often there was a new plan */
    Cache *caches;                   /* the first of those that are not freed */
};

struct Cache {
    Model *model;                    /* NULL: it was freed */
    Cache *next;                     /* of the same model */
    int slots, total;
    struct Slot { int start, length, used; } *slot;      /* (slots): of `total` tokens its own from
                                        start on, and how many of them it holds */
    char *keys, *values;             /* (L,total,K*D), each of kept_size() */
    void **graphs;                   /* (slots): of a step of 1, 2, ... slots by one token each */
    int plans;                       /* the model's, when they were recorded */
};

/* Where a block's attention looks: at its own batch, or at a cache. */
typedef struct { int B, T; const int *doc_start; Cache *cache; } Context;

/* How many keys a query of layer l sees; 0: all. */
static inline int window_of(const Config *c, int l) {
    return c->window_period && (l + 1) % c->window_period == 0 ? 0 : c->window;
}
static inline const float *rope_of(const Model *m, int l) {
    return m->rope[1] && window_of(&m->config, l) ? m->rope[1] : m->rope[0];
}
static inline float score_scale(const Config *c) {
    return c->attention_scale ? c->attention_scale : 1.f / sqrtf(c->head_dim);
}
static inline int is_parallel(const Config *c) {
    return c->block == PARALLEL || c->block == PARALLEL_SHARED;
}
static inline int is_gated(const Config *c) {
    return c->activation == SWIGLU || c->activation == GEGLU;
}
/* Whether keys and values are kept as halves, and how many bytes each takes. */
static inline int keeps_halves(const Model *m) { return m->flags & MAPPED && quant_multiplies(); }
static inline size_t kept_size(const Model *m) { return keeps_halves(m) ? 2 : sizeof(real); }
static inline int experts_used(const Config *c) { return c->experts ? c->experts_used : 0; }
static inline int has_experts(const Config *c, int l) {
    return c->experts && (l + 1) % c->expert_period == 0;
}
static inline int *begins_of(const Model *m, int l) {
    return m->begins + (size_t)l * (m->config.experts + 1);
}
static inline size_t size_of(const Tensor *t) { return (size_t)t->rows * max_int(1, t->cols); }
static inline const real *weight(const Tensor *t) { return t ? t->w : NULL; }
static inline float *grad(const Tensor *t) { return t ? t->grad : NULL; }
/* The first tensor of a product. */
static inline Tensor *product_of(Tensor *t) { while (t->row) t--; return t; }

/* Whether this rank keeps a tensor's master and moments, and updates it. */
static inline int is_kept(const Model *m, const Tensor *t) {
    return !(m->flags & SHARD) || t->owner == job.rank;
}

#pragma GCC visibility push(hidden)

/* Each parameter once, in the order of the checkpoint. */
void list_tensors(Model *m);

/* Gradients, and for the second moments too, come to be, as zeros, where they are first needed. */
int ensure_gradients(Model *m);
int ensure_moments(Model *m);

/* RoPE's tables hold at least so many positions from now on. */
int ensure_ropes(Model *m, int rows);

/* The tensor behind t and those of its neighbours (before `end`) that lie behind it and have the
   same owner. They travel together: *n numbers from t->w, or from t->grad, on; 0 if frozen. */
const Tensor *next_run(const Tensor *t, const Tensor *end, size_t *n);

/* Makes room for N rows, of which `rows` have logits (nll_rows() of them at a time), with the
   activations of all layers (training) or of one (generation). */
int plan(Model *m, int N, int rows, int training);

/* Bytes of keys and values. */
double cache_bytes(const Model *m, double tokens);

/* *total = the tokens that model_extend is to append; fails unless it can. */
int check_extend(const Model *m, const Cache *x, const int *slots, const int *tokens,
                 const int *counts, int n, int *total);

/* Where device_record keeps the step in which n slots grow by a token each; NULL in it at first and
   whenever what it points to has moved. */
void **graph_of(Cache *x, int n);

/* Before a model is freed. */
void leave_caches(Model *m);

/* To the device: tokens and positions, their orders too if embed_backward is to come; which of N
   rows have a target, and which (NULL: all rows of a scalar head); the weights of those rows. */
int upload_batch(Model *m, const int *tokens, const int *doc_start, int B, int T, int backward);
int upload_targets(Model *m, const int *targets, int N);
int upload_weights(Model *m, const float *weights);

/* Which rows go through which expert of layer l: begins and places of what N rows chose. */
int group_rows(const Model *m, int l, int N);

/* Layer l on N rows: reads a->x, writes next (which may be a->x); NULL: only what the backward pass
   needs is wanted. (model.c) */
int block_forward(const Model *m, int l, Activations *a, real *next, const Context *x, int N);

/* One step of Muon for a product that this rank keeps, whose first weight is number `at` of the
   model. (muon.c) */
void muon_update(Model *m, Tensor *t, const AdamW *adam, size_t at);

/* Lays the weights out for linear_forward, if they have changed since. */
void pack_weights(Model *m);

#pragma GCC visibility pop

#endif
