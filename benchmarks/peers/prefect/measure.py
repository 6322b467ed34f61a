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


task_runs = 0


def count(more):
    global task_runs
    task_runs += more


def settle():
    """Waits until the server has recorded all task runs: it is behind with them, and busy, when a flow run has ended."""
    from prefect.client.orchestration import get_client

    completed = {"task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
    deadline = time.perf_counter() + 60
    with get_client(sync_client=True) as client:
        while True:
            recorded = client.request("POST", "/task_runs/count", json=completed).json()
            if recorded == task_runs:
                return
            if time.perf_counter() > deadline:
                raise AssertionError(f"expected {task_runs} recorded task runs, got {recorded}")
            time.sleep(0.1)


def seconds(work, n, task_runs_each):
    settle()
    started = time.perf_counter()
    expect(work(n), n)
    elapsed = time.perf_counter() - started
    count(n * task_runs_each)
    return elapsed


def per_second(work, n, task_runs_each=1):
    """Runs the work again until the window is over, at least once, warm; gives runs per second."""
    seconds(work, max(2, n // 10), task_runs_each)
    times = []
    started = time.perf_counter()
    while not times or time.perf_counter() - started < asked["windowMs"] / 1e3:
        times.append(seconds(work, n, task_runs_each))
    return n * len(times) / sum(times)


def milliseconds_of_each(work, n):
    return [seconds(work, 1, 1) * 1e3 for _ in range(n)]


def measure(task_runner=None, from_synchronous=False):
    """With a task runner tasks are submitted to it, from an asynchronous flow or a synchronous one; without one they are awaited."""
    # Imported after Dask's workers were started, which import this file.
    from prefect import flow, task
    from prefect.cache_policies import NO_CACHE

    # The default is to look for a result by the hash of the arguments, which can't be there.
    @task(cache_policy=NO_CACHE)
    async def step(i):
        return i

    # All flows are asynchronous: a synchronous one waits at its end for the thread of its heartbeat, up to a second.
    loop = asyncio.new_event_loop()

    def waited_for(of):
        return lambda n: loop.run_until_complete(of(n))

    if task_runner is not None:

        @task(cache_policy=NO_CACHE)
        def submitted(i):
            return i

        def in_sequence(n):
            return sum(submitted.submit(i).result() == i for i in range(n))

        def at_once(n):
            futures = [submitted.submit(i) for i in range(n)]
            return sum(future.result() == i for i, future in enumerate(futures))

        def flow_of(body):
            if from_synchronous:
                return flow(body, task_runner=task_runner)

            async def asynchronous(n):
                return body(n)

            return waited_for(flow(asynchronous, name=body.__name__, task_runner=task_runner))

        return {
            "sequence": per_second(flow_of(in_sequence), asked["n"]),
            "fanOut": per_second(flow_of(at_once), asked["n"]),
        }

    @flow
    async def sequence(n):
        return sum([await step(i) == i for i in range(n)])

    @flow
    async def fan_out(n):
        values = await asyncio.gather(*(step(i) for i in range(n)))
        return sum(value == i for i, value in enumerate(values))

    @flow
    async def empty():
        return 1

    @flow
    async def single():
        return await step(1)

    async def in_lanes(call, n):
        """Calls `n` times, so many at once: each lane calls again when it has its value."""
        left = iter(range(n))

        async def lane():
            return sum([await call() for _ in left])

        return sum(await asyncio.gather(*(lane() for _ in range(asked["atOnce"]))))

    @flow
    async def parent(n):
        return await in_lanes(empty, n)

    flows = asked["flows"]
    one_single = waited_for(lambda n: in_lanes(single, n))
    one_single(2)
    count(2)
    alone = milliseconds_of_each(one_single, flows)
    return {
        "sequence": per_second(waited_for(sequence), asked["n"]),
        "fanOut": per_second(waited_for(fan_out), asked["n"]),
        "empty": per_second(waited_for(lambda n: in_lanes(empty, n)), flows, task_runs_each=0),
        # One at a time is what was just measured.
        "single": 1e3 * flows / sum(alone) if asked["atOnce"] == 1 else per_second(one_single, flows),
        # A subflow is a task run of its parent, too.
        "subflows": per_second(waited_for(parent), flows),
        "alone": alone,
    }


def measure_on_threads():
    from prefect.task_runners import ThreadPoolTaskRunner

    # As a flow has it that names no task runner: as many threads as there are task runs at once.
    return measure(ThreadPoolTaskRunner(), from_synchronous=True)


def measure_on_dask():
    from distributed import LocalCluster
    from prefect_dask import DaskTaskRunner

    # One cluster for all flow runs, as for flows that run again and again: to start one takes seconds.
    with LocalCluster(n_workers=asked["workers"], threads_per_worker=1, dashboard_address=None) as cluster:
        return measure(DaskTaskRunner(address=cluster.scheduler_address))


if __name__ == "__main__":
    threading.Thread(target=end_with_the_benchmark, daemon=True).start()
    by_tasks = {"awaited": measure, "threads": measure_on_threads, "dask": measure_on_dask}
    print(json.dumps(by_tasks[asked["tasks"]]()), flush=True)
