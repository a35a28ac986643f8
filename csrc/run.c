/* run.c: build/run, a chat or a text's continuation with the model in a GGUF file, and no Python.

       build/run model.gguf                      a chat, where the model was made for that
       build/run model.gguf -p "Once upon"       one answer or continuation; -h lists the flags

   The same seed gives the same text as infer.py. csrc/gguf.py, data/tokens/foreign.py and
   csrc/engine.py say in Python, and of more kinds of files, what is here. Nothing in a file is
   trusted: what is wrong in it ends the program with a sentence. */

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "real.h"
#include "text.h"

/* ---- What is printed: whole characters, and nothing that acts on a terminal ------------------ */

static void show(FILE *out, Utf8 *stream, const void *bytes, size_t n) {
    uint8_t plain[3 * 1024 + 3];
    fwrite(plain, 1, utf8_plain(plain, stream, bytes, n), out);
}

static void note(const char *format, ...) {
    char text[1024];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    show(stderr, &(Utf8){ .n = 0 }, text, strlen(text));
}

static const char *path = "build/run";           /* what the sentence of a failure begins with */
#define FAIL(...) (note("%s: ", path), note(__VA_ARGS__), note("\n"), exit(1))
#define CHECK(failed) ((failed) ? FAIL("%s", chat_error()) : (void)0)
#define COUNT(array) (sizeof (array) / sizeof *(array))

static void *room(void *array, size_t count, size_t size) {
    array = realloc(array, (count + 1) * size);
    if (!array) FAIL("there is no memory for %zu times %zu bytes", count, size);
    return array;
}

/* ---- What a file's metadata say -------------------------------------------------------------- */

enum { PIECE = 512, LIST = ARRAY_OF + VALUE_STRING };    /* tokens that are read at a time */
#define SHOWN(bytes) (int)((bytes).n < 200 ? (bytes).n : 200), (const char *)(bytes).at

static int is(Bytes s, const char *name) {
    return s.n == strlen(name) && !memcmp(s.at, name, s.n);
}

/* The value of a key, behind the architecture's name if it begins with a dot; NULL where there is
   none. type -1: any number's. */
static const Value *find(const File *f, const char *key, int type) {
    char full[128] = "";
    const Value *kind = *key == '.' ? gguf_value(f, "general.architecture") : NULL;
    if (kind) snprintf(full, sizeof full, "%.*s", SHOWN(string_at(kind->data)));
    const Value *v = gguf_value(f, strncat(full, key, sizeof full - strlen(full) - 1));
    const int number = v && v->type >= VALUE_U32 && v->type <= VALUE_BOOL;
    if (v && (type < 0 ? !number : v->type != type))
        FAIL("%s is of the type %d, which is not read here", full, v->type);
    return v;
}

static Bytes word(const File *f, const char *key) {
    const Value *v = find(f, key, VALUE_STRING);
    return v ? string_at(v->data) : (Bytes){ f->data, 0 };
}

static double told(const File *f, const char *key, double otherwise) {
    const Value *v = find(f, key, -1);
    const uint32_t bits = v ? number_at(v->data, v->type == VALUE_BOOL ? 1 : 4) : 0;
    return !v ? otherwise : v->type == VALUE_FLOAT ? bits_float(bits)
         : v->type == VALUE_I32 ? (double)(int)bits : bits;
}

static int whole(const File *f, const char *key, int otherwise) {
    const double number = told(f, key, otherwise);
    if (!(number >= -1 && number <= INT32_MAX && number == floor(number)))
        FAIL("%s is %g, but must be a whole number", key, number);
    return (int)number;
}

/* ---- Its model ------------------------------------------------------------------------------- */

