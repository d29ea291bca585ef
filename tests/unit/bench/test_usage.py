from __future__ import annotations

import subprocess
import sys

from bench.rig.usage import cpu_seconds

WORKS = """\
import sys, threading, time

def work():
    until = time.process_time() + 0.013
    while time.process_time() < until:
        pass

thread = threading.Thread(target=work)
thread.start()
thread.join()
work()
print(time.process_time(), flush=True)
sys.stdin.read()
"""


def test_the_cpu_of_a_process_is_that_of_its_own_clock_with_the_threads_that_have_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", WORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdin is not None
        said = float(child.stdout.readline())
        assert 0.026 < said <= cpu_seconds(child.pid) < said + 0.005
        child.stdin.close()


def test_a_process_that_has_ended_takes_nothing_more() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
        assert cpu_seconds(child.pid) == 0.0
