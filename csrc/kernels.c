/* kernels.c: everything of the transformer but its matrix products and attention; each backward
   stands under its forward. Loops are plain: the compiler turns the inner ones into vectors.
   Parameter gradients are summed by columns, so that each has one owner and one order. */

#include "vectors.h"

enum { COLUMNS = 64 };               /* columns of a parameter gradient that one task owns */

/* ---- Embedding ------------------------------------------------------------------------------- */

void embed_forward(real *out, const int *tokens, const int *positions, const real *wte,
                   const real *wpe, int N, int C) {
    #pragma omp parallel for schedule(static) num_threads(team((size_t)N * C))
    for (int n = 0; n < N; n++) {
        real *o = out + (size_t)n * C;
        const real *e = wte + (size_t)tokens[n] * C;
        memcpy(o, e, sizeof(real) * C);
        if (wpe) {
            const real *p = wpe + (size_t)positions[n] * C;
            for (int c = 0; c < C; c++) o[c] = to_real(to_float(e[c]) + to_float(p[c]));
        }
    }
}

void embed_backward(float *dwte, float *dwpe, const real *dout, const int *tokens,
                    const int *positions, const int *by_token, const int *by_position,
                    int N, int C) {
    (void)by_token;                              /* columns have owners here, not tokens */
    (void)by_position;
    #pragma omp parallel for schedule(static) num_threads(team((size_t)N * C))
    for (int from = 0; from < C; from += COLUMNS) {
        int to = min_int(from + COLUMNS, C);
        for (int n = 0; n < N; n++) {
            const real *d = dout + (size_t)n * C;
            float *e = dwte ? dwte + (size_t)tokens[n] * C : NULL;
            float *p = dwpe ? dwpe + (size_t)positions[n] * C : NULL;
            for (int c = from; e && c < to; c++) e[c] += to_float(d[c]);
            for (int c = from; p && c < to; c++) p[c] += to_float(d[c]);
        }
    }
}

/* ---- Sums and multiples ---------------------------------------------------------------------- */

void scale_reals(real *x, float factor, size_t n) {
    #pragma omp parallel for simd schedule(static) num_threads(team(n))
    for (size_t i = 0; i < n; i++) x[i] = to_real(to_float(x[i]) * factor);
}

void add_reals(real *out, const real *a, const real *b, size_t n) {
    #pragma omp parallel for simd schedule(static) num_threads(team(n))
    for (size_t i = 0; i < n; i++) out[i] = to_real(to_float(a[i]) + to_float(b[i]));
}

/* ---- LayerNorm ------------------------------------------------------------------------------- */

size_t norm_work(int N, int C) { return 0 * (size_t)(N + C); }

void layernorm_forward(real *out, float *mean, float *rstd, const real *inp, const real *weight,
                       const real *bias, int N, int C, float eps) {
    #pragma omp parallel for schedule(static) num_threads(team((size_t)N * C))
    for (int n = 0; n < N; n++) {
        const real *x = inp + (size_t)n * C;
        real *o = out + (size_t)n * C;
        float sum = 0, squares = 0;
        #pragma omp simd reduction(+:sum)
        for (int c = 0; c < C; c++) sum += to_float(x[c]);
        float m = sum / C;
        #pragma omp simd reduction(+:squares)
        for (int c = 0; c < C; c++) squares += (to_float(x[c]) - m) * (to_float(x[c]) - m);
        float s = 1.f / sqrtf(squares / C + eps);
        for (int c = 0; c < C; c++)
            o[c] = to_real((to_float(x[c]) - m) * s * (weight ? to_float(weight[c]) : 1.f)
                           + (bias ? to_float(bias[c]) : 0.f));
        mean[n] = m;
        rstd[n] = s;
    }
}

