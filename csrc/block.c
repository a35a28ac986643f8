/* block.c: one block by itself, for whoever rounds its weights and asks what they are multiplied
   with. */

#include "model.h"

/* *to = n reals as floats, on the host; it moves on behind them. */
static int give(float **to, const real *x, size_t n, float *wide) {
    widen(wide, x, n);
    if (device_read(*to, wide, n * sizeof **to)) return -1;
    *to += n;
    return 0;
}

static int through(Model *m, int l, float *x, float *inputs, int B, int T, float *wide) {
    const Config *c = &m->config;
    const size_t N = (size_t)B * T, C = c->channels, HD = (size_t)c->heads * c->head_dim;
    Activations *a = &m->acts[l];
    const Context context = { B, T, NULL, NULL };
    device_write(wide, x, N * C * sizeof *x);
    narrow(a->x, wide, N * C);
    pack_weights(m);
    if (block_forward(m, l, a, m->last, &context, (int)N) || give(&x, m->last, N * C, wide))
        return -1;
    if (!inputs) return 0;
    return give(&inputs, a->h1, N * C, wide) || give(&inputs, a->att, N * HD, wide)
        || give(&inputs, a->h2, N * C, wide)
        || (!has_experts(c, l) && give(&inputs, a->act, N * c->hidden, wide)) ? -1 : 0;
}

int model_block(Model *m, int l, float *x, float *inputs, int B, int T) {
    const Config *c = &m->config;
    if (l < 0 || l >= c->layers) return chat_fail("there is no layer %d of %d", l, c->layers);
    if (B < 1 || T < 1 || T > c->context)
        return chat_fail("B=%d, T=%d: must be at least 1, and T at most the context of %d", B, T,
                         c->context);
    const int N = B * T, widest = max_int(max_int(c->channels, c->hidden), c->heads * c->head_dim);
    int *tokens = calloc(N, sizeof *tokens);
    int failed = !tokens || plan(m, N, 1, 0) || upload_batch(m, tokens, NULL, B, T, 0);
    free(tokens);
    if (failed) return tokens ? -1 : chat_fail("no memory for %d tokens", N);
    float *wide = device_alloc(sizeof(float) * N * widest);
    m->T = 0;
    failed = !wide || through(m, l, x, inputs, B, T, wide);
    device_free(wide);
    return failed ? -1 : 0;
}
