/* batch.c: a batch on its way to the device, with what kernels want to know of it beside its
   tokens: positions, rows in the order of their tokens, and which rows have a target. */

#include "model.h"

/* order (N) = the indices of ids (N), all below n_ids, by id, equal ones as they come.
   begins (n_ids) = where those of each id begin. */
static void sort_by_id(int *order, int *begins, const int *ids, int N, int n_ids) {
    memset(begins, 0, sizeof(int) * n_ids);
    for (int n = 0; n < N; n++) begins[ids[n]]++;
    for (int i = 1; i < n_ids; i++) begins[i] += begins[i - 1];      /* ends, so far */
    for (int n = N - 1; n >= 0; n--) order[--begins[ids[n]]] = n;
}

int upload_batch(Model *m, const int *tokens, const int *doc_start, int B, int T,
                        int backward) {
    const Config *c = &m->config;
    const int N = B * T, n_ids = max_int(c->vocab, c->context);
    if (ensure_ropes(m, T)) return -1;
    int *positions = calloc(2 * (size_t)N + n_ids, sizeof(int));
    if (!positions) return chat_fail("no memory for %d positions", N);
    int *order = positions + N, *begins = order + N;
    for (int n = 0; n < N; n++) positions[n] = n % T - (doc_start ? doc_start[n] : 0);
    device_write(m->positions, positions, sizeof(int) * N);
    device_write(m->tokens, tokens, sizeof(int) * N);
    if (doc_start) device_write(m->doc_start, doc_start, sizeof(int) * N);
    if (backward) {
        sort_by_id(order, begins, tokens, N, c->vocab);
        device_write(m->by_token, order, sizeof(int) * N);
    }
    if (backward && m->wpe) {
        sort_by_id(order, begins, positions, N, c->context);
        device_write(m->by_position, order, sizeof(int) * N);
    }
    free(positions);
    return 0;
}

/* The host must know how many rows each expert has: on a GPU, it waits for every layer. */
int group_rows(const Model *m, int l, int N) {
    const int E = m->config.experts, count = N * m->config.experts_used;
    int *chosen = malloc(sizeof(int) * 3 * count), *order = chosen + count, *places = order + count;
    int *begins = begins_of(m, l);
    if (!chosen) return chat_fail("no memory for the experts of %d rows", N);
    if (device_read(chosen, m->acts[l].chosen, sizeof(int) * count)) { free(chosen); return -1; }
    sort_by_id(order, begins, chosen, count, E);
    begins[E] = count;
    for (int i = 0; i < count; i++) places[order[i]] = i;
    device_write(m->acts[l].places, places, sizeof(int) * count);
    free(chosen);
    return 0;
}

int upload_targets(Model *m, const int *targets, int N) {
    int *have = malloc(sizeof(int) * 2 * N), *index = have + N, *rows = m->target_rows_host;
    int count = 0;
    if (!have) return chat_fail("no memory for %d targets", N);
    for (int n = 0; n < N; n++)
        if (!targets || targets[n] >= 0) rows[count++] = n;
    for (int i = 0; i < count; i++) have[i] = targets ? targets[rows[i]] : 0;
    for (int n = 0, i = 0; n < N; n++) index[n] = i < count && rows[i] == n ? i++ : count;
    device_write(m->target_rows, rows, sizeof(int) * count);
    device_write(m->targets, have, sizeof(int) * count);
    device_write(m->target_index, index, sizeof(int) * N);
    free(have);
    m->n_targets = count;
    return 0;
}

int upload_weights(Model *m, const float *weights) {
    const int count = m->n_targets;
    float *coef = malloc(sizeof(float) * max_int(1, count));
    if (!coef) return chat_fail("no memory for %d weights", count);
    for (int i = 0; i < count; i++) coef[i] = weights[m->target_rows_host[i]];
    device_write(m->coef, coef, sizeof(float) * count);
    free(coef);
    return 0;
}
