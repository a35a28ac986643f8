# make            the environment (.venv) and the C library, for this machine
# make test       everything that a machine without GPU and network can test (SANITIZE=1: under
#                 AddressSanitizer and UndefinedBehaviorSanitizer)
# make cuda       the library for NVIDIA GPUs (ARCHS="80 90a 100": for which; default: the one that
#                 is here, else these); cuda-resources: what its kernels use of a multiprocessor
# make shim       the GPU's kernels as plain C++, which make test tests
# make speedrun   from a crawl to an assistant with tools, and a report, by the clock: runs/speedrun
# make bench      our figures beside the peers' and the machine's limits
#                 test and bench with DEVICE=cuda: on the GPU that is here
# make clean      removes build/ (but no run, and not .venv)

PYTHON  ?= python3
CFLAGS  ?= -O3 -march=native
WARN    := -Wall -Wextra
# Not -ffast-math: it hides NaNs and sets flush-to-zero for the whole process. These two only say
# that nobody reads errno or floating-point traps, so loops with sqrtf and ?: become vectors.
MATH    := -fno-math-errno -fno-trapping-math
BUILD   := build$(if $(SANITIZE),/sanitize)
SAN     := $(if $(SANITIZE),-g -O1 -fsanitize=address -fsanitize=undefined \
             -fno-sanitize-recover=undefined)
# One model for every device, and each device's kernels.
MODEL    = $(addprefix csrc/,model.c layout.c shard.c check.c sample.c error.c job.c \
             $(if $(MPI),mpi.c,no_mpi.c))
SOURCES  = $(MODEL) $(addprefix csrc/,kernels.c attention.c matmul.c device.c comm.c \
             bpe.c words.c minhash.c)
