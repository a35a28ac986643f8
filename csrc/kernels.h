/* kernels.h: every operation that model.c is made of; the second half of chat.h, whose letters and
   signs it uses, and like it handed to cffi as it is.

   Every one comes with its backward. d is a gradient: dinp is dLoss/dinp. NULL leaves an optional
   out. */

/* out (N,C) = wte[tokens] + wpe[positions]. tokens (N), positions (N), wte (V,C), wpe (context,C)
   or NULL. Backward: dwte, dwpe += or NULL; by_token (N) = the rows in order of their tokens, equal
   ones in order of n, by_position likewise. */
void embed_forward(real *out,
                   const int *tokens, const int *positions, const real *wte, const real *wpe,
                   int N, int C);
void embed_backward(float *dwte, float *dwpe,
                    const real *dout, const int *tokens, const int *positions,
                    const int *by_token, const int *by_position,
                    int N, int C);

/* x (n) *= factor; out (n) = a + b, and may be either. */
void scale_reals(real *x, float factor, size_t n);
void add_reals(real *out,
               const real *a, const real *b,
               size_t n);

/* out (N,C) = (inp - mean) * rstd * weight + bias, mean and rstd (N) =. weight, bias (C) or NULL.
   Backward: dinp (N,C) += (the residual stream passes by), dweight and dbias (C) += or NULL; work:
   norm_work(N,C) bytes that nobody else uses. */
size_t norm_work(int N, int C);
void layernorm_forward(real *out, float *mean, float *rstd,
                       const real *inp, const real *weight, const real *bias,
                       int N, int C, float eps);
void layernorm_backward(real *dinp, float *dweight, float *dbias,
                        const real *dout, const real *inp, const real *weight,
                        const float *mean, const float *rstd, void *work,
                        int N, int C);

/* out (N,C) = inp * rstd * weight, rstd (N) = 1/sqrt(mean(inp^2) + eps). arXiv:1910.07467.
   Backward: dinp (N,C) +=, dweight (C) += or NULL; work: norm_work(N,C) bytes. */
void rmsnorm_forward(real *out, float *rstd,
                     const real *inp, const real *weight,
                     int N, int C, float eps);
void rmsnorm_backward(real *dinp, float *dweight,
                      const real *dout, const real *inp, const real *weight, const float *rstd,
                      void *work, int N, int C);

/* out (N,O) = inp (N,C) weight^T + bias + residual. packed is weight (O,C) as linear_pack lays it
   out in linear_packed_size(C,O) reals, or where that is 0 weight itself; bias (O) or NULL,
   residual (N,O) or NULL. With pre (N,O), pre = that and out = gelu(pre).
   work: linear_work(N,C,O,0) bytes that nobody else uses meanwhile. linear_pack is given `rows`
   rows of the weight, from row `from` on, and writes their part of packed. */
size_t linear_packed_size(int C, int O);
size_t linear_work(int N, int C, int O, int backward);
void linear_pack(real *packed,
                 const real *weight,
                 int from, int rows, int C, int O);
void linear_forward(real *out, real *pre,
                    const real *inp, const real *packed, const real *bias, const real *residual,
                    void *work, int N, int C, int O);

/* The same without bias and residual, out in float: for logits. */
void linear_forward_float(float *out,
                          const real *inp, const real *packed,
                          void *work, int N, int C, int O);

/* embed_forward from a table (O,C) that linear_pack laid out: of a tied head there is no other. */
void embed_packed(real *out,
                  const int *tokens, const int *positions, const real *packed, const real *wpe,
                  int N, int C, int O);

/* out (n) = numbers in blocks of this type. */
void dequantize(float *out,
                const void *blocks,
                int type, size_t n);

/* out = x (rows,cols) in blocks of this type: F32, F16, BF16, Q4_0, Q5_0, Q8_0, Q4_K, Q6_K. weight
   (cols) or NULL: how much the square of an error counts when scales are chosen. factor (cols,cols)
   or NULL: upper triangular with ones on its diagonal; the error of number k times row k of it is
   taken from the numbers behind k before they are rounded. Only in the CPUs' libraries. */
