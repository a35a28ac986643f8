"""What tests share: where the project is, how hypothesis behaves, the library in each precision."""

import os
import signal
import sys
from pathlib import Path

import hypothesis
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")      # as cli.enter has it: a core may have a
os.environ.setdefault("GOMP_SPINCOUNT", "20000")        # process of its own, and nobody spins

hypothesis.settings.register_profile("chat", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("chat")

import csrc.bind  # noqa: E402  (the path above is needed)
from model_cases import SOME  # noqa: E402

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:    # as in a job in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)

LONGEST = [f"test_{name}" for name in "portability attention model ranks web state train world "
           "web_world talk_world exams_run sft kernels bpe_openai extract".split()]

DEVICES = ["cpu"]
if "CHAT_EMULATOR" in os.environ:                # the library is one for another kind of machine
    import emulated
    csrc.bind.Library = emulated.Emulated
else:
    import on_device
    csrc.bind.Library, DEVICES = on_device.OnDevice, on_device.DEVICES


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """The files that take longest come first, as pytest-xdist deals them: else one worker would be
    left with one of them when the others have nothing more to do."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST
               else len(LONGEST))


@pytest.fixture(scope="session", params=[f"{d}-{t}" for d in DEVICES for t in ("f32", "bf16")])
def lib(request):
    """A test that takes `lib` runs once for each device and precision that was built here, on one
    thread unless it asks for two: its arrays are so small that waking another takes longer."""
    try:
        library = csrc.bind.Library.load(*request.param.split("-"))
    except csrc.bind.ChatError as error:
        if not str(error).startswith("there is no"):     # but one that is too old, say
            raise
        pytest.skip(str(error))
    library.call("device_threads", 1)
    yield library
    library.call("device_threads", 0)


@pytest.fixture
def some_on_shim(lib, name):
    """For model_cases.each_config_or_some."""
    if lib.device == "cuda" and "CHAT_DEVICE" not in os.environ and name not in SOME:
        pytest.skip("its kernels are those of others")


@pytest.fixture(scope="module")
def one_thread():
    """For models so small that a second thread costs more than it brings."""
    library = csrc.bind.Library.load("cpu", "f32")
    library.call("device_threads", 1)
    yield
    library.call("device_threads", 0)