#define MODERN .norm = RMSNORM, .position = ROPE, .activation = SWIGLU
#define GEMMA .norm = RMSNORM, .position = ROPE, .activation = GEGLU, .embedding_scale = 1
#define GEMMA2 GEMMA, .block = SANDWICH, .attention_scale = 1, .window = 4096
/* pairs: rows of q and k are in the order of RoPE's pairs; window: layers may have one. */
typedef struct { const char *name; int pairs, window; double theta; Config config; } Family;
static const Family FAMILIES[] = {
    { "llama", 1, 1, 1e4, { MODERN } },
    { "qwen2", 0, 0, 1e4, { MODERN } },
    { "qwen3", 0, 0, 1e4, { MODERN, .qk_norm = QK_HEAD } },
    { "olmo2", 0, 0, 1e4, { MODERN, .block = POST_NORM, .qk_norm = QK_WIDE } },
    { "gemma", 0, 0, 1e4, { GEMMA } },
    { "gemma2", 0, 1, 1e4, { GEMMA2, .window_period = 2, .attention_cap = 50, .logit_cap = 30 } },
    { "gemma3", 0, 1, 1e6, { GEMMA2, .window_period = 6, .qk_norm = QK_HEAD, .local_rope = 1 } },
};

/* Our tensors' names, and those in a file. */
static const char *const NAMES[][2] = {
    { "model.embed_tokens", "token_embd" }, { "model.norm", "output_norm" },
    { "lm_head", "output" }, { "input_layernorm", "attn_norm" },
    { "post_attention_layernorm", "ffn_norm" }, { "post_mlp_layernorm", "post_ffw_norm" },
    { "post_self_attn_layernorm", "post_attention_norm" }, { "self_attn.q_proj", "attn_q" },
    { "self_attn.k_proj", "attn_k" }, { "self_attn.v_proj", "attn_v" },
    { "self_attn.q_norm", "attn_q_norm" }, { "self_attn.k_norm", "attn_k_norm" },
    { "self_attn.o_proj", "attn_output" }, { "mlp.gate_proj", "ffn_gate" },
    { "mlp.up_proj", "ffn_up" }, { "mlp.down_proj", "ffn_down" },
};

static const Family *read_config(const File *f, Config *c, int context) {
    const Family *family = FAMILIES, *end = FAMILIES + COUNT(FAMILIES);
    const Matrix *embedding = gguf_tensor(f, "token_embd.weight");
    const Bytes kind = word(f, "general.architecture");
    while (family < end && !is(kind, family->name)) family++;
    if (family == end) FAIL("its architecture, %.*s, is not supported here", SHOWN(kind));
    if (!embedding || whole(f, ".expert_count", 0)) FAIL("has experts, or no token_embd.weight");
    *c = family->config;
    c->vocab = (int)embedding->rows;
    c->context = min_int(whole(f, ".context_length", context), context);
    c->layers = whole(f, ".block_count", 0);
    c->channels = whole(f, ".embedding_length", 0);
    c->heads = whole(f, ".attention.head_count", 0);
    c->kv_heads = whole(f, ".attention.head_count_kv", c->heads);
    c->head_dim = whole(f, ".attention.key_length", c->channels / max_int(1, c->heads));
    c->hidden = whole(f, ".feed_forward_length", 0);
    if (family->window) c->window = whole(f, ".attention.sliding_window", c->window);
    c->tied = !gguf_tensor(f, "output.weight");
    c->bias = (gguf_tensor(f, "blk.0.attn_q.bias") ? BIAS_QKV : 0)
            | (gguf_tensor(f, "blk.0.attn_output.bias") ? BIAS_PROJ : 0)
            | (gguf_tensor(f, "blk.0.ffn_up.bias") ? BIAS_MLP : 0);
    c->norm_eps = (float)told(f, ".attention.layer_norm_rms_epsilon", 1e-6);
    c->attention_cap = (float)told(f, ".attn_logit_softcapping", c->attention_cap);
    c->logit_cap = (float)told(f, ".final_logit_softcapping", c->logit_cap);
    CHECK(check_config(c));
    const int wide = c->layers == (c->local_rope ? 62 : 46);     /* Gemma's of 27 billion weights */
    if (c->attention_scale > 0)
        c->attention_scale = (float)pow(wide ? c->channels / c->heads : c->head_dim, -0.5);
    if (c->embedding_scale > 0) c->embedding_scale = (float)sqrt(c->channels);
    if (whole(f, ".rope.dimension_count", c->head_dim) != c->head_dim)
        FAIL("RoPE turns a part of each head, which is not supported here");
    return family;
}