int quantize_rows(uint8_t *out,
                  const float *x, const float *weight, const float *factor,
                  int type, int rows, int cols);

/* The product with rows that lie in blocks, without expanding them. quant_inputs rounds inp (N,C)
   to 8 bits, 32 numbers to a scale, into q8: quant_inputs_size(N,C) bytes. From both quant_forward
   gives `rows` columns of out (N,O): out = inp weight^T + bias + residual, weight (rows,C) of this
   type (F32, F16 and BF16 read inp, the others q8); out, bias, residual begin at the first of these
   columns; pairs as in model_map. A row of out has the same bits whatever other rows there are.
   quant_multiplies() 0: all this is missing, weights are expanded. */
int    quant_multiplies(void);
size_t quant_inputs_size(int N, int C);
void quant_inputs(void *q8,
                  const real *inp,
                  int N, int C);
void quant_forward(real *out,
                   const real *inp, const void *q8, const void *weight, const real *bias,
                   const real *residual,
                   int type, int pairs, int N, int C, int rows, int O);
void quant_forward_float(float *out,
                         const real *inp, const void *q8, const void *weight,
                         int type, int N, int C, int rows, int O);

/* The same one number at a time: what the fast one must agree with. Only in the CPUs' libraries. */
void quant_naive(float *out,
                 const real *inp, const void *q8, const void *weight,
                 int type, int N, int C, int rows);

/* embed_forward from a table of rows in blocks. */
void embed_quant(real *out,
                 const int *tokens, const int *positions, const void *rows, const real *wpe,
                 int type, int N, int C);

/* dinp (N,C) = dout weight + residual; dweight (O,C) += dout^T inp; dbias (O) += the sum of dout's
   rows; each may be NULL. weight (O,C) as it is or, where that is NULL, packed; residual (N,C),
   which may be dinp, or NULL. With pre (N,C), of which inp is the gelu, dinp is the gradient of
   pre. work: linear_work(N,C,O,1) bytes. */
void linear_backward(real *dinp, float *dweight, float *dbias,
                     const real *dout, const real *inp, const real *weight, const real *packed,
                     const real *pre, const real *residual,
                     void *work, int N, int C, int O);

/* C (M,N) = A (M,K) B^T with B (N,K), three loops: what the fast one must agree with. */
void matmul_naive(float *c,
                  const real *a, const real *b,
                  int M, int N, int K);

/* rope (context, D): row t holds the D/2 cosines, then the D/2 sines, of t * frequencies[i], times
   factor. A frequency of 0 is a pair that is not rotated: 1 and 0. */
void rope_table(float *rope,
                const double *frequencies, float factor,
                int context, int D);

/* Queries and keys made ready: RMSNorm over D with q_norm, k_norm (D) where not NULL, or if it is
   `wide`, over all heads of a row with q_norm (H*D), k_norm (K*D); then rotated by rope where not
   NULL (i with i + D/2, as Hugging Face does; arXiv:2104.09864). out, inp (N,W), v is copied;
   rstd (N,H+K) =; positions (N).
   Backward: dinp (N,W) =, may be dout; dq_norm, dk_norm += or NULL; work: norm_work(N,D) bytes, or
   norm_work(N,(H+K)*D) if it is wide. */
void qk_norm_rope_forward(real *out, float *rstd,
                          const real *inp, const real *q_norm, const real *k_norm,
                          const float *rope, const int *positions,
                          int N, int H, int K, int D, int wide, float eps);
void qk_norm_rope_backward(real *dinp, float *dq_norm, float *dk_norm,
                           const real *dout, const real *inp,
                           const real *q_norm, const real *k_norm,
                           const float *rstd, const float *rope, const int *positions, void *work,
                           int N, int H, int K, int D, int wide);

