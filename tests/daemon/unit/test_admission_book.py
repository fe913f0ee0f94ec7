# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Admission: never more than n, nobody forgotten, whatever is cancelled or dies in between."""

from __future__ import annotations

import asyncio
import random
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.admission import (
    ASK,
    ASK_RECEIVING,
    CANCEL,
    CANCEL_RECEIVING,
    COMPLETE,
    GIVE_BACK,
    GIVE_BACK_RECEIVING,
    GRANT,
    GRANT_RECEIVING,
    Admission,
    Book,
)


class TestBook:
    def test_n_at_a_time_in_order(self):
        book = Book(2)
        assert book.take("a", ASK) == [("a", GRANT)]
        assert book.take("b", ASK) == [("b", GRANT)]
        assert book.take("a", ASK) == []
        assert book.take("b", ASK) == []
        assert (book.in_use, book.waiting) == (2, 2)
        assert book.take("b", GIVE_BACK) == [("a", GRANT)]
        assert book.take("a", GIVE_BACK) == [("b", GRANT)]
        assert book.waiting == 0

    def test_what_is_still_being_received_never_has_the_last_place(self):
        book = Book(3)
        assert book.take("a", ASK_RECEIVING) == [("a", GRANT_RECEIVING)]
        assert book.take("a", ASK_RECEIVING) == [("a", GRANT_RECEIVING)]
        assert book.take("a", ASK_RECEIVING) == []
        assert book.take("b", ASK) == [("b", GRANT)]

    def test_a_message_that_is_complete_makes_room_for_the_next_large_one(self):
        book = Book(3)
        for _ in range(3):
            book.take("a", ASK_RECEIVING)
        assert book.take("a", COMPLETE) == [("a", GRANT_RECEIVING)]
        assert book.in_use == 3

    def test_with_one_place_large_messages_come_in_too(self):
        assert Book(1).take("a", ASK_RECEIVING) == [("a", GRANT_RECEIVING)]

    def test_a_large_message_that_waits_does_not_stop_others(self):
        book = Book(2)
        book.take("a", ASK_RECEIVING)
        assert book.take("a", ASK_RECEIVING) == []
        assert book.take("b", ASK) == [("b", GRANT)]

    def test_a_dead_worker_holds_nothing(self):
        book = Book(2)
        for message in (ASK, ASK_RECEIVING, ASK, ASK):
            book.take("a", message)
        book.take("b", ASK)
        assert book.forget("a") == [("b", GRANT)]
        assert (book.in_use, book.waiting) == (1, 0)
        assert book.forget("nobody") == []

    def test_cancelled_requests_get_nothing(self):
        book = Book(1)
        book.take("a", ASK)
        book.take("b", ASK)
        book.take("b", CANCEL)
        assert book.take("a", GIVE_BACK) == []
        assert (book.in_use, book.waiting) == (0, 0)

    def test_other_messages_change_nothing(self):
        book = Book(1)
        assert book.take("a", b"H") == []
        assert book.take("a", b"?") == []
        assert book.take("a", GIVE_BACK) == []
        assert book.take("a", CANCEL_RECEIVING) == []
        assert book.take("a", ASK) == [("a", GRANT)]

    def test_more_places_after_a_reload(self):
        book = Book(1)
        book.take("a", ASK)
        book.take("a", ASK)
        book.places = 2
        assert book.take("a", ASK) == [("a", GRANT)]

    @given(st.integers(1, 4), st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5)), max_size=80))
    def test_whatever_comes_in_which_order(self, places, steps):
        # Given honest workers that ask, finish, give back and die in any order, then there are never more than n
        # places taken, never only unfinished messages (but for n = 1), and nobody waits while he could be served.
        book = Book(places)
        waiting = {worker: {GRANT: 0, GRANT_RECEIVING: 0} for worker in range(3)}
        held = {worker: {GRANT: 0, GRANT_RECEIVING: 0} for worker in range(3)}

        def granted(answers):
            for worker, grant in answers:
                assert waiting[worker][grant] > 0
                waiting[worker][grant] -= 1
                held[worker][grant] += 1

        for worker, step in steps:
            mine = held[worker]
            if step == 0:
                waiting[worker][GRANT] += 1
                granted(book.take(worker, ASK))
            elif step == 1:
                waiting[worker][GRANT_RECEIVING] += 1
                granted(book.take(worker, ASK_RECEIVING))
            elif step == 2 and mine[GRANT]:
                mine[GRANT] -= 1
                granted(book.take(worker, GIVE_BACK))
            elif step == 3 and mine[GRANT_RECEIVING]:
                mine[GRANT_RECEIVING] -= 1
                granted(book.take(worker, GIVE_BACK_RECEIVING))
            elif step == 4 and mine[GRANT_RECEIVING]:
                mine[GRANT_RECEIVING] -= 1
                mine[GRANT] += 1
                granted(book.take(worker, COMPLETE))
            elif step == 5:
                waiting[worker] = {GRANT: 0, GRANT_RECEIVING: 0}
                held[worker] = {GRANT: 0, GRANT_RECEIVING: 0}
                granted(book.forget(worker))
            total = sum(sum(one.values()) for one in held.values())
            unfinished = sum(one[GRANT_RECEIVING] for one in held.values())
            assert total == book.in_use <= places
            assert unfinished <= max(1, places - 1)
            if total < places:
                assert not any(one[GRANT] for one in waiting.values())
                if unfinished < max(1, places - 1):
                    assert book.waiting == 0


class TestOverTheChannel:
    @pytest.mark.parametrize("seed", range(5))
    def test_tasks_that_are_cancelled_at_any_moment_lose_no_place(self, seed):
        # Given 3 places and 300 tasks of which many are cancelled at random moments, when all are done,
        # then there were never more than 3 at work, and no place is lost.
        asyncio.run(asyncio.wait_for(_crowd(random.Random(seed)), 30))


async def _crowd(chance: random.Random) -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    book = Book(3)

    def serve() -> None:
        # As the service does: a message may carry several bytes, each a request of its own.
        for byte in ours.recv(4096):
            answers = book.take("worker", bytes([byte]))
            for _, answer in answers:
                ours.send(answer)

    loop.add_reader(ours, serve)
    admission = Admission(theirs, loop)
    at_work = most = 0

    async def work() -> None:
        nonlocal at_work, most
        receiving = chance.random() < 0.4
        place = await admission.enter(receiving)
        at_work += 1
        most = max(most, at_work)
        try:
            await asyncio.sleep(chance.random() / 500)
            if receiving and chance.random() < 0.7:
                place.complete()
                await asyncio.sleep(chance.random() / 500)
        finally:
            at_work -= 1
            place.leave()
            place.leave()  # once is enough

    tasks = []
    for _ in range(300):
        tasks.append(loop.create_task(work()))
        if chance.random() < 0.4:
            loop.call_later(chance.random() / 50, tasks[-1].cancel)
        if chance.random() < 0.2:
            await asyncio.sleep(chance.random() / 500)
    await asyncio.gather(*tasks, return_exceptions=True)
    for _ in range(100):
        if not book.in_use and not book.waiting:
            break
        await asyncio.sleep(0.01)
    assert (book.in_use, book.waiting) == (0, 0)
    assert 0 < most <= 3
    assert not admission.orphaned.done()
    ours.close()
    await asyncio.wait_for(admission.orphaned, 5)  # the end of the service is seen
    theirs.close()