/* With h = (x - mean) rstd and g = dout weight:  dx = rstd (g - mean(g) - h mean(g h)). */
void layernorm_backward(real *dinp, float *dweight, float *dbias, const real *dout, const real *inp,
                        const real *weight, const float *mean, const float *rstd, void *work,
                        int N, int C) {
    (void)work;                                  /* columns have owners here */
    #pragma omp parallel for schedule(static) num_threads(team((size_t)N * C))
    for (int n = 0; n < N; n++) {
        const real *x = inp + (size_t)n * C, *d = dout + (size_t)n * C;
        real *dx = dinp + (size_t)n * C;
        float m = mean[n], s = rstd[n], g_sum = 0, gh_sum = 0;
        #pragma omp simd reduction(+:g_sum, gh_sum)
        for (int c = 0; c < C; c++) {
            float g = to_float(d[c]) * (weight ? to_float(weight[c]) : 1.f);
            g_sum += g;
            gh_sum += g * (to_float(x[c]) - m) * s;
        }
        float g_mean = g_sum / C, gh_mean = gh_sum / C;
        for (int c = 0; c < C; c++) {
            float h = (to_float(x[c]) - m) * s;
            float g = to_float(d[c]) * (weight ? to_float(weight[c]) : 1.f);
            dx[c] = to_real(to_float(dx[c]) + s * (g - g_mean - h * gh_mean));
        }
    }
    #pragma omp parallel for schedule(static) num_threads(team((size_t)N * C))
    for (int from = 0; from < C; from += COLUMNS) {
        int to = min_int(from + COLUMNS, C);
        for (int n = 0; n < N; n++) {
            const real *x = inp + (size_t)n * C, *d = dout + (size_t)n * C;
            for (int c = from; dweight && c < to; c++)
                dweight[c] += to_float(d[c]) * (to_float(x[c]) - mean[n]) * rstd[n];
            for (int c = from; dbias && c < to; c++) dbias[c] += to_float(d[c]);
        }
    }
}

/* ---- RMSNorm --------------------------------------------------------------------------------- */

/* One row: out = x rstd weight; returns rstd. */
static float rms_row(real *out, const real *x, const real *weight, int C, float eps) {
    float squares = 0;
    #pragma omp simd reduction(+:squares)
    for (int c = 0; c < C; c++) squares += to_float(x[c]) * to_float(x[c]);
    float s = 1.f / sqrtf(squares / C + eps);
    for (int c = 0; c < C; c++) out[c] = to_real(to_float(x[c]) * s * to_float(weight[c]));
    return s;
}

void rmsnorm_forward(real *out, float *rstd, const real *inp, const real *weight,
                     int N, int C, float eps) {
    #pragma omp parallel for schedule(static) num_threads(team((size_t)N * C))
    for (int n = 0; n < N; n++)
        rstd[n] = rms_row(out + (size_t)n * C, inp + (size_t)n * C, weight, C, eps);
}

/* With h = x rstd and g = dout weight:  dx = rstd (g - h mean(g h)). */
void rmsnorm_backward(real *dinp, float *dweight, const real *dout, const real *inp,
                      const real *weight, const float *rstd, void *work, int N, int C) {
    (void)work;
    #pragma omp parallel for schedule(static) num_threads(team((size_t)N * C))
    for (int n = 0; n < N; n++) {
        const real *x = inp + (size_t)n * C, *d = dout + (size_t)n * C;
        real *dx = dinp + (size_t)n * C;
        float s = rstd[n], gh = 0;
        #pragma omp simd reduction(+:gh)
        for (int c = 0; c < C; c++) gh += to_float(d[c]) * to_float(weight[c]) * to_float(x[c]) * s;
        float gh_mean = gh / C;
        for (int c = 0; c < C; c++) {
            float h = to_float(x[c]) * s, g = to_float(d[c]) * to_float(weight[c]);
            dx[c] = to_real(to_float(dx[c]) + s * (g - h * gh_mean));
        }
    }
    #pragma omp parallel for schedule(static) num_threads(team((size_t)N * C))
    for (int from = 0; from < C; from += COLUMNS)
        for (int n = 0; n < N; n++) {
            const real *x = inp + (size_t)n * C, *d = dout + (size_t)n * C;
            for (int c = from; dweight && c < min_int(from + COLUMNS, C); c++)
                dweight[c] += to_float(d[c]) * to_float(x[c]) * rstd[n];
        }
}

