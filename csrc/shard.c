/* shard.c: which part of a model each rank of a job answers for.

   The arena of weights and gradients is a row of buckets: the embeddings; each layer; the final
   norm and what there is of a head. A bucket is the unit of traffic: its gradients are summed as
   soon as they are complete. With SHARD (ZeRO-1, arXiv:1910.02054) each is cut into as many equal
   pieces as there are ranks, and rank r keeps masters and moments of the rth pieces only, one
   behind the other. A step then takes a reduce-scatter of the gradients and an all-gather of the
   weights: the traffic of the one all-reduce that it takes without. */

#include "model.h"

/* Where bucket b begins; that of b = layers + 2 is the end of all. */
static size_t start_of(const Model *m, int b) {
    if (b == 0) return 0;
    return b == m->config.layers + 2 ? m->n_weights : m->embedding + (b - 1) * m->layer;
}

int bucket_of(const Model *m, int index) {
    const size_t at = m->offsets[index];
    if (at < m->embedding) return 0;
    return 1 + min_int((int)((at - m->embedding) / m->layer), m->config.layers);
}

size_t shard_size(const Model *m) { return m->n_weights / m->shards; }

Part part_of(const Model *m, int index, int shard) {
    const int b = bucket_of(m, index);
    const size_t start = start_of(m, b), piece = (start_of(m, b + 1) - start) / m->shards;
    const size_t low = start + shard * piece, high = low + piece;
    const size_t begin = m->offsets[index], end = begin + size_of(&m->tensors[index]);
    const size_t from = begin > low ? begin : low, to = end < high ? end : high;
    if (from >= to) return (Part){ 0 };
    return (Part){ from - begin, to - from, from, start / m->shards + from - low };
}

void reduce_bucket(const Model *m, int b) {
    const size_t start = start_of(m, b);
    comm_reduce(m->grads + start, start_of(m, b + 1) - start, m->how & SHARD);
}

void gather_bucket(const Model *m, int b) {
    const size_t start = start_of(m, b);
    comm_gather(m->weights + start, start_of(m, b + 1) - start);
}

int sum_gradients(const Model *m, double *sum) {
    *sum = 0;
    if (m->shards == 1) {
        *sum = sum_squares(m->grads, m->n_weights);
        return 0;
    }
    for (int b = 0; b < m->config.layers + 2; b++) {
        const size_t start = start_of(m, b), piece = (start_of(m, b + 1) - start) / m->shards;
        *sum += sum_squares(m->grads + start + m->shard * piece, piece);
    }
    return comm_sum(sum, 1);
}
