# make            the environment (.venv), the C library and build/run, for this machine
# make test       everything that a machine without GPU and network can test (SANITIZE=1: under
#                 AddressSanitizer and UndefinedBehaviorSanitizer)
# make cuda       the library for NVIDIA GPUs (ARCHS="80 90a 100": for which; default: the one that
#                 is here, else these); cuda-resources: what its kernels use of a multiprocessor
# make shim       the GPU's kernels as plain C++, which make test tests
# make speedrun   from a crawl to an assistant with tools, and a report (SEED=n MINUTES=m):
#                 data/speedrun.sh
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
# One model for every device, and each device's kernels. Those of the last two lists know nothing of
# the precision; BASE must run on any CPU, to say what this one lacks.
MODEL   := model muon draw block batch parameters tensors cache check
CPU     := kernels attention extend matmul quant unpack quantize sample device comm
RANKS    = $(if $(MPI),mpi,no_mpi)
BASE    := error cpu
TEXT    := bpe encode gguf words minhash page game
PY      := .venv/bin/python

# What this compiler and machine can do.
try     = $(shell printf 'int main(void){return 0;}' \
            | $(CC) $(1) -x c - -o /dev/null 2>/dev/null && echo yes)
OPENMP := $(if $(call try,-fopenmp),-fopenmp,-Wno-unknown-pragmas \
            $(if $(call try,-fopenmp-simd),-fopenmp-simd))
SIMD   := $(filter avx avx2 fma bmi bmi2 avx512f avx512bw avx512cd avx512dq avx512vl avx512vnni \
            avx512bf16,$(shell $(CC) $(CFLAGS) -dM -E -x c /dev/null 2>/dev/null \
            | sed -n 's/^.define __\([A-Z0-9]*\)__ 1$$/\1/p' | tr A-Z a-z))
BF16   := $(filter avx512bf16,$(SIMD))
# Open MPI's mpicc says --showme:compile and --showme:link, MPICH's -compile-info and -link-info.
MPICC  ?= mpicc
MPI_AS  = $(shell $(MPICC) $(1) 2>/dev/null || $(MPICC) $(2) 2>/dev/null | cut -d' ' -f2-)
MPI    := $(filter -I% -L% -l% -Wl%,$(call MPI_AS,--showme:compile,-compile-info) \
            $(call MPI_AS,--showme:link,-link-info))
MPI    := $(if $(MPI),$(if $(call try,$(MPI) -include mpi.h),$(MPI)))
LIBS    = $(addprefix $(BUILD)/libchat_,cpu_f32.so $(if $(BF16),cpu_bf16.so) text.so)

all: .venv/installed libraries $(BUILD)/run

libraries: $(LIBS)

# ---- Objects: each is compiled once, for all libraries that it is part of ----

# Objects depend on the text of their compiler's command, kept in a file that changes with it: when
# MPI is installed, or another compiler or CPU is there, the next `make` notices.
FLAGS   := $(CFLAGS) $(SAN) $(WARN) $(MATH) $(OPENMP) -fPIC -pthread
$(BUILD)/flags: TEXT_OF = $(shell $(CC) --version | head -n 1) $(CC) $(FLAGS) $(SIMD) $(MPI)
$(BUILD)/cuda/flags: TEXT_OF = $(shell $(NVCC) --version | tail -n 1) $(COMPILE_CUDA)
$(BUILD)/flags $(BUILD)/cuda/flags: always
	@mkdir -p $(@D); echo '$(TEXT_OF)' | cmp -s - $@ || echo '$(TEXT_OF)' >$@

OBJ     := $(BUILD)/objects
objects  = $(foreach o,$(2),$(OBJ)/$(1)/$(o).o)
COMPILE  = @mkdir -p $(@D) && echo "  $(CC) -o $@" && $(CC) -std=gnu11 $(FLAGS) -MMD -MP -c $< -o $@
# pass-failed: clang 14 and 16, not 19, leave many loops that store bf16 scalar, and name them.
$(OBJ)/f32/%.o: csrc/%.c $(BUILD)/flags
	$(COMPILE)
$(OBJ)/bf16/%.o: csrc/%.c $(BUILD)/flags
	$(COMPILE) -DREAL_BF16 -Wno-pass-failed
$(OBJ)/any/%.o: csrc/%.c $(BUILD)/flags
	$(COMPILE) $(filter -I%,$(MPI))
$(OBJ)/base/%.o: FLAGS := $(filter-out -m%,$(FLAGS))
$(OBJ)/base/%.o: csrc/%.c $(BUILD)/flags
	$(COMPILE) '-DNEEDED=$(foreach s,$(SIMD),NEED("$(s)"))'