/* out (N,H*D) = softmax(scale q k^T) v of each head, over doc_start[t] <= key <= t of the same row,
   of which with a window only the last `window` (0: all). With a cap (0: none) each score s becomes
   cap tanh(s / cap) first (arXiv:2408.00118). lse (N,H) = log of the softmax' denominator.
   qkv (N,W); doc_start (N), never falling along a row, or NULL. Query head h reads key/value head
   h / (H/K). Tiled: no (T,T) matrix (arXiv:2205.14135).
   Backward: dqkv (N,W) =, in O(T^2); work: attention_work(B,T,H,D) bytes that nobody else uses. */
size_t attention_work(int B, int T, int H, int D);
void attention_forward(real *out, float *lse,
                       const real *qkv, const int *doc_start,
                       int B, int T, int H, int K, int D, int window, float scale, float cap);
void attention_backward(real *dqkv,
                        const real *dout, const real *out, const float *lse, const real *qkv,
                        const int *doc_start, void *work,
                        int B, int T, int H, int K, int D, int window, float scale, float cap);

/* The same one key at a time: what the fast ones must agree with. Only in the CPUs' libraries. */
void attention_naive(float *out, float *lse,
                     const real *qkv, const int *doc_start,
                     int B, int T, int H, int K, int D, int window, float scale, float cap);
void attention_naive_backward(float *dqkv,
                              const real *dout, const real *qkv, const int *doc_start,
                              int B, int T, int H, int K, int D, int window, float scale,
                              float cap);

/* The same for rows appended to a cache. First cache_write puts k and v of row n at
   keys, values (*,K*D)[starts[n] + positions[n]], for the slots lie one after the other and
   starts[n] is where that of row n begins; then row n attends to positions 0..positions[n] of its
   slot, or the last `window` of them, `length` at most. qkv (N,W), out (N,H*D) =; keys and values
   are reals or, with as_halves, IEEE's halves (on a GPU always reals).
   A row's result has the same bits whatever other rows there are; on a GPU only if N is 8 at most.
   work: extend_work(N,length,H,D) bytes. */
size_t extend_work(int N, int length, int H, int D);
void cache_write(void *keys, void *values,
                 const real *qkv, const int *starts, const int *positions,
                 int N, int H, int K, int D, int as_halves);
void attention_extend(real *out,
                      const real *qkv, const void *keys, const void *values,
                      const int *starts, const int *positions, void *work,
                      int N, int length, int H, int K, int D, int window, float scale,
                      float cap, int as_halves);

/* out (n) = 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). Backward: dinp (n) =, may be dout. */
void gelu_forward(real *out,
                  const real *inp,
                  size_t n);
void gelu_backward(real *dinp,
                   const real *dout, const real *inp,
                   size_t n);

/* The same with the normal distribution, 0.5 x (1 + erf(x / sqrt(2))). arXiv:1606.08415. */
void gelu_erf_forward(real *out,
                      const real *inp,
                      size_t n);
void gelu_erf_backward(real *dinp,
                       const real *dout, const real *inp,
                       size_t n);

/* out (N,F) = silu(gate) * up; inp (N,2F) holds gate, then up. arXiv:2002.05202.
   Backward: dinp (N,2F) =. */
void swiglu_forward(real *out,
                    const real *inp,
                    int N, int F);
void swiglu_backward(real *dinp,
                     const real *dout, const real *inp,
                     int N, int F);

/* The same with gelu_forward's function in place of silu. */
void geglu_forward(real *out,
                   const real *inp,
                   int N, int F);
void geglu_backward(real *dinp,
                    const real *dout, const real *inp,
                    int N, int F);

/* A mixture of experts (arXiv:1701.06538): of each row k of E MLPs make a weighted sum. No loss
   makes rows choose evenly (arXiv:2101.03961 has one): a router learns from what follows alone.
   route_forward: probs (N,E), logits at first, become their softmax; chosen (N,k) = the largest of
   each row, in falling order, equal ones by number; shares (N,k) = their probabilities, which with
   `norm` are divided by their sum. Then rows are grouped by expert: choice (n,j) is row places[n,j]
   of N*k. spread_rows: out (N*k,C)[places[n,j]] = inp (N,C)[n] * shares[n,j]. collect_rows: out
   (N,C)[n] = residual (N,C)[n], or 0 where that is NULL, + the sum over j of
   inp (N*k,C)[places[n,j]] * shares[n,j]; residual may be out. shares NULL: 1.
   Backward: they are each other's; dlogits (N,E) =; dact (N*k,F) is the gradient of act (N*k,F),
   which the last product of each expert reads, with the shares in it. */
