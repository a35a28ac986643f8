/* parameters.c: which tensors a model of some Config has, in the order of the checkpoint. */

#include "model.h"

static Tensor *add(Model *m, int layer, int wanted, const char *name, int rows, int cols) {
    if (!wanted) return NULL;
    Tensor *t = m->end++;
    int used = layer < 0 ? 0 : snprintf(t->name, sizeof t->name, "model.layers.%d.", layer);
    snprintf(t->name + used, sizeof t->name - used, "%s", name);
    t->rows = t->out = rows;
    t->cols = cols;
    t->decay = cols > 0;
    t->frozen = m->config.lora > 0;
    return t;
}

/* The weight of a linear layer. */
static Tensor *add_linear(Model *m, int layer, int wanted, const char *name, int rows, int cols) {
    Tensor *t = add(m, layer, wanted, name, rows, cols);
    if (t) t->multiplied = 1;
    if (t) t->muon = layer >= 0 && m->flags & MUON;
    return t;
}

/* Makes of n tensors, of which `first` is the first, one product. */
static Tensor *join(Tensor *first, int n) {
    int rows = 0;
    for (int i = 0; first && i < n; rows += first[i++].rows) first[i].row = rows;
    for (int i = 0; first && i < n; i++) first[i].out = rows;
    return first;
}

/* Of a product of layer l its A and B, which alone learn. */
static void add_adapter(Model *m, int l, Tensor *product, const char *name) {
    const int r = m->config.lora;
    char full[40];
    snprintf(full, sizeof full, "%s.lora_A.weight", name);
    product->adapter = add_linear(m, l, r, full, r, product->cols);
    snprintf(full, sizeof full, "%s.lora_B.weight", name);
    add_linear(m, l, r, full, product->out, r);
    if (r) m->end[-2].frozen = m->end[-1].frozen = 0;
}

/* A norm of a layer, or with layer -1 the last one, and where there is one its bias. */
static Tensor *add_norm(Model *m, int layer, int wanted, const char *name, Tensor **bias) {
    const int kind = m->config.norm;
    char full[40];
    snprintf(full, sizeof full, "%s.weight", name);
    Tensor *t = add(m, layer, wanted && kind != PLAINNORM, full, m->config.channels, 0);
    snprintf(full, sizeof full, "%s.bias", name);
    *bias = add(m, layer, wanted && kind == LAYERNORM, full, m->config.channels, 0);
    return t;
}

/* A router, and of each expert gate, up and down. */
static void list_experts(Model *m, int l) {
    const int C = m->config.channels, F = m->config.expert_hidden;
    const char *const names[] = { "gate", "up", "down" };
    m->layers[l].router = add_linear(m, l, 1, "mlp.gate.weight", m->config.experts, C);
    m->layers[l].router->muon = 0;
    m->layers[l].experts = m->end;
    for (int e = 0; e < m->config.experts; e++) {
        for (int i = 0; i < 3; i++) {
            char name[40];
            snprintf(name, sizeof name, "mlp.experts.%d.%s_proj.weight", e, names[i]);
            add_linear(m, l, 1, name, i == EXPERT_DOWN ? C : F, i == EXPERT_DOWN ? F : C);
        }
        join(m->end - 3, 2);
    }
}

/* One MLP for all rows. */
static void list_mlp(Model *m, int l) {
    const Config *c = &m->config;
    const int C = c->channels, F = c->hidden, gated = is_gated(c), bias = c->bias & BIAS_MLP;
    Layer *x = &m->layers[l];
    Tensor *gate = add_linear(m, l, gated, "mlp.gate_proj.weight", F, C);
    Tensor *up = add_linear(m, l, 1, "mlp.up_proj.weight", F, C);
    x->up = gated ? join(gate, 2) : up;
    gate = add(m, l, gated && bias, "mlp.gate_proj.bias", F, 0);
    up = add(m, l, bias, "mlp.up_proj.bias", F, 0);
    x->up_bias = gated ? join(gate, 2) : up;
    add_adapter(m, l, x->up, gated ? "mlp.gate_up_proj" : "mlp.up_proj");
    x->down = add_linear(m, l, 1, "mlp.down_proj.weight", C, F);
    x->down_bias = add(m, l, bias, "mlp.down_proj.bias", C, 0);
    add_adapter(m, l, x->down, "mlp.down_proj");
}

static void list_layer(Model *m, int l) {
    const Config *c = &m->config;
    const int C = c->channels;
    const int Q = c->heads * c->head_dim, KV = c->kv_heads * c->head_dim;
    const int qkv_bias = c->bias & BIAS_QKV;
    const int pre = c->block != POST_NORM, post = c->block == POST_NORM || c->block == SANDWICH;
    const int q_norm = c->qk_norm == QK_WIDE ? Q : c->head_dim;
    const int k_norm = c->qk_norm == QK_WIDE ? KV : c->head_dim;
    Layer *x = &m->layers[l];

    x->first = m->end;
    x->norm1 = add_norm(m, l, pre, "input_layernorm", &x->norm1_bias);
    x->qkv = add_linear(m, l, 1, "self_attn.q_proj.weight", Q, C);
             add_linear(m, l, 1, "self_attn.k_proj.weight", KV, C);
             add_linear(m, l, 1, "self_attn.v_proj.weight", KV, C);
    x->qkv_bias = add(m, l, qkv_bias, "self_attn.q_proj.bias", Q, 0);
                  add(m, l, qkv_bias, "self_attn.k_proj.bias", KV, 0);
                  add(m, l, qkv_bias, "self_attn.v_proj.bias", KV, 0);
    join(x->qkv, 3);
    join(x->qkv_bias, 3);
    add_adapter(m, l, x->qkv, "self_attn.qkv_proj");
    x->q_norm = add(m, l, c->qk_norm, "self_attn.q_norm.weight", q_norm, 0);
    x->k_norm = add(m, l, c->qk_norm, "self_attn.k_norm.weight", k_norm, 0);
    x->proj = add_linear(m, l, 1, "self_attn.o_proj.weight", C, Q);
    x->proj_bias = add(m, l, c->bias & BIAS_PROJ, "self_attn.o_proj.bias", C, 0);
    add_adapter(m, l, x->proj, "self_attn.o_proj");
    x->post1 = add_norm(m, l, post, "post_self_attn_layernorm", &x->post1_bias);
    if (c->block == PARALLEL_SHARED) {
        x->norm2 = x->norm1;
        x->norm2_bias = x->norm1_bias;
    } else {
        x->norm2 = add_norm(m, l, pre, "post_attention_layernorm", &x->norm2_bias);
    }
    if (has_experts(c, l)) list_experts(m, l);
    else list_mlp(m, l);
    x->post2 = add_norm(m, l, post, "post_mlp_layernorm", &x->post2_bias);
}

void list_tensors(Model *m) {
    const Config *c = &m->config;
    const int C = c->channels;
    m->end = m->tensors;
    m->wte = add(m, -1, 1, "model.embed_tokens.weight", c->vocab, C);
    m->wpe = add(m, -1, c->position == LEARNED, "model.positions.weight", c->context, C);
    for (int l = 0; l < c->layers; l++) list_layer(m, l);
    m->layers[c->layers].first = m->end;
    m->norm = add_norm(m, -1, 1, "model.norm", &m->norm_bias);
    m->head = c->scalar ? add(m, -1, 1, "score.weight", 1, C)
            : c->tied ? m->wte : add(m, -1, 1, "lm_head.weight", c->vocab, C);
    m->head->multiplied = 1;
    if (c->scalar) m->head->frozen = 0;
    else m->head->out = m->P;
}
