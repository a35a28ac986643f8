/* muon.c: Muon (Jordan 2024; arXiv:2502.16982), for the matrices of blocks: a step moves a matrix
   by its momentum with all singular values made about 1. Written once for every device, as model.c
   is.

   An iteration of Newton and Schulz takes X to X Q with Q = a + b G + c G^2 and G = X^T X, so that
   each singular value s becomes a s + b s^3 + c s^5. (Where X has fewer rows than columns, it
   becomes Q X with G = X X^T: as small as can be.) Polynomials of one symmetric matrix commute: the
   next G is Q G Q, and all iterations can be done on G alone, half of each product, for they are
   symmetric; in the end X is multiplied by P, the product of all Q. A float is precise enough for
   that, if what should be symmetric is made so: else errors grow to 1 % (tried: 64 to 256 rows).
   bfloat16 is not: there X is multiplied after each iteration. (Rounding makes eigenvalues of G a
   little less than 0; in the next ones they grow twelvefold, P with them, and what begins over 1.3
   ends anywhere: with three at a time, one step of a thousand ruined a model.) */

#include "model.h"

enum { ITERATIONS = 5, AT_ONCE = sizeof(real) < sizeof(float) ? 1 : ITERATIONS };
static const float a = 3.4445f, b = -4.7750f, c = 2.0315f;   /* Jordan's: to 0.7 .. 1.2 */

static void swap(real **x, real **y) { real *z = *x; *x = *y; *y = z; }

/* out = x y, of n by n: symmetric ones that commute. */
static void multiply(const Muon *s, real *out, const real *x, const real *y, int n) {
    symmetric_product(out, x, y, s->work, n, n, 0);
}

/* Divides G by its norm, so that no singular value of X is over 1, and returns by what X is to be
   divided: a matrix of less than the smallest squares that float can hold becomes 0. */
static float normalize(const Muon *s, int n) {
    const size_t all = (size_t)n * n;
    widen(s->wide, s->g, all);
    const double norm = sqrt(sum_squares(s->wide, all));
    const float scale = norm < 1e-30 ? 0 : 1 / norm;
    scale_reals(s->g, scale, all);
    return sqrtf(scale);
}

/* s->x (rows,cols) becomes U V^T, about, of its singular value decomposition U S V^T. */
static void orthogonalize(Muon *s, int rows, int cols) {
    const int tall = rows > cols, n = tall ? cols : rows;
    const size_t all = (size_t)n * n;
    for (int i = 0; i < ITERATIONS; i += AT_ONCE) {
        symmetric_product(s->g, s->x, s->x, s->work, n, tall ? rows : cols, tall);
        const float scale = i == 0 ? normalize(s, n) : 1;
        for (int j = 0; j < AT_ONCE; j++) {
            multiply(s, s->t, s->g, s->g, n);
            polynomial(s->q, s->g, s->t, a, b, c, n);
            if (j == 0) device_copy(s->p, s->q, all * sizeof(real));
            else { multiply(s, s->t, s->p, s->q, n); swap(&s->p, &s->t); }
            if (j == AT_ONCE - 1) break;
            multiply(s, s->t, s->g, s->q, n);
            multiply(s, s->g, s->t, s->q, n);
        }
        if (i == 0) scale_reals(s->p, scale, all);
        linear_backward(s->y, NULL, NULL, tall ? s->x : s->p, NULL, tall ? s->p : s->x,
                        NULL, NULL, NULL, s->work, rows, cols, n);
        swap(&s->x, &s->y);
    }
}

void muon_update(Model *m, Tensor *t, const AdamW *adam, size_t at) {
    const size_t count = (size_t)t->out * t->cols;
    nesterov(m->muon.x, t->moment1, t->grad, adam->momentum, adam->grad_scale, count);
    orthogonalize(&m->muon, t->out, t->cols);
    muon_step(t->w, t->master, m->muon.x, 0.2f * sqrtf(max_int(t->out, t->cols)) * adam->lr,
              1.f - adam->lr * adam->weight_decay, adam->step, at, count);
}
