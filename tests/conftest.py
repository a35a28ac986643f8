"""What tests share: where the project is, how hypothesis behaves, the library in each precision."""

import os
import sys
from pathlib import Path

import hypothesis
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

hypothesis.settings.register_profile("chat", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("chat")

if "CHAT_EMULATOR" in os.environ:                # the library is one for another kind of machine
    import csrc.bind
    import emulated
    csrc.bind.Library = emulated.Emulated


@pytest.fixture(scope="session", params=["f32", "bf16"])
def lib(request):
    """A test that takes `lib` runs once for each precision that this machine can build, on one
    thread unless it asks for two: its arrays are so small that waking another takes longer."""
    from csrc.bind import ChatError, Library
    try:
        library = Library.load("cpu", request.param)
    except ChatError as error:
        pytest.skip(str(error))
    library.call("device_threads", 1)
    yield library
    library.call("device_threads", 0)