/* ---- Queries and keys: norm and rotation ----------------------------------------------------- */

void rope_table(float *rope, const double *frequencies, float factor, int context, int D) {
    #pragma omp parallel for schedule(static) num_threads(team(30. * context * D))
    for (int t = 0; t < context; t++)
        for (int i = 0; i < D / 2; i++) {
            const double f = frequencies[i];
            rope[(size_t)t * D + i] = f ? (float)(cos(t * f) * factor) : 1.f;
            rope[(size_t)t * D + D / 2 + i] = f ? (float)(sin(t * f) * factor) : 0.f;
        }
}

/* Rotates each pair (x[i], x[i + D/2]) by the angle of (cosine, direction * sine). */
static void rotate(real *x, const float *rope, float direction, int D) {
    for (int i = 0; i < D / 2; i++) {
        float c = rope[i], s = direction * rope[D / 2 + i];
        float a = to_float(x[i]), b = to_float(x[i + D / 2]);
        x[i] = to_real(a * c - b * s);
        x[i + D / 2] = to_real(a * s + b * c);
    }
}

void qk_norm_rope_forward(real *out, float *rstd, const real *inp, const real *q_norm,
                          const real *k_norm, const float *rope, const int *positions,
                          int N, int H, int K, int D, int wide, float eps) {
    #pragma omp parallel for schedule(static) num_threads(team((size_t)N * (H + K) * D))
    for (int n = 0; n < N; n++) {
        const real *x = inp + (size_t)n * (H + 2 * K) * D;
        real *o = out + (size_t)n * (H + 2 * K) * D;
        float *r = rstd + (size_t)n * (H + K);
        memcpy(o, x, sizeof(real) * (H + 2 * K) * D);
        if (wide && q_norm) {
            r[0] = rms_row(o, x, q_norm, H * D, eps);
            r[H] = rms_row(o + H * D, x + H * D, k_norm, K * D, eps);
        }
        for (int h = 0; h < H + K; h++) {
            const real *weight = h < H ? q_norm : k_norm;
            if (wide) r[h] = r[h < H ? 0 : H];
            else if (weight) r[h] = rms_row(o + h * D, x + h * D, weight, D, eps);
            if (rope) rotate(o + h * D, rope + (size_t)positions[n] * D, 1, D);
        }
    }
}

void qk_norm_rope_backward(real *dinp, float *dq_norm, float *dk_norm, const real *dout,
                           const real *inp, const real *q_norm, const real *k_norm,
                           const float *rstd, const float *rope, const int *positions, void *work,
                           int N, int H, int K, int D, int wide) {
    (void)work;
    const size_t W = (size_t)(H + 2 * K) * D;
    if (dinp != dout) memcpy(dinp, dout, sizeof(real) * N * W);
    if (rope) {
        #pragma omp parallel for schedule(static) num_threads(team((size_t)N * (H + K) * D))
        for (int n = 0; n < N; n++)
            for (int h = 0; h < H + K; h++)
                rotate(dinp + n * W + h * D, rope + (size_t)positions[n] * D, -1, D);
    }
    if (!q_norm) return;
    enum { LINE = 16 };                          /* columns of dq_norm and dk_norm have owners */
    #pragma omp parallel for schedule(static) num_threads(team((size_t)N * (H + K) * D))
    for (int from = 0; from < D; from += LINE)
        for (int n = 0; n < N; n++)
            for (int h = 0; h < H + K; h++) {
                const real *x = inp + n * W + h * D, *d = dinp + n * W + h * D;
                float *dw = h < H ? dq_norm : dk_norm, s = rstd[(size_t)n * (H + K) + h];
                if (dw && wide) dw += (h < H ? h : h - H) * D;
                for (int i = from; dw && i < min_int(from + LINE, D); i++)
                    dw[i] += to_float(d[i]) * to_float(x[i]) * s;
            }
    #pragma omp parallel for schedule(static) num_threads(team((size_t)N * (H + K) * D))
    for (int n = 0; n < N; n++)
        for (int h = 0; h < H + K; h += wide ? h < H ? H : K : 1) {
            const real *x = inp + n * W + h * D, *weight = h < H ? q_norm : k_norm;
            const int C = wide ? (h < H ? H : K) * D : D;        /* what is normalized together */
            real *d = dinp + n * W + h * D;
            float s = rstd[(size_t)n * (H + K) + h], gh = 0;
            #pragma omp simd reduction(+:gh)
            for (int i = 0; i < C; i++)
                gh += to_float(d[i]) * to_float(weight[i]) * to_float(x[i]) * s;
            for (int i = 0; i < C; i++) {
                float g = to_float(d[i]) * to_float(weight[i]);
                d[i] = to_real(s * (g - to_float(x[i]) * s * gh / C));
            }
        }
}

