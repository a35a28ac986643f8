/* chat.h: the C API of chat.c, and its manual; kernels.h has what a model is computed with.

   The same declarations serve C and Python: csrc/bind.py hands both files to cffi as they are,
   which is why they have no #include and no guards; C files get them through csrc/real.h.

   real      the type of weights and activations: float, or bfloat16 (2 bytes). The build decides.
             Sums, statistics, losses, gradients of parameters and optimizer state are float.
   Letters   B batch, T time, N = B*T rows, C channels, H query heads, K key/value heads, D size of
             a head, F hidden width, V vocabulary, L layers. W = (H + 2*K)*D: a row of q, k, v.
             E experts of a layer, of which each row goes through k.
   Shapes    are row-major, the last index fastest. Outputs come first, then inputs, then sizes.
   =, +=     an output marked "=" is overwritten, one marked "+=" is added to.
   Errors    entry points return 0, or non-zero with a sentence in chat_error(). Kernels return
             nothing: their arguments were checked at the border. Nothing here prints, and only
             comm_abort exits.
   Threads   one call at a time per model. Results have the same bits at any number of threads, and
             on a GPU each time that the same call is made.
   Ranks     calls marked "on all ranks" talk to the other ranks of a job, which must make them too,
             in the same order. */

typedef struct Model Model;
typedef struct Cache Cache;

/* ---- The model ------------------------------------------------------------------------------- */

enum { LAYERNORM, RMSNORM, PLAINNORM };      /* Config.norm; the last: LayerNorm without weights */
enum { LEARNED, ROPE };                      /* Config.position */
enum { GELU, SWIGLU, GEGLU, GELU_ERF };      /* Config.activation; GELU and GEGLU: the tanh form */
enum { BIAS_NONE, BIAS_QKV, BIAS_PROJ, BIAS_MLP = 4, BIAS_ALL = 7 };     /* Config.bias: a sum */
enum { QK_PLAIN, QK_HEAD, QK_WIDE };         /* Config.qk_norm: none, over D, over all heads */
enum {                               /* Config.block: what is added to the residual stream x */
    PRE_NORM,                        /* attention(norm(x)), then mlp(norm(x)) */
    POST_NORM,                       /* norm(attention(x)), then norm(mlp(x)) */
    SANDWICH,                        /* norm(attention(norm(x))), then norm(mlp(norm(x))) */
    PARALLEL,                        /* attention(norm(x)) + mlp(norm(x)), with two norms */
    PARALLEL_SHARED                  /* or with one for both */
};

typedef struct {
    int vocab;                       /* V: logits exist for 0 <= token < V */
    int context;                     /* the longest T, in tokens */
    int layers, channels;            /* L, C */
    int heads, kv_heads, head_dim;   /* H, K, D; H is a multiple of K, D is even */
    int hidden;                      /* F */
    int norm, position, activation, bias, block;
    int qk_norm;                     /* RMSNorm on queries and keys, before RoPE */
    int tied;                        /* 1: the head is the token embedding */
    int scalar;                      /* 1: the head gives one number a token (reward, value) */
    int window;                      /* keys a query sees, itself among them; 0: all */
    int window_period;               /* full attention in every window_period-th layer; 0: none */
    int local_rope;                  /* 1: layers with a window have another RoPE */
    int experts, experts_used;       /* E, k: MLPs of a layer, and of a token; 0: one for all */
    int expert_hidden;               /* F of each expert */
    int expert_norm;                 /* 1: the weights of a token's k experts sum up to 1 */
    int expert_period;               /* every expert_period-th layer has experts, others one MLP */
    int lora;                        /* r: beside each product of a block, but not of experts, an
                                        adapter of this rank learns, and nothing else does but a
                                        scalar head; 0: no */
    float norm_eps;                  /* added to the variance under the root */
    float embedding_scale;           /* embeddings are multiplied by it; 0: by 1 */
    float attention_scale;           /* scores are multiplied by it; 0: by 1/sqrt(D) */
    float attention_cap, logit_cap;  /* a score, a logit s becomes cap * tanh(s / cap); 0: none */
} Config;

