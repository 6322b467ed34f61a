"""Measures Prefect. The argument is JSON, the answer is the last line of standard output, JSON too.

Standard input is open as long as the benchmark lives: when it closes, this process and all that it started end.
"""

import asyncio
import json
import os
import signal
import sys
import threading
import time

asked = json.loads(sys.argv[1])


def end_with_the_benchmark():
    # Not `sys.stdin`: its lock, held by a thread, is one that the interpreter can't end with.
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


def expect(got, expected):
    if got != expected:
        raise AssertionError(f"expected {expected} values, got {got}")


def per_second(work, n):
    """Runs the work for as long as the window is, at least once, after as long a warm-up; gives runs per second."""

    def repeat(ms):
        runs = 0
        started = time.perf_counter()
        while True:
            expect(work(n), n)
            runs += n
            elapsed = time.perf_counter() - started
            if elapsed >= ms / 1e3:
                return runs / elapsed

    repeat(asked["warmupMs"])
    return repeat(asked["windowMs"])


def milliseconds_of_each(work, n):
    times = []
    for _ in range(n):
        started = time.perf_counter()
        expect(work(), 1)
        times.append((time.perf_counter() - started) * 1e3)
    return times


def measure(task_runner):
    # Imported after Dask's workers were started, which import this file.
    from prefect import flow, task
    from prefect.cache_policies import NO_CACHE

    # The default is to look for a result by the hash of the arguments, which can't be there.
    @task(cache_policy=NO_CACHE)
    def step(i):
        return i

    @flow(task_runner=task_runner)
    def sequence(n):
        return sum(step(i) == i for i in range(n))

    @flow(task_runner=task_runner)
    def sequence_submitted(n):
        return sum(step.submit(i).result() == i for i in range(n))

    @flow(task_runner=task_runner)
    def fan_out(n):
        futures = [step.submit(i) for i in range(n)]
        return sum(future.result() == i for i, future in enumerate(futures))

    if asked["runner"] == "dask":
        return {
            "sequence": per_second(sequence_submitted, asked["n"]),
            "fanOut": per_second(fan_out, asked["n"]),
        }

    @task(cache_policy=NO_CACHE)
    async def async_step(i):
        return i

    @flow
    async def empty():
        return 1

    @flow
    async def single():
        return await async_step(1)

    @flow
    async def parent(n):
        return sum(await asyncio.gather(*(empty() for _ in range(n))))

    def single_alone():
        return loop.run_until_complete(single())

    def at_once(of):
        async def gathered(n):
            return sum(await asyncio.gather(*(of() for _ in range(n))))

        return lambda n: loop.run_until_complete(gathered(n))

    loop = asyncio.new_event_loop()
    flows = asked["flows"]
    return {
        "sequence": per_second(sequence, asked["n"]),
        "fanOut": per_second(fan_out, asked["n"]),
        "empty": per_second(at_once(empty), flows),
        "single": per_second(at_once(single), flows),
        "subflows": per_second(lambda n: loop.run_until_complete(parent(n)), flows),
        "alone": milliseconds_of_each(single_alone, flows),
    }


def measure_on_dask():
    from distributed import LocalCluster
    from prefect_dask import DaskTaskRunner

    # One cluster for all flow runs, as for flows that run again and again: to start one takes seconds.
    with LocalCluster(n_workers=asked["workers"], threads_per_worker=1, dashboard_address=None) as cluster:
        return measure(DaskTaskRunner(address=cluster.scheduler_address))


def measure_on_threads():
    from prefect.task_runners import ThreadPoolTaskRunner

    return measure(ThreadPoolTaskRunner())


if __name__ == "__main__":
    threading.Thread(target=end_with_the_benchmark, daemon=True).start()
    readings = measure_on_dask() if asked["runner"] == "dask" else measure_on_threads()
    print(json.dumps(readings), flush=True)