/* ---- Activations ----------------------------------------------------------------------------- */

static const float GELU_A = 0.7978845608f, GELU_B = 0.044715f;   /* sqrt(2/pi) and its cubic term */

static inline float gelu_tanh(float x) { return fast_tanh(GELU_A * (x + GELU_B * x * x * x)); }
static inline float gelu_slope(float x) {
    float t = gelu_tanh(x);
    return 0.5f * (1.f + t) + 0.5f * x * (1.f - t * t) * GELU_A * (1.f + 3.f * GELU_B * x * x);
}

void gelu_forward(real *out, const real *inp, size_t n) {
    #pragma omp parallel for simd schedule(static) num_threads(team(n))
    for (size_t i = 0; i < n; i++) {
        float x = to_float(inp[i]);
        out[i] = to_real(0.5f * x * (1.f + gelu_tanh(x)));
    }
}

void gelu_backward(real *dinp, const real *dout, const real *inp, size_t n) {
    #pragma omp parallel for simd schedule(static) num_threads(team(n))
    for (size_t i = 0; i < n; i++) {
        dinp[i] = to_real(to_float(dout[i]) * gelu_slope(to_float(inp[i])));
    }
}

void gelu_erf_forward(real *out, const real *inp, size_t n) {
    #pragma omp parallel for simd schedule(static) num_threads(team(n))
    for (size_t i = 0; i < n; i++) {
        float x = to_float(inp[i]);
        out[i] = to_real(0.5f * x * (1.f + fast_erf(0.7071067812f * x)));
    }
}

void gelu_erf_backward(real *dinp, const real *dout, const real *inp, size_t n) {
    #pragma omp parallel for simd schedule(static) num_threads(team(n))
    for (size_t i = 0; i < n; i++) {
        float x = to_float(inp[i]), density = 0.3989422804f * fast_exp(-0.5f * x * x);
        float slope = 0.5f * (1.f + fast_erf(0.7071067812f * x)) + x * density;
        dinp[i] = to_real(to_float(dout[i]) * slope);
    }
}

void swiglu_forward(real *out, const real *inp, int N, int F) {
    #pragma omp parallel for schedule(static) num_threads(team((size_t)N * F))
    for (int n = 0; n < N; n++) {
        const real *gate = inp + (size_t)n * 2 * F, *up = gate + F;
        real *o = out + (size_t)n * F;
        #pragma omp simd
        for (int f = 0; f < F; f++) {
            float g = to_float(gate[f]);
            o[f] = to_real(g * fast_sigmoid(g) * to_float(up[f]));
        }
    }
}

void swiglu_backward(real *dinp, const real *dout, const real *inp, int N, int F) {
    #pragma omp parallel for schedule(static) num_threads(team((size_t)N * F))
    for (int n = 0; n < N; n++) {
        const real *gate = inp + (size_t)n * 2 * F, *up = gate + F, *d = dout + (size_t)n * F;
        real *dgate = dinp + (size_t)n * 2 * F, *dup = dgate + F;
        #pragma omp simd
        for (int f = 0; f < F; f++) {
            float g = to_float(gate[f]), s = fast_sigmoid(g), dy = to_float(d[f]);
            dgate[f] = to_real(dy * to_float(up[f]) * s * (1.f + g * (1.f - s)));
            dup[f] = to_real(dy * g * s);
        }
    }
}