/* What model_create asks for: of all layers, and of those with a window. */
static void read_rope(const File *f, int D, double theta, double *rope) {
    const Bytes scaling = word(f, ".rope.scaling.type");
    if (scaling.n && !is(scaling, "none") && !is(scaling, "linear"))
        FAIL("RoPE's scaling, %.*s, is not supported here", SHOWN(scaling));
    double by = is(scaling, "linear") ? told(f, ".rope.scaling.factor", 1) : 1;
    Matrix *t = gguf_tensor(f, "rope_freqs.weight");     /* Llama 3's divisors of frequencies */
    if (t && (t->type != GGUF_F32 || t->rows * 2 != (size_t)D || f->size - t->place < t->rows * 4))
        FAIL("rope_freqs.weight is unfit");
    rope[0] = rope[1 + D / 2] = 1;
    for (int i = 0; i < D / 2; i++) {
        if (t) by = bits_float(number_at(f->data + t->place + 4 * i, 4)), t->used = 1;
        rope[1 + i] = pow(told(f, ".rope.freq_base", theta), -2.0 * i / D) / by;
        rope[2 + D / 2 + i] = pow(told(f, ".rope.freq_base_swa", 1e4), -2.0 * i / D);
    }
}

/* The tensor in a file that one of the model's is. */
static Matrix *source(const File *f, const char *name) {
    char there[128];
    int layer, begin = 0, i = 0;
    if (sscanf(name, "model.layers.%d.%n", &layer, &begin) < 1) begin = 0;
    const char *kind = strrchr(name, '.');
    while (!is((Bytes){ (const uint8_t *)name + begin, kind - name - begin }, NAMES[i][0])) i++;
    const int n = begin ? snprintf(there, sizeof there, "blk.%d.", layer) : 0;
    snprintf(there + n, sizeof there - n, "%s%s", NAMES[i][1], kind);
    Matrix *t = gguf_tensor(f, there);
    if (!t) FAIL("there is no %s, which the metadata promise", there);
    return t;
}

static Model *read_model(const File *f, Config *c, int context) {
    double rope[2 * (1 + 128)];
    Model *m;
    Memory need;
    TensorInfo info;
    const Family *family = read_config(f, c, context);
    read_rope(f, c->head_dim, family->theta, rope);
    CHECK(model_memory(&need, c, MAPPED, PIECE, 1, c->context));
    const double more = need.weights + need.activations + need.cache, all = device_memory();
    note("%s: %.0f MB, and %.0f MB for a context of %d tokens\n", path, f->size / 1e6, more / 1e6,
         c->context);
    if (f->size + more > all) FAIL("this machine has only %.0f MB of memory", all / 1e6);
    CHECK(model_create(&m, c, rope, MAPPED));
    for (int i = 0; i < model_tensors(m); i++) {
        CHECK(model_tensor(m, i, &info));
        Matrix *t = source(f, info.name);
        const int turned = strstr(info.name, "q_proj") || strstr(info.name, "k_proj");
        const size_t row = quant_row(t->type, max_int(1, info.cols));
        if (!row || row * info.rows > f->size - t->place)
            FAIL("%.*s is cut, or of the type %d, which is not read", SHOWN(t->name), t->type);
        if (t->cols != (size_t)max_int(1, info.cols) || t->rows != (size_t)info.rows)
            FAIL("%.*s is (%zu,%zu), but the metadata make (%d,%d) of it", SHOWN(t->name), t->rows,
                 t->cols, info.rows, max_int(1, info.cols));
        CHECK(model_map(m, i, t->type, f->data + t->place, row * info.rows,
                        turned && family->pairs ? c->head_dim : 0));
        t->used = 1;
    }
    for (const Matrix *t = f->tensors; t < f->tensors + chunks_size(f->names); t++)
        if (!t->used) FAIL("the metadata describe a model without %.*s", SHOWN(t->name));
    return m;
}