void route_forward(int *chosen, float *shares, float *probs,
                   int N, int E, int k, int norm);
void route_backward(real *dlogits,
                    const real *dact, const real *act, const float *probs, const float *shares,
                    const int *chosen, const int *places,
                    int N, int E, int k, int F, int norm);
void spread_rows(real *out,
                 const real *inp, const float *shares, const int *places,
                 int N, int k, int C);
void collect_rows(real *out,
                  const real *residual, const real *inp, const float *shares, const int *places,
                  int N, int k, int C);

/* logits (n) = cap tanh(logits / cap), in place. Backward: dlogits (n), of what these came to be,
   becomes the gradient of what they were. */
void softcap_forward(float *logits, float cap, size_t n);
void softcap_backward(real *dlogits,
                      const float *logits, float cap, size_t n);

/* nll (N) = log(sum(exp(logits))) - logits[target], 0 where target < 0; logits (N,P), of which the
   first V count. With dlogits (N,P), in the same pass: dlogits = (softmax(logits) - onehot(target))
   * weights[n], 0 from V on and where target < 0; without, weights may be NULL too.
   nll_rows: how many rows' logits are worth having at one time. */
int  nll_rows(void);
void nll_forward(float *nll, real *dlogits,
                 const float *logits, const int *targets, const float *weights,
                 int N, int V, int P);

/* tokens (n) = one draw from each row of logits (n,P), of which the first V count, by settings[i];
   logprobs (n) = the log of its probability. -1 and NaN where no token is left or a logit is not a
   number. ids, biases: as model_sample has them. logits are changed: with `probabilities` the first
   V of a row become what its token was drawn from. The same on a GPU as here, but where the
   rounding of sums decides. */
void sample_rows(int *tokens, float *logprobs, float *logits,
                 const Sampling *settings, const int *ids, const float *biases,
                 int n, int V, int P, int probabilities);

/* out (n,C) = the given rows of inp. */
void gather_rows(real *out,
                 const real *inp, const int *rows,
                 int n, int C);

/* out (N) = the real values inp in float, and back, rounded to the nearest. */
void widen(float *out,
           const real *inp,
           size_t n);
void narrow(real *out,
            const float *inp,
            size_t n);

/* The sum of x^2, in double. */
double sum_squares(const float *x, size_t n);

/* weight, master (n) = one step of AdamW; m, v (n) =. master NULL: weight is all there is; if it is
   bfloat16, it is rounded up or down by chance (arXiv:2010.06192), which (adam->step, the index of
   the weight, `at` the first one's) decide. */
void adamw(real *weight, float *master, float *m, float *v,
           const float *grad, const AdamW *adam, int decay, size_t at,
           size_t n);

/* What Muon is made of. nesterov: m (n) = beta m + (1-beta) g, with g = scale * grad;
   out = beta m + (1-beta) g. muon_step: weight, master (n) = keep * weight - rate * update, rounded
   as adamw does. polynomial: out (n,n) = a I + b x + c square. symmetric_product: out (n,n) = x y^T
   where that is symmetric but for rounding, of x, y (n,K), or with `columns` x^T y of (K,n); then
   it is, to the bit; work: symmetric_work(n,K) bytes that nobody else uses. */
void nesterov(real *out, float *m,
              const float *grad, float beta, float scale,
              size_t n);
void muon_step(real *weight, float *master,
               const real *update, float rate, float keep, int step, size_t at,
               size_t n);
void polynomial(real *out,
                const real *x, const real *square, float a, float b, float c,
                int n);
size_t symmetric_work(int n, int K);
void symmetric_product(real *out,
                       const real *x, const real *y, void *work,
                       int n, int K, int columns);
