"""What is awaited from a cluster, with a client that does as it is told."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import pytest

import cubekit as ck
from cubekit.io import cluster
from cubekit.io.cluster import _Watch


@pytest.fixture
def client():
    """Client whose workers are the keys of ``client.workers``."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    workers = {"a": {}, "b": {}}
    yield SimpleNamespace(
        loop=SimpleNamespace(asyncio_loop=loop),
        status="running",
        workers=workers,
        scheduler_info=lambda n_workers: {"workers": dict(workers)},
    )
    # what was cancelled ends first
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0.01), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_what_waits_for_a_dead_worker_is_begun_again_and_not_taken_for_lost(client):
    begun = []

    async def gather():
        begun.append("begun")
        if len(begun) == 1:
            del client.workers["b"]
            try:
                await asyncio.Event().wait()  # the dead worker never answers
            except asyncio.CancelledError:
                begun.append("cancelled")
                raise
        return "values"

    assert _Watch(client).waited(gather) == "values"
    assert sorted(begun) == ["begun", "begun", "cancelled"]


def test_what_is_cancelled_by_others_is_a_lost_cluster(client):
    async def gather():
        raise asyncio.CancelledError

    with pytest.raises(ck.ClusterError, match="the cluster is lost: its scheduler is"):
        _Watch(client).waited(gather)


def test_a_scheduler_that_is_out_of_reach_is_lost_after_some_patience(
    client, monkeypatch
):
    monkeypatch.setattr(cluster, "_PATIENCE", 2.0)

    async def gather():
        client.status, client.scheduler_info = "connecting", lambda n_workers: {}
        await asyncio.Event().wait()

    with pytest.raises(ck.ClusterError, match="no workers for 2 seconds"):
        _Watch(client).waited(gather)


def test_an_error_of_what_is_awaited_is_raised_as_it_is(client):
    async def gather():
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        _Watch(client).waited(gather)