typedef struct {
    char name[64];                   /* Hugging Face's name in Qwen3's and Llama's files */
    int rows, cols;                  /* (rows, cols), or (rows,) where cols is 0 */
    int decay;                       /* 1: weight decay applies (matrices) */
    int frozen;                      /* 1: has no gradient and no moments: see model_freeze */
    int muon;                        /* 1: updated by Muon, so it has no MOMENT2 */
} TensorInfo;

typedef struct {
    int step;                        /* t of the bias correction, from 1 */
    float lr, beta1, beta2, eps, weight_decay;
    float grad_scale;                /* multiplies every gradient first (clipping) */
    float momentum;                  /* Muon's, in place of beta1 */
} AdamW;

enum { MOST_EXPERTS = 1024 };        /* of a layer */

enum { WEIGHT, GRADIENT, MOMENT1, MOMENT2 };   /* what model_read and model_write address */

enum {                               /* flags of model_create; 0: a model that only generates */
    TRAINS = 1,
    NO_MASTERS = 2,                  /* no float32 copy of bfloat16 weights: stochastic rounding */
    RECOMPUTE = 4,                   /* the backward pass computes norms and activations again */
    RECOMPUTE_BLOCKS = 8,            /* or all of a block: its input alone is kept */
    SHARD = 16,                      /* a tensor's master and moments: only one rank keeps them */
    MAPPED = 32,                     /* only generates, from matrices that model_map says */
    MUON = 64                        /* matrices of blocks are updated by Muon: see model_update */
};

/* How numbers lie in a file: GGUF's types (ggml.h), by its numbers. Of those in blocks of 32 or,
   with a K and in IQ4_XS, of 256, a row is a whole number of blocks. */
enum {
    GGUF_F32 = 0, GGUF_F16 = 1, GGUF_Q4_0 = 2, GGUF_Q4_1 = 3, GGUF_Q5_0 = 6, GGUF_Q5_1 = 7,
    GGUF_Q8_0 = 8, GGUF_Q2_K = 10, GGUF_Q3_K = 11, GGUF_Q4_K = 12, GGUF_Q5_K = 13, GGUF_Q6_K = 14,
    GGUF_IQ4_NL = 20, GGUF_IQ4_XS = 23, GGUF_BF16 = 30, GGUF_MXFP4 = 39
};

typedef struct {                     /* bytes */
    double weights, masters, gradients, moments, activations, cache;
} Memory;

/* The last error of this thread, one sentence; valid until its next call that fails. */
const char *chat_error(void);

/* Fails where this CPU lacks instructions that the library was built with: to be called first. */
int cpu_ready(void);

/* The checks that the entry points begin with. They fail, naming field or place and value: unless a
   model of this config makes sense, or these frequencies (model_create); unless low <= ids[n] < V;
   unless model_forward can take this batch (targets and doc_start may be NULL); unless these
   settings of AdamW make sense. */
int check_config(const Config *config);
int check_rope(const Config *config, const double *rope);
int check_ids(const char *what, const int *ids, int low, int V, int N, int T);
int check_batch(const Config *config, const int *tokens, const int *targets,
                const int *doc_start, int B, int T);
int check_adamw(const AdamW *adam);

/* A model with all weights zero. Where it only generates (flags 0), each weight lies in memory
   once, those of linear layers as linear_forward reads them, and cannot be read back. With MAPPED
   matrices take no memory: model_map says of each where it is. Its caches may be freed after it,
   but no longer be used. rope: NULL without RoPE; else (1,1+D/2), and with local_rope (2,1+D/2):
   what cosines and sines are multiplied by, then the radians a token of each pair of channels
   (i, i + D/2), 0 for one that is not rotated. */
int  model_create(Model **out, const Config *config, const double *rope, int flags);
void model_free(Model *model);

/* *memory = what such a model takes once given N tokens at a time (0: none), with a cache of
   `slots` by `length`: in model_forward, or where it only generates in model_extend without `every`
   (slots 0: with it). Mapped matrices are not its own. Allocates nothing. */