void geglu_forward(real *out, const real *inp, int N, int F) {
    #pragma omp parallel for schedule(static) num_threads(team((size_t)N * F))
    for (int n = 0; n < N; n++) {
        const real *gate = inp + (size_t)n * 2 * F, *up = gate + F;
        real *o = out + (size_t)n * F;
        #pragma omp simd
        for (int f = 0; f < F; f++) {
            float g = to_float(gate[f]);
            o[f] = to_real(0.5f * g * (1.f + gelu_tanh(g)) * to_float(up[f]));
        }
    }
}

void geglu_backward(real *dinp, const real *dout, const real *inp, int N, int F) {
    #pragma omp parallel for schedule(static) num_threads(team((size_t)N * F))
    for (int n = 0; n < N; n++) {
        const real *gate = inp + (size_t)n * 2 * F, *up = gate + F, *d = dout + (size_t)n * F;
        real *dgate = dinp + (size_t)n * 2 * F, *dup = dgate + F;
        #pragma omp simd
        for (int f = 0; f < F; f++) {
            float g = to_float(gate[f]), dy = to_float(d[f]);
            dgate[f] = to_real(dy * to_float(up[f]) * gelu_slope(g));
            dup[f] = to_real(dy * 0.5f * g * (1.f + gelu_tanh(g)));
        }
    }
}

/* ---- Experts --------------------------------------------------------------------------------- */

/* chosen (k) = the largest of x (E); of what is no number, any. */
static void choose(int *chosen, const float *x, int E, int k) {
    char taken[MOST_EXPERTS] = { 0 };
    for (int j = 0; j < k; j++) {
        int best = -1;
        for (int e = 0; e < E; e++)
            if (!taken[e] && (best < 0 || x[e] > x[best])) best = e;
        taken[chosen[j] = best] = 1;
    }
}

void route_forward(int *chosen, float *shares, float *probs, int N, int E, int k, int norm) {
    #pragma omp parallel for schedule(static) num_threads(team((double)N * E * k))
    for (int n = 0; n < N; n++) {
        float *p = probs + (size_t)n * E, *s = shares + (size_t)n * k, sum = 0, all = 0;
        int *c = chosen + (size_t)n * k;
        choose(c, p, E, k);
        const float most = p[c[0]];
        for (int e = 0; e < E; e++) sum += p[e] = fast_exp(p[e] - most);
        for (int e = 0; e < E; e++) p[e] /= sum;
        for (int j = 0; j < k; j++) all += p[c[j]];
        for (int j = 0; j < k; j++) s[j] = norm ? p[c[j]] / all : p[c[j]];
    }
}

/* With s the shares, of the softmax of all or with norm of those that are chosen, and t = s ds,
   which is dact act: dlogits = t - s sum(t). */
void route_backward(real *dlogits, const real *dact, const real *act, const float *probs,
                    const float *shares, const int *chosen, const int *places,
                    int N, int E, int k, int F, int norm) {
    #pragma omp parallel for schedule(static) num_threads(team((double)N * (E + k * F)))
    for (int n = 0; n < N; n++) {
        const size_t first = (size_t)n * k;
        const float *p = probs + (size_t)n * E;
        real *d = dlogits + (size_t)n * E;
        float t[MOST_EXPERTS], sum = 0;
        for (int j = 0; j < k; j++) {
            const size_t at = (size_t)places[first + j] * F;
            float dot = 0;
            #pragma omp simd reduction(+:dot)
            for (int f = 0; f < F; f++) dot += to_float(dact[at + f]) * to_float(act[at + f]);
            sum += t[j] = dot;
        }
        for (int e = 0; e < E; e++) d[e] = to_real(norm ? 0 : -p[e] * sum);
        for (int j = 0; j < k; j++)
            d[chosen[first + j]] = to_real(t[j] - shares[first + j] * sum);
    }
}

