"""cuda_on_cpu.h, on which the tests of cuda/ rest: it computes what a GPU would, and whatever a GPU
would only sometimes punish fails here, in a sentence."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = r"""
#include "gpu.cuh"

cudaStream_t stream;
void latch(cudaError_t status, const char *what) {
    if (status) printf("%s: %s\n", what, cudaGetErrorString(status));
}
void latch_sentence(const char *, const char *) {}

enum { RIGHT, NO_BARRIER, EARLY_EXIT, TWO_BARRIERS, LANES_GONE, OTHER_LANE, OUT_OF_BOUNDS };

/* out[block] = the sum of 0..127, if nothing is wrong: of sums of warps. */
__global__ void sums(float *out, int bug) {
    __shared__ float part[4];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    float x = warp_sum((float)threadIdx.x);
    if (lane == 0) part[warp] = x;
    if (bug == EARLY_EXIT && threadIdx.x < 3) return;
    if (bug == TWO_BARRIERS && warp == 1)
        __syncthreads();
    else if (bug != NO_BARRIER)
        __syncthreads();
    if (bug == LANES_GONE && lane < 5) return;
    if (bug == OTHER_LANE && lane < 16) x = __shfl_sync(0xffff, x, 20);
    if (bug == OUT_OF_BOUNDS && threadIdx.x == 0) dynamic_shared()[64] = 1;
    float total = warp_sum(lane < 4 ? part[lane] : 0.f);
    if (threadIdx.x == 77) out[blockIdx.x] = total;
}

/* out[0..255] = a (16,16) b (16,8) of whole numbers, computed here and by plain loops. */
__global__ void products(float *out) {
    __shared__ __align__(16) __nv_bfloat16 a[16 * 16], b[16 * 8];
    const int lane = threadIdx.x, g = lane / 4, t = lane % 4;
    for (int i = lane; i < 256; i += 32) a[i] = (float)(i % 7 - 3);
    for (int i = lane; i < 128; i += 32) b[i] = (float)(i % 5 - 2);
    __syncwarp();
    uint32_t x[4], y[4], x32[4], y32[2];
    float d[4] = {}, d32[4] = {};
    load_matrices(x, a + lane % 16 * 16 + lane / 16 * 8);
    load_matrices_transposed(y, b + lane % 16 * 8);
    mma_bf16(d, x, y);
    for (int k = 0; k < 16; k += 8) {
        for (int i = 0; i < 4; i++) x32[i] = to_tf32(a[(g + i % 2 * 8) * 16 + k + t + i / 2 * 4]);
        for (int i = 0; i < 2; i++) y32[i] = to_tf32(b[(k + t + i * 4) * 8 + g]);
        mma_tf32(d32, x32, y32);
    }
    for (int j = 0; j < 4; j++) {
        const int row = g + j / 2 * 8, column = 2 * t + j % 2;
        float want = 0;
        for (int k = 0; k < 16; k++) want += (float)a[row * 16 + k] * (float)b[k * 8 + column];
        out[row * 8 + column] = want == d[j] && want == d32[j];
    }
}

/* out[0] of the first of two groups of copies, and of the second, once each is waited for. */
__global__ void copies(float *out, const float *from) {
    float *to = (float *)dynamic_shared() + 8 * threadIdx.x;
    for (int i = 0; i < 2; i++) {
        copy_async(to + 4 * i, from + 4 * i, 1);
        copy_commit();
    }
    out[0] = to[0];
    copy_wait<1>();
    out[1] = to[0], out[2] = to[4];
    copy_wait<0>();
    out[3] = to[4];
    copy_async(to, from, 0);
    copy_commit();
    copy_wait<0>();
    out[4] = to[0];
}

int main() {
    float out[128] = {};
    alignas(16) float from[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    cudaStreamCreateWithFlags(&stream, 0);
    for (int bug = RIGHT; bug <= OUT_OF_BOUNDS; bug++) {
        std::fill(out, out + 8, 0.f);
        launch("sums", sums, 8, 128, 64, out, bug);
        printf("%d right\n", (int)std::count(out, out + 8, 8128.f));
    }
    launch("products", products, 1, 32, 0, out);
    printf("products %d\n", (int)std::count(out, out + 128, 1.f));
    launch("copies", copies, 1, 1, 32, out, from);
    printf("copies %d %g %d %g %g\n", out[0] != out[0], out[1], out[2] != out[2], out[3], out[4]);
    launch("copies", copies, 1, 1, 32, out, from + 1);
    launch("wide", products, 1, 1025, 0, out);
    launch("fat", products, 1, 32, 228 << 10, out);
    launch("tall", products, dim3(1, 65536), 32, 0, out);
    cudaGraph_t graph;
    cudaGraphExec_t ready;
    cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
    *out = 0;
    launch("sums", sums, 1, 128, 64, out, (int)RIGHT);
    cudaStreamEndCapture(stream, &graph);
    cudaGraphInstantiate(&ready, graph, 0);
    printf("graph %g", *out);
    cudaGraphLaunch(ready, stream);
    printf(" %g\n", *out);
}
"""
SAID = """\
8 right
? right
sums: threads wait in __syncthreads() of line L, but lanes 00000007 of warp 0 have ended (block B)
0 right
sums: threads wait in __syncthreads() of line L and of line L (block B)
0 right
sums: lane 5 of warp 0 waits in __shfl_xor_sync for lanes 0000001f, of which 0000001f have ended \
and 00000000 are at a __syncthreads() (block B)
0 right
sums: an exchange with mask 0000ffff reads from lane 20, which is not in it (block B)
0 right
sums: it wrote outside of its 64 bytes of dynamic shared memory (block B)
1 right
products 128
copies 1 1 1 5 0
copies: copy_async of an address that 16 does not divide (block B)
wide: invalid configuration argument
fat: invalid argument
fat: invalid argument
tall: invalid configuration argument
graph 0 8128
"""


@pytest.mark.parametrize("compiler", [["c++"], ["c++", "-DFIBERS_ANYWHERE"], ["clang++"]],
                         ids=" ".join)
def test_right_kernels_run_and_wrong_ones_are_found(compiler, tmp_path):
    if not shutil.which(compiler[0]):
        pytest.skip(f"this machine lacks {compiler[0]}")
    (tmp_path / "program.cu").write_text(PROGRAM)
    subprocess.run([*compiler, "-std=c++17", "-O1", "-Wno-unknown-pragmas", f"-I{ROOT}/cuda",
                    "-x", "c++", "-include", ROOT / "tests/cuda_on_cpu.h", tmp_path / "program.cu",
                    "-o", tmp_path / "program"], check=True)
    said = subprocess.run([tmp_path / "program"], capture_output=True, text=True, check=True).stdout
    said = re.sub(r"block [\d,]+", "block B", re.sub(r"line \d+", "line L", said))
    right = int(said.splitlines()[1].split()[0])
    assert right < 8, "a missing barrier was not noticed"
    assert said == SAID.replace("?", str(right))