int model_memory(Memory *memory, const Config *config, int flags, int N, int slots, int length);

/* Takes all that memory now, for training on N tokens at a time, instead of when it is needed. */
int model_reserve(Model *model, int N);

/* The parameters, in order: how many tensors, and the name and shape of each. */
int model_tensors(const Model *model);
int model_tensor(const Model *model, int index, TensorInfo *info);

/* Freezes a tensor, and with it those that are multiplied in the same product (q, k, v; gate, up):
   it has no gradient and no moments, costs no time in model_backward beyond what the layers below
   need, and model_update leaves it; of bfloat16 there is no float32 copy any more. To be called
   before the first gradient. With Config.lora all is frozen but the adapters and a scalar head,
   from the beginning, and what linear_forward reads packed lies in memory once and cannot be read
   back. */
int model_freeze(Model *model, int index);

/* Copies one tensor out (=) or in, as float, whatever the model computes in. Weights are the
   float32 masters. GRADIENT, MOMENT1 and MOMENT2 exist (as zeros) from their first use on. With
   SHARD model_read takes what its owner has, so it is called on all ranks (model_write is given the
   same values on all of them). */
int model_read(Model *model, int what, int index, float *out);
int model_write(Model *model, int what, int index, const float *values);

/* Bytes of a row of C numbers of this type; 0 where it is no type of the above, or C is no whole
   number of its blocks. */
size_t quant_row(int type, int C);

/* With MAPPED: a tensor is from now on what lies at `data`, `bytes` long: its rows in that type. No
   copy is made of a matrix: data must outlive the model, and is read whenever it is used. (A GPU
   expands it into its own memory, as vectors always are.) pairs: 0, or the head size D of a file
   that has the rows of each head in the order of its pairs, 0, D/2, 1, D/2 + 1, ..., as GGUF has
   Llama's q and k. */
int model_map(Model *model, int index, int type, const void *data, size_t bytes, int pairs);

/* out (B,T) = each token's negative log-likelihood of its target in nats, or with a scalar head its
   value. tokens (B,T); targets (B,T), -1 where there is none (its nll is 0, and its logits are not
   computed), NULL for a scalar head; doc_start (B,T) or NULL: where in its row the document of this
   token begins: it sees nothing earlier, and its position counts from there. weights (B,T) or NULL:
   if dLoss/dnll is known already, the head's gradient is added here and its logits never computed
   twice. */
int model_forward(Model *model, float *out, const int *tokens, const int *targets,
                  const int *doc_start, const float *weights, int B, int T);

/* Adds to every gradient, for the last model_forward. weights (B,T): dLoss/d(out) of each token;
   NULL if model_forward was given them. With `all_ranks`, on all ranks, gradients then become their
   sum over the ranks, layer by layer while the layers below are computed: for the last of the
   passes that are accumulated. With SHARD only the owner of a tensor gets its sum. */
int model_backward(Model *model, const float *weights, int all_ranks);

int model_zero_grad(Model *model);

/* *norm = the Euclidean norm of all gradients together. With SHARD on all ranks. */
int model_grad_norm(Model *model, float *norm);

/* One step of AdamW (arXiv:1711.05101); with MUON of Muon (arXiv:2502.16982) for the matrices of
   blocks, but no router, those of one product as one: by 0.2 sqrt(max(rows, cols)) lr, so that a
   weight moves as far as by AdamW. Leaves the gradients as they are. With SHARD each rank updates
   the tensors that it owns (ZeRO-1, arXiv:1910.02054) and gets the others, on all ranks. */
int model_update(Model *model, const AdamW *adam);

/* logits (B,T,V) =; tokens (B,T). A scalar head gives values (B,T). */
int model_logits(Model *model, float *logits, const int *tokens, int B, int T);

/* x (B,T,C) = what one layer makes of x. inputs, or NULL = what its products are given, one behind
   the other: (B,T,C) of q, k and v; (B,T,H*D) of o; (B,T,C) of gate and up; and, unless it has
   experts, (B,T,F) of down. */