void spread_rows(real *out, const real *inp, const float *shares, const int *places,
                 int N, int k, int C) {
    #pragma omp parallel for schedule(static) num_threads(team((double)N * k * C))
    for (int i = 0; i < N * k; i++) {
        const real *x = inp + (size_t)(i / k) * C;
        real *o = out + (size_t)places[i] * C;
        const float s = shares ? shares[i] : 1;
        for (int c = 0; c < C; c++) o[c] = to_real(s * to_float(x[c]));
    }
}

void collect_rows(real *out, const real *residual, const real *inp, const float *shares,
                  const int *places, int N, int k, int C) {
    #pragma omp parallel for schedule(static) num_threads(team((double)N * k * C))
    for (int n = 0; n < N; n++)
        for (int from = 0; from < C; from += COLUMNS) {
            const int some = min_int(COLUMNS, C - from);
            const size_t at = (size_t)n * C + from;
            float sum[COLUMNS] = { 0 };
            for (int c = 0; residual && c < some; c++) sum[c] = to_float(residual[at + c]);
            for (int i = n * k; i < n * k + k; i++) {
                const real *x = inp + (size_t)places[i] * C + from;
                const float s = shares ? shares[i] : 1;
                for (int c = 0; c < some; c++) sum[c] += s * to_float(x[c]);
            }
            for (int c = 0; c < some; c++) out[at + c] = to_real(sum[c]);
        }
}

/* ---- The loss -------------------------------------------------------------------------------- */

/* The largest of x (n), in PARTS by hand: because of NaN the order of comparisons matters, and even
   with OpenMP's permission clang would take one number at a time. */
static float largest(const float *x, int n) {
    enum { PARTS = 64 };
    float most[PARTS];
    for (int i = 0; i < PARTS; i++) most[i] = -INFINITY;
    for (int j = 0; j < n / PARTS; j++, x += PARTS)
        for (int i = 0; i < PARTS; i++) most[i] = x[i] > most[i] ? x[i] : most[i];
    for (int i = 0; i < n % PARTS; i++) most[i] = x[i] > most[i] ? x[i] : most[i];
    for (int i = 1; i < PARTS; i++) most[0] = most[i] > most[0] ? most[i] : most[0];
    return most[0];
}

int nll_rows(void) { return 512; }

void softcap_forward(float *logits, float cap, size_t n) {
    #pragma omp parallel for simd schedule(static) num_threads(team(n))
    for (size_t i = 0; i < n; i++) logits[i] = cap * fast_tanh(logits[i] / cap);
}

void softcap_backward(real *dlogits, const float *logits, float cap, size_t n) {
    #pragma omp parallel for simd schedule(static) num_threads(team(n))
    for (size_t i = 0; i < n; i++) {
        float t = logits[i] / cap;
        dlogits[i] = to_real(to_float(dlogits[i]) * (1.f - t * t));
    }
}

void nll_forward(float *nll, real *dlogits, const float *logits, const int *targets,
                 const float *weights, int N, int V, int P) {
    #pragma omp parallel for schedule(static) num_threads(team((size_t)N * V))
    for (int n = 0; n < N; n++) {
        const float *x = logits + (size_t)n * P;
        float most = largest(x, V), sum = 0;
        #pragma omp simd reduction(+:sum)
        for (int v = 0; v < V; v++) sum += fast_exp(x[v] - most);
        float lse = most + logf(sum);
        int target = targets[n];
        nll[n] = target < 0 ? 0.f : lse - x[target];
        if (!dlogits) continue;
        real *d = dlogits + (size_t)n * P;
        float w = target < 0 ? 0.f : weights[n];
        #pragma omp simd
        for (int v = 0; v < V; v++) d[v] = to_real(fast_exp(x[v] - lse) * w);
        for (int v = V; v < P; v++) d[v] = to_real(0);
        if (target >= 0)                         /* from the unrounded probability */
            d[target] = to_real((fast_exp(x[target] - lse) - 1.f) * w);
    }
}

