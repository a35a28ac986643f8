/* model.h: what a model and its cache are made of; shared by layout.c, which lays them out in
   memory, and model.c, which computes. */

#ifndef MODEL_H
#define MODEL_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "real.h"
#include "job.h"

/* A parameter is its offset in the arena: the same for weights, gradients and moments. */
typedef size_t Offset;
#define NONE SIZE_MAX                /* a parameter that this architecture does not have */

typedef struct { Offset weight, bias; } Norm;                     /* (C), (C) */
typedef struct {
    Offset weight, bias, packed;     /* (out,in), (out), weight again as linear_pack lays it out */
    int in, out;
    int tensor, parts;               /* its rows are those of `parts` tensors, from this one on */
} Linear;

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
    int how;                         /* without TRAINS linear weights are kept packed only */
    int W, U, P;                     /* rows of qkv, rows of up, rows of the head padded to 128 */
    TensorInfo *tensors;
    Offset *offsets;
    int n_tensors;

    Offset wte, wpe;                 /* (P,C), (context,C) */
    Layer *layers;
    Norm norm;
    Linear head;                     /* (P,C): the embedding, lm_head or the scalar head */

    size_t n_weights, n_packed;
    size_t embedding, layer;         /* sizes of the first bucket and of a layer's: see shard.c */
    int shards, shard;               /* masters and moments are this one's; without SHARD 0 of 1 */
    real *weights, *packed;
    float *masters;                  /* NULL where real is float, and with NO_MASTERS */
    float *grads, *moment1, *moment2;    /* NULL before their first use; the last two a shard's */
    int stale;                       /* weights changed since they were packed */
    float *rope;                     /* (context,D) */

    int rows, training;              /* the plan: N, and whether it keeps what backward needs */
    void *arena;
    Activations *acts;               /* (L); what need not be kept, all layers share */
    int *tokens, *targets, *first, *positions, *starts;  /* (N); starts: of the rows' slots */
    int *by_token, *by_position;     /* (N) rows, sorted */
    int n_asked, *asked, *nth;       /* the rows that the head computes; which of them each is (N) */
    int *asked_in;                   /* how many of them are in each nll_rows() rows; on the host */
    real *last, *h, *dh;             /* (N,C): out of the blocks, norm of it, its gradient */
    float *mean, *rstd;
    float *out, *coef;               /* (N): nll or values, and dLoss/dout */
    float *logits;                   /* (nll_rows,P) */
    real *dlogits;
    Sampling *settings;              /* (nll_rows): of model_sample, and what comes of it */
    int *drawn;
    float *logprobs;
    int *ids, n_ids;                 /* those that settings name, and how many there is room for */
    real *dx, *dc, *dw, *du, *da;    /* gradients (N,C), (N,C), (N,W), (N,U), (N,max(F,H*D)) */
    void *work;

    int B, T, has_first, fused;      /* the batch of the last model_forward; T = 0: none */
    int undrawn;                     /* rows of logits that model_extend left for model_sample */
    int plans;                       /* how often the arena was made anew */
};

struct Cache {
    Model *model;
    int slots, total;
    struct Slot { int start, length, used; } *slot;      /* (slots): of `total` tokens its own from
                                        start on, and how many of them it holds */
    real *keys, *values;             /* (L,total,K*D) */
    void **graphs;                   /* (slots): of a step of 1, 2, ... slots by one token each */
    int plans;                       /* the model's, when they were recorded */
};

/* How many keys a query of layer l sees; 0: all. */
static inline int window_of(const Config *c, int l) {
    return c->window_period && (l + 1) % c->window_period == 0 ? 0 : c->window;
}
static inline size_t size_of(const TensorInfo *t) {
    return (size_t)t->rows * (t->cols ? t->cols : 1);
}
static inline const real *weight(const Model *m, Offset p) {
    return p == NONE ? NULL : m->weights + p;
}
static inline float *grad(const Model *m, Offset p) {
    return p == NONE ? NULL : m->grads + p;
}

#pragma GCC visibility push(hidden)

/* An arena of gradients or moments comes to be, as zeros, where it is first needed. */
int ensure(const Model *m, float **arena);

/* The part of a tensor that a shard keeps: `count` elements from `first` on; they lie in the arena
   from `at` on, and in the shard's own arenas from `own` on. */
typedef struct { size_t first, count, at, own; } Part;
Part part_of(const Model *m, int index, int shard);
size_t shard_size(const Model *m);   /* floats in an own arena */

/* Which of the layers + 2 buckets a tensor lies in. */
int bucket_of(const Model *m, int index);

/* Begin to sum a bucket's gradients over the ranks; to give all ranks its weights. */
void reduce_bucket(const Model *m, int bucket);
void gather_bucket(const Model *m, int bucket);

/* *sum = that of the squares of all gradients. */
int sum_gradients(const Model *m, double *sum);

/* Makes room for N rows, with the activations of all layers (training) or of one (generation). */
int plan(Model *m, int N, int training);

/* Where device_record keeps the step in which n slots grow by a token each; NULL in it at first and
   whenever what it points to has moved. */
void **graph_of(Cache *x, int n);

/* Lays the weights out for linear_forward, if they have changed since. */
void pack_weights(Model *m);

#pragma GCC visibility pop

#endif
