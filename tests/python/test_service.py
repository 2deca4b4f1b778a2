"""The service: the answer to the right question, once, or the reason why there is none."""

import threading

import pytest
from hypothesis import given, settings, strategies

import triveni


@pytest.fixture
def serving(segment):
    """A service whose server answers backwards."""
    service = segment.service("s", 64, 64)
    server = threading.Thread(target=service.serve, args=(lambda request: request[::-1],))
    server.start()
    yield service
    service.shutdown()
    server.join()


def test_an_answer_comes_back(serving):
    assert serving.call(b"abc", timeout=60) == b"cba"
    assert serving.call(bytearray(64), 60) == bytes(64)
    assert serving.servers == 1


def test_any_requests_get_their_own_answers(serving):
    @settings(max_examples=50, deadline=None)
    @given(strategies.lists(strategies.binary(max_size=64), max_size=16))
    def check(requests):
        calls = [serving.start(request, 60) for request in requests]
        assert [call.wait(60) for call in calls] == [request[::-1] for request in requests]

    check()


def test_a_loop_over_a_service_ends_with_the_shutdown(segment):
    service = segment.service("s")
    calls = [service.start(bytes([i])) for i in range(3)]
    seen = []
    for request in service:
        seen.append(bytes(request))
        assert request.reply(memoryview(b"ok"))
        if len(seen) == 3:
            service.shutdown()
    assert seen == [b"\0", b"\1", b"\2"]
    assert [call.wait() for call in calls] == [b"ok"] * 3
    assert service.is_shut_down
    with pytest.raises(triveni.Closed):
        service.call(b"")
    with pytest.raises(triveni.Closed):
        service.receive()


def test_an_exception_in_the_handler_fails_the_call_and_not_the_server(segment):
    service = segment.service("s")

    def handler(request):
        return {b"good": b"answer"}[request]

    server = threading.Thread(target=service.serve, args=(handler,))
    server.start()
    with pytest.raises(triveni.Failed, match="KeyError: b'bad'"):
        service.call(b"bad", 60)
    assert service.call(b"good", 60) == b"answer"
    service.shutdown()
    server.join()


def test_a_block_that_does_not_answer_fails_the_call(segment):
    service = segment.service("s")
    call = service.start(b"x")
    with pytest.raises(ZeroDivisionError), service.receive():
        1 / 0
    with pytest.raises(triveni.Failed, match="ZeroDivisionError"):
        call.wait(60)
    call = service.start(b"x")
    with service.receive():
        pass
    with pytest.raises(triveni.Failed, match="without an answer"):
        call.wait(60)


def test_a_request_is_read_in_place_and_not_answered_under_a_view(segment):
    service = segment.service("s")
    call = service.start(b"abc")
    request = service.receive()
    view = memoryview(request)
    assert view.readonly and view == b"abc" and len(request) == 3
    with pytest.raises(BufferError):
        request.reply(b"x")
    view.release()
    assert request.reply(b"x")
    with pytest.raises(ValueError, match="ended"):
        request.reply(b"y")
    assert call.wait() == b"x"
    with pytest.raises(ValueError, match="ended"):
        call.wait()


def test_a_timeout_gives_the_call_up_and_a_late_answer_is_dropped(segment):
    service = segment.service("s", calls=1)
    with pytest.raises(TimeoutError):
        service.call(b"nobody", timeout=0.01)
    assert len(service) == 0 and service.try_receive() is None
    call = service.start(b"x")
    assert service.try_start(b"y") is None and call.try_wait() is None
    request = service.receive()
    call.cancel()
    assert request.is_cancelled
    assert not request.reply(b"late")
    assert service.try_start(b"y") is not None


def test_what_is_too_large_is_refused(segment):
    service = segment.service("s", 4, 4)
    with pytest.raises(triveni.TooLarge):
        service.call(b"12345")
    call = service.start(b"1234")
    request = service.receive()
    with pytest.raises(triveni.TooLarge, match=r'5 bytes .* service ".*/s", .* at most 4; answer with less'):
        request.reply(b"12345")
    assert request.reply(b"1234")
    assert call.wait() == b"1234"


def test_a_service_of_another_shape_is_refused(segment):
    segment.service("s", 4, 4, idempotent=True)
    assert segment.service("s").idempotent
    with pytest.raises(triveni.Incompatible):
        segment.service("s", 8)


def test_a_server_that_is_killed_is_told_to_its_client(segment, other):
    service = segment.service("s")
    server = other("request = segment.open_service('s').receive(); say('has it'); go()")
    call = service.start(b"x")
    server.says("has it")
    server.kill()
    with pytest.raises(triveni.PeerDead):
        call.wait(60)


def test_requests_and_answers_are_written_in_place(segment):
    service = segment.service("s", 64, 64)
    grant = service.reserve(16)
    with memoryview(grant) as view:
        view[:5] = b"three"
        with pytest.raises(BufferError):
            grant.send(5)
    with pytest.raises(triveni.TooLarge):
        grant.send(17)
    call = grant.send(5)
    with pytest.raises(ValueError, match="ended"):
        grant.send(5)
    with service.receive() as request:
        assert bytes(request) == b"three"
        with request.answer() as answer:
            assert len(answer) == 64
            memoryview(answer)[:] = bytes(request)[:1] * 64
    assert call.wait(60) == b"t" * 64
    call = service.start(b"x")
    request = service.receive()
    answer = request.answer(8)
    with memoryview(answer) as view:
        view[:2] = b"ok"
        for ends in (lambda: answer.commit(2), lambda: request.reply(b"y"), lambda: request.fail("y")):
            with pytest.raises(BufferError):
                ends()
    with memoryview(request), pytest.raises(BufferError):
        answer.commit(2)
    with pytest.raises(triveni.TooLarge):
        answer.commit(9)
    with pytest.raises(triveni.TooLarge, match="65 bytes .*; answer with less"):
        request.answer(65)
    assert answer.commit(2) and call.wait(60) == b"ok"
    with pytest.raises(ValueError, match="ended"):
        answer.commit(2)
    with pytest.raises(ValueError, match="ended"), answer:
        memoryview(answer)


def test_room_for_a_request_is_given_back_when_its_block_ends(segment):
    service = segment.service("s", 16, 16, calls=1)
    with service.reserve(16) as grant:
        assert service.try_reserve(1) is None
        with pytest.raises(TimeoutError):
            service.reserve(1, timeout=0.01)
        call = grant.send(0)
    assert service.try_reserve(1) is None  # it was sent
    call.cancel()
    with service.reserve(16), pytest.raises(ZeroDivisionError):
        1 / 0
    grant = service.reserve(16)
    del grant
    service.reserve(8).cancel()
    assert service.try_reserve(1) is not None
    with pytest.raises(triveni.TooLarge):
        service.reserve(17)


def test_a_block_around_an_answer_that_fails_leaves_the_request_open(segment):
    service = segment.service("s")
    call = service.start(b"x")
    request = service.receive()
    with pytest.raises(ZeroDivisionError), request.answer(8):
        1 / 0
    assert request.reply(b"y") and call.wait(60) == b"y"
