"""The cache's client is shared by threads and by the cache objects of many requests."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.cache import caches


def client_used(number):
    made = caches.create_connection("default")  # as a new thread or request does
    made.set(f"shared:{number}", number)
    assert made.get(f"shared:{number}") == number
    return made._cache.get_client(write=True)


def clients_of_twenty():
    with ThreadPoolExecutor(4) as threads:
        return list(threads.map(client_used, range(20)))


def test_a_new_thread_or_request_uses_the_connections_there_are():
    first, *others = clients_of_twenty()
    assert all(client is first for client in others)
    assert caches["default"]._cache.get_client(write=False) is first


def test_control_without_it_each_makes_its_own(settings):
    djangos = {"BACKEND": "django.core.cache.backends.redis.RedisCache"}
    settings.CACHES = {"default": settings.CACHES["default"] | djangos}
    pools = [client.connection_pool for client in clients_of_twenty()]
    assert len({id(pool) for pool in pools}) == 20
    for pool in pools:
        pool.disconnect()


@pytest.mark.parametrize("other", [{"socket_timeout": 1}, {"LOCATION": "redis://127.0.0.1:1/0"}])
def test_another_server_or_other_options_have_a_pool_of_their_own(settings, other):
    mine = caches["default"]._cache.get_client(write=True)
    default = settings.CACHES["default"]
    options = default["OPTIONS"] | {k: v for k, v in other.items() if k.islower()}
    place = {k: v for k, v in other.items() if k.isupper()}
    settings.CACHES = {"default": default | place | {"OPTIONS": options}}
    other = caches["default"]._cache.get_client(write=True)
    assert other.connection_pool is not mine.connection_pool
