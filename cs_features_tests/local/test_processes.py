"""What is started is ended: by a signal to the process that started it, in whatever way that one was started."""

import os
import signal
import subprocess
import sys

import pytest

from cs_features_tests.support.lab import REPOSITORY

PARENT = """
import os
from cs_features.local.processes import leave_on_sigterm, run_child
leave_on_sigterm()
with run_child(["http.server", "0", "--bind", "127.0.0.1"], os.environ, log=None) as child:
    print(child.pid, flush=True)
    child.wait()
"""


@pytest.mark.heavy
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_parent_alone_ends_its_children_though_a_shell_has_ignored_it(number: signal.Signals) -> None:
    """`make dev` went on after `kill -INT`: shells let what they start in the background ignore SIGINT."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=REPOSITORY,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.send_signal(number)
    assert parent.wait(timeout=60) != 0
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