int model_block(Model *model, int layer, float *x, float *inputs, int B, int T);

/* ---- Generation ------------------------------------------------------------------------------ */

/* Keys and values of `slots` sequences of up to `length` tokens each; length 0: cache_resize gives
   each its own. They are reals or, of a model whose products are of blocks as they lie (MAPPED, on
   a CPU), IEEE's halves, whose rounding is far below that of the products' inputs. */
int  cache_create(Cache **out, Model *model, int slots, int length);
void cache_free(Cache *cache);

/* Gives a slot room for `length` tokens, 0 for none. It keeps the tokens that it holds, and must
   not hold more. The memory of all slots together grows where they need more than there is. */
int cache_resize(Cache *cache, int slot, int length);

/* Bytes of the keys and values that there is memory for. */
double cache_memory(const Cache *cache);

/* Makes slot `to` a copy of the first `count` tokens of slot `from`. With to == from it cuts the
   slot back to `count` tokens; count 0 empties it. */
int cache_fork(Cache *cache, int to, int from, int count);

/* bytes = the keys and values of `count` tokens of a slot, from number `from` on; cache_import
   appends such bytes, of the same model, to what a slot holds. cache_size: how many they are. */
size_t cache_size(const Cache *cache, int count);
int cache_export(const Cache *cache, void *bytes, int slot, int from, int count);
int cache_import(Cache *cache, const void *bytes, int slot, int count);

/* Appends counts[i] >= 1 tokens to slot slots[i], for n different slots; tokens holds them one slot
   after the other. logits (n,V) = those after each slot's last token (scalar head: values (n)), or
   with `every` (sum of counts,V) = those after each token. Prefill, decode, a tool's result and the
   check of draft tokens (arXiv:2211.17192; cache_fork cuts off the wrong ones) are this call. A
   slot's logits do not depend, to the bit, on what else is in the batch or on how its tokens were
   split over calls (on a GPU, which shares out work by the batch, they do, within rounding). With
   logits NULL they stay on the device, for model_sample. */
int model_extend(Model *model, Cache *cache, float *logits, const int *slots, const int *tokens,
                 const int *counts, int n, int every);

typedef struct {
    float temperature;               /* 0: the most likely token */
    int   top_k;                     /* keep the k most likely; 0: all */
    float top_p;                     /* then the fewest that hold p of the mass; 1: all */
    float min_p;                     /* then those with at least min_p of the best's; 0: all */
    float repetition_penalty;        /* arXiv:1909.05858; 1: none */
    unsigned long long seed;         /* a draw depends on (seed, position) only: on the sequence, */
    unsigned long long position;     /* and on how many tokens it has */
    int   banned, n_banned;          /* ids[banned], ids[banned + 1], ...: tokens never drawn */
    int   biased, n_biased;          /* likewise those whose logits biases[...] are added to, */
    int   seen, n_seen;              /* and those to be penalized before; each named once */
} Sampling;

/* Fails, naming field and value, unless these settings make sense. */
int check_sampling(const Sampling *settings);

/* Draws a token from each row of the logits that model_extend just left on the device, row i by
   settings[i]; ids (n_ids) are the tokens that settings name, biases (n_ids; NULL: none is
   biased) what is added to the logits of some. tokens (n) =, logprobs (n) = the log
   of the probability that each was drawn with, or NULL; probabilities (n,V) = what they were drawn
   from, or NULL. Fails where no token is left or a logit is not a number. */
int model_sample(Model *model, int *tokens, float *logprobs, float *probabilities,
                 const Sampling *settings, const int *ids, const float *biases, int n_ids);

/* logits (n,V) = the n rows of logits that model_extend just left on the device. states (n,C) =
   what the head is given of the first n of the tokens that model_extend just appended. */
int model_last_logits(Model *model, float *logits, int n);
int model_last_states(Model *model, float *states, int n);

/* ---- Ranks ----------------------------------------------------------------------------------- */
/* A job is one process or several, on one machine or many, that train one model: its ranks. mpirun,
   torchrun or srun starts them; CPUs talk through MPI, GPUs through NCCL. All that follows is
   called on all ranks; where there is one, nothing happens. */

