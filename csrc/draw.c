/* draw.c: what becomes of the rows that model_extend has computed: their last states are read, or
   tokens are drawn from their logits. */

#include "model.h"

/* out (n,V) = the first n rows of what lies where the logits do. */
static int read_rows(const Model *m, float *out, int n) {
    const int V = m->config.vocab;
    for (int i = 0; i < n; i++)
        if (device_read(out + (size_t)i * V, m->logits + (size_t)i * m->P, V * sizeof *out))
            return -1;
    return 0;
}

int model_last_logits(Model *m, float *logits, int n) {
    if (n != m->undrawn)
        return chat_fail("%d rows of logits, but model_extend left %d", n, m->undrawn);
    return read_rows(m, logits, n);
}

int model_last_states(Model *m, float *states, int n) {
    const size_t size = (size_t)n * m->config.channels;
    if (n < 1 || n > m->extended)
        return chat_fail("states of %d tokens, but model_extend was given %d", n, m->extended);
    real *rows = malloc(size * sizeof *rows);
    if (!rows) return chat_fail("no memory for the states of %d tokens", n);
    const int failed = device_read(rows, m->h, size * sizeof *rows);
    for (size_t i = 0; i < size && !failed; i++) states[i] = to_float(rows[i]);
    free(rows);
    return failed;
}

/* Whether row i's settings make sense, and name only ids that there are. */
static int check_row(const Sampling *s, int i, int n_ids) {
    if (check_sampling(s)) return -1;
    if (s->banned < 0 || s->n_banned < 0 || s->banned > n_ids - s->n_banned
        || s->biased < 0 || s->n_biased < 0 || s->biased > n_ids - s->n_biased
        || s->seen < 0 || s->n_seen < 0 || s->seen > n_ids - s->n_seen)
        return chat_fail("row %d names tokens beyond the %d ids", i, n_ids);
    return 0;
}

int model_sample(Model *m, int *tokens, float *logprobs, float *probabilities,
                 const Sampling *settings, const int *ids, const float *biases, int n_ids) {
    const int n = m->undrawn, V = m->config.vocab;
    if (n == 0) return chat_fail("model_sample needs a model_extend without logits just before it");
    if (n_ids < 0 || check_ids("token", ids, 0, V, n_ids, n_ids)) return -1;
    for (int i = 0; i < n; i++) {
        if (check_row(&settings[i], i, n_ids)) return -1;
        if (settings[i].n_biased && !biases) return chat_fail("row %d is biased, by no biases", i);
    }
    if (n_ids > m->n_ids) {
        device_free(m->ids); device_free(m->biases);
        m->n_ids = 0;
        m->ids = device_alloc(n_ids * sizeof *ids);
        m->biases = device_alloc(n_ids * sizeof *biases);
        if (!m->ids || !m->biases) return -1;
        m->n_ids = n_ids;
    }
    device_write(m->settings, settings, n * sizeof *settings);
    if (n_ids) device_write(m->ids, ids, n_ids * sizeof *ids);
    if (biases) device_write(m->biases, biases, n_ids * sizeof *biases);
    sample_rows(m->drawn, m->logprobs, m->logits, m->settings, m->ids, m->biases, n, V, m->P,
                !!probabilities);
    m->undrawn = 0;
    if (device_read(tokens, m->drawn, n * sizeof *tokens)) return -1;
    for (int i = 0; i < n; i++)
        if (tokens[i] < 0)
            return chat_fail("row %d has no token left to draw, or a logit that is no number", i);
    if (logprobs && device_read(logprobs, m->logprobs, n * sizeof *logprobs)) return -1;
    return probabilities ? read_rows(m, probabilities, n) : 0;
}