/* ---- Moving and converting ------------------------------------------------------------------- */

void gather_rows(real *out, const real *inp, const int *rows, int n, int C) {
    embed_forward(out, rows, NULL, inp, NULL, n, C);
}

void widen(float *out, const real *inp, size_t n) {
    #pragma omp parallel for simd schedule(static) num_threads(team(n))
    for (size_t i = 0; i < n; i++) out[i] = to_float(inp[i]);
}

void narrow(real *out, const float *inp, size_t n) {
    #pragma omp parallel for simd schedule(static) num_threads(team(n))
    for (size_t i = 0; i < n; i++) out[i] = to_real(inp[i]);
}

/* ---- The optimizer --------------------------------------------------------------------------- */

double sum_squares(const float *x, size_t n) {
    enum { PARTS = 64 };                         /* fixed, so that the sum has one order */
    double part[PARTS], sum = 0;
    #pragma omp parallel for schedule(static) num_threads(team(n))
    for (int p = 0; p < PARTS; p++) {
        double s = 0;
        #pragma omp simd reduction(+:s)
        for (size_t i = n * p / PARTS; i < n * (p + 1) / PARTS; i++) s += (double)x[i] * x[i];
        part[p] = s;
    }
    for (int p = 0; p < PARTS; p++) sum += part[p];
    return sum;
}

/* m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;
   w -= lr (m/(1-b1^t) / (sqrt(v/(1-b2^t)) + eps) + decay w) */
void adamw(real *weight, float *master, float *m, float *v, const float *grad, const AdamW *adam,
           int decay, size_t at, size_t n) {
    const float b1 = adam->beta1, b2 = adam->beta2, eps = adam->eps, scale = adam->grad_scale;
    const float step = (float)(adam->lr / (1 - pow(b1, adam->step)));
    const float root = (float)(1 / sqrt(1 - pow(b2, adam->step)));
    const float keep = decay ? 1.f - adam->lr * adam->weight_decay : 1.f;
    const int chance = !master && sizeof(real) < sizeof(float);
    float *exact = master ? master : (float *)weight;
    #pragma omp parallel for simd schedule(static) num_threads(team(n))
    for (size_t i = 0; i < n; i++) {
        float g = grad[i] * scale;
        float mi = b1 * m[i] + (1.f - b1) * g, vi = b2 * v[i] + (1.f - b2) * g * g;
        float w = chance ? to_float(weight[i]) : exact[i];
        w = w * keep - step * mi / (sqrtf(vi) * root + eps);
        m[i] = mi;
        v[i] = vi;
        if (chance) w = round_by_chance(w, noise(adam->step, at + i));
        else exact[i] = w;
        weight[i] = to_real(w);
    }
}

void nesterov(real *out, float *m, const float *grad, float beta, float scale, size_t n) {
    #pragma omp parallel for simd schedule(static) num_threads(team(n))
    for (size_t i = 0; i < n; i++) {
        const float g = (1.f - beta) * scale * grad[i];
        m[i] = beta * m[i] + g;
        out[i] = to_real(beta * m[i] + g);
    }
}

void muon_step(real *weight, float *master, const real *update, float rate, float keep, int step,
               size_t at, size_t n) {
    const int chance = !master && sizeof(real) < sizeof(float);
    float *exact = master ? master : (float *)weight;
    #pragma omp parallel for simd schedule(static) num_threads(team(n))
    for (size_t i = 0; i < n; i++) {
        float w = chance ? to_float(weight[i]) : exact[i];
        w = w * keep - rate * to_float(update[i]);
        if (chance) w = round_by_chance(w, noise(step, at + i));
        else exact[i] = w;
        weight[i] = to_real(w);
    }
}

void polynomial(real *out, const real *x, const real *square, float a, float b, float c, int n) {
    #pragma omp parallel for schedule(static) num_threads(team((size_t)n * n))
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            const size_t at = (size_t)i * n + j;
            out[at] = to_real((i == j ? a : 0.f) + b * to_float(x[at]) + c * to_float(square[at]));
        }
}