typedef struct {
    int rank, ranks;                 /* this process, counted from 0, of how many */
    int local, locals;               /* the same among those on this machine */
    int cores;                       /* threads to use, so that all of these have theirs; 0: all */
} Job;

int  mpi_built(void);                /* 1: this library can join what mpirun has started */
enum { COMM_ID = 128 };              /* bytes */

/* Joins a job, before anything else is asked of the device. *job is what the launcher said; then
   what MPI says. Where there is one rank, neither MPI nor NCCL is touched. id (COMM_ID): only for
   GPUs that MPI does not bring together: what comm_id made on rank 0; else NULL. */
int  comm_id(void *id);
int  comm_start(Job *job, const void *id);
void comm_stop(void);

/* Ends this process with status 1, and all ranks that MPI started. */
void comm_abort(void);

/* x (n), on the host, = the sum of all ranks' x: the same bits on each. n 0: they only meet. */
int comm_sum(double *x, int n);

/* bytes (n), on the host, = those of rank `root`. */
int comm_broadcast(void *bytes, size_t n, int root);

/* These go on while kernels run, one after the other; comm_wait ends them, for the kernels that
   follow. comm_reduce: on rank `owner` x (n) = the sum of all ranks' x; what the others have in x
   afterwards is of no use. comm_gather: x (bytes) = that of rank `owner`. */
void comm_reduce(float *x, size_t n, int owner);
void comm_gather(void *x, size_t bytes, int owner);
void comm_wait(void);

/* ---- The device ------------------------------------------------------------------------------ */

/* Which of several GPUs is the device: number n, counted around. To be said before all else. */
void device_choose(int n);
/* Fails where this machine has no such device. Everything else here then fails too. */
int device_ready(void);
/* What this library was built for, as in "cpu bf16, 16 lanes, OpenMP" or "NVIDIA H100, sm_90,
   bf16". */
const char *device_name(void);
/* Threads that kernels use from now on (0: OMP_NUM_THREADS, or as many as the machine has, up to
   1024, which is the most); returns how many. A GPU uses all it has, whatever is asked, and returns
   its multiprocessors. */
int device_threads(int threads);
/* Called before (1) and after (0) work that keeps all threads busy: where other programs use the
   cores, too, there are fewer threads for the next second, as many as got a core. */
void device_watch(int begins);
/* Bytes of memory the device has in all or, on a GPU, that are free. On a CPU, containers and batch
   systems may allow this process less: memory_limit is the least that a control group, version 1 or
   2, which it belongs to sets, as read below `root` ("" but in tests). */
size_t device_memory(void);
size_t memory_limit(const char *root);               /* only in the CPUs' libraries */
/* Floating-point operations a second of the unit that linear layers use, measured now in 20 ms. */
double device_peak(void);
/* Bytes a second that all threads together read from memory or, with `update`, read and write in
   x += z, y += z, measured now on 512 MB; 0 where it cannot be had. */
double device_bandwidth(int update);

/* Memory on the device, zeroed; NULL and an error when it cannot be had. */
void *device_alloc(size_t bytes);
void  device_free(void *memory);
void  device_zero(void *memory, size_t bytes);
void  device_copy(void *to, const void *from, size_t bytes);     /* on the device */
void  device_write(void *to, const void *from, size_t bytes);    /* host to device */
int   device_read(void *to, const void *from, size_t bytes);     /* and back; latched errors */

/* On a GPU, launching the kernels of one token takes longer than running them, unless they are
   launched as one graph:
       if (!device_record(&graph)) { kernels; device_record_end(&graph); }
   The first time around, *graph is NULL and the kernels run as always; the second time they are
   recorded, and run; from then on device_record runs what was recorded, with the same arguments,
   and returns 1. device_forget makes *graph NULL again. Elsewhere nothing is recorded. */
int  device_record(void **graph);
void device_record_end(void **graph);
void device_forget(void **graph);

/* Sets chat_error() to a printf-style sentence; always returns -1. */
int   chat_fail(const char *format, ...);