-include $(wildcard $(OBJ)/*/*.d $(BUILD)/shim/*/*.d $(BUILD)/cuda/*/*.d)

# A library stays in memory until the program ends: OpenMP's threads may still spin in it.
LINK     = @echo "  $(CC) -o $@" && $(CC) $(FLAGS) -shared -Wl,-z,nodelete $(filter %.o,$^) \
             $(1) -lm -o $@.new && mv $@.new $@
shared   = $(call objects,any,$(RANKS)) $(call objects,base,$(BASE))

$(addprefix $(BUILD)/libchat_cpu_,f32.so bf16.so): \
$(BUILD)/libchat_cpu_%.so: $(foreach o,$(MODEL) $(CPU),$(OBJ)/%/$(o).o) $(shared)
	$(call LINK,$(MPI))
$(BUILD)/libchat_text.so: $(call objects,any,$(TEXT)) $(call objects,base,$(BASE))
	$(call LINK)
	@echo "built: f32$(if $(BF16), and bf16) for the CPU. left out: $(or $(strip \
	  $(if $(BF16),,bf16 (this CPU has no AVX-512 bf16 instructions)) \
	  $(if $(filter -fopenmp,$(OPENMP)),,OpenMP ($(CC) does not have it: one thread)) \
	  $(if $(MPI),,MPI ($(MPICC) was not found, or is of another machine: one rank))),nothing)"

# One program: static where the libraries for that are there, and not under sanitizers.
PRECISION = $(if $(BF16),bf16,f32)
STATIC   = $(if $(SANITIZE),,$(if $(call try,-static $(OPENMP) -include math.h -lm),-static))
RUN      = $(addprefix $(OBJ)/$(PRECISION)/,$(addsuffix .o,run $(MODEL) $(CPU))) \
             $(call objects,any,no_mpi bpe encode gguf) $(call objects,base,$(BASE))

$(OBJ)/$(PRECISION)/run.o: $(BUILD)/unicode.h
$(OBJ)/%/run.o: FLAGS += -I$(BUILD)
$(BUILD)/run: $(RUN)
	@echo "  $(CC) -o $@" && $(CC) $(FLAGS) $(STATIC) $^ -lm -o $@.new && mv $@.new $@

# What kind of character begins at each code point where that changes: data/tokens/learn.py says.
$(BUILD)/unicode.h: data/tokens/learn.py $(BUILD)/libchat_text.so | .venv/installed
	@$(SANITIZED) $(PY) -c "from data.tokens.learn import classes; import numpy as np; k = classes(); \
	  print(*(f'{{ {i}, {k[i]} }},' for i in [0, *np.flatnonzero(np.diff(k)) + 1]), \
	  '{ 0x110000, 0 }', sep='\n')" >$@.new && mv $@.new $@

# The GPU's kernels as plain C++, for the tests: tests/cuda_on_cpu.h says how.
SHIM    := $(BUILD)/shim/libchat_cuda_f32.so $(BUILD)/shim/libchat_cuda_bf16.so
KERNELS := $(notdir $(basename $(wildcard cuda/*.cu)))
UNIQUE  := $(if $(call try,-fno-gnu-unique),-fno-gnu-unique)
EMULATE  = @mkdir -p $(@D) && echo "  $(CXX) -o $@" && $(CXX) -std=c++17 $(CFLAGS) -O2 $(SAN) \
             $(WARN) -Wno-unknown-pragmas $(UNIQUE) -fPIC -MMD -MP -x c++ \
             -include tests/cuda_on_cpu.h -c $< -o $@

shim: $(SHIM)

$(BUILD)/shim/f32/%.o: cuda/%.cu $(BUILD)/flags
	$(EMULATE)
$(BUILD)/shim/bf16/%.o: cuda/%.cu $(BUILD)/flags
	$(EMULATE) -DREAL_BF16
$(SHIM): $(BUILD)/shim/libchat_cuda_%.so: $(foreach o,$(MODEL),$(OBJ)/%/$(o).o) \
  $(foreach k,$(KERNELS),$(BUILD)/shim/%/$(k).o) $(shared)
	$(call LINK,$(MPI) -lstdc++)

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
             $(filter-out /usr/include,$(patsubst %/,%,$(dir $(call header,$(n)))))))

cuda: cuda-can-be-built $(BUILD)/libchat_cuda_f32.so $(BUILD)/libchat_cuda_bf16.so
	@echo "built: f32 and bf16 for GPUs ($(ARCHS))"

cuda-can-be-built:
	@test -z "$(strip $(MISSING))" || { echo "make cuda lacks $(strip $(MISSING)). nvcc is part of" \
	  "CUDA's toolkit, looked for in CUDA_HOME=$(CUDA_HOME); the others are also packages:" \
	  "$(PY) -m pip install nvidia-cublas nvidia-nccl-cu13"; exit 1; }

# What ptxas says is kept beside each object, for cuda-resources.
$(BUILD)/cuda/f32/%.o: cuda/%.cu $(BUILD)/cuda/flags
	@mkdir -p $(@D) && echo "  nvcc -o $@"
	@$(COMPILE_CUDA) -MMD -MP -MF $(@:.o=.d) -c $< -o $@ 2>$@.log || { cat $@.log; exit 1; }
$(BUILD)/cuda/bf16/%.o: cuda/%.cu $(BUILD)/cuda/flags
	@mkdir -p $(@D) && echo "  nvcc -o $@"
	@$(COMPILE_CUDA) -DREAL_BF16 -MMD -MP -MF $(@:.o=.d) -c $< -o $@ 2>$@.log || \
	  { cat $@.log; exit 1; }
$(addprefix $(BUILD)/libchat_cuda_,f32.so bf16.so): \
$(BUILD)/libchat_cuda_%.so: $(foreach o,$(MODEL),$(OBJ)/%/$(o).o) \
  $(foreach k,$(KERNELS),$(BUILD)/cuda/%/$(k).o) $(shared)
	$(call LINK,$(MPI) -lstdc++ $(firstword $(wildcard $(CUDA_HOME)/lib*/libcudart_static.a)) \
	  $(LIBRARIES) $(patsubst %/,-Wl$(comma)-rpath$(comma)%,$(dir $(LIBRARIES))) -ldl -lrt)

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
	  --no-loadscope-reorder -n $(if $(filter cuda,$(DEVICE)),0,auto) tests $(TESTS)

speedrun: all
	@data/speedrun.sh

bench: all $(DEVICE:cpu=libraries)
	$(PY) tests/bench.py $(if $(DEVICE),--device $(DEVICE))

clean:
	rm -rf build

.PHONY: always all libraries cuda cuda-can-be-built cuda-resources shim test speedrun bench clean