/* ---- Its vocabulary -------------------------------------------------------------------------- */

static const struct { uint32_t from; uint8_t class; } CLASSES[] = {
#include "unicode.h"
};
static const char *const IDS[] = { "tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                   "tokenizer.ggml.eom_token_id", "tokenizer.ggml.bos_token_id" };

/* *begin = the id that texts begin with, or -1. */
static Encoder *read_vocabulary(const File *f, int *begin, int rows) {
    char split[64];
    Encoder *e;
    const Bytes model = word(f, "tokenizer.ggml.model"), pre = word(f, "tokenizer.ggml.pre");
    const int pieces = is(model, "llama");
    if (!pieces && !is(model, "gpt2"))
        FAIL("its tokenizer, %.*s, is not supported here", SHOWN(model));
    const Value *names = find(f, "tokenizer.ggml.tokens", LIST);
    const Value *kinds = find(f, "tokenizer.ggml.token_type", ARRAY_OF + VALUE_I32);
    const Value *scores = pieces ? find(f, "tokenizer.ggml.scores", ARRAY_OF + VALUE_FLOAT) : kinds;
    const Value *merges = pieces ? names : find(f, "tokenizer.ggml.merges", LIST);
    if (!names || !kinds || !scores || !merges || kinds->count != names->count
        || scores->count != names->count || names->count > (size_t)rows)
        FAIL("its tokens, with types and scores or merges, do not fit %d embeddings", rows);
    uint8_t *classes = room(NULL, 0x110000, 1);
    for (size_t i = 0; i + 1 < COUNT(CLASSES); i++)
        memset(classes + CLASSES[i].from, CLASSES[i].class, CLASSES[i + 1].from - CLASSES[i].from);
    snprintf(split, sizeof split, "%.*s", SHOWN(pre));
    CHECK(encoder_create(&e, &(Vocabulary){
        names->data, kinds->data, scores->data, merges->data, names->count,
        pieces ? 0 : merges->count, pieces ? NULL : split,
        whole(f, "tokenizer.ggml.add_space_prefix", 1), classes }));
    for (size_t i = 0; i < COUNT(IDS); i++) {
        *begin = whole(f, IDS[i], -1);
        if (*begin >= (int)names->count) FAIL("%s is %d, which is no token", IDS[i], *begin);
        if (*begin >= 0 && i < 3) encoder_ends(e, *begin);
    }
    const int begins = pieces || !strncmp(split, "llama", 5);
    if (encoder_find(e, "<|endoftext|>") >= 0) *begin = encoder_find(e, "<|endoftext|>");
    if (!whole(f, "tokenizer.ggml.add_bos_token", begins)) *begin = -1;
    return e;
}

/* ---- What is asked --------------------------------------------------------------------------- */

/* How a text, or a question of a conversation, becomes ids. Between two \1 is a special token's
   name; $ is the system message, % what was typed. An answer that was cut off ends with `close`,
   each with `after`. */
typedef struct { const char *close, *after, *first, *next; } Style;

#define CHATML "\1<|im_start|>\1user\n%\1<|im_end|>\1\n\1<|im_start|>\1assistant\n"
#define TURNS "%\1<end_of_turn>\1\n\1<start_of_turn>\1model\n"
#define HEADER(role) "\1<|start_header_id|>\1" role "\1<|end_header_id|>\1\n\n"
#define LLAMA3 HEADER("user") "%\1<|eot_id|>\1" HEADER("assistant")
static const Style STYLES[] = {
    { NULL, "", "%", "%" },                      /* no conversation */
    { "<|im_end|>", "\n", "\1<|im_start|>\1system\n$\1<|im_end|>\1\n" CHATML, CHATML },
    { "<end_of_turn>", "\n", "\1<start_of_turn>\1user\n$\n\n" TURNS,
      "\1<start_of_turn>\1user\n" TURNS },
    { "<|eot_id|>", "", HEADER("system") "$\1<|eot_id|>\1" LLAMA3, LLAMA3 },
};

typedef struct {
    File file; Config config; Model *model; Cache *cache; Encoder *encoder; const Style *style;
    int begin, most, think[2], *banned;          /* think: what is around thoughts */
    int *ids; size_t n, held;                    /* the text, of which the cache has `held` */
    Sampling how; uint64_t seed; uint32_t asked; const char *system;
} Run;

static void add(Run *r, int id) {
    r->ids = room(r->ids, r->n + 1, sizeof id);
    r->ids[r->n++] = id;
}

/* Appends the ids of what a format says, in which what was typed makes no special token. */
static void add_text(Run *r, const char *format, const char *typed) {
    char *text = room(NULL, strlen(format) + strlen(typed) + strlen(r->system), 1), *end;
    for (int name = 0, count; *format; name = !name, format += *format == '\1') {
        for (*(end = text) = 0; *format && *format != '\1'; format++)
            end = stpcpy(end, *format == '%' ? typed : *format == '$' ? r->system
                                             : (char[]){ *format, 0 });
        if (name) add(r, encoder_find(r->encoder, text));
        r->ids = room(r->ids, r->n + 3 * (end - text) + 3, sizeof *r->ids);
        if (!name) {
            count = encoder_encode(r->encoder, r->ids + r->n, (uint8_t *)text, end - text);
            CHECK(count < 0);
            r->n += count;
        }
    }
    free(text);
}

/* Appends what was typed. Where the context has no room for it, what came before is forgotten;
   where it has none even then, returns 0. */
static int ask(Run *r, const char *typed) {
    const int chat = r->style->close != NULL, context = r->config.context;
    const size_t full = context - chat * min_int(context / 4, r->most);
    for (int again = chat && r->n; ; again = 0) {
        if (again && encoder_role(r->encoder, r->ids[r->n - 1]) != ROLE_END)
            add(r, encoder_find(r->encoder, r->style->close));
        if (again) add_text(r, r->style->after, "");
        else CHECK(cache_fork(r->cache, 0, 0, r->held = r->n = 0));
        if (!again && r->begin >= 0) add(r, r->begin);
        add_text(r, again || !*r->system ? r->style->next : r->style->first, typed);
        if (r->n && r->n <= full) return 1;
        note("(%zu tokens, but there is room for 1 to %zu%s)\n", r->n, full,
             again ? ": what was said is forgotten" : "; --context may give more");
        if (!again) return r->n = 0;
    }
}

/* ---- What follows ---------------------------------------------------------------------------- */

static volatile sig_atomic_t stopped;
static void stop(int number) { if (stopped++) _exit(128 + number); }

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

/* The seed of a text, as csrc/engine.py has it: NumPy's SeedSequence((seed, index)). */
static uint64_t mixed_seed(uint64_t seed, uint32_t index) {
    const uint32_t high = seed >> 32;
    uint32_t pool[4] = { seed, high ? high : index, high ? index : 0 }, by = 0x43b0d7e5, x;
    #define HASH(x, factor) (x ^= by, by *= factor, x *= by, x ^= x >> 16)
    for (int i = 0; i < 4; i++) HASH(pool[i], 0x931e8875);
    for (int i = 0; i < 16; i++) {
        if (i % 5 == 0) continue;
        x = pool[i / 4], HASH(x, 0x931e8875);
        x = 0xca01f9dd * pool[i % 4] - 0x4973f715 * x;
        pool[i % 4] = x ^ x >> 16;
    }
    by = 0x8b51f9dd;
    HASH(pool[0], 0x58f38ded), HASH(pool[1], 0x58f38ded);
    return pool[0] | (uint64_t)pool[1] << 32;
}

/* Lets the model read the ids that it has not read; Ctrl-C ends that. */
static void extend(Run *r) {
    while (r->held < r->n && !stopped) {
        const int slot = 0, n = min_int(PIECE, (int)(r->n - r->held));
        CHECK(gguf_same(&r->file));
        CHECK(model_extend(r->model, r->cache, NULL, &slot, r->ids + r->held, &n, 1, 0));
        r->held += n;
    }
}

/* Writes what follows the ids, and on stderr how fast; returns 0, or 130 after Ctrl-C. */
static int answer(Run *r) {
    const size_t first = r->n, read = first - r->held;
    const double start = seconds();
    const char *end = NULL;
    uint8_t bytes[1024];
    Utf8 s = { .n = 0 };
    r->how.seed = mixed_seed(r->seed, r->style->close ? r->asked++ : 0);
    CHECK(cache_resize(r->cache, 0, min_int(r->config.context, (int)r->n + r->most)));
    extend(r);
    const double begun = seconds();
    for (int id, role, thinks = 0; !end && !stopped; ) {
        r->how.position = r->n;
        CHECK(model_sample(r->model, &id, NULL, NULL, &r->how, r->banned, NULL, r->how.n_banned));
        add(r, id);
        role = encoder_role(r->encoder, id);
        thinks = id == r->think[0] || (thinks && id != r->think[1]);
        if (role == ROLE_TEXT && !thinks)
            show(stdout, &s, bytes, encoder_decode(r->encoder, bytes, id));
        fflush(stdout);
        end = role == ROLE_END ? "stop" : r->n - first == (size_t)r->most ? "length"
            : r->n > (size_t)r->config.context ? "length (the context is full)" : NULL;
        if (!end) extend(r);
    }
    show(stdout, &s, bytes, 0);
    puts("");
    fflush(stdout);
    note("prefill %zu tokens, %.0f tokens/s | decode %zu tokens, %.0f tokens/s | %s | seed %llu\n",
         read, read / (begun - start), r->n - first, (r->n - first) / (seconds() - begun),
         end ? end : "interrupted", (unsigned long long)r->seed);
    return stopped ? 130 : 0;
}

/* ---- The command line ------------------------------------------------------------------------ */

enum { MAX_TOKENS, TEMPERATURE, TOP_K, TOP_P, MIN_P, CONTEXT, THREADS };
static const char *const FLAGS[] = { "--max-tokens", "--temperature", "--top-k", "--top-p",
                                     "--min-p", "--context", "--threads" };
static const char HELP[] =
    "build/run [chat|complete] MODEL.gguf [-p PROMPT] [--system TEXT] [--FLAG N ...]\n\n"
    "Continues a text or answers: the prompt, what is typed, or all of stdin. It is a chat where\n"
    "the file has a template, which is not read: the vocabulary's special tokens say how turns\n"
    "begin and end, as those of ChatML, Gemma or Llama 3.\n\n"
    "  --max-tokens   end after N new tokens [256]\n"
    "  --temperature  divide the logits by N; 0 takes the likeliest token [0.8]\n"
    "  --top-k        draw from the N likeliest tokens only; 0 is off [0]\n"
    "  --top-p        then from the fewest that hold N of the probability [0.95]\n"
    "  --min-p        then from those at least N times as likely as the likeliest [0]\n"
    "  --seed         the same seed, the same text [the time]\n"
    "  --context      tokens of a text or a conversation at most [4096]\n"
    "  --threads      of the processor; 0: all [0]";

/* Takes the flags and their numbers; returns the command, the file's name is left in `path`. */
static const char *parse(char **argv, Run *r, double *numbers, const char **prompt) {
    const char *command = "", *file = NULL, *name;
    while ((name = *++argv)) {
        size_t flag = 0;
        char *end = "";
        if (!strcmp(name, "-h") || !strcmp(name, "--help")) exit(puts(HELP) < 0);
        if (*name != '-') {
            if (!file && (!strcmp(name, "chat") || !strcmp(name, "complete"))) command = name;
            else if (file) FAIL("%s and %s are two files", file, name);
            else file = name;
            continue;
        }
        while (flag < COUNT(FLAGS) && strcmp(name, FLAGS[flag])) flag++;
        if (!*++argv) FAIL("%s lacks a value; -h lists the flags", name);
        if (!strcmp(name, "-p") || !strcmp(name, "--prompt")) *prompt = *argv;
        else if (!strcmp(name, "--system")) r->system = *argv;
        else if (!strcmp(name, "--seed")) r->seed = strtoull(*argv, &end, 10);
        else if (flag < COUNT(FLAGS)) numbers[flag] = strtod(*argv, &end);
        else FAIL("%s is no flag; -h lists them", name);
        if (*end || (flag < COUNT(FLAGS) && (end == *argv || !(fabs(numbers[flag]) < 1e9))))
            FAIL("%s is \"%s\", but must be a number", name, *argv);
    }
    if (!file) FAIL("give a GGUF file; -h explains");
    path = file;
    return command;
}

/* All of stdin, but a last newline. */
static const char *piped(void) {
    char *text = NULL;
    size_t size = 0;
    if (getdelim(&text, &size, 0, stdin) < 0) FAIL("there is no prompt on stdin");
    const size_t n = strlen(text);
    if (n && text[n - 1] == '\n') text[n - 1] = 0;
    return text;
}

int main(int argc, char **argv) {
    (void)argc;
    static Run r = { .style = STYLES, .system = "", .how = { .repetition_penalty = 1 } };
    double n[] = { 256, 0.8, 0, 0.95, 0, 4096, 0 };
    const char *prompt = NULL;
    char *line = NULL;
    size_t size = 0;
    r.seed = (uint64_t)time(NULL);
    const char *command = parse(argv, &r, n, &prompt);
    CHECK(cpu_ready() || device_threads((int)n[THREADS]) < 0);
    r.most = max_int(1, (int)n[MAX_TOKENS]);
    r.how.temperature = (float)n[TEMPERATURE];
    r.how.top_k = (int)n[TOP_K];
    r.how.top_p = (float)n[TOP_P];
    r.how.min_p = (float)n[MIN_P];
    CHECK(check_sampling(&r.how));
    CHECK(gguf_open(&r.file, path));
    r.model = read_model(&r.file, &r.config, (int)n[CONTEXT]);
    r.encoder = read_vocabulary(&r.file, &r.begin, r.config.vocab);
    CHECK(cache_create(&r.cache, r.model, 1, 0));
    const int chat = *command ? !strcmp(command, "chat")
                   : chunks_find(r.file.keys, (const uint8_t *)"tokenizer.chat_template", 23) >= 0;
    for (const Style *s = STYLES + 1; chat && s < STYLES + COUNT(STYLES); s++)
        if (encoder_find(r.encoder, s->close) >= 0) r.style = s;
    if (*command && chat && !r.style->close) FAIL("has no tokens for a chat: give `complete`");
    r.banned = room(NULL, r.config.vocab, sizeof *r.banned);
    for (int i = 0; i < 2; i++)
        r.think[i] = r.style->close ? encoder_find(r.encoder, i ? "</think>" : "<think>") : -1;
    for (int i = 0; i < r.config.vocab; i++)
        if (encoder_role(r.encoder, i) == ROLE_SPECIAL && i != r.think[0] && i != r.think[1])
            r.banned[r.how.n_banned++] = i;
    sigaction(SIGINT, &(struct sigaction){ .sa_handler = stop }, NULL);
    if (!prompt && !isatty(STDIN_FILENO)) prompt = piped();
    if (prompt) return ask(&r, prompt) ? answer(&r) : 1;
    for (; note("> "), getline(&line, &size, stdin) >= 0 || stopped; clearerr(stdin), stopped = 0) {
        if (stopped) note("\n(Ctrl-D leaves)\n");
        else if (line[strspn(line, " \t\n")]) {
            line[strcspn(line, "\n")] = 0;
            if (ask(&r, line)) answer(&r);
        }
    }
    return puts("") < 0;
}