KERNELS := $(wildcard cuda/*.cu)
HEADERS := $(wildcard csrc/*.h) Makefile
PY      := .venv/bin/python

# What this compiler and machine can do.
try     = $(shell printf 'int main(void){return 0;}' \
            | $(CC) $(1) -x c - -o /dev/null 2>/dev/null && echo yes)
OPENMP := $(if $(call try,-fopenmp),-fopenmp,-Wno-unknown-pragmas \
            $(if $(call try,-fopenmp-simd),-fopenmp-simd))
BF16   := $(shell $(CC) $(CFLAGS) -dM -E -x c /dev/null 2>/dev/null \
            | grep -q __AVX512BF16__ && echo yes)
# Open MPI's mpicc says --showme:compile and --showme:link, MPICH's -compile-info and -link-info.
MPICC  ?= mpicc
MPI_AS  = $(shell $(MPICC) $(1) 2>/dev/null || $(MPICC) $(2) 2>/dev/null | cut -d' ' -f2-)
MPI    := $(filter -I% -L% -l% -Wl%,$(call MPI_AS,--showme:compile,-compile-info) \
            $(call MPI_AS,--showme:link,-link-info))
MPI    := $(if $(MPI),$(if $(call try,$(MPI) -include mpi.h),$(MPI)))
LIBS   := $(BUILD)/libchat_cpu_f32.so $(if $(BF16),$(BUILD)/libchat_cpu_bf16.so)
COMPILE = $(CC) -std=gnu11 $(CFLAGS) $(SAN) $(WARN) $(MATH) $(OPENMP) -fPIC -shared -pthread \
            $(SOURCES) $(MPI) -lm

all: .venv/installed libraries

libraries: $(LIBS)

$(BUILD)/libchat_cpu_f32.so: $(SOURCES) $(HEADERS) | $(BUILD)
	$(COMPILE) -o $@.new && mv $@.new $@
	@echo "built: f32$(if $(BF16), and bf16) for the CPU. left out: $(or $(strip \
	  $(if $(BF16),,bf16 (this CPU has no AVX-512 bf16 instructions)) \
	  $(if $(filter -fopenmp,$(OPENMP)),,OpenMP ($(CC) does not have it: one thread)) \
	  $(if $(MPI),,MPI ($(MPICC) was not found, or is of another machine: one rank))),nothing)"

# pass-failed: clang 14 and 16, not 19, leave many loops that store bf16 scalar, and name them.
$(BUILD)/libchat_cpu_bf16.so: $(SOURCES) $(HEADERS) | $(BUILD)
	$(COMPILE) -DREAL_BF16 -Wno-pass-failed -o $@.new && mv $@.new $@

$(BUILD) $(addprefix $(BUILD)/,shim/f32 shim/bf16 cuda/f32 cuda/bf16):
	@mkdir -p $@

# The GPU's kernels as plain C++, for the tests: tests/cuda_on_cpu.h says how.
SHIM    := $(BUILD)/shim/libchat_cuda_f32.so $(BUILD)/shim/libchat_cuda_bf16.so
LINK    = $(CC) -std=gnu11 $(CFLAGS) $(SAN) $(WARN) $(MATH) $(if $(filter bf16,$*),-DREAL_BF16) \
            -fPIC -shared -pthread $(MODEL) $(filter %.o,$^) $(MPI) -lstdc++
EMULATE = $(CXX) -std=c++17 $(CFLAGS) -O2 $(SAN) $(WARN) -Wno-unknown-pragmas $(UNIQUE) -fPIC \
            -x c++ -include tests/cuda_on_cpu.h -c $<
UNIQUE := $(if $(call try,-fno-gnu-unique),-fno-gnu-unique)

shim: $(SHIM)

$(BUILD)/shim/f32/%.o: cuda/%.cu $(wildcard cuda/*.cuh tests/*.h) $(HEADERS) | $(BUILD)/shim/f32
	$(EMULATE) -o $@
$(BUILD)/shim/bf16/%.o: cuda/%.cu $(wildcard cuda/*.cuh tests/*.h) $(HEADERS) | $(BUILD)/shim/bf16
	$(EMULATE) -DREAL_BF16 -o $@
$(BUILD)/shim/libchat_cuda_%.so: $(MODEL) $(HEADERS)
	$(LINK) -lm -o $@.new && mv $@.new $@
$(BUILD)/shim/libchat_cuda_f32.so: $(KERNELS:cuda/%.cu=$(BUILD)/shim/f32/%.o)
$(BUILD)/shim/libchat_cuda_bf16.so: $(KERNELS:cuda/%.cu=$(BUILD)/shim/bf16/%.o)

# ---- The GPU's library ----

comma   := ,
CUDA_HOME ?= $(firstword $(wildcard /usr/local/cuda /opt/cuda) /usr)
NVCC    ?= $(or $(wildcard $(CUDA_HOME)/bin/nvcc),$(shell command -v nvcc))
# cuBLASLt and NCCL come with the toolkit, the system or packages (nvidia-cublas, nvidia-nccl-cu13).
PLACES  ?= $(CUDA_HOME) /usr $(wildcard .venv/lib/python3*/site-packages/nvidia/*)
NEEDED  := cublasLt $(if $(wildcard cuda/comm.cu),nccl)
ARCHS   ?= $(if $(shell nvidia-smi -L 2>/dev/null),native,80 90a 100)
header   = $(firstword $(wildcard $(PLACES:%=%/include/$(1).h)))
library  = $(firstword $(wildcard $(foreach p,$(PLACES), \
             $(p)/lib64/lib$(1).so* $(p)/lib/lib$(1).so* $(p)/lib/*-linux-gnu/lib$(1).so*)))
LIBRARIES = $(foreach n,$(NEEDED),$(call library,$(n)))
MISSING  = $(if $(NVCC),,nvcc) $(foreach n,$(NEEDED), \
             $(if $(and $(call header,$(n)),$(call library,$(n))),,$(n)))
TARGETS  = $(if $(filter native,$(ARCHS)),-arch=native,$(foreach a,$(ARCHS), \
             -gencode=arch=compute_$(a),code=sm_$(a)) $(foreach a,$(lastword $(ARCHS)), \
             -gencode=arch=compute_$(a),code=compute_$(a)))
COMPILE_CUDA = $(NVCC) -std=c++17 -O3 $(TARGETS) --threads 0 -Werror all-warnings -Xptxas -v \
             -Xcompiler -fPIC,-Wall $(foreach n,$(NEEDED),$(addprefix -isystem , \
             $(filter-out /usr/include,$(patsubst %/,%,$(dir $(call header,$(n))))))) -c $<

cuda: cuda-can-be-built $(BUILD)/libchat_cuda_f32.so $(BUILD)/libchat_cuda_bf16.so
	@echo "built: f32 and bf16 for GPUs ($(ARCHS))"

cuda-can-be-built:
	@test -z "$(strip $(MISSING))" || { echo "make cuda lacks $(strip $(MISSING)). nvcc is part of" \
	  "CUDA's toolkit, looked for in CUDA_HOME=$(CUDA_HOME); the others are also packages:" \
	  "$(PY) -m pip install nvidia-cublas nvidia-nccl-cu13"; exit 1; }

# What ptxas says is kept beside each object, for cuda-resources.
$(BUILD)/cuda/f32/%.o: cuda/%.cu $(wildcard cuda/*.cuh) $(HEADERS) | $(BUILD)/cuda/f32
	$(COMPILE_CUDA) -o $@ 2>$@.log || { cat $@.log; exit 1; }
$(BUILD)/cuda/bf16/%.o: cuda/%.cu $(wildcard cuda/*.cuh) $(HEADERS) | $(BUILD)/cuda/bf16
	$(COMPILE_CUDA) -DREAL_BF16 -o $@ 2>$@.log || { cat $@.log; exit 1; }
$(BUILD)/libchat_cuda_%.so: $(MODEL) $(HEADERS)
	$(LINK) $(firstword $(wildcard $(CUDA_HOME)/lib*/libcudart_static.a)) $(LIBRARIES) \
	  $(patsubst %/,-Wl$(comma)-rpath$(comma)%,$(dir $(LIBRARIES))) -ldl -lrt -lm \
	  -o $@.new && mv $@.new $@
$(BUILD)/libchat_cuda_f32.so: $(KERNELS:cuda/%.cu=$(BUILD)/cuda/f32/%.o)
$(BUILD)/libchat_cuda_bf16.so: $(KERNELS:cuda/%.cu=$(BUILD)/cuda/bf16/%.o)

cuda-resources: cuda
	@$(PYTHON) tests/cuda_resources.py $(BUILD)/cuda/*/*.log

# A Debian python3 without ensurepip still makes an environment; its own pip fills it from outside.
.venv/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "$(PYTHON) is older than 3.10: make PYTHON=/path/to/a/newer/python3"; exit 1; }
	@$(PYTHON) -m venv .venv 2>/dev/null || $(PYTHON) -m venv --without-pip .venv
	@if $(PY) -m pip --version >/dev/null 2>&1; then $(PY) -m pip install -q -r requirements.txt; \
	elif $(PYTHON) -m pip --version >/dev/null 2>&1; then \
	  $(PYTHON) -m pip --python $(PY) install -q -r requirements.txt; \
	else echo "$(PYTHON) has neither venv's ensurepip nor pip: apt install python3-venv"; exit 1; fi
	@touch $@

SANITIZED = $(if $(SANITIZE),CHAT_BUILD=$(CURDIR)/$(BUILD) ASAN_OPTIONS=detect_leaks=0 \
	LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)")

# With a GPU, one process at a time has its memory.
test: all $(if $(DEVICE),$(DEVICE:cpu=libraries),shim)
	$(if $(DEVICE),CHAT_DEVICE=$(DEVICE)) $(SANITIZED) $(PY) -m pytest -q --dist loadfile \
	  -n $(if $(filter cuda,$(DEVICE)),0,auto) tests $(TESTS)

# From a crawl to an assistant. The plain assistant answers whatever it is asked; the other knows
# what it does not know, who it is, and how to use tools. Before all else the weights learn to copy,
# and exercises among the pages keep them copying: so small a model would not find out how to in so
# little text, and whoever cannot copy a name tells of another. Its vocabulary is small for the same
# reason: of 4096 tokens it would see most too seldom to say them again.
# COPY, BASE, SFT, SKILL, COUNT: flags, to try it faster.
SPEEDRUN ?= runs/speedrun
TALK     := $(SPEEDRUN)/talk/conversations
COPY     ?= --steps 1000
BASE     ?= --steps 2450
SFT      ?= --steps 720
SKILL    ?= --steps 3200
COUNT    ?= 200
comma-list = $(subst $(eval) ,$(comma),$(strip $(1:%=$(TALK)/%.jsonl)))
PLAIN    := facts rare follow repeat small_talk decline system
SKILLED  := facts copy repeat sums drills spelling traps small_talk decline system identity \
            python search

speedrun: all
	@test ! -e $(SPEEDRUN) || { echo "$(SPEEDRUN) is there: move it away, to run again"; exit 1; }
	@mkdir -p $(SPEEDRUN) && date +%s >$(SPEEDRUN)/started
	$(PY) data/talk_world.py --out $(SPEEDRUN)/talk
	$(PY) data/recall.py plant world $(SPEEDRUN)/talk/practice.jsonl --out $(SPEEDRUN)/pages
	$(PY) train.py --data $(SPEEDRUN)/pages/documents --out $(SPEEDRUN)/random --steps 1 \
	  --vocab-size 2048 --eval-tokens 1024
	$(PY) train.py sft --model $(SPEEDRUN)/random --data $(TALK)/copy.jsonl --mix 0 \
	  --context 256 --lr 2e-3 --eval-every 400 --eval-tokens 16384 --out $(SPEEDRUN)/copy $(COPY)
	$(PY) train.py --model $(SPEEDRUN)/copy --data $(SPEEDRUN)/pages/documents --eval-every 1000 \
	  --eval-tokens 4096 --out $(SPEEDRUN)/base $(BASE)
	$(PY) train.py sft --model $(SPEEDRUN)/base --data $(call comma-list,$(PLAIN)) --mix 0.2 \
	  --eval-every 500 --eval-tokens 16384 --out $(SPEEDRUN)/sft $(SFT)
	$(PY) data/probe.py --model $(SPEEDRUN)/sft --count 8500 --times 2 --worlds 24 \
	  --declining 0.82 --out $(SPEEDRUN)/probe.jsonl
	$(PY) train.py sft --model $(SPEEDRUN)/sft --out $(SPEEDRUN)/assistant --lr 2e-3 --mix 0.04 \
	  --data $(call comma-list,$(SKILLED)),$(SPEEDRUN)/probe.jsonl --eval-every 800 \
	  --eval-tokens 16384 $(SKILL)
	$(PY) data/recall.py copies --model $(SPEEDRUN)/base --planted $(SPEEDRUN)/pages/planted.json
	$(PY) infer.py eval --model $(SPEEDRUN)/base --model $(SPEEDRUN)/sft \
	  --model $(SPEEDRUN)/assistant --index $(SPEEDRUN)/talk/search.db --training world \
	  --count $(COUNT) --workers 2 --out $(SPEEDRUN)/report.json --html $(SPEEDRUN)/report.html
	@echo "$(SPEEDRUN): $$((($$(date +%s) - $$(cat $(SPEEDRUN)/started)) / 60)) minutes"

bench: all $(DEVICE:cpu=libraries)
	$(PY) tests/bench.py $(if $(DEVICE),--device $(DEVICE))

clean:
	rm -rf build

.PHONY: all libraries cuda cuda-can-be-built cuda-resources shim test speedrun bench clean
